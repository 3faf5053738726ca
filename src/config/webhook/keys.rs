//! The keys of a `[[webhook]]`.

use std::time::Duration;

use toml::Value;

use super::headers::Headers;
use super::url::Url;
use crate::config::kind::{FilePath, InSeconds, Seconds, Whole, choice, shown};
use crate::config::secret::Name;
use crate::message::{Qos, TopicFilter, TopicName};

/// In seconds: 30 days.
const LONGEST_RETRY: u32 = 2_592_000;

table! {
    /// One `[[webhook]]`.
    pub struct WebhookTable from WebhookKeys "[[webhook]]" {
        name: Name,
        topic: TopicFilter,
        qos: KeptQos = Qos::AtLeastOnce,
        url: Url,
        timeout: Seconds<1, 300> = Duration::from_secs(15),
        retry_for: InSeconds<Whole<u32, 0, LONGEST_RETRY>> = 86_400,
        dead_letter: Option<TopicName> = None,
        in_flight: Whole<u16, 1, 64> = 1,
        format: WebhookFormat = WebhookFormat::Raw,
        /// The keys that requests are signed with.
        secret_file: Option<FilePath> = None,
        headers: Headers = Vec::new(),
        /// The value of the header `Authorization`.
        authorization_file: Option<FilePath> = None,
        ca_file: Option<FilePath> = None,
        session_expiry: InSeconds<Whole<u32, 1, { u32::MAX }>> = 604_800,
    }
}

/// What a request has of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookFormat {
    /// The payload as the body, all else in headers.
    Raw,
    /// A JSON object with everything, as event streams have it.
    Json,
}

kinds! {
    /// Of a subscription in a session that the broker keeps.
    struct KeptQos -> Qos = kept_qos;
    WebhookFormat = |value| choice(value, &[("raw", Self::Raw), ("json", Self::Json)]);
}

fn kept_qos(value: &Value) -> Result<Qos, String> {
    match value.as_integer().map(Qos::try_from) {
        // bytebeamio/rumqtt#664
        Some(Ok(Qos::ExactlyOnce)) => {
            Err("must be 0 or 1: the MQTT client forgets what it received at 2 when it resumes a session".to_owned())
        }
        Some(Ok(qos)) => Ok(qos),
        _ => Err(format!("must be 0 or 1, not {}", shown(value))),
    }
}
