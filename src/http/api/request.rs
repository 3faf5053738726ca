//! `POST /request`: publishes a Request Message, and replies with the Response Message of a device (MQTT 5, 4.10).

use std::sync::Arc;
use std::time::Duration;

use super::call::{Call, Handled};
use super::keyed::{self, Turn};
use crate::http::access::ReaderKind;
use crate::http::idempotency::Fingerprint;
use crate::http::input::json::Fields;
use crate::http::input::{payload, properties, values};
use crate::http::reply::Reply;
use crate::message::json::ResponseJson;
use crate::message::{Message, Qos, Received, TopicFilter, TopicName};
use crate::mqtt::{Failure, NoAnswer};

const FIELDS: &str =
    "`topic`, `msg` (or `payload`), `payload_encoding`, `qos`, `properties`, `response_topic` and `timeout`";

/// Publishes, and replies when the response has come.
pub fn request(call: &mut Call) -> Result<Handled, Reply> {
    call.require("POST")?;
    let context = call.context;
    let (mut message, response_topic, timeout) = parse(&call.json()?, context.max_timeout)?;
    if response_topic.is_none() && !context.has_properties {
        return Err(Reply::invalid(
            "field `response_topic` is missing: MQTT 3.1.1 has no way to tell a device where to answer".to_owned(),
        ));
    }
    // every topic name is also a filter, which matches only itself
    let filter = response_topic.as_ref().map(|topic| TopicFilter::try_from(topic.as_str().to_owned())).transpose();
    let filter = filter.map_err(|error| error.to_string())?;
    if let (Some(topic), Some(filter)) = (&response_topic, &filter) {
        call.principal.may_read(filter)?;
        call.principal.may_use_response_topic(topic)?;
    }
    call.principal.may_publish(&message)?;
    let fingerprint = || {
        let messages = Fingerprint::of("request").with_messages(std::slice::from_ref(&message));
        messages.with_optional(response_topic.as_ref().map(TopicName::as_str))
    };
    let key = match call.turn(None, fingerprint, || Reply::from(NoAnswer::Publish(Failure::Unknown)))? {
        Turn::Publishes(key) => key,
        Turn::Repeats(reply) => return Ok(Handled::Reply(reply)),
    };
    call.principal.count(std::slice::from_ref(&message))?;
    call.add_context(&mut message)?;
    let slot = call.principal.take_slot()?;
    let reader = call.principal.quota().zip(filter).map(|(quota, filter)| quota.read(&filter, ReaderKind::Request));
    let reader = reader.transpose()?;
    let share = call.exchange.hand_over_room(message.bytes())?;
    let (subscriber, timeout) = (context.subscriber.clone(), timeout.unwrap_or(context.timeout));
    Ok(Handled::later(move |responder| {
        keyed::begin(key.clone(), timeout, move |begun| {
            let left = match begun {
                Ok(left) => left,
                Err(error) => return responder.reply(Reply::key_not_stored(&error)),
            };
            let responded = move |response: Result<Arc<Received>, NoAnswer>| {
                drop((slot, reader));
                let is_done = is_done(&response);
                let reply = response.map_or_else(Reply::from, |received| Reply::json(&ResponseJson::of(&received)));
                if let Some(key) = key {
                    key.end(&reply, is_done);
                }
                responder.reply_or(reply, Reply::response_without_room);
            };
            subscriber.request((message, share), response_topic, left, Box::new(responded));
        });
    }))
}

/// Whether a device has the request or may have it.
fn is_done(response: &Result<Arc<Received>, NoAnswer>) -> bool {
    match response {
        Ok(_) | Err(NoAnswer::TimedOut | NoAnswer::Stopping) => true,
        Err(NoAnswer::Publish(failure)) => matches!(failure, Failure::Unknown | Failure::GivenUp),
        Err(_) => false,
    }
}

/// The message, where the response is expected if not on a topic of the bridge's own, and the timeout.
fn parse(body: &[u8], max_timeout: Duration) -> Result<(Message, Option<TopicName>, Option<Duration>), String> {
    let mut fields = Fields::parse(body)?;
    let message = Message {
        topic: fields.read("topic", values::topic)?.ok_or_else(|| fields.missing("topic"))?,
        payload: payload::read(&mut fields)?.into(),
        qos: fields.read("qos", values::qos)?.unwrap_or(Qos::AtLeastOnce),
        // devices would respond to a retained message again and again
        retain: false,
        properties: fields.read("properties", properties::read)?.unwrap_or_default(),
    };
    if message.properties.response_topic.is_some() {
        return Err("`properties` `response_topic` must not be there: it is a field beside `topic`".to_owned());
    }
    if message.properties.correlation_data.is_some() {
        return Err(
            "`properties` `correlation_data` must not be there: the bridge tells answers apart by it".to_owned()
        );
    }
    let response_topic = fields.read("response_topic", values::topic)?;
    let timeout = fields.read("timeout", |value| values::timeout(value, max_timeout))?;
    fields.finish(FIELDS)?;
    Ok((message, response_topic, timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_TIMEOUT: Duration = Duration::from_secs(60);

    #[test]
    fn the_default_is_qos_1_and_never_retained() {
        let body = br#"{"topic":"a","msg":"x","response_topic":"r","timeout":1}"#;
        let (message, response_topic, timeout) = parse(body, MAX_TIMEOUT).unwrap();
        assert_eq!((message.qos, message.retain), (Qos::AtLeastOnce, false));
        assert_eq!(response_topic.as_ref().map(TopicName::as_str), Some("r"));
        assert_eq!(timeout, Some(Duration::from_secs(1)));
    }

    #[test]
    fn each_error_names_the_field_and_the_rule() {
        for (fields, error) in [
            (r#""retain":true"#, format!("unknown field `retain`: there are {FIELDS}")),
            (
                r#""response_topic":"r/+""#,
                "`response_topic` must not contain the wildcard `+`: one publishes to a topic name, not to a topic filter"
                    .to_owned(),
            ),
            (r#""response_topic":"#, "`response_topic` must not be empty".to_owned()),
            (
                r#""properties":{"response_topic":"r"}"#,
                "`properties` `response_topic` must not be there: it is a field beside `topic`".to_owned(),
            ),
            (
                r#""properties":{"correlation_data":"r"}"#,
                "`properties` `correlation_data` must not be there: the bridge tells answers apart by it".to_owned(),
            ),
        ] {
            let fields = if fields.ends_with(':') { format!("{fields}\"\"") } else { fields.to_owned() };
            let body = format!("{{\"topic\":\"a\",\"msg\":1,{fields}}}");
            assert_eq!(parse(body.as_bytes(), MAX_TIMEOUT).unwrap_err(), error, "{body}");
        }
    }
}
