//! The document of the API (OpenAPI 3.1), made from the routes.
//!
//! What holds for all operations is written here once: who may call them, and with which problems they answer. Start at [`json`].
//!
//! Invariant: nothing is in the document that is not in the code.

use crate::dto::Problem;
use utoipa::OpenApi as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AdditionalProperties, Schema};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi, PathItem, Ref, RefOr, Response, ResponseBuilder};

/// Where the API is.
pub(crate) const PREFIX: &str = "/api/v1";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "HiveMind", description = "The REST face of a pool's API. Money is micro-CPT in strings; errors are RFC 9457 problems with a stable code.",
        license(name = "GPL-3.0-only", identifier = "GPL-3.0-only")),
    servers((url = "/api/v1")),
    components(schemas(Problem)),
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

/// Problems of any operation, of those with a login, and of those with a body.
const ANY: [(u16, &str); 7] = [
    (402, "Not enough CPT, or more than was to be paid at most"),
    (404, "There is no such thing, or it is somebody else's"),
    (409, "The thing is in a state that does not allow this"),
    (422, "A field has a value that is not allowed"),
    (429, "Too many requests; `Retry-After` says when to try again"),
    (502, "The pool gave an answer that the gateway does not understand"),
    (503, "The pool does not answer; the same request works once it is back"),
];
const WITH_ORIGIN: [(u16, &str); 2] = [
    (401, "Nobody is logged in, or the login has ended"),
    (403, "Known, but not allowed; or from a page of another site"),
];
const WITH_BODY: [(u16, &str); 4] = [
    (400, "The request cannot be read"),
    (408, "The body took too long"),
    (413, "More than is taken in one request"),
    (415, "The body is not of the type that is taken"),
];

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
    let with_body: &[(u16, &str)] = if operation.request_body.is_some() { &WITH_BODY } else { &[] };
    for (status, what) in ANY.iter().chain(&WITH_ORIGIN).chain(with_body) {
        let responses = &mut operation.responses.responses;
        responses.entry(status.to_string()).or_insert_with(|| RefOr::T(problem(what)));
    }
}

fn problem(what: &str) -> Response {
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    ResponseBuilder::new()
        .description(what)
        .content(hivemind_http::problem::PROBLEM_JSON, Content::new(Some(schema)))
        .build()
}
