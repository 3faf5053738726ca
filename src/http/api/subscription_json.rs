//! The JSON form of a topic filter with its state at the broker.

use serde::Serialize;

use crate::http::reply::Reply;
use crate::message::TopicFilter;
use crate::mqtt::FilterStatus;

/// A topic filter, and how the broker answered its SUBSCRIBE.
#[derive(Serialize)]
pub struct SubscriptionJson<'a> {
    topic: &'a str,
    qos: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted_qos: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<u8>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    left_out: bool,
}

impl<'a> SubscriptionJson<'a> {
    pub fn of(filter_status: &'a FilterStatus) -> Self {
        Self {
            topic: filter_status.filter.as_str(),
            qos: filter_status.qos as u8,
            granted_qos: filter_status.answer.and_then(Result::ok),
            reason_code: filter_status.answer.and_then(Result::err),
            left_out: filter_status.is_left_out,
        }
    }
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    code: u8,
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted_qos: Option<u8>,
}

/// The reply when a filter is subscribed to, with the granted quality of service, or unsubscribed from.
pub fn changed(filter: &TopicFilter, granted_qos: Option<u8>) -> Reply {
    Reply::json(&ChangeJson { code: 0, topic: filter.as_str(), granted_qos })
}
