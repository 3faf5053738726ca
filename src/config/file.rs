//! The tables of `bridge.toml`: which keys there are, their defaults, and the line of each fault.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::password::{self, Password};
use super::{Config, Environment, Fault, Http, Mqtt, Publish, Source, Subscription, derived_client_id, value};
use crate::message::Qos;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tables {
    mqtt: MqttTable,
    subscribe: Vec<Spanned<SubscribeTable>>,
    publish: PublishTable,
    http: HttpTable,
}

/// A value and its place in the file; checked by the functions of [`value`].
type Key = Option<Spanned<Value>>;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct MqttTable {
    server: Key,
    port: Key,
    keepalive: Key,
    user: Key,
    password: Key,
    password_file: Key,
    protocol: Key,
    client_id: Key,
    max_packet_size: Key,
    reconnect_max: Key,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SubscribeTable {
    topic: Key,
    qos: Key,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PublishTable {
    timeout: Key,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct HttpTable {
    listen: Key,
    workers: Key,
    max_body: Key,
}

/// Turns the text of a file and the environment into a configuration, or into the first fault.
pub fn read(text: &str, source: &Source, environment: &Environment) -> Result<Config, Fault> {
    let file = File { name: source.to_string(), text };
    let tables: Tables = toml::from_str(text).map_err(|error| file.fault(error.span(), &one_line(error.message())))?;
    Ok(Config {
        mqtt: read_mqtt(&file, &tables.mqtt, source, environment)?,
        subscribe: read_subscriptions(&file, &tables.subscribe)?,
        publish: Publish {
            timeout: file
                .read("timeout", &tables.publish.timeout, value::publish_timeout)?
                .unwrap_or(Duration::from_secs(10)),
        },
        http: read_http(&file, &tables.http)?,
    })
}

fn read_mqtt(file: &File, table: &MqttTable, source: &Source, environment: &Environment) -> Result<Mqtt, Fault> {
    let overridden = Overridden { file, environment };
    file.read("protocol", &table.protocol, value::protocol)?;
    let server = overridden.read("server", &table.server, "MQTT_SERVER", value::server)?;
    let port = overridden.read("port", &table.port, "MQTT_PORT", value::port)?;
    let keepalive = overridden.read("keepalive", &table.keepalive, "MQTT_KEEPALIVE", value::keepalive)?;
    let user = overridden.read("user", &table.user, "MQTT_USER", value::mqtt_string)?;
    let password_of_file = read_password(file, table, source)?;
    let password = password::from_outside(environment)?.or(password_of_file);
    Ok(Mqtt {
        server: server.unwrap_or_else(|| "127.0.0.1".to_owned()),
        port: port.unwrap_or(1883),
        keepalive: keepalive.unwrap_or(Duration::from_secs(60)),
        login: password::login(user.unwrap_or_default(), password)?,
        client_id: file
            .read("client-id", &table.client_id, value::client_id)?
            .unwrap_or_else(|| derived_client_id(source)),
        max_packet_size: file
            .read("max-packet-size", &table.max_packet_size, value::max_packet_size)?
            .unwrap_or(1_048_576),
        reconnect_max: file
            .read("reconnect-max", &table.reconnect_max, value::reconnect_max)?
            .unwrap_or(Duration::from_secs(30)),
    })
}

fn read_password(file: &File, table: &MqttTable, source: &Source) -> Result<Option<Password>, Fault> {
    // the shipped file has an empty one, which is none
    let secret = file.read("password", &table.password, value::secret)?.filter(|secret| !secret.is_empty());
    let path = file.read("password-file", &table.password_file, value::text)?;
    match (secret, path, &table.password_file) {
        (Some(_), _, Some(key)) => {
            Err(file.fault(Some(key.span()), "`password` and `password-file` must not both be there"))
        }
        (_, Some(path), Some(key)) => {
            password::from_file(&beside(source, &path), file.place(Some(key.span()))).map(Some)
        }
        (secret, ..) => {
            let span = table.password.as_ref().map(Spanned::span);
            Ok(secret.map(|secret| Password { secret, place: file.place(span) }))
        }
    }
}

/// A relative path is looked for beside the configuration file, wherever the daemon was started.
fn beside(source: &Source, path: &str) -> PathBuf {
    match source {
        Source::File(file) => file.parent().unwrap_or(Path::new("")).join(path),
        Source::BuiltIn => PathBuf::from(path),
    }
}

fn read_subscriptions(file: &File, tables: &[Spanned<SubscribeTable>]) -> Result<Vec<Subscription>, Fault> {
    let mut subscriptions: Vec<Subscription> = Vec::with_capacity(tables.len());
    for table in tables {
        let missing = || file.fault(Some(table.span()), "`topic` is missing in this [[subscribe]]");
        let topic = file.read("topic", &table.get_ref().topic, value::topic_filter)?.ok_or_else(missing)?;
        if subscriptions.iter().any(|other| other.topic == topic) {
            let span = table.get_ref().topic.as_ref().map(Spanned::span);
            return Err(file.fault(span, "this `topic` is subscribed to twice: one [[subscribe]] is enough"));
        }
        let qos = file.read("qos", &table.get_ref().qos, value::qos)?.unwrap_or(Qos::AtMostOnce);
        subscriptions.push(Subscription { topic, qos });
    }
    Ok(subscriptions)
}

fn read_http(file: &File, table: &HttpTable) -> Result<Http, Fault> {
    Ok(Http {
        listen: file
            .read("listen", &table.listen, value::listen)?
            .unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8000))),
        workers: file.read("workers", &table.workers, value::workers)?.unwrap_or(2),
        max_body: file.read("max-body", &table.max_body, value::max_body)?.unwrap_or(1_048_576),
    })
}

/// The text of a configuration file, for the lines of its faults.
struct File<'a> {
    name: String,
    text: &'a str,
}

impl File<'_> {
    /// The value of a key, if it is there.
    fn read<T>(&self, name: &str, key: &Key, check: impl Fn(&Value) -> Result<T, String>) -> Result<Option<T>, Fault> {
        let Some(key) = key else { return Ok(None) };
        let value = check(key.get_ref()).map_err(|what| self.fault(Some(key.span()), &format!("`{name}` {what}")))?;
        Ok(Some(value))
    }

    fn fault(&self, span: Option<Range<usize>>, what: &str) -> Fault {
        Fault { place: self.place(span), what: what.to_owned() }
    }

    /// `NAME:LINE`.
    fn place(&self, span: Option<Range<usize>>) -> String {
        let start = span.map_or(0, |span| span.start.min(self.text.len()));
        let line = self.text.as_bytes()[..start].split(|&byte| byte == b'\n').count();
        format!("{}:{line}", self.name)
    }
}

/// The keys that an environment variable overrides.
struct Overridden<'a> {
    file: &'a File<'a>,
    environment: &'a Environment,
}

impl Overridden<'_> {
    /// The variable's value, else the key's; both are checked.
    fn read<T>(
        &self,
        name: &str,
        key: &Key,
        variable: &str,
        check: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<Option<T>, Fault> {
        let in_file = self.file.read(name, key, &check)?;
        let Some(text) = self.environment.text(variable)? else {
            return Ok(in_file);
        };
        // a variable has no type: what is a number for the one key is a name for the other
        let as_number = text.parse().ok().and_then(|number| check(&Value::Integer(number)).ok());
        let checked = as_number.map_or_else(|| check(&Value::String(text)), Ok);
        checked.map(Some).map_err(|what| Fault { place: variable.to_owned(), what })
    }
}

/// The parser's words, which may take several lines.
fn one_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join(", ")
}
