//! Refusals and faults as gRPC statuses, with machine-readable details.
//!
//! Every status message is `E_CODE: sentence`. A refusal carries the standard details of Google's
//! error model: its code as `ErrorInfo.reason`, the field at fault as a `BadRequest` violation.
//!
//! Invariant: a fault of the pool tells the caller what to do, and the log the cause.

use crate::blobs::BlobError;
use crate::disk;
use crate::writer::Refused;
use hivemind_model::{Code, Rejection};
use hivemind_pki::PkiError;
use hivemind_proto::convert::BadMessage;
use hivemind_store::StoreError;
use prost::Message;
use std::io;
use tonic::Status;

/// The domain of the codes in `ErrorInfo`.
const DOMAIN: &str = "hivemind";
/// Most characters of a message: it travels in a header.
const MOST_MESSAGE_CHARS: usize = 2000;

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RichStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
}

#[derive(Clone, PartialEq, Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}

#[derive(Clone, PartialEq, Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

/// The status of a refusal.
pub(crate) fn rejected(rejection: &Rejection) -> Status {
    let code = match rejection.code {
        Code::Invalid => tonic::Code::InvalidArgument,
        Code::NotFound => tonic::Code::NotFound,
        Code::Taken | Code::IdReused => tonic::Code::AlreadyExists,
        Code::BadCredentials | Code::TokenUsed | Code::TokenExpired => tonic::Code::Unauthenticated,
        Code::Forbidden | Code::Invitation => tonic::Code::PermissionDenied,
        Code::InsufficientCpt | Code::MaxPrice | Code::Conflict => tonic::Code::FailedPrecondition,
        Code::Stale => tonic::Code::Aborted,
        Code::Busy | Code::TooLarge => tonic::Code::ResourceExhausted,
    };
    let message: String = rejection.to_string().chars().take(MOST_MESSAGE_CHARS).collect();
    let info = ErrorInfo { reason: rejection.code.as_str().into(), domain: DOMAIN.into() };
    let mut details = vec![any("google.rpc.ErrorInfo", &info)];
    if !rejection.field.is_empty() {
        let violation = FieldViolation { field: rejection.field.clone(), description: rejection.text.clone() };
        details.push(any("google.rpc.BadRequest", &BadRequest { field_violations: vec![violation] }));
    }
    let rich = RichStatus { code: code.into(), message: message.clone(), details };
    Status::with_details(code, message, rich.encode_to_vec().into())
}

fn any(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

/// The status of a caller who did not prove who they are.
pub(crate) fn unauthenticated(why: &str) -> Status {
    Status::unauthenticated(format!("E_UNAUTHENTICATED: {why}"))
}

/// The status of a message that no honest worker sends.
pub(crate) fn malformed(fault: &BadMessage) -> Status {
    rejected(&Rejection::invalid(fault.field, &fault.why))
}

/// The status of a file that could not be read or written.
pub(crate) fn file(doing: &str, error: &io::Error) -> Status {
    if disk::is_full(error) {
        tracing::error!(doing, %error, "the pool's disk is full");
        return Status::resource_exhausted(format!(
            "E_DISK_FULL: {doing}: the pool's disk is full; nothing was stored; try again when its operator has made room"
        ));
    }
    tracing::error!(doing, %error, "a file of the pool cannot be used");
    Status::internal(format!("E_INTERNAL: {doing} failed in the pool; its operator finds the cause in the log"))
}

/// The status of a store that could not be read.
pub(crate) fn store(error: &StoreError) -> Status {
    tracing::error!(%error, source = ?std::error::Error::source(error), "the store cannot be read");
    Status::unavailable("E_UNAVAILABLE: the pool cannot read its store; try again later")
}

/// The status of a command without a reply.
pub(crate) fn refused(refused: &Refused) -> Status {
    match refused {
        Refused::Rejected(rejection) => rejected(rejection),
        Refused::Stopped => Status::unavailable(format!("E_UNAVAILABLE: {refused}")),
        Refused::DiskFull => Status::resource_exhausted(format!("E_DISK_FULL: {refused}")),
        Refused::Store(error) => store(error),
        Refused::LookUpAgain => rejected(&Rejection::new(Code::Busy, "too many requests at once; try again")),
    }
}

/// The status of content that was not stored.
pub(crate) fn blob(field: &str, error: &BlobError) -> Status {
    match error {
        BlobError::TooLong(_) | BlobError::TooShort { .. } => rejected(&Rejection::invalid(field, error)),
        BlobError::Offset { .. } => rejected(&Rejection::invalid("offset", error)),
        BlobError::WrongDigest { .. } => rejected(&Rejection::invalid("digest", error)),
        BlobError::Io(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            rejected(&Rejection::new(Code::Busy, error.to_string()))
        }
        BlobError::Busy => rejected(&Rejection::new(Code::Busy, error.to_string())),
        BlobError::Io(error) => file("storing content", error),
    }
}

/// The status of a certificate that was not signed.
pub(crate) fn certificate(error: &PkiError) -> Status {
    rejected(&Rejection::invalid("csr_pem", error))
}
