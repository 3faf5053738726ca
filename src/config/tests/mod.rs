//! Each rule of the configuration, and the line that a breach of it gives.

mod broker;
mod environment;
mod faults;
mod files;
mod hooks;
mod http;
mod login;
mod outbox;
mod tokens;
mod variables;
#[cfg(feature = "webhook")]
mod webhooks;
mod whole;

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::files::is_there;
use crate::message::{MqttString, Priority, Qos, TopicFilter, TopicTemplate};

fn parse(text: &str) -> Result<Config, Fault> {
    parse_with(text, &Environment::default())
}

fn parse_with(text: &str, environment: &Environment) -> Result<Config, Fault> {
    Config::parse(text, &Source::File("bridge.toml".into()), environment)
}

/// Each text has a fault, which is one line with this start.
fn assert_faults(cases: &[(&str, &str)]) {
    for (text, start) in cases {
        let fault = fault(text);
        assert!(fault.starts_with(start), "{text:?} gives {fault:?}");
        assert_eq!(fault.lines().count(), 1, "{fault:?}");
    }
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::try_from(text.to_owned()).unwrap()
}

fn fault(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

const TOKEN_WITHOUT_NAME: &str =
    "[[token]]\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"";

/// A folder that is removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mqtt-bridge-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
