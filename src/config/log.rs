//! `[log]`: which records the daemon writes, and how.

use log::LevelFilter;
use toml::Value;

use super::document::Position;
use super::environment::Environment;
use super::kind::choice;
use super::table::Keys;

table! {
    /// `[log]`: our own records, and the form of all.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Log from LogKeys {
        /// The lowest level of our own that is written.
        level: LevelFilter = Log::default().level,
        /// Of the lines on standard error.
        format: LogFormat = Log::default().format,
        /// Whether these lines start with the time.
        time: bool = Log::default().time,
    }
}

/// What a line on standard error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// A sentence.
    Text,
    /// An object of JSON.
    Json,
}

impl Log {
    /// The settings of the environment, to record a fault of the file with. A value that cannot be read is the default.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        let mut keys = LogKeys::default();
        for slot in keys.slots() {
            let name = format!("MQTT_BRIDGE_LOG_{}", slot.variable_suffix());
            if let Ok(Some(text)) = environment.text(&name) {
                slot.value = Some((Value::String(text), Position::Variable(name)));
            }
        }
        let default = Self::default();
        Self {
            format: keys.format.read().ok().flatten().unwrap_or(default.format),
            time: keys.time.read().ok().flatten().unwrap_or(default.time),
            ..default
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LevelFilter::Info, format: LogFormat::Text, time: true }
    }
}

kinds! {
    LevelFilter = |value| {
        let choices = [
            ("error", Self::Error), ("warn", Self::Warn), ("info", Self::Info), ("debug", Self::Debug),
        ];
        choice(value, &choices)
    };
    LogFormat = |value| choice(value, &[("text", Self::Text), ("json", Self::Json)]);
}
