//! Topics and quality of service of MQTT, and the priority of records.

use toml::Value;

use super::base::{list, shown};
use super::text::text;
use crate::message::{Priority, Qos, TopicError, TopicFilter, TopicName};

kinds! {
    /// Topic filters without a share name.
    struct Filters -> Vec<TopicFilter> = filters;
    TopicName = topic;
    TopicFilter = topic;
    Qos = number;
    Priority = number;
}

/// A topic name or a topic filter.
fn topic<T: TryFrom<String, Error = TopicError>>(value: &Value) -> Result<T, String> {
    T::try_from(text(value)?).map_err(|error| format!("{error}: {}", shown(value)))
}

/// A quality of service or a priority.
fn number<T: TryFrom<i64, Error = &'static str>>(value: &Value) -> Result<T, String> {
    T::try_from(value.as_integer().unwrap_or(-1)).map_err(|error| format!("{error}, not {}", shown(value)))
}

fn filters(value: &Value) -> Result<Vec<TopicFilter>, String> {
    list(value, "topic filters", |item| {
        let filter: TopicFilter = topic(item)?;
        if filter.is_shared() {
            return Err(format!("must name no shared subscription, but what is in it: {}", shown(item)));
        }
        Ok(filter)
    })
}
