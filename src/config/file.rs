//! The tables of `bridge.toml`: which keys there are, their defaults, and the line of each fault.

mod broker;
mod tls;
mod tokens;

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use toml::{Spanned, Value};

use super::password::{self, Password};
use super::table::{self, Table};
use super::{
    Config, Environment, Fault, Http, Listen, Log, Login, Mqtt, Protocol, Publish, Session, Source, Subscription,
    derived_client_id, value, will,
};
use crate::message::Qos;
use crate::printable::Printable;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tables {
    #[serde(deserialize_with = "table::single")]
    mqtt: MqttTable,
    #[serde(deserialize_with = "subscribe_tables")]
    subscribe: Vec<Table<SubscribeTable>>,
    #[serde(deserialize_with = "table::single")]
    publish: PublishTable,
    #[serde(deserialize_with = "table::single")]
    http: HttpTable,
    #[serde(deserialize_with = "token_tables")]
    token: Vec<Table<tokens::TokenTable>>,
    #[serde(deserialize_with = "table::single")]
    log: LogTable,
}

fn subscribe_tables<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Table<SubscribeTable>>, D::Error> {
    table::array(deserializer, "[[subscribe]]")
}

fn token_tables<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Table<tokens::TokenTable>>, D::Error> {
    table::array(deserializer, "[[token]]")
}

/// A value and its place in the file; checked by the functions of [`value`].
pub(super) type Key = Option<Spanned<Value>>;

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
    clean_session: Key,
    session_expiry: Key,
    max_packet_size: Key,
    max_inflight: Key,
    reconnect_max: Key,
    transport: Key,
    #[serde(deserialize_with = "table::single")]
    tls: TlsTable,
    #[serde(deserialize_with = "table::optional")]
    will: Option<Table<will::WillTable>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct TlsTable {
    enabled: Key,
    ca_file: Key,
    cert_file: Key,
    key_file: Key,
    alpn: Key,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SubscribeTable {
    topic: Key,
    qos: Key,
    priority: Key,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct PublishTable {
    timeout: Key,
    max_timeout: Key,
    max_waiting: Key,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct HttpTable {
    listen: Key,
    workers: Key,
    max_body: Key,
    max_connections: Key,
    max_listeners: Key,
    idle_timeout: Key,
    request_timeout: Key,
    allow_anonymous: Key,
    allowed_hosts: Key,
    allowed_origins: Key,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LogTable {
    level: Key,
    format: Key,
    time: Key,
}

/// Turns the text of a file and the environment into a configuration, or into the first fault.
pub fn read(text: &str, source: &Source, environment: &Environment) -> Result<Config, Fault> {
    let file = File { name: source.to_string(), text };
    let tables: Tables = toml::from_str(text).map_err(|error| file.fault(error.span(), &one_line(error.message())))?;
    let mqtt = read_mqtt(&file, &tables.mqtt, source, environment)?;
    let (publish, http) = (read_publish(&file, &tables.publish)?, read_http(&file, &tables.http)?);
    Ok(Config {
        subscribe: read_subscriptions(&file, &tables.subscribe, mqtt.session)?,
        mqtt,
        tokens: tokens::read(&file, &tables.token, &publish, &http)?,
        publish,
        http,
        log: read_log(&file, &tables.log)?,
    })
}

fn read_log(file: &File, table: &LogTable) -> Result<Log, Fault> {
    let default = Log::default();
    Ok(Log {
        level: file.read("level", &table.level, value::log_level)?.unwrap_or(default.level),
        format: file.read("format", &table.format, value::log_format)?.unwrap_or(default.format),
        time: file.read("time", &table.time, value::truth)?.unwrap_or(default.time),
    })
}

fn read_mqtt(file: &File, table: &MqttTable, source: &Source, environment: &Environment) -> Result<Mqtt, Fault> {
    let overridden = Overridden { file, environment };
    let (server, tls) = broker::read(&overridden, table, source)?;
    let keepalive = overridden.read("keepalive", &table.keepalive, "MQTT_KEEPALIVE", value::keepalive)?;
    let client_id = file.read("client-id", &table.client_id, value::mqtt_string)?;
    let max_packet_size = file.read("max-packet-size", &table.max_packet_size, value::max_packet_size)?;
    let max_inflight = file.read("max-inflight", &table.max_inflight, value::max_inflight)?;
    let reconnect_max = file.read("reconnect-max", &table.reconnect_max, value::reconnect_max)?;
    let max_packet_size = max_packet_size.unwrap_or(1_048_576);
    let session = read_session(file, table)?;
    let will = table.will.as_ref().map(|table| will::read(file, table, max_packet_size)).transpose()?;
    if client_id.as_ref().is_some_and(String::is_empty) {
        let fault = |what| Err(file.fault(table.client_id.as_ref().map(Spanned::span), what));
        if session != Session::Clean {
            return fault("`client-id` must not be empty where `clean-session` is false: what is kept needs a name");
        }
        if will.as_ref().is_some_and(|will| will.online.is_some()) {
            // under another name the will of the last connection comes long after the `online` of this one
            return fault("`client-id` must not be empty where there is `online` in [mqtt.will]");
        }
    }
    let protocol = file.read("protocol", &table.protocol, value::protocol)?.unwrap_or(Protocol::V5);
    Ok(Mqtt {
        server,
        tls,
        keepalive: keepalive.unwrap_or(Duration::from_secs(60)),
        login: read_login(&overridden, table, source)?,
        client_id: client_id.unwrap_or_else(|| derived_client_id(source)),
        protocol,
        session,
        max_packet_size,
        max_inflight: max_inflight.unwrap_or(match protocol {
            // no broker of this version says how many it takes, and some end the connection or drop what is more
            Protocol::V311 => 100,
            Protocol::V5 => value::MAX_INFLIGHT,
        }),
        reconnect_max: reconnect_max.unwrap_or(Duration::from_secs(30)),
        will,
    })
}

fn read_session(file: &File, table: &MqttTable) -> Result<Session, Fault> {
    let expiry = file.read("session-expiry", &table.session_expiry, value::session_expiry)?.unwrap_or(86_400);
    let clean = file.read("clean-session", &table.clean_session, value::truth)?.unwrap_or(true);
    Ok(if clean { Session::Clean } else { Session::Kept { expiry } })
}

fn read_login(overridden: &Overridden, table: &MqttTable, source: &Source) -> Result<Option<Login>, Fault> {
    let Overridden { file, environment } = *overridden;
    let user = overridden.read("user", &table.user, "MQTT_USER", value::mqtt_string)?.unwrap_or_default();
    // the shipped file has an empty one, which is none
    let secret = file.read("password", &table.password, value::secret)?.filter(|secret| !secret.is_empty());
    let path = file.read("password-file", &table.password_file, value::text)?;
    let place_of = |key: &Key| file.place(key.as_ref().map(Spanned::span));
    if secret.is_some() && path.is_some() {
        let span = table.password_file.as_ref().map(Spanned::span);
        return Err(file.fault(span, "`password` and `password-file` must not both be there"));
    }
    let password = match (password::from_outside(environment)?, secret, path) {
        (Some(outside), ..) => Some(outside),
        (None, Some(secret), _) => Some(Password { secret, place: place_of(&table.password) }),
        (None, None, Some(path)) => Some(password::from_file(&beside(source, &path), place_of(&table.password_file))?),
        (None, None, None) => None,
    };
    password::login(user, password)
}

/// A relative path is looked for beside the configuration file, wherever the daemon was started; beside a credential's
/// original, so that it is the same file for the unit and for whoever tries its configuration by hand.
fn beside(source: &Source, path: &str) -> PathBuf {
    source.path().and_then(Path::parent).unwrap_or(Path::new("")).join(path)
}

fn read_subscriptions(
    file: &File,
    tables: &[Table<SubscribeTable>],
    session: Session,
) -> Result<Vec<Subscription>, Fault> {
    let mut subscriptions: Vec<Subscription> = Vec::with_capacity(tables.len());
    for Table { span, keys } in tables {
        let missing = || file.fault(Some(span.clone()), "`topic` is missing in this [[subscribe]]");
        let topic = file.read("topic", &keys.topic, value::topic_filter)?.ok_or_else(missing)?;
        if subscriptions.iter().any(|other| other.topic == topic) {
            let span = keys.topic.as_ref().map(Spanned::span);
            return Err(file.fault(span, "this `topic` is subscribed to twice: one [[subscribe]] is enough"));
        }
        let qos = file.read("qos", &keys.qos, value::qos)?.unwrap_or(Qos::AtMostOnce);
        if qos == Qos::ExactlyOnce && session != Session::Clean {
            let span = keys.qos.as_ref().map(Spanned::span);
            // the library forgets what it received, and falls out with the resumed session (bytebeamio/rumqtt#664)
            return Err(file.fault(span, "`qos` must be 0 or 1 where `clean-session` is false"));
        }
        let priority = file.read("priority", &keys.priority, value::priority)?.unwrap_or_default();
        subscriptions.push(Subscription { topic, qos, priority });
    }
    Ok(subscriptions)
}

fn read_publish(file: &File, table: &PublishTable) -> Result<Publish, Fault> {
    let max_timeout = file.read("max-timeout", &table.max_timeout, value::publish_timeout)?;
    let max_timeout = max_timeout.unwrap_or(Duration::from_secs(60));
    let timeout = file.read("timeout", &table.timeout, value::publish_timeout)?;
    if timeout.is_some_and(|timeout| timeout > max_timeout) {
        let what = format!("`timeout` must be at most `max-timeout`, which is {} s", max_timeout.as_secs_f64());
        return Err(file.fault(table.timeout.as_ref().map(Spanned::span), &what));
    }
    Ok(Publish {
        // a shorter `max-timeout` alone is meant for this one too
        timeout: timeout.unwrap_or(Duration::from_secs(10)).min(max_timeout),
        max_timeout,
        max_waiting: file.read("max-waiting", &table.max_waiting, value::max_waiting)?.unwrap_or(1000),
    })
}

fn read_http(file: &File, table: &HttpTable) -> Result<Http, Fault> {
    let idle_timeout = file.read("idle-timeout", &table.idle_timeout, value::connection_timeout)?;
    let request_timeout = file.read("request-timeout", &table.request_timeout, value::connection_timeout)?;
    let max_connections = file.read("max-connections", &table.max_connections, value::max_connections)?;
    let max_listeners = file.read("max-listeners", &table.max_listeners, value::max_listeners)?;
    let allow_anonymous = file.read("allow-anonymous", &table.allow_anonymous, value::truth)?;
    let allowed_hosts = file.read("allowed-hosts", &table.allowed_hosts, value::hosts)?;
    let allowed_origins = file.read("allowed-origins", &table.allowed_origins, value::origins)?;
    Ok(Http {
        listen: file
            .read("listen", &table.listen, value::listen)?
            .unwrap_or(Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)))),
        workers: file.read("workers", &table.workers, value::workers)?.unwrap_or(2),
        max_body: file.read("max-body", &table.max_body, value::max_body)?.unwrap_or(1_048_576),
        max_connections: max_connections.unwrap_or(1000),
        max_listeners: max_listeners.unwrap_or(200),
        idle_timeout: idle_timeout.unwrap_or(Duration::from_secs(60)),
        request_timeout: request_timeout.unwrap_or(Duration::from_secs(10)),
        allow_anonymous: allow_anonymous.unwrap_or(false),
        allowed_hosts: allowed_hosts.unwrap_or_default(),
        allowed_origins: allowed_origins.unwrap_or_default(),
    })
}

/// How much of the parser's words a fault repeats, in bytes: all of them where no key is of unusual length.
const MAX_WORDS: usize = 500;

/// The text of a configuration file, for the lines of its faults.
pub(super) struct File<'a> {
    name: String,
    text: &'a str,
}

impl File<'_> {
    /// The value of a key, if it is there.
    pub(super) fn read<T>(
        &self,
        name: &str,
        key: &Key,
        check: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<Option<T>, Fault> {
        let Some(key) = key else { return Ok(None) };
        let value = check(key.get_ref()).map_err(|what| self.fault(Some(key.span()), &format!("`{name}` {what}")))?;
        Ok(Some(value))
    }

    pub(super) fn fault(&self, span: Option<Range<usize>>, what: &str) -> Fault {
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

fn span(key: &Key) -> Option<Range<usize>> {
    key.as_ref().map(Spanned::span)
}

/// The parser's words, which may take several lines, and repeat whatever the file has for a key.
fn one_line(message: &str) -> String {
    let line = message.lines().collect::<Vec<_>>().join(", ");
    Printable::new(&line, MAX_WORDS).to_string()
}
