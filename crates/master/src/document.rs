//! The document of the API (OpenAPI 3.1), made from the routes.
//!
//! What holds for all operations is written here once: who may call them, and with which problems they answer. Start at [`json`].
//!
//! Invariant: nothing is in the document that is not in the code.

use crate::dto::Problem;
use crate::dto::task::TaskEvent;
use crate::routes::logs::LogEvent;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{
    AdditionalProperties, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, Content, OpenApi, PathItem, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Number, OpenApi as _};

/// Where the API is.
pub(crate) const PREFIX: &str = "/api/v1";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "HiveMind", description = "The REST face of a pool's API. Money is micro-CPT in strings; errors are RFC 9457 problems with a stable code.",
        license(name = "GPL-3.0-only", identifier = "GPL-3.0-only")),
    servers((url = "/api/v1")),
    components(schemas(Problem, TaskEvent, LogEvent)),
    tags((name = "auth", description = "Accounts, sessions, API keys"), (name = "tasks", description = "Handing in tasks and following them"),
        (name = "files", description = "Inputs and outputs"), (name = "wallet", description = "Money"),
        (name = "projects", description = "Tips to open-source projects"), (name = "nodes", description = "Machines"),
        (name = "pool", description = "The pool as a whole"), (name = "events", description = "What happens, live"))
)]
struct Base;

/// What every document begins with.
pub(crate) fn base() -> OpenApi {
    Base::openapi()
}

/// The document as it is committed and served.
///
/// # Errors
/// A bug: it has no JSON form.
pub fn json() -> Result<String, serde_json::Error> {
    let (_, document) = crate::api();
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

/// Writes what holds for all operations into each.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    if let Some(components) = &mut document.components {
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            "hm_session",
            "Set by login. Behind TLS its name begins with `__Host-`.",
        )));
        let csrf = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            "X-CSRF-Token",
            "Repeats `csrf_token` of the session, on requests that change something.",
        )));
        let bearer =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A user token, or an API key."));
        components.add_security_scheme("session", cookie);
        components.add_security_scheme("csrf", csrf);
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        components.schemas.values_mut().for_each(require_all);
        share(components);
    }
    for item in document.paths.paths.values_mut() {
        let PathItem { get, put, post, delete, .. } = item;
        if let Some(get) = get {
            finish(get, Changes::No);
        }
        for operation in [put, post, delete].into_iter().flatten() {
            finish(operation, Changes::Yes);
        }
    }
    document
}

/// Answers have all their fields; questions refuse unknown ones and may leave others out.
fn require_all(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema
        && !matches!(object.additional_properties.as_deref(), Some(AdditionalProperties::FreeForm(false)))
    {
        let all = object.properties.keys().filter(|name| name.as_str() != "field");
        object.required = all.cloned().collect();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Changes {
    Yes,
    No,
}

/// A problem with which operations answer: its status, its name in the document, and what it says.
type Told = (u16, &'static str, &'static str);

/// Problems of any operation.
const ANY: [Told; 13] = [
    (400, "Unreadable", "The request cannot be read"),
    (401, "NoLogin", "Nobody is logged in, or the login has ended"),
    (402, "TooLittleMoney", "Not enough CPT, or more than was to be paid at most"),
    (403, "Forbidden", "Known, but not allowed; or from a page of another site"),
    (404, "NotFound", "There is no such thing, or it is somebody else's"),
    (405, "WrongMethod", "The address does not take this method; `Allow` names those it takes"),
    (409, "Conflict", "The thing is in a state that does not allow this"),
    (413, "TooLarge", "More than is taken in one request, or given in one answer"),
    (421, "WrongHost", "The server does not answer for the name in `Host`"),
    (422, "Invalid", "A field has a value that is not allowed"),
    (429, "Busy", "Too many requests; `Retry-After` says when to try again"),
    (502, "NotUnderstood", "The pool gave an answer that the gateway does not understand"),
    (503, "Unavailable", "The pool does not answer; the same request works once it is back"),
];
/// Problems of those with a body.
const WITH_BODY: [Told; 2] =
    [(408, "BodyTooSlow", "The body took too long"), (415, "WrongType", "The body is not of the type that is taken")];

/// Headers of every answer that was counted.
const COUNTED: [(&str, &str); 3] = [
    ("RateLimit-Limit", "Requests in a minute"),
    ("RateLimit-Remaining", "Those of them that can be made at once now"),
    ("RateLimit-Reset", "Seconds until all of them can be made again"),
];
/// When to try again.
const RETRY_AFTER: (&str, &str) = ("Retry-After", "Seconds after which the same request may be made again");

/// Writes down once what many operations answer with.
fn share(components: &mut Components) {
    for (name, what) in COUNTED.into_iter().chain([RETRY_AFTER]) {
        components.headers.insert(name.to_owned(), RefOr::T(seconds_or_number(what)));
    }
    let allow = HeaderBuilder::new().schema(Some(text())).description(Some("The methods that the address takes"));
    components.headers.insert("Allow".to_owned(), RefOr::T(allow.build()));
    let scheme = HeaderBuilder::new().schema(Some(text())).description(Some("How to log in: `Bearer`"));
    components.headers.insert("WWW-Authenticate".to_owned(), RefOr::T(scheme.build()));
    for told in ANY.iter().chain(&WITH_BODY) {
        components.responses.insert(told.1.to_owned(), RefOr::T(problem(told)));
    }
}

fn finish(operation: &mut Operation, changes: Changes) {
    let is_open = operation.security.is_some();
    if !is_open {
        let bearer = SecurityRequirement::new::<_, [&str; 0], &str>("bearer", []);
        let session = SecurityRequirement::new::<_, [&str; 0], &str>("session", []);
        let session = match changes {
            Changes::Yes => session.add::<_, [&str; 0], &str>("csrf", []),
            Changes::No => session,
        };
        operation.security = Some(vec![session, bearer]);
    }
    let with_body: &[Told] = if operation.request_body.is_some() { &WITH_BODY } else { &[] };
    let responses = &mut operation.responses.responses;
    for answer in responses.values_mut() {
        if let RefOr::T(answer) = answer {
            count(answer);
        }
    }
    for (status, name, _) in ANY.iter().chain(with_body) {
        responses.entry(status.to_string()).or_insert_with(|| RefOr::Ref(Ref::from_response_name(*name)));
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
        {
            never_null(&mut object.schema_type);
            unsigned(object);
        }
    }
    // No bytes are bytes, too.
    if let Some(RefOr::T(body)) = &mut operation.request_body
        && body.content.contains_key("application/octet-stream")
    {
        body.required = None;
    }
}

/// An index has 32 bits and no sign, which no format of the standard says: those of `int32` have one.
fn unsigned(object: &mut Object) {
    // What the types have by themselves is written as floating point.
    let is_unsigned = match object.minimum {
        Some(Number::Float(least)) => least == 0.0,
        Some(Number::Int(_) | Number::UInt(_)) | None => false,
    };
    if is_unsigned
        && object.maximum.is_none()
        && matches!(object.format, Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
    {
        object.format = Some(SchemaFormat::KnownFormat(KnownFormat::Int64));
        object.maximum = Some(Number::from(u32::MAX));
    }
}

/// What is left out of a query or the headers is left out; nothing there is null.
fn never_null(kind: &mut SchemaType) {
    if let SchemaType::Array(kinds) = kind {
        kinds.retain(|kind| *kind != Type::Null);
        if let [only] = kinds.as_slice() {
            *kind = SchemaType::Type(only.clone());
        }
    }
}

fn problem((status, _, what): &Told) -> Response {
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    let mut response = ResponseBuilder::new()
        .description(*what)
        .content(hivemind_http::problem::PROBLEM_JSON, Content::new(Some(schema)))
        .build();
    // A request for another host is refused before it is counted.
    if *status != 421 {
        count(&mut response);
    }
    let more: &[&str] = match status {
        401 => &["WWW-Authenticate"],
        405 => &["Allow"],
        429 | 503 => &[RETRY_AFTER.0],
        _other => &[],
    };
    for name in more {
        response.headers.insert((*name).to_owned(), header(name));
    }
    response
}

fn count(response: &mut Response) {
    for (name, _) in COUNTED {
        response.headers.insert(name.to_owned(), header(name));
    }
}

fn header(name: &str) -> RefOr<Header> {
    RefOr::Ref(Ref::new(format!("#/components/headers/{name}")))
}

fn seconds_or_number(what: &str) -> Header {
    let number = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer)).minimum(Some(0));
    HeaderBuilder::new().schema(Some(number.build())).description(Some(what)).build()
}

fn text() -> RefOr<Schema> {
    RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).build()))
}
