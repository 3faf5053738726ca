//! `POST`, `PUT`, `DELETE` and `GET /topics/{topic}`: the body of any type is the payload, the rest is in the URL and
//! in headers, which have the names that AWS gives them. `DELETE` clears the retained message, and `GET` reads it.

mod headers;
mod parameters;
mod value;

use bytes::Bytes;

use self::parameters::{Parts, parse, parse_clearing};
use super::call::{Call, Handled};
use super::storing::Longest;
use crate::http::input::percent::decode;
use crate::http::input::query::Parameters;
use crate::http::input::requirements::require_no_coding;
use crate::http::reply::{Reply, in_field};
use crate::message::{Message, Properties, TopicName};

/// The path before the topic.
const PATH: &str = "/topics/";
const METHODS: &str = "GET, HEAD, POST, PUT, DELETE";

/// Publishes the body, clears the retained message, or reads it.
pub fn topics(call: &mut Call) -> Result<Handled, Reply> {
    let parameters = call.parameters(METHODS)?;
    if matches!(call.head()?.method(), "GET" | "HEAD") {
        let name = path_topic(&call.target.path);
        return value::read(call, name, parameters);
    }
    let topic = topic(&call.target.path).map_err(Reply::invalid)?;
    if call.head()?.method() == "DELETE" { clear(call, topic, parameters) } else { publish(call, topic, parameters) }
}

fn publish(call: &mut Call, topic: TopicName, parameters: Parameters) -> Result<Handled, Reply> {
    let parts = parse(parameters, Longest::of(call.context)).map_err(Reply::invalid)?;
    let Parts { qos, retain, mut properties, times } = parts;
    let when = call.when(times.ttl, times.timeout)?;
    let head = call.head()?;
    require_no_coding(head)?;
    headers::read(head, &mut properties, call.context.has_properties)?;
    // only this says that the client meant to send no body, and that none was lost on the way
    let is_meant_empty = head.body_length() == Some(0);
    let payload = Bytes::from(call.body()?);
    if retain && payload.is_empty() && !is_meant_empty {
        return Err(Reply::empty_without_length());
    }
    let message = Message { topic, payload, qos, retain, properties };
    call.publish("topics", message, when, Reply::from)
}

/// Publishes a retained message without a payload, which removes the one that the broker has (MQTT 5, 3.3.1.3).
fn clear(call: &mut Call, topic: TopicName, parameters: Parameters) -> Result<Handled, Reply> {
    let (qos, times) = parse_clearing(parameters, Longest::of(call.context)).map_err(Reply::invalid)?;
    let when = call.when(times.ttl, times.timeout)?;
    if !call.body()?.is_empty() {
        return Err(Reply::invalid("a request that clears a topic must have no body".to_owned()));
    }
    let (payload, properties) = (Bytes::new(), Properties::default());
    let message = Message { topic, payload, qos, retain: true, properties };
    call.publish("topics clear", message, when, Reply::from)
}

/// The text in the place of the topic, decoded once: `%2F` separates levels as `/` does.
fn path_topic(path: &str) -> Result<String, String> {
    decode(path.strip_prefix(PATH).unwrap_or_default())
}

/// The topic that one publishes to.
fn topic(path: &str) -> Result<TopicName, String> {
    in_field("topic", path_topic(path).and_then(|topic| TopicName::try_from(topic).map_err(|error| error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_is_the_rest_of_the_path_decoded_once() {
        for (path, expected) in [
            ("/topics/a/b", "a/b"),
            ("/topics/a%2Fb", "a/b"),
            ("/topics/a%252Fb", "a%2Fb"),
            ("/topics//a/", "/a/"),
            ("/topics/k%C3%BCche/%20", "küche/ "),
            ("/topics/topics/a", "topics/a"),
            ("/topics/..", ".."),
        ] {
            assert_eq!(topic(path).as_ref().map(TopicName::as_str), Ok(expected), "{path}");
        }
    }

    #[test]
    fn each_error_names_the_rule() {
        let escape = "`topic` has a `%` without two hexadecimal digits behind it: a percent sign itself is `%25`";
        let wildcard = |c| {
            format!("`topic` must not contain the wildcard `{c}`: one publishes to a topic name, not to a topic filter")
        };
        for (path, error) in [
            ("/topics/", "`topic` must not be empty"),
            ("/topics/a%00b", "`topic` must not contain the character U+0000"),
            ("/topics/a%0Ab", "`topic` must not contain the character U+000A"),
            ("/topics/%FF", "`topic` is not UTF-8 when it is decoded"),
            ("/topics/%ED%A0%80", "`topic` is not UTF-8 when it is decoded"),
            ("/topics/%C3", "`topic` is not UTF-8 when it is decoded"),
            ("/topics/100%", escape),
            ("/topics/%2", escape),
            ("/topics/%g0", escape),
            ("/topics/+/a", &wildcard('+')),
            ("/topics/%23", &wildcard('#')),
            ("/topics/$SYS/a", "`topic` must not start with `$`: such topics belong to the broker"),
            ("/topics/%24SYS/a", "`topic` must not start with `$`: such topics belong to the broker"),
        ] {
            assert_eq!(topic(path).unwrap_err(), error, "{path}");
        }
    }
}
