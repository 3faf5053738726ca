//! `POST /subscribe`: subscribes to a topic filter, whose messages then go to the journal.

use std::time::Duration;

use super::call::{Call, Handled};
use super::subscription_json::changed;
use crate::http::input::json::Fields;
use crate::http::input::values;
use crate::http::reply::Reply;
use crate::message::{Qos, TopicFilter};
use crate::mqtt::Answer;

/// Subscribes, and replies when the broker has answered.
pub fn subscribe(call: &mut Call) -> Result<Handled, Reply> {
    call.require("POST")?;
    let (filter, qos, timeout) = parse(&call.json()?, call.context.max_timeout)?;
    call.principal.may_read(&filter)?;
    let pending = call.principal.quota().map_or(Ok(None), |quota| quota.begin_subscribe(&filter, qos))?;
    let (subscriber, timeout) = (call.context.subscriber.clone(), timeout.unwrap_or(call.context.timeout));
    Ok(Handled::later(move |responder| {
        let (topic, qos) = (filter.clone(), pending.as_ref().map_or(qos, |pending| pending.qos));
        let answered = move |answer: Answer| {
            if let Some(pending) = pending {
                pending.settle(answer.is_ok());
            }
            responder.reply(answer.map_or_else(Reply::from, |granted| changed(&topic, Some(granted))));
        };
        subscriber.subscribe(&filter, qos, timeout, Box::new(answered));
    }))
}

fn parse(body: &[u8], max_timeout: Duration) -> Result<(TopicFilter, Qos, Option<Duration>), String> {
    let mut fields = Fields::parse(body)?;
    let filter = fields.read("topic", values::filter)?.ok_or("field `topic` is missing")?;
    let qos = fields.read("qos", values::qos)?.unwrap_or(Qos::AtMostOnce);
    let timeout = fields.read("timeout", |value| values::timeout(value, max_timeout))?;
    fields.finish("`topic`, `qos` and `timeout`")?;
    Ok((filter, qos, timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<(TopicFilter, Qos, Option<Duration>), String> {
        super::parse(body.as_bytes(), Duration::from_secs(60))
    }

    #[test]
    fn the_quality_of_service_and_the_timeout_are_optional() {
        let filter = |text: &str| TopicFilter::try_from(text.to_owned()).unwrap();
        assert_eq!(parse(r#"{"topic":"a/#"}"#), Ok((filter("a/#"), Qos::AtMostOnce, None)));
        let all = r#"{"qos":2,"timeout":1,"topic":"$share/g/+"}"#;
        assert_eq!(parse(all), Ok((filter("$share/g/+"), Qos::ExactlyOnce, Some(Duration::from_secs(1)))));
    }

    #[test]
    fn each_error_names_the_field_and_the_rule() {
        for (body, error) in [
            ("{}", "field `topic` is missing"),
            (r#"{"topic":["a"]}"#, "`topic` must be a string, not an array"),
            (r#"{"topic":"a#"}"#, "`topic` `#` must be the last level, and all of it"),
            (
                r#"{"topic":"$share/g"}"#,
                "`topic` a shared subscription must be `$share/GROUP/FILTER`, with neither `+` nor `#` in GROUP",
            ),
            (r#"{"topic":""}"#, "`topic` must not be empty"),
            (r#"{"topic":"a","qos":3}"#, "`qos` must be 0, 1 or 2, not 3"),
            (
                r#"{"topic":"a","Qos":1}"#,
                "unknown field `Qos`: there are `topic`, `qos` and `timeout`; did you mean `qos`?",
            ),
            (r#"{"topic":"a","timeout":0}"#, "`timeout` must be a number of seconds above 0 and up to 60, not 0"),
        ] {
            assert_eq!(parse(body).unwrap_err(), error, "{body}");
        }
    }
}
