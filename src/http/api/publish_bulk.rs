//! `POST /publish/bulk`: many messages in one request. None is sent if one of them is invalid.

use super::call::{Call, Handled};
use super::publish;
use super::storing::{Longest, Times};
use crate::http::input::json::Fields;
use crate::http::reply::Reply;
use crate::message::Message;

const FIELDS: &str = "`topic`, `msg` (or `payload`), `payload_encoding`, `qos`, `retain` and `properties`";

pub fn publish_bulk(call: &mut Call) -> Result<Handled, Reply> {
    let mut parameters = call.parameters("POST")?;
    let Times { timeout, ttl } = Longest::of(call.context).read(&mut parameters)?;
    parameters.finish("`timeout` and `ttl`")?;
    let when = call.when(ttl, timeout)?;
    call.publish_all("publish/bulk", message, when, Reply::from)
}

/// The message in the fields of an item.
fn message(mut fields: Fields) -> Result<Message, Reply> {
    let message = publish::message(&mut fields)?;
    for name in ["timeout", "ttl"] {
        if fields.take(name).is_some() {
            let error = format!("there is one `{name}` for all items, and it stands behind the path: `?{name}=`");
            return Err(Reply::invalid(error));
        }
    }
    fields.finish(FIELDS)?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::bulk;
    use super::*;

    fn messages(body: &[u8]) -> Result<Vec<Message>, Reply> {
        bulk::parse(body, message)?.collect()
    }

    #[test]
    fn each_item_is_read_like_the_body_of_a_single_publish() {
        let body = br#"[{"topic":"a","msg":1},{"topic":"b","payload":"YQ==","payload_encoding":"base64","qos":2,"retain":true}]"#;
        let longest = Longest { timeout: Duration::from_secs(1), ttl: Duration::from_secs(1) };
        let single = |body: &[u8]| publish::parse(body, longest).unwrap().0;
        let expected =
            [single(br#"{"topic":"a","msg":1}"#), single(br#"{"topic":"b","payload":"a","qos":2,"retain":true}"#)];
        assert_eq!(messages(body).unwrap(), expected);
    }

    #[test]
    fn each_error_names_the_item_the_field_and_the_rule() {
        for (item, error) in [
            ("1", "must be an object, not 1"),
            ("[]", "must be an object, not an array"),
            ("\"a\"", "must be an object, not a string"),
            ("{}", "field `topic` is missing"),
            (r#"{"topic":"a"}"#, "field `msg` is missing"),
            (r#"{"topic":"a","msg":1,"qos":3}"#, "`qos` must be 0, 1 or 2, not 3"),
            (
                r#"{"topic":"+","msg":1}"#,
                "`topic` must not contain the wildcard `+`: one publishes to a topic name, not to a topic filter",
            ),
            (
                r#"{"topic":"a","msg":"a","payload_encoding":"base64"}"#,
                "`msg` must be base64 with its padding (RFC 4648, 4), and is not",
            ),
            (
                r#"{"topic":"a","msg":1,"timeout":1}"#,
                "there is one `timeout` for all items, and it stands behind the path: `?timeout=`",
            ),
            (
                r#"{"topic":"a","msg":1,"ttl":1}"#,
                "there is one `ttl` for all items, and it stands behind the path: `?ttl=`",
            ),
            (
                r#"{"topic":"a","msg":1,"x":1}"#,
                "unknown field `x`: there are `topic`, `msg` (or `payload`), `payload_encoding`, `qos`, `retain` and `properties`",
            ),
            (r#"{"topic":"a","topic":"b","msg":1}"#, "field `topic` is there twice at line 1 column 24"),
        ] {
            let body = format!("[{{\"topic\":\"a\",\"msg\":1}},{item}]");
            assert_eq!(messages(body.as_bytes()), Err(Reply::invalid(format!("item 1: {error}"))));
        }
    }
}
