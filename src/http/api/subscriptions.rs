//! `GET /subscriptions`: every topic filter with its state at the broker.

use serde::Serialize;

use super::call::{Call, Handled};
use super::subscription_json::SubscriptionJson;
use crate::http::access::Quota;
use crate::http::input::requirements::READ;
use crate::http::reply::Reply;
use crate::mqtt::{FilterStatus, Source};

/// Lists all filters, or those of the token if it may see no others.
pub fn subscriptions(call: &mut Call) -> Result<Handled, Reply> {
    call.require(READ)?;
    let (status, quota) = (call.context.subscriber.status(), call.principal.restricted_to());
    let entry = |filter_status| match quota {
        None => Some(Entry::of(filter_status)),
        Some(quota) => Entry::restricted(filter_status, quota),
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
    fn of(filter_status: &'a FilterStatus) -> Self {
        Self {
            subscription: SubscriptionJson::of(filter_status),
            source: match filter_status.source {
                Source::File => "file",
                Source::Api => "api",
                Source::Listener => "listener",
                Source::Request => "request",
            },
            listeners: filter_status.readers,
        }
    }

    /// The same for a token that may see nothing of others. `None` if it does not hold the filter.
    fn restricted(filter_status: &'a FilterStatus, quota: &Quota) -> Option<Self> {
        let holding = quota.holding(&filter_status.filter)?;
        let source = match holding {
            holding if holding.is_subscription() => "api",
            holding if holding.streams > 0 => "listener",
            _ => "request",
        };
        Some(Self { source, listeners: holding.streams, ..Self::of(filter_status) })
    }
}
