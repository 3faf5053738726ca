//! What each value of the configuration may be; errors say what is allowed and what was found.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Value;

use super::Protocol;
use crate::message::{Qos, TopicFilter};
use crate::printable::Printable;

/// The largest MQTT packet: a remaining length of 268,435,455 bytes and its fixed header (MQTT 5, 1.5.5).
const LARGEST_PACKET: i64 = 268_435_460;
/// Below this not even a CONNECT with its properties fits.
const SMALLEST_MAX_PACKET: i64 = 1024;
const MAX_WORKERS: i64 = 64;
const MAX_WAITING: i64 = 1_000_000;
/// The longest time that any key may name.
const LONGEST: Duration = Duration::from_secs(3600);
/// The longest UTF-8 string in MQTT, in bytes (MQTT 5, 1.5.4).
const MAX_STRING: usize = 65_535;

pub fn server(value: &Value) -> Result<String, String> {
    let server = text(value)?;
    let address = server.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&server);
    let is_ipv6 = address.parse::<std::net::Ipv6Addr>().is_ok();
    let is_name = !server.is_empty() && server.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if is_ipv6 || is_name {
        Ok(address.to_owned())
    } else {
        Err(format!("must be a host name or an address, without scheme and port, not {}", shown(value)))
    }
}

pub fn port(value: &Value) -> Result<u16, String> {
    whole_number(value, 1..=65_535)
}

pub fn keepalive(value: &Value) -> Result<Duration, String> {
    whole_number(value, 5..=65_535).map(Duration::from_secs).map_err(|error| format!("{error} (seconds)"))
}

/// A user name, a client identifier or a password: a UTF-8 string of MQTT.
pub fn mqtt_string(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    if text.len() > MAX_STRING || text.contains('\0') {
        Err(format!("must be at most {MAX_STRING} bytes long and without the character U+0000"))
    } else {
        Ok(text)
    }
}

pub fn client_id(value: &Value) -> Result<String, String> {
    let id = mqtt_string(value)?;
    if id.is_empty() || id.contains(char::is_control) {
        Err("must not be empty nor contain control characters".to_owned())
    } else {
        Ok(id)
    }
}

/// As [`mqtt_string`], but what was found is never shown.
pub fn secret(value: &Value) -> Result<String, String> {
    match value {
        Value::String(_) => mqtt_string(value),
        _ => Err("must be a string".to_owned()),
    }
}

pub fn protocol(value: &Value) -> Result<Protocol, String> {
    match value.as_str() {
        Some("5") => Ok(Protocol::V5),
        Some("3.1.1") => Ok(Protocol::V311),
        _ => Err(format!("must be \"5\" or \"3.1.1\", not {}", shown(value))),
    }
}

pub fn truth(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("must be true or false, not {}", shown(value)))
}

pub fn session_expiry(value: &Value) -> Result<u32, String> {
    whole_number(value, 1..=i64::from(u32::MAX)).map_err(|error| format!("{error} (seconds)"))
}

pub fn max_packet_size(value: &Value) -> Result<u32, String> {
    whole_number(value, SMALLEST_MAX_PACKET..=LARGEST_PACKET).map_err(|error| format!("{error} (bytes)"))
}

pub fn reconnect_max(value: &Value) -> Result<Duration, String> {
    seconds(value, Duration::from_millis(10))
}

pub fn publish_timeout(value: &Value) -> Result<Duration, String> {
    seconds(value, Duration::from_millis(1))
}

pub fn max_waiting(value: &Value) -> Result<usize, String> {
    whole_number(value, 1..=MAX_WAITING)
}

pub fn topic_filter(value: &Value) -> Result<TopicFilter, String> {
    TopicFilter::try_from(text(value)?).map_err(|error| format!("{error}: {}", shown(value)))
}

pub fn qos(value: &Value) -> Result<Qos, String> {
    let level = value.as_integer().unwrap_or(-1);
    Qos::try_from(level).map_err(|error| format!("{error}, not {}", shown(value)))
}

pub fn listen(value: &Value) -> Result<SocketAddr, String> {
    let allowed =
        || format!("must be an address and a port such as \"127.0.0.1:8000\" or \"[::1]:8000\", not {}", shown(value));
    let address: SocketAddr = text(value)?.parse().map_err(|_| allowed())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(format!(
            "must be a loopback address such as \"127.0.0.1:8000\", not {}: there are no tokens yet that could keep strangers out",
            shown(value)
        ))
    }
}

pub fn workers(value: &Value) -> Result<usize, String> {
    whole_number(value, 1..=MAX_WORKERS)
}

pub fn max_body(value: &Value) -> Result<usize, String> {
    whole_number(value, 1..=LARGEST_PACKET).map_err(|error| format!("{error} (bytes)"))
}

pub fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(format!("must be a string, not {}", shown(value))),
    }
}

fn whole_number<T: TryFrom<i64>>(value: &Value, range: RangeInclusive<i64>) -> Result<T, String> {
    let wrong = || format!("must be a whole number from {} to {}, not {}", range.start(), range.end(), shown(value));
    let number = value.as_integer().filter(|number| range.contains(number)).ok_or_else(wrong)?;
    T::try_from(number).map_err(|_| wrong())
}

/// A number of seconds, fractions allowed, from `shortest` to [`LONGEST`].
fn seconds(value: &Value, shortest: Duration) -> Result<Duration, String> {
    let number = match value {
        Value::Float(number) => *number,
        // a whole number that f64 cannot hold is out of range anyway
        Value::Integer(number) => i32::try_from(*number).map_or(f64::INFINITY, f64::from),
        _ => f64::NAN,
    };
    let duration = Duration::try_from_secs_f64(number).ok().filter(|d| (shortest..=LONGEST).contains(d));
    let (from, to) = (shortest.as_secs_f64(), LONGEST.as_secs());
    duration.ok_or_else(|| format!("must be a number of seconds from {from} to {to}, not {}", shown(value)))
}

/// The value as an error text shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", Printable::new(text, 80)),
        Value::Array(_) => "an array".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Datetime(time) => time.to_string(),
    }
}
