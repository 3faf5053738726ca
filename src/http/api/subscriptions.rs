//! `GET /subscriptions`, `POST /subscribe` and `POST /unsubscribe`: topic filters at run time, whose messages go to the
//! journal.

use std::time::Duration;

use serde::Serialize;

use super::call::{Call, Handled};
use super::operations::Subscription;
use crate::http::access::{Quota, Unsubscribe};
use crate::http::input::json::Fields;
use crate::http::input::requirements::READ;
use crate::http::input::values;
use crate::http::reply::{Reply, SHOWN};
use crate::message::{Qos, TopicFilter};
use crate::mqtt::{Answer, Refusal, Source, Standing};
use crate::printable::Printable;

/// Every filter, with what the broker made of it.
pub fn list(mut call: Call) -> Result<Handled, Reply> {
    call.require(READ)?;
    let (status, own) = (call.status(), call.principal.sees_only());
    let entry = |standing| own.map_or_else(|| Some(Entry::of(standing)), |own| Entry::of_own(standing, own));
    Ok(Handled::Reply(Reply::json(&List {
        code: 0,
        subscriptions: status.subscriptions.iter().filter_map(entry).collect(),
    })))
}

#[derive(Serialize)]
struct List<'a> {
    code: u8,
    subscriptions: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    subscription: Subscription<'a>,
    source: &'static str,
    listeners: usize,
}

impl<'a> Entry<'a> {
    fn of(standing: &'a Standing) -> Self {
        Self {
            subscription: Subscription::of(standing),
            source: match standing.source {
                Source::File => "file",
                Source::Api => "api",
                Source::Listener => "listener",
                Source::Request => "request",
            },
            listeners: standing.readers,
        }
    }

    /// The same as one sees it who sees nothing of others.
    fn of_own(standing: &'a Standing, quota: &Quota) -> Option<Self> {
        let held = quota.holding(&standing.filter)?;
        let source = match held {
            held if held.is_subscription() => "api",
            held if held.streams > 0 => "listener",
            _ => "request",
        };
        Some(Self { source, listeners: held.streams, ..Self::of(standing) })
    }
}

/// Subscribes, and answers when the broker has.
pub fn subscribe(mut call: Call) -> Result<Handled, Reply> {
    call.require("POST")?;
    let (body, longest) = (call.json()?, call.context.max_timeout);
    let (filter, qos, timeout) = parse_subscribe(&body, longest).map_err(Reply::invalid)?;
    call.principal.may_read(&filter)?;
    let claim = call.principal.quota().map_or(Ok(None), |quota| quota.begin_subscribe(&filter, qos))?;
    let (subscriber, timeout) = (call.context.subscriber.clone(), timeout.unwrap_or(call.context.timeout));
    Ok(Handled::Later(Box::new(move |responder| {
        let (topic, qos) = (filter.clone(), claim.as_ref().map_or(qos, |claim| claim.qos));
        let told = move |answer: Answer| {
            if let Some(claim) = claim {
                claim.settle(answer.is_ok());
            }
            responder.reply(answer.map_or_else(Reply::from, |granted| done(&topic, Some(granted))));
        };
        subscriber.subscribe(&filter, qos, timeout, Box::new(told));
    })))
}

/// Ends a subscription, and answers when the broker has.
pub fn unsubscribe(mut call: Call) -> Result<Handled, Reply> {
    call.require("POST")?;
    let (body, longest) = (call.json()?, call.context.max_timeout);
    let (filter, timeout) = parse_unsubscribe(&body, longest).map_err(Reply::invalid)?;
    call.principal.may_read(&filter)?;
    let leaving = match call.principal.quota().map(|quota| quota.begin_unsubscribe(&filter)).transpose()? {
        Some(Unsubscribe::StillHeld) => return Ok(Handled::Reply(done(&filter, None))),
        Some(Unsubscribe::Last(leaving)) => Some(leaving),
        Some(Unsubscribe::NotHeld) | None => None,
    };
    let subscriber = call.context.subscriber.clone();
    // those who want it meanwhile are not to wait as little as this one may
    let usual = call.context.timeout;
    let timeout = timeout.unwrap_or(usual);
    Ok(Handled::Later(Box::new(move |responder| {
        let (topic, again) = (filter.clone(), subscriber.clone());
        let told = move |answer: Answer| {
            // where the broker does not answer, it is taken to have done it
            let has_left = matches!(answer, Ok(_) | Err(Refusal::Unknown));
            if let Some(qos) = leaving.and_then(|leaving| leaving.settle(has_left)) {
                again.subscribe(&topic, qos, usual, Box::new(tell_of_failure(topic.clone())));
            }
            responder.reply(answer.map_or_else(Reply::from, |_| done(&topic, None)));
        };
        subscriber.unsubscribe(&filter, timeout, Box::new(told));
    })))
}

/// A filter was let go of while others began to want it.
fn tell_of_failure(filter: TopicFilter) -> impl FnOnce(Answer) + Send {
    move |answer| {
        if let Err(refusal) = answer {
            let shown = Printable::new(filter.as_str(), SHOWN);
            log::warn!("{shown} is not subscribed to again for those who want it still: {refusal}");
        }
    }
}

fn parse_subscribe(body: &[u8], longest: Duration) -> Result<(TopicFilter, Qos, Option<Duration>), String> {
    let mut fields = Fields::parse(body)?;
    let filter = fields.read("topic", values::filter)?.ok_or("field `topic` is missing")?;
    let qos = fields.read("qos", values::qos)?.unwrap_or(Qos::AtMostOnce);
    let timeout = fields.read("timeout", |value| values::timeout(value, longest))?;
    fields.finish("`topic`, `qos` and `timeout`")?;
    Ok((filter, qos, timeout))
}

fn parse_unsubscribe(body: &[u8], longest: Duration) -> Result<(TopicFilter, Option<Duration>), String> {
    let mut fields = Fields::parse(body)?;
    let filter = fields.read("topic", values::filter)?.ok_or("field `topic` is missing")?;
    let timeout = fields.read("timeout", |value| values::timeout(value, longest))?;
    fields.finish("`topic` and `timeout`")?;
    Ok((filter, timeout))
}

#[derive(Serialize)]
struct Done<'a> {
    code: u8,
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted_qos: Option<u8>,
}

fn done(topic: &TopicFilter, granted_qos: Option<u8>) -> Reply {
    Reply::json(&Done { code: 0, topic: topic.as_str(), granted_qos })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);

    #[test]
    fn a_subscription_has_a_filter_and_perhaps_a_quality_of_service() {
        let filter = |text: &str| TopicFilter::try_from(text.to_owned()).unwrap();
        let parse = |body: &str| parse_subscribe(body.as_bytes(), LONGEST);
        assert_eq!(parse(r#"{"topic":"a/#"}"#), Ok((filter("a/#"), Qos::AtMostOnce, None)));
        let second = Some(Duration::from_secs(1));
        let all = r#"{"qos":2,"timeout":1,"topic":"$share/g/+"}"#;
        assert_eq!(parse(all), Ok((filter("$share/g/+"), Qos::ExactlyOnce, second)));
        let unsubscribed = parse_unsubscribe(br#"{"topic":"a","timeout":1}"#, LONGEST);
        assert_eq!(unsubscribed, Ok((filter("a"), second)));
    }

    #[test]
    fn each_refusal_names_the_field_and_the_rule() {
        for (body, words) in [
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
            assert_eq!(parse_subscribe(body.as_bytes(), LONGEST).unwrap_err(), words, "{body}");
        }
        let words = "unknown field `qos`: there are `topic` and `timeout`";
        assert_eq!(parse_unsubscribe(br#"{"topic":"a","qos":1}"#, LONGEST).unwrap_err(), words);
    }
}
