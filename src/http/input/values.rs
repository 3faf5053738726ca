//! What a value must be, whether it stands in a body or among the parameters of a path.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::message::{MqttString, Qos, TopicFilter, TopicName};

/// One value as it was written; the errors say what it must be.
pub trait Scalar: Sized {
    /// A text.
    fn text(self) -> Result<String, String>;
    /// `true` or `false`.
    fn truth(self) -> Result<bool, String>;
    /// A number without a fraction.
    fn whole_number(self) -> Result<i64, String>;
    /// Any number; one that is too large for us is infinite.
    fn number(self) -> Result<f64, String>;
}

/// A topic name that one may publish to.
pub fn topic(value: impl Scalar) -> Result<TopicName, String> {
    TopicName::try_from(value.text()?).map_err(|error| error.to_string())
}

/// A topic filter that one may subscribe to.
pub fn filter(value: impl Scalar) -> Result<TopicFilter, String> {
    TopicFilter::try_from(value.text()?).map_err(|error| error.to_string())
}

/// A quality of service.
pub fn qos(value: impl Scalar) -> Result<Qos, String> {
    let level = value.whole_number()?;
    Qos::try_from(level).map_err(|error| format!("{error}, not {level}"))
}

/// How long something may take.
pub fn timeout(value: impl Scalar, longest: Duration) -> Result<Duration, String> {
    let seconds = value.number()?;
    let is_allowed = seconds > 0.0 && seconds <= longest.as_secs_f64();
    let timeout = Duration::try_from_secs_f64(seconds).ok().filter(|_| is_allowed);
    // what is too short to be told is still above 0
    timeout.map(|timeout| timeout.max(Duration::from_nanos(1))).ok_or_else(|| {
        format!("must be a number of seconds above 0 and up to {}, not {seconds}", longest.as_secs_f64())
    })
}

/// Seconds after which a message expires.
pub fn expiry(value: impl Scalar) -> Result<u32, String> {
    let seconds = value.whole_number()?;
    u32::try_from(seconds).map_err(|_| format!("must be a number of seconds from 0 to {}, not {seconds}", u32::MAX))
}

/// A text that MQTT can carry.
pub fn string(value: impl Scalar) -> Result<MqttString, String> {
    MqttString::try_from(value.text()?).map_err(|error| error.to_string())
}

/// The bytes that a text is the base64 of (RFC 4648, 4): of nothing but its alphabet, and padded.
pub fn base64(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|_| "must be base64 with its padding (RFC 4648, 4), and is not".to_owned())
}
