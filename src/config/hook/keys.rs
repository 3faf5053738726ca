//! The keys of a `[[hook]]`.

use std::time::Duration;

use toml::Value;

use crate::config::kind::{FilePath, Payload, Rate, Seconds, choice, is_header_name, list, shown, text};
use crate::config::outbox::LONGEST;
use crate::config::secret::{self, Name};
use crate::config::secret_file::MAX_SECRETS;
use crate::message::{MqttString, Qos, TopicTemplate};

/// Headers that identify who sends a request must not be published.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

table! {
    /// One `[[hook]]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct HookTable from HookKeys "[[hook]]" {
        /// Unique; a part of the path.
        name: Name,
        /// The methods by which it is called.
        methods: Methods = vec![Method::Post],
        /// The topic of the messages.
        topic: Template,
        /// The payload, in place of the body.
        msg: Option<Payload> = None,
        /// QoS of the messages.
        qos: Qos = Qos::AtLeastOnce,
        /// Whether the broker stores the messages.
        retain: bool = false,
        /// SHA-256 of the secrets that may end the path.
        secret_sha256: Hashes = Vec::new(),
        /// How the requests are signed; `None` if they are not.
        signature: Option<Signature> = None,
        /// The header that has a signature of the scheme `hmac-sha256`.
        header: Option<HeaderName> = None,
        /// How that signature is written.
        encoding: Encoding = Encoding::Hex,
        /// The file with the secrets of the signature.
        signature_secret_file: Option<FilePath> = None,
        /// The content type of the messages, in place of that of the body.
        content_type: Option<ContentType> = None,
        /// The headers that become user properties.
        properties: HeaderNames = Vec::new(),
        /// Messages per second, above 0; `None` is no limit.
        rate: Option<Rate> = None,
        /// How long the broker may take.
        timeout: Seconds<1> = Duration::from_secs(8),
        /// How long a message may wait in the outbox.
        ttl: Seconds<1, LONGEST> = Duration::ZERO,
        /// Whether web pages and browsers may call it.
        allow_browsers: bool = false,
    }
}

/// A method of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
}

/// How requests are signed: each is an HMAC with SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// GitHub's webhooks: the body.
    Github,
    /// Stripe's: a timestamp and the body.
    Stripe,
    /// Standard Webhooks: an identifier, a timestamp and the body.
    Standard,
    /// The body, in a header that the configuration names.
    HmacSha256,
}

/// How the bytes of a signature are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal digits.
    Hex,
    /// Base64 (RFC 4648, 4).
    Base64,
}

kinds! {
    struct Methods -> Vec<Method> = methods;
    struct Template -> TopicTemplate = template;
    /// Errors never show the value: it may be the secret itself.
    struct Hashes -> Vec<[u8; 32]> = hashes;
    struct HeaderName -> String = header_name;
    struct HeaderNames -> Vec<String> = header_names;
    struct ContentType -> MqttString = content_type;
    Signature = |value| choice(value, &[
        ("github", Self::Github),
        ("stripe", Self::Stripe),
        ("standard", Self::Standard),
        ("hmac-sha256", Self::HmacSha256),
    ]);
    Encoding = |value| choice(value, &[("hex", Self::Hex), ("base64", Self::Base64)]);
}

fn methods(value: &Value) -> Result<Vec<Method>, String> {
    let method = |value: &Value| choice(value, &[("GET", Method::Get), ("POST", Method::Post)]);
    list(value, "methods", method)
}

fn template(value: &Value) -> Result<TopicTemplate, String> {
    let template = TopicTemplate::parse(&text(value)?).map_err(|error| format!("{error}: {}", shown(value)))?;
    template.headers().try_for_each(refuse_credentials)?;
    Ok(template)
}

fn hashes(value: &Value) -> Result<Vec<[u8; 32]>, String> {
    let hash = |value: &Value| secret::parse_hash(value.as_str().unwrap_or_default());
    let hashes: Option<Vec<_>> = match value {
        Value::Array(items) => items.iter().map(hash).collect(),
        _ => hash(value).map(|hash| vec![hash]),
    };
    hashes.filter(|hashes| hashes.len() <= MAX_SECRETS).ok_or_else(|| {
        "must be a string of 64 hexadecimal digits, the SHA-256 of a secret, or a list of two such \
         strings: `mqtt-bridge --new-hook NAME` prints a secret and its hash"
            .to_owned()
    })
}

fn header_name(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    if is_header_name(&name) { Ok(name) } else { Err(format!("must be the name of a header, not {}", shown(value))) }
}

fn header_names(value: &Value) -> Result<Vec<String>, String> {
    list(value, "names of headers", |item| {
        let name = header_name(item)?;
        refuse_credentials(&name)?;
        Ok(name)
    })
}

fn refuse_credentials(header: &str) -> Result<(), String> {
    if CREDENTIALS.contains(&header.to_ascii_lowercase().as_str()) {
        return Err(format!("must not have \"{header}\", which identifies the sender"));
    }
    Ok(())
}

fn content_type(value: &Value) -> Result<MqttString, String> {
    MqttString::try_from(text(value)?).map_err(|error| error.to_string())
}
