//! What each value of the configuration may be; errors say what is allowed and what was found.

use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;
use toml::Value;

use super::{Listen, LogFormat, Protocol, Sees, token};
use crate::message::{MqttString, Priority, Qos, TopicFilter, TopicName};
use crate::printable::Printable;

/// The most publishes that are unacknowledged at a time.
pub const MAX_INFLIGHT: u16 = 1000;
/// Topic filters that may be wanted at run time for the journal, and as many for readers and askers.
pub const MAX_FILTERS: usize = 1000;
/// Bytes of either of these together: what is kept of a filter grows with its length.
pub const MAX_FILTER_BYTES: usize = 128 * 1024;
/// The largest MQTT packet: a remaining length of 268,435,455 bytes and its fixed header (MQTT 5, 1.5.5).
const LARGEST_PACKET: i64 = 268_435_460;
/// Below this not even a CONNECT with its properties fits.
const SMALLEST_MAX_PACKET: i64 = 1024;
const MAX_WORKERS: i64 = 64;
const MAX_WAITING: i64 = 1_000_000;
const MAX_CONNECTIONS: i64 = 100_000;
/// Messages per second.
const MAX_RATE: f64 = 1e6;
/// The longest path of a Unix socket, in bytes: 108 with the NUL after it (unix(7)).
const MAX_UNIX_PATH: usize = 107;
/// The longest time that any key may name.
const LONGEST: Duration = Duration::from_secs(3600);
/// The longest UTF-8 string in MQTT, in bytes (MQTT 5, 1.5.4).
const MAX_STRING: usize = 65_535;

pub fn port(value: &Value) -> Result<u16, String> {
    whole_number(value, 1..=65_535)
}

pub fn keepalive(value: &Value) -> Result<Duration, String> {
    whole_number(value, 5..=65_535).map(Duration::from_secs).map_err(|error| format!("{error} (seconds)"))
}

/// A user name, or a client identifier, of which an empty one leaves it to the broker: brokers end the connection over
/// others than these (MQTT 5, 1.5.4).
pub fn mqtt_string(value: &Value) -> Result<String, String> {
    let text = without_controls(text(value)?)?;
    MqttString::try_from(text).map(|text| text.as_str().to_owned()).map_err(|error| error.to_string())
}

/// A password, of which nothing is ever shown.
pub fn secret(value: &Value) -> Result<String, String> {
    let text = value.as_str().ok_or("must be a string")?;
    without_controls(text.to_owned())
}

/// What is read from another file or put into a variable easily has a line end behind it, which nobody sees.
fn without_controls(text: String) -> Result<String, String> {
    if text.len() > MAX_STRING {
        Err(format!("must be at most {MAX_STRING} bytes long"))
    } else if text.starts_with('\u{feff}') {
        Err("must not begin with a byte order mark (U+FEFF), which some editors write and nobody sees".to_owned())
    } else if text.ends_with('\n') {
        Err("must not end with a line end, as `echo` writes one".to_owned())
    } else if text.contains(char::is_control) {
        Err("must not contain control characters, such as a line end".to_owned())
    } else {
        Ok(text)
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

pub fn max_inflight(value: &Value) -> Result<u16, String> {
    whole_number(value, 1..=i64::from(MAX_INFLIGHT))
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

pub fn topic_name(value: &Value) -> Result<TopicName, String> {
    TopicName::try_from(text(value)?).map_err(|error| format!("{error}: {}", shown(value)))
}

/// The payload of a last will, whose length CONNECT has in two bytes (MQTT 5, 3.1.3.4).
pub fn will_payload(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    if text.len() > MAX_STRING { Err(format!("must be at most {MAX_STRING} bytes long")) } else { Ok(text) }
}

pub fn topic_filter(value: &Value) -> Result<TopicFilter, String> {
    TopicFilter::try_from(text(value)?).map_err(|error| format!("{error}: {}", shown(value)))
}

pub fn qos(value: &Value) -> Result<Qos, String> {
    let level = value.as_integer().unwrap_or(-1);
    Qos::try_from(level).map_err(|error| format!("{error}, not {}", shown(value)))
}

pub fn priority(value: &Value) -> Result<Priority, String> {
    Priority::try_from(value.as_integer().unwrap_or(-1)).map_err(|error| format!("{error}, not {}", shown(value)))
}

pub fn log_level(value: &Value) -> Result<LevelFilter, String> {
    match value.as_str() {
        Some("error") => Ok(LevelFilter::Error),
        Some("warn") => Ok(LevelFilter::Warn),
        Some("info") => Ok(LevelFilter::Info),
        Some("debug") => Ok(LevelFilter::Debug),
        _ => Err(format!("must be \"error\", \"warn\", \"info\" or \"debug\", not {}", shown(value))),
    }
}

pub fn log_format(value: &Value) -> Result<LogFormat, String> {
    match value.as_str() {
        Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        _ => Err(format!("must be \"text\" or \"json\", not {}", shown(value))),
    }
}

pub fn listen(value: &Value) -> Result<Listen, String> {
    let text = text(value)?;
    if let Some(path) = text.strip_prefix("unix:") {
        let wrong = || format!("must be {}, such as \"unix:/run/mqtt-bridge.sock\", not {}", unix_rule(), shown(value));
        return unix_path(path).map(Listen::Unix).ok_or_else(wrong);
    }
    let allowed =
        "an address and a port such as \"127.0.0.1:8000\" or \"[::1]:8000\", or \"unix:\" and an absolute path";
    text.parse().map(Listen::Tcp).map_err(|_| format!("must be {allowed}, not {}", shown(value)))
}

pub fn unix_path(path: &str) -> Option<PathBuf> {
    let is_good = path.starts_with('/') && path.len() <= MAX_UNIX_PATH && !path.contains('\0');
    is_good.then(|| path.into())
}

/// What must hold for [`unix_path`].
pub fn unix_rule() -> String {
    format!("\"unix:\" and an absolute path of at most {MAX_UNIX_PATH} bytes")
}

/// Of a file.
pub fn path(value: &Value) -> Result<String, String> {
    let path = text(value)?;
    if path.is_empty() || path.contains('\0') { Err("must be the path of a file".to_owned()) } else { Ok(path) }
}

/// Names of protocols (RFC 7301, 3.1).
pub fn alpn(value: &Value) -> Result<Vec<String>, String> {
    list(value, "names of protocols", |item| {
        let name = text(item)?;
        let is_name = (1..=255).contains(&name.len());
        if is_name { Ok(name) } else { Err(format!("must be names of 1 to 255 bytes, not {}", shown(item))) }
    })
}

pub fn workers(value: &Value) -> Result<usize, String> {
    whole_number(value, 1..=MAX_WORKERS)
}

pub fn max_body(value: &Value) -> Result<usize, String> {
    whole_number(value, 1..=LARGEST_PACKET).map_err(|error| format!("{error} (bytes)"))
}

pub fn max_connections(value: &Value) -> Result<usize, String> {
    whole_number(value, 1..=MAX_CONNECTIONS)
}

/// 0 allows none.
pub fn max_listeners(value: &Value) -> Result<usize, String> {
    whole_number(value, 0..=MAX_CONNECTIONS)
}

pub fn connection_timeout(value: &Value) -> Result<Duration, String> {
    seconds(value, Duration::from_millis(100))
}

/// Names in lower case, addresses in their shortest form and without brackets.
pub fn hosts(value: &Value) -> Result<Vec<String>, String> {
    list(value, "host names or addresses", |item| {
        let name = item.as_str().unwrap_or_default().to_ascii_lowercase();
        let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&name);
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        match address.parse::<Ipv6Addr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) if !name.is_empty() && name.chars().all(is_allowed) => Ok(name),
            Err(_) => {
                Err(format!("must be host names or addresses, without scheme, port and wildcard, not {}", shown(item)))
            }
        }
    })
}

/// Origins as browsers write them (RFC 6454, 6.2), so that they can be compared by their bytes.
pub fn origins(value: &Value) -> Result<Vec<String>, String> {
    list(value, "origins", |item| {
        let origin = item.as_str().unwrap_or_default().to_ascii_lowercase();
        let allowed = "must be origins such as \"https://example.com\" or \"http://example.com:8080\"";
        if is_origin(&origin) {
            Ok(origin)
        } else {
            Err(format!("{allowed}, without path, default port and wildcard, not {}", shown(item)))
        }
    })
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_ipv6 = address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    let is_default = matches!((scheme, port), ("http", Some("80")) | ("https", Some("443")));
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(is_scheme)
        && (is_ipv6 || (!host.is_empty() && host.chars().all(is_name)))
        && port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
        && !is_default
}

pub fn token_name(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    if token::is_name(&name) { Ok(name) } else { Err(format!("must be {}, not {}", token::NAME_RULE, shown(value))) }
}

/// What was found is never shown: it may be the secret itself.
pub fn token_hash(value: &Value) -> Result<[u8; 32], String> {
    let digits = value.as_str().unwrap_or_default();
    token::parse_hash(digits).ok_or_else(|| {
        "must be a string of 64 hexadecimal digits, the SHA-256 of a secret: `mqtt-bridge --new-token NAME` makes both"
            .to_owned()
    })
}

pub fn token_filters(value: &Value) -> Result<Vec<TopicFilter>, String> {
    list(value, "topic filters", |item| {
        let filter = topic_filter(item)?;
        if filter.is_shared() {
            return Err(format!("must name no shared subscription, but what is in it: {}", shown(item)));
        }
        Ok(filter)
    })
}

/// 0 allows none.
pub fn max_subscriptions(value: &Value) -> Result<usize, String> {
    up_to(value, 0, MAX_FILTERS)
}

/// What one of many may take of a total.
pub fn share(value: &Value, least: usize, total: usize, of: &str) -> Result<usize, String> {
    up_to(value, least, total).map_err(|error| format!("{error}: {total} is the `{of}` of all"))
}

fn up_to(value: &Value, least: usize, most: usize) -> Result<usize, String> {
    let [least, most] = [least, most].map(|bound| i64::try_from(bound).unwrap_or(i64::MAX));
    whole_number(value, least..=most)
}

pub fn sees(value: &Value) -> Result<Sees, String> {
    match value.as_str() {
        Some("all") => Ok(Sees::All),
        Some("own") => Ok(Sees::Own),
        _ => Err(format!("must be \"all\" or \"own\", not {}", shown(value))),
    }
}

pub fn rate(value: &Value) -> Result<f64, String> {
    let rate = number(value);
    if rate > 0.0 && rate <= MAX_RATE {
        Ok(rate)
    } else {
        Err(format!("must be a number of messages per second above 0 and up to {MAX_RATE}, not {}", shown(value)))
    }
}

/// An array in which each item passes a check.
fn list<T>(value: &Value, what: &str, check: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, String> {
    let items =
        value.as_array().ok_or_else(|| format!("must be a list of {what} in brackets, not {}", shown(value)))?;
    items.iter().map(check).collect()
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
    let duration = Duration::try_from_secs_f64(number(value)).ok().filter(|d| (shortest..=LONGEST).contains(d));
    let (from, to) = (shortest.as_secs_f64(), LONGEST.as_secs());
    duration.ok_or_else(|| format!("must be a number of seconds from {from} to {to}, not {}", shown(value)))
}

/// A number with or without a fraction; NaN, which is in no range, where there is none.
fn number(value: &Value) -> f64 {
    match value {
        Value::Float(number) => *number,
        // a whole number that f64 cannot hold is out of range anyway
        Value::Integer(number) => i32::try_from(*number).map_or(f64::INFINITY, f64::from),
        _ => f64::NAN,
    }
}

/// The value as an error text shows it.
pub fn shown(value: &Value) -> String {
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
