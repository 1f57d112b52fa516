//! `TokenService`: transfers and balances.
//!
//! Invariant: no amount is rounded on its way in.

use super::{refusal_or_fault, wrong_reply};
use crate::shared::Shared;
use crate::status;
use hivemind_model::command::Once;
use hivemind_model::rows::RequestKey;
use hivemind_model::units::MICRO_PER_CPT;
use hivemind_model::{Command, Cpt, Rejection, Reply, UserId};
use hivemind_proto::v1::token_service_server::TokenService;
use hivemind_proto::v1::{BalanceRequest, BalanceResponse, TransferRequest, TransferResponse};
use prost::Message;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Longest client-made id, in bytes.
const MAX_ID_BYTES: usize = 128;

/// The service.
pub(crate) struct TokenCalls(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl TokenService for TokenCalls {
    async fn transfer(&self, request: Request<TransferRequest>) -> Result<Response<TransferResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let outcome = match command(caller.id, request.into_inner()) {
            Ok(command) => refusal_or_fault(self.0.writer.apply(command).await)?,
            Err(rejection) => Err(rejection),
        };
        Ok(Response::new(match outcome {
            Ok(Reply::Transferred { balance }) => TransferResponse {
                success: true,
                message: "transferred".into(),
                new_balance: balance.whole(),
                new_balance_micro: balance.micro(),
            },
            Ok(other) => return Err(wrong_reply(&other)),
            Err(rejection) => TransferResponse { message: rejection.to_string(), ..TransferResponse::default() },
        }))
    }

    async fn balance(&self, request: Request<BalanceRequest>) -> Result<Response<BalanceResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let funds = self.0.store.funds(caller.id).await.map_err(|error| status::store(&error))?;
        Ok(Response::new(BalanceResponse {
            success: true,
            balance: funds.available.whole(),
            message: format!("{} available, {} held for open tasks", funds.available, funds.held),
            balance_micro: funds.available.micro(),
            held_micro: funds.held.micro(),
        }))
    }
}

fn command(from: UserId, request: TransferRequest) -> Result<Command, Rejection> {
    let amount = amount(request.amount, request.amount_micro)?;
    let once = once("transfer_id", from, &request.transfer_id, || {
        let body = TransferRequest { token: String::new(), transfer_id: String::new(), ..request.clone() };
        body.encode_to_vec()
    })?;
    Ok(Command::Transfer { from, to_username: request.to_username, amount, once })
}

fn amount(whole: i64, micro: i64) -> Result<Cpt, Rejection> {
    if whole < 0 {
        return Err(Rejection::invalid("amount", format!("{whole} is negative; only its owner can send money")));
    }
    if !(0..MICRO_PER_CPT).contains(&micro) {
        return Err(Rejection::invalid(
            "amount_micro",
            format!("{micro} is outside 0 to 999999; put whole CPT into amount"),
        ));
    }
    let sum = Cpt::checked_from_whole(whole).and_then(|whole| whole.checked_add(Cpt::from_micro(micro)));
    match sum {
        Some(sum) if sum.is_positive() => Ok(sum),
        Some(_) => Err(Rejection::invalid("amount", "is 0; send at least 0.000001 CPT")),
        None => Err(Rejection::invalid("amount", format!("{whole} CPT is more than there is"))),
    }
}

/// A client-made id with the digest of its request; `None` where the client made none.
pub(super) fn once(
    field: &str,
    user: UserId,
    id: &str,
    body: impl FnOnce() -> Vec<u8>,
) -> Result<Option<Once>, Rejection> {
    if id.is_empty() {
        return Ok(None);
    }
    if id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
        return Err(Rejection::invalid(field, "is longer than 128 bytes or contains a control character"));
    }
    let body = crate::blobs::digest_of(&body()).0;
    Ok(Some(Once { key: RequestKey { user, id: id.to_owned() }, body, stored: None }))
}
