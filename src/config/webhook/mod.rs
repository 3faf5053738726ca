//! `[[webhook]]`: endpoints that received messages are sent to by HTTP.

mod dead_letters;
mod headers;
mod keys;
mod url;

use std::fmt;
use std::time::Duration;

use self::headers::AUTHORIZATION;
use self::keys::WebhookTable;
pub use self::keys::{WebhookFormat, WebhookKeys};
pub use self::url::Url;
use super::environment::Environment;
use super::fault::Fault;
use super::key::Slot;
use super::mqtt::Secret;
use super::secret_file::{SecretFile, position};
use super::source::Source;
use super::table::Several;
use crate::message::{Qos, TopicFilter, TopicName};
use crate::tls::{Files, Role, Tls};

/// Each has a connection to the broker and threads of its own.
const MAX_WEBHOOKS: usize = 16;
/// Each has a thread and a connection.
const MAX_REQUESTS: u32 = 256;

/// An endpoint that the messages of a topic filter are sent to.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Unique; a part of its client identifier.
    pub name: String,
    /// What is subscribed to.
    pub topic: TopicFilter,
    /// The quality of service asked for, 0 or 1; the broker may grant less.
    pub qos: Qos,
    /// Where messages are sent to.
    pub url: Url,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// For how long a message is tried again, from its receipt on; zero is one attempt.
    pub retry_for: Duration,
    /// Where messages are published that were given up; its own topic filter does not match that.
    pub dead_letter: Option<TopicName>,
    /// Requests that may be under way at a time. 1 keeps the order of messages.
    pub in_flight: u16,
    /// What a request has of the message.
    pub format: WebhookFormat,
    /// The keys of Standard Webhooks that each request is signed with: none, one, or two while one is renewed.
    pub keys: Vec<SigningKey>,
    /// Headers of each request. Their values may be secrets.
    pub headers: Vec<(String, Secret)>,
    /// `None` where the URL begins with `http://`.
    pub tls: Option<Tls>,
    /// Seconds for which an MQTT 5 broker keeps the session.
    pub session_expiry: u32,
}

/// A key that requests are signed with. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(pub Vec<u8>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The webhooks, and a warning for each that sends messages unencrypted. Reads the files of their secrets.
pub fn read(
    tables: &Several<WebhookKeys>,
    client_id: (&Slot, &str),
    source: &Source,
    environment: &Environment,
) -> Result<(Vec<Webhook>, Vec<String>), Fault> {
    let (mut webhooks, mut warnings) = (Vec::new(), Vec::new());
    for keys in tables.tables() {
        let table = keys.read_each()?;
        if !cfg!(feature = "webhook") {
            return Err(keys.name.fault("this build has no webhooks: build it with its default features"));
        }
        if webhooks.iter().any(|other: &Webhook| other.name == table.name) {
            let what = format!("this {} is there twice: each [[webhook]] needs one of its own", keys.name);
            return Err(keys.name.fault(what));
        }
        if webhooks.len() == MAX_WEBHOOKS {
            return Err(keys.name.fault(format!("there must be at most {MAX_WEBHOOKS} [[webhook]]")));
        }
        if let (slot, "") = client_id {
            // without a name the broker could not keep the session
            return Err(slot.fault(format!("{slot} must not be empty where there is a [[webhook]]")));
        }
        if table.dead_letter.as_ref().is_some_and(|topic| table.topic.matches(topic)) {
            let (key, topic) = (&keys.dead_letter, &keys.topic);
            return Err(key.fault(format!("{key} must not match {topic}, or the webhook would get it again")));
        }
        if !table.url.is_https && !table.url.is_loopback() {
            let host = &table.url.host;
            let what = format!("{} is not https://, so that others on the way to {host} can read messages", keys.url);
            warnings.push(keys.url.fault(what).to_string());
        }
        let others = webhooks.iter().map(|other| u32::from(other.in_flight)).sum::<u32>();
        if others + u32::from(table.in_flight) > MAX_REQUESTS {
            let key = &keys.in_flight;
            return Err(key.fault(format!("{key} of all webhooks together must be at most {MAX_REQUESTS}")));
        }
        let tls = tls(keys, &table, source, &webhooks)?;
        webhooks.push(webhook(keys, table, tls, source, environment)?);
    }
    if let Some(position) = dead_letters::circle(&webhooks) {
        let key = &tables.tables()[position].dead_letter;
        return Err(key.fault(format!("{key} must not lead back to this webhook through those of others")));
    }
    Ok((webhooks, warnings))
}

fn webhook(
    keys: &WebhookKeys,
    table: WebhookTable,
    tls: Option<Tls>,
    source: &Source,
    environment: &Environment,
) -> Result<Webhook, Fault> {
    let credential = format!("webhook-{}", table.name);
    let secrets = SecretFile::find(&credential, &keys.secret_file, table.secret_file.as_ref(), source, environment);
    let secrets = secrets.map_or(Ok(Vec::new()), |file| file.keys(true))?;
    let mut headers = table.headers;
    if let Some(path) = &table.authorization_file {
        let key = &keys.authorization_file;
        if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(AUTHORIZATION)) {
            let what = format!("{key} and \"{AUTHORIZATION}\" in {} must not both be there", keys.headers);
            return Err(key.fault(what));
        }
        let value = headers::authorization(&SecretFile::new(source.beside(path), position(key)))?;
        headers.push((AUTHORIZATION.to_owned(), value));
    }
    Ok(Webhook {
        name: table.name,
        topic: table.topic,
        qos: table.qos,
        url: table.url,
        timeout: table.timeout,
        retry_for: Duration::from_secs(table.retry_for.into()),
        dead_letter: table.dead_letter,
        in_flight: table.in_flight,
        format: table.format,
        keys: secrets.into_iter().map(SigningKey).collect(),
        headers,
        tls,
        session_expiry: table.session_expiry,
    })
}

/// What connections are made with. Webhooks with the same authorities share it.
fn tls(keys: &WebhookKeys, table: &WebhookTable, source: &Source, others: &[Webhook]) -> Result<Option<Tls>, Fault> {
    let (url, ca_file) = (&keys.url, &keys.ca_file);
    if !table.url.is_https {
        return match table.ca_file {
            Some(_) => Err(ca_file.fault(format!("{ca_file} is for TLS, which is not on: set a {url} with https://"))),
            None => Ok(None),
        };
    }
    let files = Files { authorities: table.ca_file.as_ref().map(|path| source.beside(path)), client: None };
    let shared = others.iter().filter_map(|other| other.tls.as_ref()).find(|tls| *tls.files() == files).cloned();
    if shared.is_some() {
        return Ok(shared);
    }
    // HTTP/2 is not spoken (RFC 7301, 6)
    Tls::load(files, vec!["http/1.1".to_owned()]).map(Some).map_err(|unusable| {
        let slot: &Slot = if unusable.role == Role::System { url } else { ca_file };
        slot.fault(unusable.to_string()).passing(unusable.may_pass)
    })
}
