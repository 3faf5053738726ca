//! `[mqtt.will]`: the last will, and what is retained while the connection lasts.

use bytes::Bytes;

use super::keys::WillKeys;
use super::types::Will;
use crate::config::fault::Fault;
use crate::message::{Message, Properties, Qos};

/// Bytes of a PUBLISH without topic name and payload: the fixed header, the length of the topic name, the packet
/// identifier and the length of no properties (MQTT 5, 3.3).
const PUBLISH_OVERHEAD: usize = 1 + 4 + 2 + 2 + 1;

/// A will that can be published as it is, and so can `online`.
pub fn read(keys: &WillKeys, max_packet_size: u32) -> Result<Option<Will>, Fault> {
    if !keys.topic.has_table() {
        return Ok(None);
    }
    let (topic, payload) = (keys.topic.required()?, keys.payload.required()?);
    let online = keys.online.read()?;
    let retain = keys.retain.read()?;
    match &online {
        Some(_) if retain == Some(false) => {
            // `online` would stay retained for ever
            let what = format!("{} must be true where there is {}, which is retained itself", keys.retain, keys.online);
            return Err(keys.retain.fault(what));
        }
        Some(online) if online.is_empty() => {
            return Err(keys.online.fault(format!("{} must not be empty: retained, that says nothing", keys.online)));
        }
        Some(online) if *online == payload => {
            let what = format!("{} must differ from {}, which is said when we are gone", keys.online, keys.payload);
            return Err(keys.online.fault(what));
        }
        _ => {}
    }
    let limit = usize::try_from(max_packet_size).unwrap_or(usize::MAX);
    for (key, text) in [(&keys.payload, Some(&payload)), (&keys.online, online.as_ref())] {
        let size = PUBLISH_OVERHEAD + topic.as_str().len() + text.map_or(0, String::len);
        if size > limit {
            let what = format!("{key} and {} make a packet of {size} bytes, over `max-packet-size`", keys.topic);
            return Err(key.fault(what));
        }
    }
    let message = Message {
        topic,
        payload: Bytes::from(payload),
        qos: keys.qos.read()?.unwrap_or(Qos::AtLeastOnce),
        retain: retain.unwrap_or(online.is_some()),
        properties: Properties::default(),
    };
    let online = online.map(|online| Message { payload: online.into(), ..message.clone() });
    Ok(Some(Will { message, online }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, Source};

    fn parse(will: &str) -> Result<Option<Will>, String> {
        let text = format!("[mqtt]\nmax-packet-size = 1024\n[mqtt.will]\n{will}");
        let config = Config::parse(&text, &Source::File("bridge.toml".into()), &Environment::default());
        config.map(|config| config.mqtt.will).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_will_is_retained_only_beside_online() {
        let will = parse("topic = \"a\"\npayload = \"\"").unwrap().unwrap();
        let message = &will.message;
        assert_eq!((message.topic.as_str(), message.payload.len()), ("a", 0));
        assert_eq!((message.qos, message.retain, will.online), (Qos::AtLeastOnce, false, None));
        let will = parse("topic = \"a\"\npayload = \"off\"\nonline = \"on\"\nqos = 2").unwrap().unwrap();
        let online = will.online.unwrap();
        assert_eq!((&will.message.payload[..], &online.payload[..]), (&b"off"[..], &b"on"[..]));
        assert!(
            will.message.retain
                && online.retain
                && online.qos == Qos::ExactlyOnce
                && online.topic == will.message.topic
        );
        assert_eq!(Config::parse("", &Source::BuiltIn, &Environment::default()).unwrap().mqtt.will, None);
    }

    #[test]
    fn each_fault_of_a_will_is_one_line() {
        let with = |lines: &str| format!("topic = \"a\"\npayload = \"off\"\n{lines}");
        let long = format!("online = \"{}\"", "x".repeat(1014));
        for (will, expected) in [
            (String::new(), "3: `topic` is missing in [mqtt.will]"),
            ("topic = \"a\"".to_owned(), "3: `payload` is missing in [mqtt.will]"),
            ("payload = \"off\"\ntopic = \"a/+\"".to_owned(), "5: `topic` must not contain the wildcard `+`: one"),
            ("payload = \"off\"\ntopic = \"$a\"".to_owned(), "5: `topic` must not start with `$`"),
            ("payload = 1\ntopic = \"a\"".to_owned(), "4: `payload` must be a string, not 1"),
            (with("qos = 3"), "6: `qos` must be 0, 1 or 2, not 3"),
            (with("retain = 1"), "6: `retain` must be true or false, not 1"),
            (with("retain = false\nonline = \"on\""), "6: `retain` must be true where there is `online`, which is"),
            (with("online = \"\""), "6: `online` must not be empty"),
            (with("online = \"off\""), "6: `online` must differ from `payload`"),
            (with(&long), "6: `online` and `topic` make a packet of 1025 bytes, over `max-packet-size`"),
            (
                with("delay = 1"),
                "6: unknown field `delay`, expected one of `topic`, `payload`, `qos`, `retain`, `online`",
            ),
        ] {
            let fault = parse(&will).unwrap_err();
            assert!(fault.starts_with(&format!("bridge.toml:{expected}")) && fault.lines().count() == 1, "{fault}");
        }
        let text = format!("[mqtt]\nclient-id = \"\"\n[mqtt.will]\n{}", with("online = \"on\""));
        let fault = Config::parse(&text, &Source::BuiltIn, &Environment::default()).unwrap_err().to_string();
        assert!(fault.ends_with(":2: `client-id` must not be empty where there is `online` in [mqtt.will]"), "{fault}");
        assert!(parse(&with(&long.replacen('x', "", 1))).is_ok(), "1024 bytes are not over");
        let long = format!("topic = \"a\"\npayload = \"{}\"", "x".repeat(65_536));
        assert!(parse(&long).unwrap_err().contains("`payload` must be at most 65535 bytes long"));
    }
}
