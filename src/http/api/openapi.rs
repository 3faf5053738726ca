//! `GET /openapi.json`: the description of this HTTP interface.

use super::call::Handled;
use super::context::Context;
use super::storing::Longest;
use crate::http::access::base_url;
use crate::http::input::requirements::{READ, require_method};
use crate::http::reply::Reply;
use crate::http::server::Head;

/// `OpenAPI` 3.1, with placeholders that [`render`] replaces.
const DOCUMENT: &str = include_str!("openapi.json");
const VERSION: &str = "\"version\": \"0.0.0\"";
const MAX_TIMEOUT: &str = "\"maximum\": 60.0";
const MAX_TTL: &str = "\"maximum\": 86400.0";
const SERVER: &str = "\"url\": \"/\"";

pub fn openapi(context: &Context, head: Head) -> Result<Handled, Reply> {
    require_method(head, READ)?;
    let longest = Longest::of(context);
    let document = render(longest, base_url(head).as_deref().unwrap_or("/"));
    Ok(Handled::Reply(Reply::document("application/json", document.into_bytes())))
}

/// The description with this program's version, the configured `max-timeout` and `max-ttl`, and the URL of the daemon:
/// client generators do not accept a relative one.
fn render(longest: Longest, server: &str) -> String {
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    let [timeout, ttl] = [longest.timeout, longest.ttl].map(|time| format!("\"maximum\": {}", time.as_secs_f64()));
    let server = format!("\"url\": \"{server}\"");
    let limited = DOCUMENT.replacen(MAX_TTL, &ttl, 1).replacen(MAX_TIMEOUT, &timeout, 1);
    limited.replacen(VERSION, &version, 1).replacen(SERVER, &server, 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use serde_json::Value;

    use super::super::publish;
    use super::*;
    use crate::http::ROUTES;

    const LONGEST: Longest = Longest { timeout: Duration::from_millis(500), ttl: Duration::from_millis(1500) };

    fn document() -> Value {
        serde_json::from_str(&render(LONGEST, "/")).unwrap()
    }

    /// The examples of an operation's body.
    fn bodies(pointer: &str) -> Vec<String> {
        let document = document();
        let content = document.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
        let examples = content["requestBody"]["content"]["application/json"]["examples"].as_object().unwrap();
        examples.values().map(|example| example["value"].to_string()).collect()
    }

    fn references(value: &Value) -> Vec<&str> {
        match value {
            Value::Object(fields) => {
                let own = fields.get("$ref").and_then(Value::as_str);
                own.into_iter().chain(fields.values().flat_map(references)).collect()
            }
            Value::Array(values) => values.iter().flat_map(references).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn each_placeholder_is_there_once() {
        let placeholders = [VERSION, MAX_TIMEOUT, MAX_TTL, SERVER];
        assert_eq!(placeholders.map(|text| DOCUMENT.matches(text).count()), [1; 4]);
        let document: Value = serde_json::from_str(&render(LONGEST, "http://a:1")).unwrap();
        assert_eq!(document["servers"][0]["url"], "http://a:1");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(document["components"]["schemas"]["Timeout"]["maximum"], 0.5);
        assert_eq!(document["components"]["schemas"]["Ttl"]["maximum"], 1.5);
    }

    #[test]
    fn every_reference_has_a_target() {
        let document = document();
        for reference in references(&document) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn the_paths_are_those_of_the_routes() {
        let routed: BTreeSet<&str> = ROUTES.iter().map(|(path, _)| path.trim_end_matches('*')).collect();
        let document = document();
        // routes have no path parameters
        let described = document["paths"].as_object().unwrap().keys();
        let described: BTreeSet<&str> = described.map(|path| path.split('{').next().unwrap()).collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn the_examples_of_bodies_are_valid() {
        let single = bodies("/paths/~1publish/post");
        let many = bodies("/paths/~1publish~1bulk/post");
        let items = many.iter().flat_map(|array| serde_json::from_str::<Vec<Value>>(array).unwrap());
        for body in single.into_iter().chain(items.map(|item| item.to_string())) {
            publish::parse_body(body.as_bytes(), Duration::from_secs(86_400))
                .unwrap_or_else(|error| panic!("{error}: {body}"));
        }
    }
}
