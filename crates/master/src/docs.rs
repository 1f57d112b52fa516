//! The document as a page: plain HTML without a line of code, so that it shows under the strictest policy.
//!
//! Start at [`page`].
//!
//! Invariant: nothing but the document is told, and all of it is escaped.

use serde_json::Value;
use std::fmt::Write as _;

/// The style of the page; it is served beside it, as the policy takes none in the page.
pub(crate) const STYLE: &str = include_str!("docs/style.css");

/// The page of a document.
pub(crate) fn page(document: &Value) -> String {
    let mut html = String::from(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>HiveMind API</title><link rel=stylesheet href=/api/docs.css><main><h1>HiveMind API</h1>",
    );
    let about = text(&document["info"]["description"]);
    let _infallible = write!(html, "<p>{about}</p><p><a href=/api/v1/openapi.json>openapi.json</a></p>");
    let tags = document["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    for tag in tags {
        let _infallible = write!(html, "<h2>{}</h2><p>{}</p>", text(&tag["name"]), text(&tag["description"]));
        operations(&mut html, document, &tag["name"]);
    }
    html.push_str("<h2>Schemas</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let _infallible = write!(
            html,
            "<details id=\"{0}\"><summary><code>{0}</code> {1}</summary>",
            escape(name),
            text(&schema["description"])
        );
        properties(&mut html, schema);
        html.push_str("</details>");
    }
    html.push_str("</main></html>");
    html
}

fn operations(html: &mut String, document: &Value, tag: &Value) {
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            if operation["tags"].get(0) != Some(tag) {
                continue;
            }
            let _infallible = write!(
                html,
                "<details><summary><b>{}</b> <code>/api/v1{}</code> {}</summary>",
                escape(&method.to_uppercase()),
                escape(path),
                text(&operation["summary"])
            );
            let _infallible = write!(html, "<p>{}</p>", text(&operation["description"]));
            parameters(html, operation);
            answers(html, document, operation);
            html.push_str("</details>");
        }
    }
}

fn parameters(html: &mut String, operation: &Value) {
    html.push_str("<table>");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        row(html, &text(&parameter["name"]), &text(&parameter["in"]), &text(&parameter["description"]));
    }
    for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
        row(html, "body", &escape(kind), &named(&content["schema"]));
    }
    html.push_str("</table>");
}

fn answers(html: &mut String, document: &Value, operation: &Value) {
    html.push_str("<table>");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        // What many operations answer with is written once.
        let shared = response["$ref"].as_str().and_then(|path| document.pointer(path.strip_prefix('#')?));
        let response = shared.unwrap_or(response);
        let schema = response["content"].as_object().and_then(|kinds| kinds.values().next());
        let schema = schema.map(|content| named(&content["schema"])).unwrap_or_default();
        row(html, &escape(status), &schema, &text(&response["description"]));
    }
    html.push_str("</table>");
}

fn properties(html: &mut String, schema: &Value) {
    html.push_str("<table>");
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        row(html, &escape(name), &named(property), &text(&property["description"]));
    }
    html.push_str("</table>");
}

fn row(html: &mut String, name: &str, kind: &str, what: &str) {
    let _infallible = write!(html, "<tr><td><code>{name}</code><td>{kind}<td>{what}");
}

/// What a schema is, in a word.
fn named(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#{0}\">{0}</a>", escape(name));
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", named(&schema["items"])),
        Value::String(kind) => escape(kind),
        Value::Array(kinds) => {
            let kinds: Vec<String> = kinds.iter().filter_map(Value::as_str).map(escape).collect();
            kinds.join(" or ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            let kinds: Vec<String> = schema["oneOf"].as_array().into_iter().flatten().map(named).collect();
            kinds.join(" or ")
        }
    }
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
