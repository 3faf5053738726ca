//! A record as one line on standard error: text for people, or JSON for programs (RFC 8259).

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use httpdate::fmt_http_date;
use serde::Serializer;
use serde::ser::SerializeMap;

use super::entry::{Entry, IDENTIFIER, Own, REQUEST_ID};
use crate::config::{Log, LogFormat};
use crate::message::{MAX_USER_PROPERTIES, Priority, Received};
use crate::printable::one_line;

/// Appends the line for a record of this time.
pub fn write(entry: &Entry, time: SystemTime, settings: &Log, bytes: &mut Vec<u8>) {
    let time = settings.time.then_some(Timestamp(time));
    match settings.format {
        LogFormat::Text => write_text(entry, time, bytes),
        // numbers and strings can always be written as JSON
        LogFormat::Json => drop(write_json(entry, time, bytes)),
    }
    bytes.push(b'\n');
}

fn write_text(entry: &Entry, time: Option<Timestamp>, bytes: &mut Vec<u8>) {
    let time = time.map_or_else(String::new, |time| format!("{time} "));
    // bytes from outside are escaped where they come in; this is a second line of defence
    let text = one_line(&entry.text());
    let text = match entry {
        Entry::Own(own) => own_text(own, &text),
        // with the name of the program, for the person who started it
        Entry::LastWords(_) => format!("{IDENTIFIER}: {text}"),
        Entry::Received(..) => text,
    };
    bytes.extend_from_slice(format!("{time}{text}").as_bytes());
}

fn own_text(own: &Own, text: &str) -> String {
    let level = match own.level {
        log::Level::Error => "error: ",
        log::Level::Warn => "warning: ",
        log::Level::Info | log::Level::Debug | log::Level::Trace => "",
    };
    let id = own.fields.iter().find(|(name, _)| name == REQUEST_ID);
    let id = id.map_or_else(String::new, |(_, id)| format!(" (request {id})"));
    format!("{level}{text}{id}")
}

fn write_json(entry: &Entry, time: Option<Timestamp>, bytes: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut serializer = serde_json::Serializer::new(bytes);
    let mut line = serializer.serialize_map(None)?;
    if let Some(time) = time {
        line.serialize_entry("time", &time.to_string())?;
    }
    line.serialize_entry("level", level(entry.priority()))?;
    line.serialize_entry("message", &entry.text())?;
    match entry {
        Entry::Own(own) => {
            for (name, value) in &own.fields {
                line.serialize_entry(&name.to_ascii_lowercase(), value)?;
            }
        }
        Entry::LastWords(_) => {}
        Entry::Received(message, _) => put_received(&mut line, message)?,
    }
    line.end()
}

/// Writes what the fields in the journal have.
fn put_received<M: SerializeMap>(line: &mut M, message: &Received) -> Result<(), M::Error> {
    line.serialize_entry("topic", &String::from_utf8_lossy(&message.topic))?;
    line.serialize_entry("qos", &message.qos)?;
    line.serialize_entry("retain", &message.retain)?;
    line.serialize_entry("dup", &message.dup)?;
    match std::str::from_utf8(&message.payload) {
        Ok(payload) => line.serialize_entry("payload", payload)?,
        Err(_) => line.serialize_entry("payload_base64", &STANDARD.encode(&message.payload))?,
    }
    let properties = &message.properties;
    if let Some(content_type) = &properties.content_type {
        line.serialize_entry("content_type", content_type)?;
    }
    let pairs = &properties.user_properties;
    if !pairs.is_empty() {
        line.serialize_entry("user_properties", &pairs[..pairs.len().min(MAX_USER_PROPERTIES)])?;
    }
    Ok(())
}

/// The level in the words of `[log] level`.
fn level(priority: Priority) -> &'static str {
    match priority.to_string().as_str() {
        "0" | "1" | "2" | "3" => "error",
        "4" => "warn",
        "7" => "debug",
        _ => "info",
    }
}

/// A time in the form of RFC 3339, in UTC and with milliseconds.
#[derive(Debug, Clone, Copy)]
struct Timestamp(SystemTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // a clock before 1970 is wrong anyway
        let time = self.0.max(UNIX_EPOCH);
        let milliseconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_millis();
        // such as "Sun, 06 Nov 1994 08:49:37 GMT"
        let date = fmt_http_date(time);
        let (day, month, year, clock) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
        let month = MONTHS.iter().position(|name| *name == month).unwrap_or_default() + 1;
        write!(f, "{year}-{month:02}-{day}T{clock}.{milliseconds:03}Z")
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use log::LevelFilter;
    use serde_json::{Value, json};

    use super::*;
    use crate::message::ReceivedProperties;

    const TEXT: Log = Log { level: LevelFilter::Info, format: LogFormat::Text, time: true };
    const JSON: Log = Log { format: LogFormat::Json, ..TEXT };

    fn line(settings: Log, entry: &Entry) -> String {
        let mut bytes = Vec::new();
        write(entry, UNIX_EPOCH + Duration::from_millis(1_790_000_000_123), &settings, &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    fn own() -> Entry {
        let fields = [("CLIENT_ID", "a\n"), (REQUEST_ID, "7")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        Entry::Own(Own { level: log::Level::Warn, message: "lost\n\"x\"".to_owned(), fields: fields.into() })
    }

    #[test]
    fn a_line_of_text_starts_with_the_time_if_configured() {
        let expected = "warning: lost\\n\"x\" (request 7)\n";
        assert_eq!(line(TEXT, &own()), format!("2026-09-21T14:13:20.123Z {expected}"));
        assert_eq!(line(Log { time: false, ..TEXT }, &own()), expected);
        let words = Entry::LastWords("why".to_owned());
        assert_eq!(line(TEXT, &words), "2026-09-21T14:13:20.123Z mqtt-bridge: why\n");
    }

    #[test]
    fn a_line_of_json_is_an_object_with_all_fields() {
        let parsed = |settings, entry: &Entry| {
            let line = line(settings, entry);
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            serde_json::from_str::<Value>(&line).unwrap()
        };
        let mut expected = json!({
            "time": "2026-09-21T14:13:20.123Z", "level": "warn", "message": "lost\n\"x\"", "client_id": "a\n",
            "request_id": "7",
        });
        assert_eq!(parsed(JSON, &own()), expected);
        expected.as_object_mut().unwrap().remove("time");
        assert_eq!(parsed(Log { time: false, ..JSON }, &own()), expected);
        let words = Entry::LastWords("why".to_owned());
        let expected = json!({"time": "2026-09-21T14:13:20.123Z", "level": "error", "message": "why"});
        assert_eq!(parsed(JSON, &words), expected);
        let mut message = Received {
            topic: b"a/b".to_vec(),
            payload: "\n\u{2028}ü".into(),
            qos: 1,
            retain: true,
            properties: ReceivedProperties {
                content_type: Some("text/plain".to_owned()),
                user_properties: vec![("k".to_owned(), "v\n".to_owned()); 101],
                ..ReceivedProperties::default()
            },
            ..Received::default()
        };
        let expected = json!({
            "time": "2026-09-21T14:13:20.123Z", "level": "error",
            "message": "Received message on topic: a/b with payload: \\n\\u{2028}ü",
            "topic": "a/b", "qos": 1, "retain": true, "dup": false, "payload": "\n\u{2028}ü",
            "content_type": "text/plain", "user_properties": vec![json!(["k", "v\n"]); 100],
        });
        assert_eq!(parsed(JSON, &Entry::Received(message.clone().into(), Priority::ERROR)), expected);
        message.payload = b"\xff\0".to_vec();
        let parsed = parsed(JSON, &Entry::Received(message.into(), Priority::WARNING));
        assert_eq!((&parsed["payload_base64"], &parsed["payload"]), (&json!("/wA="), &Value::Null));
        assert_eq!(parsed["level"], "warn");
    }

    #[test]
    fn a_time_is_shown_with_its_date() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp(UNIX_EPOCH + Duration::from_secs(seconds)).to_string(), expected);
        }
        assert_eq!(Timestamp(UNIX_EPOCH - Duration::from_secs(1)).to_string(), "1970-01-01T00:00:00.000Z");
    }
}
