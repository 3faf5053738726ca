//! What is recorded, and its fields in journald's native protocol.

use std::borrow::Cow;
use std::sync::Arc;

use log::Level;

use crate::message::{MAX_USER_PROPERTIES, Priority, Received};
use crate::printable::{Printable, one_line};

/// How many bytes of a received topic name or payload the text of a record shows. The fields have all of it.
const SHOWN: usize = 1024;
/// `MESSAGE_ID` of all records of received messages, to find them by (systemd.journal-fields(7)).
const RECEIVED_ID: &str = "b8c7813ec2d84ca8b6d55f818f26cc3b";
/// The field that tells which request a record belongs to.
pub const REQUEST_ID: &str = "REQUEST_ID";
/// The name of the program, for records without a unit.
pub const IDENTIFIER: &str = "mqtt-bridge";

/// A record of our own.
pub struct Own {
    pub level: Level,
    pub message: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

/// What is recorded.
pub enum Entry {
    Own(Own),
    /// Why the process ends.
    LastWords(String),
    /// A message from the broker, and how urgent it is.
    Received(Arc<Received>, Priority),
}

impl Own {
    pub fn warning(message: String) -> Self {
        Self { level: Level::Warn, message, fields: Vec::new() }
    }

    /// Tells how many messages were lost.
    pub fn dropped(count: u64) -> Self {
        Self::warning(format!(
            "{count} received messages were not recorded: they came when nothing could be written, or faster than it could"
        ))
    }
}

impl Entry {
    /// How urgent it is.
    pub fn priority(&self) -> Priority {
        match self {
            Self::Own(own) => match own.level {
                Level::Error => Priority::ERROR,
                Level::Warn => Priority::WARNING,
                Level::Info => Priority::INFORMATIONAL,
                Level::Debug | Level::Trace => Priority::DEBUG,
            },
            Self::LastWords(_) => Priority::ERROR,
            Self::Received(_, priority) => *priority,
        }
    }

    /// Its text; for a received message as the tutorial has it.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Own(Own { message: text, .. }) | Self::LastWords(text) => text.into(),
            Self::Received(message, _) => {
                let (topic, payload) = (Printable::new(&message.topic, SHOWN), Printable::new(&message.payload, SHOWN));
                format!("Received message on topic: {topic} with payload: {payload}").into()
            }
        }
    }

    /// Appends the record in journald's native protocol.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        put(bytes, "SYSLOG_IDENTIFIER", IDENTIFIER);
        put(bytes, "PRIORITY", self.priority().to_string());
        put(bytes, "MESSAGE", one_line(&self.text()));
        match self {
            Self::Own(own) => own.fields.iter().for_each(|(name, value)| put(bytes, name, value)),
            Self::LastWords(_) => {}
            Self::Received(message, _) => {
                put(bytes, "MESSAGE_ID", RECEIVED_ID);
                put(bytes, "MQTT_TOPIC", &message.topic);
                put(bytes, "MQTT_QOS", message.qos.to_string());
                put(bytes, "MQTT_RETAIN", u8::from(message.retain).to_string());
                put(bytes, "MQTT_DUP", u8::from(message.dup).to_string());
                if let Some(content_type) = &message.properties.content_type {
                    put(bytes, "MQTT_CONTENT_TYPE", content_type);
                }
                // journald takes at most 1024 fields for a record
                for (name, value) in message.properties.user_properties.iter().take(MAX_USER_PROPERTIES) {
                    put(bytes, "MQTT_USER_PROPERTY", format!("{name}={value}"));
                }
                put(bytes, "MQTT_PAYLOAD", &message.payload);
            }
        }
    }
}

/// Appends a field: as `NAME=VALUE` where the value is one line, and else with its length (systemd's
/// `docs/JOURNAL_NATIVE_PROTOCOL.md`).
fn put(bytes: &mut Vec<u8>, name: &str, value: impl AsRef<[u8]>) {
    let value = value.as_ref();
    bytes.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend_from_slice(value);
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ReceivedProperties;

    fn encoded(entry: &Entry) -> Vec<u8> {
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        bytes
    }

    #[test]
    fn a_received_message_is_a_record_with_all_of_its_bytes() {
        let message = Received {
            topic: b"a/b".to_vec(),
            payload: b"x\ny\0".to_vec(),
            qos: 1,
            retain: true,
            properties: ReceivedProperties {
                content_type: Some("text/plain".to_owned()),
                user_properties: vec![("k".to_owned(), "v".to_owned()), ("k\n".to_owned(), String::new())],
                ..ReceivedProperties::default()
            },
            ..Received::default()
        };
        let expected: Vec<u8> = [
            b"SYSLOG_IDENTIFIER=mqtt-bridge\nPRIORITY=3\n".as_slice(),
            b"MESSAGE=Received message on topic: a/b with payload: x\\ny\\x00\n",
            b"MESSAGE_ID=b8c7813ec2d84ca8b6d55f818f26cc3b\nMQTT_TOPIC=a/b\n",
            b"MQTT_QOS=1\nMQTT_RETAIN=1\nMQTT_DUP=0\nMQTT_CONTENT_TYPE=text/plain\nMQTT_USER_PROPERTY=k=v\n",
            b"MQTT_USER_PROPERTY\n\x03\0\0\0\0\0\0\0k\n=\nMQTT_PAYLOAD\n\x04\0\0\0\0\0\0\0x\ny\0\n",
        ]
        .concat();
        assert_eq!(encoded(&Entry::Received(message.into(), Priority::ERROR)), expected);
    }

    #[test]
    fn a_record_of_our_own_has_its_fields_and_one_line() {
        let fields = vec![("CLIENT_ID".to_owned(), "a\nPRIORITY=0".to_owned())];
        let own = Own { level: Level::Warn, message: "lost\nPRIORITY=0".to_owned(), fields };
        assert_eq!(
            encoded(&Entry::Own(own)),
            b"SYSLOG_IDENTIFIER=mqtt-bridge\nPRIORITY=4\nMESSAGE=lost\\nPRIORITY=0\nCLIENT_ID\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\n"
        );
    }

    #[test]
    fn user_properties_are_a_hundred_at_most() {
        let user_properties = vec![("a".to_owned(), "b".to_owned()); 101];
        let properties = ReceivedProperties { user_properties, ..ReceivedProperties::default() };
        let message = Received { properties, ..Received::default() };
        let bytes = encoded(&Entry::Received(message.into(), Priority::default()));
        assert_eq!(String::from_utf8(bytes).unwrap().matches("MQTT_USER_PROPERTY=a=b\n").count(), 100);
    }
}
