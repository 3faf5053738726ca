//! `POST /unsubscribe`: ends a subscription that was made at run time.

use std::time::Duration;

use super::call::{Call, Handled};
use super::subscription_json::changed;
use crate::http::access::Unsubscribe;
use crate::http::input::json::Fields;
use crate::http::input::values;
use crate::http::reply::{Reply, shown};
use crate::message::TopicFilter;
use crate::mqtt::{Answer, Refusal};

/// Unsubscribes, and replies when the broker has answered.
pub fn unsubscribe(call: &mut Call) -> Result<Handled, Reply> {
    call.require("POST")?;
    let (filter, timeout) = parse(&call.json()?, call.context.max_timeout)?;
    call.principal.may_read(&filter)?;
    let held = call.principal.quota().map(|quota| quota.begin_unsubscribe(&filter)).transpose()?;
    let pending = match held {
        Some(Unsubscribe::StillHeld) => return Ok(Handled::Reply(changed(&filter, None))),
        Some(Unsubscribe::Last(pending)) => Some(pending),
        Some(Unsubscribe::NotHeld) | None => None,
    };
    let subscriber = call.context.subscriber.clone();
    // a SUBSCRIBE on behalf of other tokens gets the default timeout, not that of this request
    let default = call.context.timeout;
    let timeout = timeout.unwrap_or(default);
    Ok(Handled::later(move |responder| {
        let (topic, again) = (filter.clone(), subscriber.clone());
        let answered = move |answer: Answer| {
            // if the broker does not answer, it is assumed to have unsubscribed
            let is_unsubscribed = matches!(answer, Ok(_) | Err(Refusal::Unknown));
            if let Some(qos) = pending.and_then(|pending| pending.settle(is_unsubscribed)) {
                let filter = topic.clone();
                again.subscribe(&topic, qos, default, Box::new(move |answer| log_failure(&filter, answer)));
            }
            responder.reply(answer.map_or_else(Reply::from, |_| changed(&topic, None)));
        };
        subscriber.unsubscribe(&filter, timeout, Box::new(answered));
    }))
}

/// For a filter that another token has subscribed to while the broker unsubscribed from it.
fn log_failure(filter: &TopicFilter, answer: Answer) {
    if let Err(refusal) = answer {
        let filter = shown(filter.as_str());
        log::warn!("{filter} is not subscribed to again for those who want it still: {refusal}");
    }
}

fn parse(body: &[u8], max_timeout: Duration) -> Result<(TopicFilter, Option<Duration>), String> {
    let mut fields = Fields::parse(body)?;
    let filter = fields.read("topic", values::filter)?.ok_or("field `topic` is missing")?;
    let timeout = fields.read("timeout", |value| values::timeout(value, max_timeout))?;
    fields.finish("`topic` and `timeout`")?;
    Ok((filter, timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_a_filter_and_a_timeout_and_no_other_fields() {
        let parse = |body: &str| parse(body.as_bytes(), Duration::from_secs(60));
        let filter = TopicFilter::try_from("a".to_owned()).unwrap();
        assert_eq!(parse(r#"{"topic":"a","timeout":1}"#), Ok((filter, Some(Duration::from_secs(1)))));
        let error = "unknown field `qos`: there are `topic` and `timeout`";
        assert_eq!(parse(r#"{"topic":"a","qos":1}"#).unwrap_err(), error);
    }
}
