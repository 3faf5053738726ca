//! Topics and quality of service of MQTT, and the priority of records.

use toml::Value;

use super::base::{list, shown};
use super::text::text;
use crate::message::{Priority, Qos, TopicFilter, TopicName};

kinds! {
    /// Topic filters without a share name.
    struct Filters -> Vec<TopicFilter> = filters;
    TopicName = topic_name;
    TopicFilter = topic_filter;
    Qos = qos;
    Priority = priority;
}

fn topic_name(value: &Value) -> Result<TopicName, String> {
    TopicName::try_from(text(value)?).map_err(|error| format!("{error}: {}", shown(value)))
}

fn topic_filter(value: &Value) -> Result<TopicFilter, String> {
    TopicFilter::try_from(text(value)?).map_err(|error| format!("{error}: {}", shown(value)))
}

fn filters(value: &Value) -> Result<Vec<TopicFilter>, String> {
    list(value, "topic filters", |item| {
        let filter = topic_filter(item)?;
        if filter.is_shared() {
            return Err(format!("must name no shared subscription, but what is in it: {}", shown(item)));
        }
        Ok(filter)
    })
}

fn qos(value: &Value) -> Result<Qos, String> {
    Qos::try_from(value.as_integer().unwrap_or(-1)).map_err(|error| format!("{error}, not {}", shown(value)))
}

fn priority(value: &Value) -> Result<Priority, String> {
    Priority::try_from(value.as_integer().unwrap_or(-1)).map_err(|error| format!("{error}, not {}", shown(value)))
}
