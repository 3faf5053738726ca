//! The checks of single values, whether they come from a JSON body or from a query.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::message::{MqttString, Qos, TopicFilter, TopicName};

/// One value as the client wrote it. The errors say what it must be.
pub trait Scalar: Sized {
    fn text(self) -> Result<String, String>;
    fn boolean(self) -> Result<bool, String>;
    /// A number without a fraction.
    fn integer(self) -> Result<i64, String>;
    /// Any number; infinite if it is out of range.
    fn number(self) -> Result<f64, String>;
}

pub fn topic(value: impl Scalar) -> Result<TopicName, String> {
    TopicName::try_from(value.text()?).map_err(|error| error.to_string())
}

pub fn filter(value: impl Scalar) -> Result<TopicFilter, String> {
    TopicFilter::try_from(value.text()?).map_err(|error| error.to_string())
}

pub fn qos(value: impl Scalar) -> Result<Qos, String> {
    let level = value.integer()?;
    Qos::try_from(level).map_err(|error| format!("{error}, not {level}"))
}

pub fn timeout(value: impl Scalar, longest: Duration) -> Result<Duration, String> {
    let seconds = value.number()?;
    let is_allowed = seconds > 0.0 && seconds <= longest.as_secs_f64();
    let timeout = Duration::try_from_secs_f64(seconds).ok().filter(|_| is_allowed);
    // a value that rounds to 0 is still above 0
    timeout.map(|timeout| timeout.max(Duration::from_nanos(1))).ok_or_else(|| {
        format!("must be a number of seconds above 0 and up to {}, not {seconds}", longest.as_secs_f64())
    })
}

/// How long a message may be kept until the broker has it.
pub fn ttl(value: impl Scalar, longest: Duration) -> Result<Duration, String> {
    timeout(value, longest)
}

/// Seconds after which a message expires.
pub fn expiry(value: impl Scalar) -> Result<u32, String> {
    let seconds = value.integer()?;
    u32::try_from(seconds).map_err(|_| format!("must be a number of seconds from 0 to {}, not {seconds}", u32::MAX))
}

pub fn string(value: impl Scalar) -> Result<MqttString, String> {
    MqttString::try_from(value.text()?).map_err(|error| error.to_string())
}

/// The bytes that a text encodes in base64 (RFC 4648, 4), with padding and without other characters.
pub fn base64(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|_| "must be base64 with its padding (RFC 4648, 4), and is not".to_owned())
}
