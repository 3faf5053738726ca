//! The tables of `bridge.toml`: which keys there are, their defaults, and the line of each fault.

mod broker;
mod tls;
mod tokens;
mod variables;

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use toml::{Spanned, Value};

use super::password::{self, Password};
use super::table::{self, Key, Table, table};
use super::{
    Config, Environment, Fault, Http, Listen, Log, Login, Mqtt, Protocol, Publish, Session, Source, Subscription,
    client_id, parser, value, will,
};
use crate::message::Qos;

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

table! {
    struct MqttTable {
        server,
        port,
        keepalive,
        user,
        password,
        password_file,
        protocol,
        client_id,
        clean_session,
        session_expiry,
        max_packet_size,
        max_inflight,
        reconnect_max,
        transport;
        #[serde(deserialize_with = "table::single")]
        tls: TlsTable,
        #[serde(deserialize_with = "table::optional")]
        will: Option<Table<will::WillTable>>,
    }
}

table! {
    struct TlsTable {
        enabled,
        ca_file,
        cert_file,
        key_file,
        alpn,
    }
}

table! {
    struct SubscribeTable {
        topic,
        qos,
        priority,
    }
}

table! {
    struct PublishTable {
        timeout,
        max_timeout,
        max_waiting,
    }
}

table! {
    struct HttpTable {
        listen,
        workers,
        max_body,
        max_connections,
        max_listeners,
        idle_timeout,
        request_timeout,
        allow_anonymous,
        allowed_hosts,
        allowed_origins,
    }
}

table! {
    struct LogTable {
        level,
        format,
        time,
    }
}

/// Turns the text of a file and the environment into a configuration, or into the first fault.
pub fn read(text: &str, source: &Source, environment: &Environment) -> Result<Config, Fault> {
    let mut file = File { name: source.to_string(), text, variables: Vec::new() };
    let parsed = toml::from_str(text);
    let mut tables: Tables = parsed.map_err(|error: toml::de::Error| {
        let words = parser::words(error.message(), error.span(), text);
        file.fault(error.span(), &words)
    })?;
    let warnings = variables::overlay(&mut tables, &mut file, environment)?;
    let mqtt = read_mqtt(&file, &tables.mqtt, source, environment)?;
    let (publish, http) = (read_publish(&file, &tables.publish)?, read_http(&file, &tables.http)?);
    Ok(Config {
        subscribe: read_subscriptions(&file, &tables.subscribe, mqtt.session)?,
        mqtt,
        tokens: tokens::read(&file, &tables.token, &publish, &http)?,
        publish,
        http,
        log: read_log(&file, &tables.log)?,
        warnings,
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
        client_id: client_id.unwrap_or_else(|| client_id::derived(source)),
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
    let outside = match file.variable_of(&table.password).or_else(|| file.variable_of(&table.password_file)) {
        Some(_) => None,
        None => password::from_outside(environment)?,
    };
    let password = match (outside, secret, path) {
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
        max_waiting: file.read("max-waiting", &table.max_waiting, value::max_waiting)?.unwrap_or(MAX_WAITING),
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

/// Half of it, which is what a token has, is a whole bulk.
const MAX_WAITING: usize = 2000;

/// The text of a configuration file, for the lines of its faults, and the variables that say more.
pub(super) struct File<'a> {
    name: String,
    text: &'a str,
    /// Their places are counted from behind the text.
    variables: Vec<String>,
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
        let checked = match key.get_ref() {
            Value::String(text) if self.variable(&key.span()).is_some() => variables::check(text, &check),
            value => check(value),
        };
        let value = checked.map_err(|what| self.fault(Some(key.span()), &format!("`{name}` {what}")))?;
        Ok(Some(value))
    }

    pub(super) fn fault(&self, span: Option<Range<usize>>, what: &str) -> Fault {
        Fault::new(self.place(span), what)
    }

    /// `NAME:LINE`, or the name of a variable.
    fn place(&self, span: Option<Range<usize>>) -> String {
        if let Some(variable) = span.as_ref().and_then(|span| self.variable(span)) {
            return variable.to_owned();
        }
        let start = span.map_or(0, |span| span.start.min(self.text.len()));
        let line = self.text.as_bytes()[..start].split(|&byte| byte == b'\n').count();
        format!("{}:{line}", self.name)
    }

    /// The variable at this place, if it is one's.
    fn variable(&self, span: &Range<usize>) -> Option<&str> {
        let number = span.start.checked_sub(self.text.len() + 1)?;
        self.variables.get(number).map(String::as_str)
    }

    /// The same for the value of a key.
    fn variable_of(&self, key: &Key) -> Option<&str> {
        self.variable(&key.as_ref()?.span())
    }
}

/// The keys that an environment variable with the tutorial's name overrides.
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
        let Some(text) = self.tutorials(key, variable)? else {
            return Ok(in_file);
        };
        variables::check(&text, check).map(Some).map_err(|what| Fault::new(variable, what))
    }

    /// The text of a variable with the tutorial's name, which a variable with the key's own name wins over.
    fn tutorials(&self, key: &Key, variable: &str) -> Result<Option<String>, Fault> {
        if self.file.variable_of(key).is_some() { Ok(None) } else { self.environment.text(variable) }
    }

    /// The variable that has the value of a key, if there is one.
    fn variable<'b>(&'b self, key: &Key, variable: &'b str) -> Option<&'b str> {
        let is_set = || matches!(self.environment.text(variable), Ok(Some(_)));
        self.file.variable_of(key).or_else(|| is_set().then_some(variable))
    }
}

fn span(key: &Key) -> Option<Range<usize>> {
    key.as_ref().map(Spanned::span)
}
