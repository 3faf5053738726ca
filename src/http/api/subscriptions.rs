//! `GET /subscriptions`: every topic filter with its state at the broker.

use serde::Serialize;

use super::call::{Call, Handled};
use super::subscription_json::SubscriptionJson;
use crate::http::access::Quota;
use crate::http::input::requirements::READ;
use crate::http::reply::Reply;
use crate::mqtt::{Source, Standing};

/// Lists all filters, or those of the token if it may see no others.
pub fn subscriptions(call: &mut Call) -> Result<Handled, Reply> {
    call.require(READ)?;
    let (status, quota) = (call.context.subscriber.status(), call.principal.restricted_to());
    let entry = |standing| match quota {
        None => Some(Entry::of(standing)),
        Some(quota) => Entry::restricted(standing, quota),
    };
    let subscriptions = status.subscriptions.iter().filter_map(entry).collect();
    Ok(Handled::Reply(Reply::json(&List { code: 0, subscriptions })))
}

#[derive(Serialize)]
struct List<'a> {
    code: u8,
    subscriptions: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    subscription: SubscriptionJson<'a>,
    source: &'static str,
    listeners: usize,
}

impl<'a> Entry<'a> {
    fn of(standing: &'a Standing) -> Self {
        Self {
            subscription: SubscriptionJson::of(standing),
            source: match standing.source {
                Source::File => "file",
                Source::Api => "api",
                Source::Listener => "listener",
                Source::Request => "request",
            },
            listeners: standing.readers,
        }
    }

    /// The same for a token that may see nothing of others. `None` if it does not hold the filter.
    fn restricted(standing: &'a Standing, quota: &Quota) -> Option<Self> {
        let holding = quota.holding(&standing.filter)?;
        let source = match holding {
            holding if holding.is_subscription() => "api",
            holding if holding.streams > 0 => "listener",
            _ => "request",
        };
        Some(Self { source, listeners: holding.streams, ..Self::of(standing) })
    }
}
