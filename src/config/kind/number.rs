//! Numbers in a range.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Value;

use super::base::{Kind, shown};

/// The largest MQTT packet: a remaining length of 268,435,455 bytes and its fixed header (MQTT 5, 1.5.5).
pub const LARGEST_PACKET: u32 = 268_435_460;
/// The longest time of most keys, in seconds.
const LONGEST: u64 = 3600;
/// Messages per second.
const MAX_RATE: f64 = 1e6;

/// A whole number from `MIN` to `MAX`, both of which fit into `T`.
pub struct Whole<T, const MIN: u32, const MAX: u32>(PhantomData<T>);

impl<T: TryFrom<u32>, const MIN: u32, const MAX: u32> Kind for Whole<T, MIN, MAX> {
    type Value = T;

    fn read(value: &Value) -> Result<T, String> {
        let number = whole_number(value, MIN..=MAX)?;
        T::try_from(number).map_err(|_| format!("must be smaller than {number}"))
    }
}

/// A number of bytes.
pub struct InBytes<K>(PhantomData<K>);

impl<K: Kind> Kind for InBytes<K> {
    type Value = K::Value;

    fn read(value: &Value) -> Result<K::Value, String> {
        K::read(value).map_err(|error| format!("{error} (bytes)"))
    }
}

/// A number of seconds.
pub struct InSeconds<K>(PhantomData<K>);

impl<K: Kind> Kind for InSeconds<K> {
    type Value = K::Value;

    fn read(value: &Value) -> Result<K::Value, String> {
        K::read(value).map_err(|error| format!("{error} (seconds)"))
    }
}

/// A time of at least so many milliseconds and at most so many seconds, given in seconds, fractions allowed.
pub struct Seconds<const MIN_MILLISECONDS: u64, const MAX: u64 = LONGEST>;

impl<const MIN_MILLISECONDS: u64, const MAX: u64> Kind for Seconds<MIN_MILLISECONDS, MAX> {
    type Value = Duration;

    fn read(value: &Value) -> Result<Duration, String> {
        let shortest = Duration::from_millis(MIN_MILLISECONDS);
        let range = shortest..=Duration::from_secs(MAX);
        let duration = Duration::try_from_secs_f64(number(value)).ok().filter(|duration| range.contains(duration));
        let from = shortest.as_secs_f64();
        duration.ok_or_else(|| format!("must be a number of seconds from {from} to {MAX}, not {}", shown(value)))
    }
}

kinds! {
    /// Messages per second.
    struct Rate -> f64 = rate;
}

fn rate(value: &Value) -> Result<f64, String> {
    let rate = Some(number(value)).filter(|rate| *rate > 0.0 && *rate <= MAX_RATE);
    let allowed = "must be a number of messages per second above 0 and up to";
    rate.ok_or_else(|| format!("{allowed} {MAX_RATE}, not {}", shown(value)))
}

pub fn whole_number<T>(value: &Value, range: RangeInclusive<T>) -> Result<T, String>
where
    T: TryFrom<i64> + PartialOrd + fmt::Display,
{
    let number = value.as_integer().and_then(|number| T::try_from(number).ok());
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        let (from, to) = (range.start(), range.end());
        format!("must be a whole number from {from} to {to}, not {}", shown(value))
    })
}

/// A number with or without a fraction; NaN, which is in no range, for anything else.
fn number(value: &Value) -> f64 {
    match value {
        Value::Float(number) => *number,
        // a whole number that f64 cannot hold is out of range anyway
        Value::Integer(number) => i32::try_from(*number).map_or(f64::INFINITY, f64::from),
        _ => f64::NAN,
    }
}
