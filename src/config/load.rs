//! Reads the tables of the file and the environment into a configuration.

use std::io::ErrorKind;
use std::path::Path;

use super::document::Document;
use super::environment::Environment;
use super::fault::Fault;
use super::hook::{self, Hook, HookKeys};
use super::http::{Http, HttpKeys};
use super::log::{Log, LogKeys};
use super::mqtt::{self, Mqtt, MqttKeys};
use super::outbox::{Outbox, OutboxKeys};
use super::publish::{Publish, PublishKeys};
use super::source::Source;
use super::subscription::{Subscription, Subscriptions};
use super::table::{Several, fill};
use super::token::{self, Token, TokenKeys};
use super::variables;
use super::webhook::{self, Webhook, WebhookKeys};
use crate::files::{MAX_FILE, read_limited};

/// All settings, valid as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[mqtt]`: the connection to the broker.
    pub mqtt: Mqtt,
    /// `[[subscribe]]`: what is received.
    pub subscribe: Vec<Subscription>,
    /// `[publish]`: what holds for every publish.
    pub publish: Publish,
    /// `[outbox]`: where messages are kept until the broker has them.
    pub outbox: Outbox,
    /// `[http]`: where and how requests are served.
    pub http: Http,
    /// `[[token]]`: who may do what; if there is none, everybody may do everything.
    pub tokens: Vec<Token>,
    /// `[[hook]]`: named URLs that publish.
    pub hooks: Vec<Hook>,
    /// `[[webhook]]`: endpoints that received messages are sent to.
    pub webhooks: Vec<Webhook>,
    /// `[log]`: what is recorded, and how.
    pub log: Log,
    /// What is no fault but likely a mistake.
    pub warnings: Vec<String>,
}

keys! {
    pub struct Tables {;
        mqtt: MqttKeys,
        subscribe: Subscriptions,
        publish: PublishKeys,
        outbox: OutboxKeys,
        http: HttpKeys,
        token: Several<TokenKeys>,
        hook: Several<HookKeys>,
        webhook: Several<WebhookKeys>,
        log: LogKeys,
    }
}

impl Config {
    /// Reads and checks everything that can be checked without a network.
    ///
    /// # Errors
    /// The first fault found.
    pub fn load(source: &Source, environment: &Environment) -> Result<Self, Fault> {
        match source {
            Source::BuiltIn => Self::parse("", source, environment),
            Source::File(path) | Source::Credential { copy: path, .. } => {
                Self::parse(&read_text(path, source)?, source, environment)
            }
        }
    }

    /// The same for a text that was read from `source`.
    ///
    /// # Errors
    /// The first fault found.
    pub fn parse(text: &str, source: &Source, environment: &Environment) -> Result<Self, Fault> {
        let document = Document::new(source.to_string(), text.to_owned());
        let mut tables = Tables::default();
        fill(&mut tables, &document.parse()?, &document)?;
        let mut warnings = variables::overlay(&mut tables, environment)?;
        let mqtt = mqtt::read(&mut tables.mqtt, source, environment)?;
        let client_id = (&*tables.mqtt.client_id, mqtt.client_id.as_str());
        let (webhooks, unencrypted) = webhook::read(&tables.webhook, client_id, source, environment)?;
        warnings.extend(unencrypted);
        let outbox = tables.outbox.read(source, environment)?;
        let publish = tables.publish.read(mqtt.protocol, &outbox)?;
        let http = tables.http.read_each()?;
        Ok(Self {
            subscribe: tables.subscribe.read(mqtt.session)?,
            mqtt,
            tokens: token::read(&tables.token, &publish, &http)?,
            hooks: hook::read(&tables.hook, &publish, &outbox, source, environment)?,
            webhooks,
            publish,
            outbox,
            http,
            log: tables.log.read_each()?,
            warnings,
        })
    }
}

fn read_text(path: &Path, source: &Source) -> Result<String, Fault> {
    let bytes = read_limited(path, MAX_FILE).map_err(|error| {
        let fault = Fault::unreadable(source, format!("cannot be read: {error}"), &error);
        // a file that is missing is a wrong name, which does not become right by waiting
        let may_pass = fault.may_pass() && error.kind() != ErrorKind::NotFound;
        fault.passing(may_pass)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|&byte| byte == b'\n').count();
        Fault::new(format_args!("{source}:{line}"), "must be UTF-8 text")
    })
}
