//! The text of `bridge.toml`.

use std::time::Duration;

use mqtt_bridge::config::{
    Config, Environment, Fault, Hook, Http, Mqtt, Place, Proof, Server, Session, Source, Token, Webhook,
};
use mqtt_bridge::message::Qos;

use super::assert_one_printable_line;

const NAME: &str = "bridge.toml";

/// A file is refused in one line with its name and the line, or has values in the ranges of docs/configuration.md. No error shows a
/// secret of the file: with another secret it would be the same.
pub fn bridge_toml(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    if reads_another_file(text) {
        return;
    }
    let parsed = parse(text);
    match &parsed {
        Ok(config) => assert_ranges(config),
        Err(fault) => assert_fault(&fault.to_string(), text),
    }
    if let Some(other) = with_other_secrets(text) {
        match (parsed, parse(&other)) {
            (Ok(config), Ok(other)) => {
                assert_eq!(format!("{:?}", config.mqtt), format!("{:?}", other.mqtt));
                assert_eq!(format!("{:?}", config.webhooks), format!("{:?}", other.webhooks));
            }
            (parsed, other) => assert_eq!(parsed.err(), other.err(), "the secret makes a difference"),
        }
    }
}

fn parse(text: &str) -> Result<Config, Fault> {
    Config::parse(text, &Source::File(NAME.into()), &Environment::default())
}

/// Whether it names a file outside the tried set, all of which are missing: another name could be a device.
fn reads_another_file(text: &str) -> bool {
    let is_other = |table: &toml::Value, key| {
        table
            .get(key)
            .and_then(toml::Value::as_str)
            .is_some_and(|path| !path.starts_with("/nonexistent/") || path.contains(".."))
    };
    text.parse().is_ok_and(|file: toml::Table| {
        let mqtt = file.get("mqtt");
        let tls = mqtt.and_then(|mqtt| mqtt.get("tls"));
        mqtt.is_some_and(|mqtt| is_other(mqtt, "password-file"))
            || tls.is_some_and(|tls| ["ca-file", "cert-file", "key-file"].iter().any(|key| is_other(tls, key)))
            || tables(&file, "hook").any(|hook| is_other(hook, "signature-secret-file"))
            || tables(&file, "webhook").any(|webhook| {
                ["secret-file", "authorization-file", "ca-file"].iter().any(|key| is_other(webhook, key))
            })
    })
}

fn tables<'a>(file: &'a toml::Table, name: &str) -> impl Iterator<Item = &'a toml::Value> + use<'a> {
    file.get(name).and_then(toml::Value::as_array).into_iter().flatten()
}

fn assert_fault(fault: &str, text: &str) {
    assert_one_printable_line(fault);
    let line = fault.strip_prefix("bridge.toml:").and_then(|rest| rest.split_once(": ")?.0.parse().ok());
    let last = text.split('\n').count();
    assert!(line.is_some_and(|line| (1..=last).contains(&line)), "{fault}");
}

fn assert_ranges(config: &Config) {
    assert_mqtt(&config.mqtt);
    for (position, subscription) in config.subscribe.iter().enumerate() {
        assert!(config.subscribe[..position].iter().all(|other| other.topic != subscription.topic), "{subscription:?}");
        assert!(subscription.qos < Qos::ExactlyOnce || config.mqtt.session == Session::Clean, "{subscription:?}");
    }
    let publish = &config.publish;
    assert_seconds(publish.max_timeout, 0.001);
    assert_seconds(publish.timeout, 0.001);
    assert!(publish.timeout <= publish.max_timeout && (1..=1_000_000).contains(&publish.max_waiting), "{publish:?}");
    assert_http(&config.http);
    for (position, token) in config.tokens.iter().enumerate() {
        let is_other = |other: &Token| other.name != token.name && other.sha256 != token.sha256;
        assert!(config.tokens[..position].iter().all(is_other), "{}", token.name);
        assert_token(token);
    }
    for (position, hook) in config.hooks.iter().enumerate() {
        let Hook { table, proof } = hook;
        assert!(config.hooks[..position].iter().all(|other| other.table.name != table.name), "{}", table.name);
        assert!(!table.methods.is_empty() && table.timeout <= publish.max_timeout, "{table:?}");
        assert!(table.rate.is_none_or(|rate| rate > 0.0 && rate <= 1e6), "{table:?}");
        let count = match proof {
            Proof::Path(hashes) => hashes.len(),
            Proof::Signature(_, keys) => keys.len(),
        };
        assert!((1..=2).contains(&count), "{proof:?}");
    }
    assert!(config.webhooks.len() <= 16 && (config.webhooks.is_empty() || !config.mqtt.client_id.is_empty()));
    for (position, webhook) in config.webhooks.iter().enumerate() {
        assert!(config.webhooks[..position].iter().all(|other| other.name != webhook.name), "{webhook:?}");
        assert_webhook(webhook);
    }
}

fn assert_webhook(webhook: &Webhook) {
    let url = &webhook.url;
    let scheme = if url.is_https { "https://" } else { "http://" };
    let authority = url.text.split(['/', '?']).nth(2).unwrap_or_default();
    assert!(url.text.to_ascii_lowercase().starts_with(scheme) && url.text.len() <= 2048, "{webhook:?}");
    assert!(!url.host.is_empty() && authority.contains(&url.host) && !authority.contains('@'), "{webhook:?}");
    assert!(url.text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{webhook:?}");
    assert!(webhook.tls.is_some() == url.is_https, "{webhook:?}");
    assert!(webhook.qos < Qos::ExactlyOnce && (1..=64).contains(&webhook.in_flight), "{webhook:?}");
    assert!((0.001..=300.0).contains(&webhook.timeout.as_secs_f64()), "{webhook:?}");
    assert!(webhook.retry_for.as_secs() <= 2_592_000 && webhook.session_expiry > 0, "{webhook:?}");
    assert!(webhook.dead_letter.as_ref().is_none_or(|topic| !webhook.topic.matches(topic)), "{webhook:?}");
    assert!(webhook.headers.len() <= 32 && webhook.keys.is_empty(), "{webhook:?}");
    for (position, (name, value)) in webhook.headers.iter().enumerate() {
        let is_twice = webhook.headers[..position].iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        assert!(!name.is_empty() && !name.contains([':', ' ', '\n']) && !is_twice, "{webhook:?}");
        assert!(value.reveal().bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')), "{webhook:?}");
    }
}

fn assert_mqtt(mqtt: &Mqtt) {
    match &mqtt.server {
        Server::Unix(path) => {
            let length = path.as_os_str().len();
            assert!(path.is_absolute() && length <= 107 && mqtt.tls.is_none(), "{mqtt:?}");
        }
        Server::Tcp(Place { host, port }) | Server::WebSocket(Place { host, port }, _) => {
            assert!(!host.is_empty() && !host.contains(['/', '[', ' ', '@']) && *port > 0, "{mqtt:?}");
        }
    }
    assert!((5..=65_535).contains(&mqtt.keepalive.as_secs()) && mqtt.keepalive.subsec_nanos() == 0, "{mqtt:?}");
    let login = mqtt.login.as_ref().map(|login| [login.user.as_str(), login.password.reveal()]);
    let strings = login.iter().flatten().copied().chain([mqtt.client_id.as_str()]);
    assert!(strings.into_iter().all(|text| text.len() <= 65_535 && !text.contains('\0')), "{mqtt:?}");
    assert!(login.is_none_or(|[user, _]| !user.is_empty()), "{mqtt:?}");
    let may_be_empty = mqtt.session == Session::Clean && mqtt.will.as_ref().is_none_or(|will| will.online.is_none());
    assert!(may_be_empty || !mqtt.client_id.is_empty(), "{mqtt:?}");
    assert!(!mqtt.client_id.contains(char::is_control), "{mqtt:?}");
    assert!(mqtt.session != Session::Kept { expiry: 0 }, "{mqtt:?}");
    assert!((1024..=268_435_460).contains(&mqtt.max_packet_size), "{mqtt:?}");
    assert!((1..=1000).contains(&mqtt.max_inflight), "{mqtt:?}");
    assert_seconds(mqtt.reconnect_max, 0.01);
    if let Some(will) = &mqtt.will {
        assert!(will.online.is_none() || will.message.retain, "{will:?}");
        for message in [Some(&will.message), will.online.as_ref()].into_iter().flatten() {
            assert!(message.payload.len() <= 65_535 && message.bytes() < mqtt.max_packet_size as usize, "{will:?}");
        }
    }
}

fn assert_http(http: &Http) {
    assert!((1..=64).contains(&http.workers), "{http:?}");
    assert!((1..=268_435_460).contains(&http.max_body), "{http:?}");
    assert!((1..=100_000).contains(&http.max_connections), "{http:?}");
    assert_seconds(http.idle_timeout, 0.1);
    assert_seconds(http.request_timeout, 0.1);
    let is_lower = |text: &String| !text.is_empty() && text.is_ascii() && *text == text.to_lowercase();
    assert!(http.allowed_hosts.iter().chain(&http.allowed_origins).all(is_lower), "{http:?}");
    assert!(http.allowed_hosts.iter().all(|host| !host.contains(['/', '*', '[', '@'])), "{http:?}");
    assert!(http.allowed_origins.iter().all(|origin| origin.matches('/').count() == 2), "{http:?}");
}

fn assert_token(token: &Token) {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    assert!((1..=64).contains(&token.name.len()) && token.name.chars().all(is_allowed), "{}", token.name);
    assert!(token.publish.iter().chain(&token.subscribe).all(|filter| !filter.is_shared()), "{}", token.name);
    assert!(token.rate.is_none_or(|rate| rate > 0.0 && rate <= 1e6), "{:?}", token.rate);
}

fn assert_seconds(time: Duration, shortest: f64) {
    assert!((shortest..=3600.0).contains(&time.as_secs_f64()), "{time:?}");
}

/// The same text with other letters and digits in its passwords and hashes; `None` where their place is not certain.
fn with_other_secrets(text: &str) -> Option<String> {
    let is_plain = !["\"\"\"", "'''"].iter().any(|quotes| text.contains(quotes));
    is_plain.then(|| text.split_inclusive('\n').map(with_other_secret).collect())
}

fn with_other_secret(line: &str) -> String {
    let Some((before, secret, after)) = around_secret(line) else { return line.to_owned() };
    before.chars().chain(secret.chars().map(another)).chain(after.chars()).collect()
}

/// The first quoted text for one of the keys; the closing quotes may be missing.
fn around_secret(line: &str) -> Option<(&str, &str, &str)> {
    const BLANK: [char; 2] = [' ', '\t'];
    let start = line.trim_start_matches(BLANK);
    let value = ["password", "sha256", "secret-sha256", "headers.X-Secret"]
        .into_iter()
        .find_map(|key| start.strip_prefix(key))?;
    let value = value.trim_start_matches(BLANK).strip_prefix('=')?.trim_start_matches([' ', '\t', '[']);
    let (before, rest) = line.split_at(line.len() - value.strip_prefix('"')?.len());
    let (secret, after) = rest.split_at(rest.find('"').unwrap_or(rest.len()));
    // a letter after a backslash is part of an escape
    (!secret.contains('\\')).then_some((before, secret, after))
}

/// Another character of the same kind; the case of hexadecimal digits is kept.
fn another(c: char) -> char {
    let next_in = |first: u8, count: u8| char::from(first + (c as u8 - first + 1) % count);
    match c {
        '0'..='9' => next_in(b'0', 10),
        'a'..='f' => next_in(b'a', 6),
        'A'..='F' => next_in(b'A', 6),
        'g'..='z' => next_in(b'g', 20),
        'G'..='Z' => next_in(b'G', 20),
        other => other,
    }
}
