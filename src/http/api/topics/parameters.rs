//! The parameters of `/topics/{topic}`.

use std::time::Duration;

use crate::http::api::storing::{Longest, Times};
use crate::http::input::query::Parameters;
use crate::http::input::values::{self, Scalar};
use crate::message::{Properties, Qos};

const NAMES: &str = "`qos`, `retain`, `contentType`, `messageExpiry`, `responseTopic`, `timeout` and `ttl`";

/// The parts of a message that are parameters.
#[derive(Debug)]
pub struct Parts {
    pub qos: Qos,
    pub retain: bool,
    pub properties: Properties,
    pub times: Times,
}

/// The parameters for publishing.
pub fn parse(mut parameters: Parameters, longest: Longest) -> Result<Parts, String> {
    let properties = Properties {
        content_type: parameters.read("contentType", values::string)?,
        message_expiry_interval: parameters.read("messageExpiry", values::expiry)?,
        response_topic: parameters.read("responseTopic", values::topic)?,
        ..Properties::default()
    };
    let parts = Parts {
        qos: parameters.read("qos", values::qos)?.unwrap_or(Qos::AtMostOnce),
        retain: parameters.read("retain", Scalar::boolean)?.unwrap_or(false),
        properties,
        times: longest.read(&mut parameters)?,
    };
    parameters.finish(NAMES)?;
    Ok(parts)
}

/// The parameters for clearing a retained message.
pub fn parse_clearing(mut parameters: Parameters, longest: Longest) -> Result<(Qos, Times), String> {
    let qos = parameters.read("qos", values::qos)?.unwrap_or(Qos::AtMostOnce);
    let times = longest.read(&mut parameters)?;
    parameters.finish("`qos`, `timeout` and `ttl`")?;
    Ok((qos, times))
}

/// The parameters for reading.
pub struct Reading {
    pub qos: Qos,
    /// How long to wait for the next message if none is retained.
    pub wait: Option<Duration>,
    pub timeout: Option<Duration>,
}

/// The parameters for reading.
pub fn parse_reading(mut parameters: Parameters, max_timeout: Duration) -> Result<Reading, String> {
    let qos = parameters.read("qos", values::qos)?.unwrap_or(Qos::AtMostOnce);
    let wait = parameters.read("wait", |value| values::timeout(value, max_timeout))?;
    let timeout = parameters.read("timeout", |value| values::timeout(value, max_timeout))?;
    parameters.finish("`qos`, `wait` and `timeout`")?;
    Ok(Reading { qos, wait, timeout })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Parts, String> {
        let longest = Longest { timeout: Duration::from_secs(60), ttl: Duration::from_secs(100) };
        super::parse(Parameters::parse(query)?, longest)
    }

    #[test]
    fn every_parameter_is_read() {
        let query = "qos=2&retain=true&contentType=image%2Fx+y&messageExpiry=60&responseTopic=r%2Ft&timeout=0.5&ttl=90";
        let parts = parse(query).unwrap();
        assert_eq!((parts.qos, parts.retain), (Qos::ExactlyOnce, true));
        let (timeout, ttl) = (Some(Duration::from_millis(500)), Some(Duration::from_secs(90)));
        assert_eq!(parts.times, Times { timeout, ttl });
        let properties = parts.properties;
        assert_eq!(properties.content_type.unwrap().as_str(), "image/x+y");
        assert_eq!(properties.message_expiry_interval, Some(60));
        assert_eq!(properties.response_topic.unwrap().as_str(), "r/t");
    }

    #[test]
    fn each_error_names_the_parameter_and_the_rule() {
        for (query, error) in [
            ("qos=3", "`qos` must be 0, 1 or 2, not 3"),
            ("qos=", "`qos` must be a whole number, not ``"),
            ("qos=1&qos=1", "parameter `qos` is there twice"),
            ("retain", "`retain` must be true or false, not ``"),
            ("contentType=a%00", "`contentType` must not contain the character U+0000"),
            ("messageExpiry=-1", "`messageExpiry` must be a number of seconds from 0 to 4294967295, not -1"),
            (
                "messageExpiry=4294967296",
                "`messageExpiry` must be a number of seconds from 0 to 4294967295, not 4294967296",
            ),
            (
                "responseTopic=a/%2B",
                "`responseTopic` must not contain the wildcard `+`: one publishes to a topic name, not to a topic filter",
            ),
            ("timeout=61", "`timeout` must be a number of seconds above 0 and up to 60, not 61"),
            ("ttl=101", "`ttl` must be a number of seconds above 0 and up to 100, not 101"),
            ("timeout=inf", "`timeout` must be a number, not `inf`"),
            (
                "Qos=1",
                "unknown parameter `Qos`: there are `qos`, `retain`, `contentType`, `messageExpiry`, `responseTopic`, `timeout` and `ttl`; did you mean `qos`?",
            ),
        ] {
            assert_eq!(parse(query).unwrap_err(), error, "{query}");
        }
    }
}
