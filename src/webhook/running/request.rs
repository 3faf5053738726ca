//! The request that a received message becomes.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::{Webhook, WebhookFormat};
use crate::message::Received;
use crate::message::headers::MAX_HEADER;
use crate::message::json::EventJson;
use crate::signature::sign;

/// What all attempts to deliver a message have in common.
pub struct Request<'a> {
    webhook: &'a Webhook,
    id: &'a str,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: Cow<'a, [u8]>,
}

impl<'a> Request<'a> {
    /// For a message that came at this time.
    pub fn new(webhook: &'a Webhook, id: &'a str, message: &'a Received, time: SystemTime) -> Self {
        let mut headers = vec![("webhook-id".to_owned(), id.to_owned())];
        let body = match webhook.format {
            WebhookFormat::Raw => {
                headers.push(("Content-Type".to_owned(), message.media_type()));
                headers.push(("MQTT-Dup".to_owned(), message.dup.to_string()));
                let response_topic = message.properties.response_topic.as_deref().map(str::as_bytes);
                let topics = [("MQTT-Topic", Some(&*message.topic)), ("MQTT-Response-Topic", response_topic)];
                let topics = topics.into_iter().filter_map(|(name, topic)| Some((name.to_owned(), encoded(topic?)?)));
                headers.extend(topics);
                headers.extend(message.headers().map(|(name, value)| (name.to_owned(), value)));
                Cow::Borrowed(&*message.payload)
            }
            WebhookFormat::Json => {
                headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
                // strings and numbers can always be written as JSON
                Cow::Owned(serde_json::to_vec(&EventJson::of(message, time)).unwrap_or_default())
            }
        };
        let own = webhook.headers.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned()));
        headers.extend(own);
        Self { webhook, id, headers, body }
    }

    /// The headers of an attempt at this time: it has a timestamp of its own, which is signed with the identifier and
    /// the body (Standard Webhooks, "Signature scheme").
    pub fn headers(&self, now: SystemTime) -> Vec<(String, String)> {
        let timestamp = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
        let signed = [self.id.as_bytes(), b".", timestamp.as_bytes(), b".", &self.body];
        let signatures = self.webhook.keys.iter().map(|key| format!("v1,{}", STANDARD.encode(sign(&key.0, &signed))));
        let signatures = signatures.collect::<Vec<_>>().join(" ");
        let mut headers = self.headers.clone();
        headers.push(("webhook-timestamp".to_owned(), timestamp));
        if !signatures.is_empty() {
            headers.push(("webhook-signature".to_owned(), signatures));
        }
        headers
    }
}

/// A topic name as the value of a header: in percent-encoding where it is not visible ASCII, and for `%` itself
/// (RFC 3986, 2.1). `None` for one that is too long.
fn encoded(topic: &[u8]) -> Option<String> {
    let text = topic.iter().fold(String::with_capacity(topic.len()), |mut text, &byte| {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            // writing to a String cannot fail
            let _ = write!(text, "%{byte:02X}");
        }
        text
    });
    Some(text).filter(|text| text.len() <= MAX_HEADER)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, Environment, SigningKey, Source};
    use crate::message::ReceivedProperties;

    fn webhook(format: &str) -> Webhook {
        let url = "http://localhost/";
        let headers = "{ Authorization = \"Bearer x\" }";
        let text = format!(
            "[[webhook]]\nname = \"a\"\ntopic = \"#\"\nurl = \"{url}\"\nformat = \"{format}\"\nheaders = {headers}"
        );
        Config::parse(&text, &Source::BuiltIn, &Environment::default()).unwrap().webhooks.remove(0)
    }

    fn message() -> Received {
        Received {
            topic: "orders/ö 1%".into(),
            payload: b"{}".to_vec(),
            qos: 1,
            properties: ReceivedProperties {
                content_type: Some("application/json".to_owned()),
                response_topic: Some("a b".to_owned()),
                ..ReceivedProperties::default()
            },
            ..Received::default()
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
        let mut found = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let (value, twice) = (found.next(), found.next());
        assert_eq!(twice, None, "{name}");
        value.map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_raw_request_has_the_payload_and_all_else_in_headers() {
        let (webhook, message) = (webhook("raw"), message());
        let request = Request::new(&webhook, "msg_1", &message, at(7));
        let headers = request.headers(at(8));
        assert_eq!(&*request.body, b"{}");
        for (name, value) in [
            ("webhook-id", Some("msg_1")),
            ("webhook-timestamp", Some("8")),
            ("webhook-signature", None),
            ("Content-Type", Some("application/json")),
            ("MQTT-Topic", Some("orders/%C3%B6%201%25")),
            ("MQTT-Response-Topic", Some("a%20b")),
            ("MQTT-QoS", Some("1")),
            ("MQTT-Retain", Some("false")),
            ("MQTT-Dup", Some("false")),
            ("Authorization", Some("Bearer x")),
        ] {
            assert_eq!(header(&headers, name), value, "{name}");
        }
    }

    #[test]
    fn topics_that_are_too_long_for_a_header_are_left_out() {
        let webhook = webhook("raw");
        for (length, is_there) in [(MAX_HEADER, true), (MAX_HEADER + 1, false)] {
            let message = Received { topic: vec![b'x'; length], ..Received::default() };
            let headers = Request::new(&webhook, "msg_1", &message, at(7)).headers(at(8));
            assert_eq!(header(&headers, "MQTT-Topic").is_some(), is_there, "{length}");
        }
    }

    #[test]
    fn a_json_request_has_the_object_of_a_stream() {
        let (webhook, message) = (webhook("json"), message());
        let request = Request::new(&webhook, "msg_1", &message, at(7));
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            (&body["topic"], &body["payload"], &body["time"]),
            (&"orders/ö 1%".into(), &"{}".into(), &7.0.into())
        );
        let headers = request.headers(at(8));
        assert_eq!(header(&headers, "Content-Type"), Some("application/json"));
        assert_eq!((header(&headers, "MQTT-Topic"), header(&headers, "MQTT-QoS")), (None, None));
    }

    #[test]
    fn each_attempt_is_signed_with_each_key_and_a_timestamp_of_its_own() {
        // the example of Standard Webhooks, "Verifying webhook authenticity"
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let keys = vec![SigningKey(key), SigningKey(b"another".to_vec())];
        let webhook = Webhook { keys, ..webhook("raw") };
        let message = Received { payload: br#"{"test": 2432232314}"#.to_vec(), ..Received::default() };
        let request = Request::new(&webhook, "msg_p5jXN8AQM9LWM0D4loKWxJek", &message, at(0));
        let signatures = |seconds| {
            let headers = request.headers(at(seconds));
            header(&headers, "webhook-signature").unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>()
        };
        let signed = signatures(1_614_265_330);
        assert_eq!(signed[0], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(signed.len(), 2);
        assert!(signatures(1_614_265_331).iter().all(|other| !signed.contains(other)));
    }
}
