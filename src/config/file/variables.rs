//! Environment variables that say what the file could: `MQTT_BRIDGE_`, the table and the key, in upper case.
//!
//! Tables in double brackets have a number behind their name. A variable wins over the file, and those of such tables
//! take the place of all that the file has of them.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::{Spanned, Value};

use super::super::table::{Key, Keys, Table};
use super::super::will::WillTable;
use super::super::{Environment, Fault};
use super::tokens::TokenTable;
use super::{File, MqttTable, SubscribeTable, Tables};
use crate::similar::hint;

/// What each name begins with.
const PREFIX: &str = "MQTT_BRIDGE_";
/// Topic filters, all of the same quality of service and priority.
const SUBSCRIBE: &str = "SUBSCRIBE";
const TOKEN: &str = "TOKEN";

/// Lets the variables win over the tables of the file. Returns what there is to be said of others.
pub fn overlay(tables: &mut Tables, file: &mut File, environment: &Environment) -> Result<Vec<String>, Fault> {
    let (mut warnings, mut several) = (Vec::new(), Several::default());
    for name in environment.names(PREFIX) {
        let Some(text) = environment.text(&name)? else { continue };
        let rest = &name[PREFIX.len()..];
        let place = file.text.len() + 1 + file.variables.len();
        let place = place..place;
        match several.slot(rest, &place).or_else(|| single(tables, rest, &place)) {
            Some(key) => {
                *key = Some(Spanned::new(place, Value::String(text)));
                file.variables.push(name);
            }
            None if is_of_kubernetes(rest) => {}
            None => warnings.push(unknown(&name)),
        }
    }
    several.overlay(tables, file)?;
    choose_password(tables, file);
    Ok(warnings)
}

/// What a check makes of a text, which has no type: what is a number for the one key is a name for the other. Where it
/// takes a list, that is TOML's in brackets, or what stands between commas.
pub fn check<T>(text: &str, check: impl Fn(&Value) -> Result<T, String>) -> Result<T, String> {
    if check(&Value::Array(Vec::new())).is_ok() {
        return check(&Value::Array(list(text)));
    }
    let (integer, float, truth) = (text.parse().ok(), text.parse().ok(), text.parse().ok());
    let typed = [integer.map(Value::Integer), float.map(Value::Float), truth.map(Value::Boolean)];
    let found = typed.into_iter().flatten().find_map(|value| check(&value).ok());
    found.map_or_else(|| check(&Value::String(text.to_owned())), Ok)
}

fn list(text: &str) -> Vec<Value> {
    let in_brackets = text.trim_start().starts_with('[').then(|| format!("list = {text}"));
    let parsed = in_brackets.and_then(|text| text.parse::<toml::Table>().ok());
    match parsed.and_then(|mut table| table.remove("list")) {
        Some(Value::Array(items)) => items,
        _ => text.split(',').map(|item| Value::String(item.trim().to_owned())).collect(),
    }
}

/// Tables of which there may be several, and the filters that stand in one variable.
#[derive(Default)]
struct Several {
    topics: Key,
    qos: Key,
    priority: Key,
    subscribe: BTreeMap<u16, Table<SubscribeTable>>,
    token: BTreeMap<u16, Table<TokenTable>>,
}

impl Several {
    fn slot(&mut self, rest: &str, place: &Range<usize>) -> Option<&mut Key> {
        match rest.split_once('_') {
            None if rest == SUBSCRIBE => Some(&mut self.topics),
            Some((SUBSCRIBE, "QOS")) => Some(&mut self.qos),
            Some((SUBSCRIBE, "PRIORITY")) => Some(&mut self.priority),
            Some((SUBSCRIBE, rest)) => numbered(&mut self.subscribe, rest, place),
            Some((TOKEN, rest)) => numbered(&mut self.token, rest, place),
            _ => None,
        }
    }

    /// What there is takes the place of all that the file has of it.
    fn overlay(self, tables: &mut Tables, file: &File) -> Result<(), Fault> {
        let Self { topics, qos, priority, subscribe, token } = self;
        if let Some(key) = qos.as_ref().or(priority.as_ref()).filter(|_| topics.is_none()) {
            let what = format!("is for the topic filters of {PREFIX}{SUBSCRIBE}, which is not set");
            return Err(file.fault(Some(key.span()), &what));
        }
        let listed = topics.iter().flat_map(|topics| {
            let (span, text) = (topics.span(), topics.get_ref().as_str().unwrap_or_default());
            let (qos, priority) = (&qos, &priority);
            list(text).into_iter().map(move |topic| {
                let topic = Some(Spanned::new(span.clone(), topic));
                let keys = SubscribeTable { topic, qos: qos.clone(), priority: priority.clone() };
                Table { span: span.clone(), keys }
            })
        });
        let subscribe: Vec<_> = listed.chain(subscribe.into_values()).collect();
        if !subscribe.is_empty() {
            tables.subscribe = subscribe;
        }
        if !token.is_empty() {
            tables.token = token.into_values().collect();
        }
        Ok(())
    }
}

/// A key of a table with a number, which is there from now on.
fn numbered<'a, K: Keys>(
    tables: &'a mut BTreeMap<u16, Table<K>>,
    rest: &str,
    place: &Range<usize>,
) -> Option<&'a mut Key> {
    let (number, key) = rest.split_once('_')?;
    let number = number.parse().ok()?;
    find(&mut K::default(), key)?;
    let table = tables.entry(number).or_insert_with(|| Table { span: place.clone(), keys: K::default() });
    find(&mut table.keys, key)
}

/// A key of a table that is there once.
fn single<'a>(tables: &'a mut Tables, rest: &str, place: &Range<usize>) -> Option<&'a mut Key> {
    let Tables { mqtt, publish, http, log, .. } = tables;
    match rest.split_once('_')? {
        ("PUBLISH", key) => find(publish, key),
        ("HTTP", key) => find(http, key),
        ("LOG", key) => find(log, key),
        ("MQTT", key) => match key.split_once('_') {
            Some(("TLS", key)) => find(&mut mqtt.tls, key),
            Some(("WILL", key)) => {
                find(&mut WillTable::default(), key)?;
                let new = || Table { span: place.clone(), keys: WillTable::default() };
                find(&mut mqtt.will.get_or_insert_with(new).keys, key)
            }
            _ => find(mqtt, key),
        },
        _ => None,
    }
}

fn find<'a>(table: &'a mut impl Keys, key: &str) -> Option<&'a mut Key> {
    table.keys().into_iter().find(|(name, _)| name.to_ascii_uppercase() == key).map(|(_, key)| key)
}

/// Of a password and the file of one, that counts which a variable says.
fn choose_password(tables: &mut Tables, file: &File) {
    let MqttTable { password, password_file, .. } = &mut tables.mqtt;
    match [&*password, &*password_file].map(|key| file.variable_of(key).is_some()) {
        [true, false] => *password_file = None,
        [false, true] => *password = None,
        _ => {}
    }
}

/// What Kubernetes sets for a service whose name begins with "mqtt-bridge": `…SERVICE_HOST`, `…SERVICE_PORT`, `…PORT`,
/// `…SERVICE_PORT_NAME` and `…PORT_1883_TCP_ADDR`.
fn is_of_kubernetes(rest: &str) -> bool {
    let has_number = |behind: &str| behind.starts_with(|c: char| c.is_ascii_digit());
    let rest = format!("_{rest}");
    rest.ends_with("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || rest.ends_with("_PORT")
        || rest.split_once("_PORT_").is_some_and(|(_, behind)| has_number(behind))
}

/// The words about a variable that is none of ours, with the one that it may be meant for.
fn unknown(name: &str) -> String {
    format!("{name} names no key of the configuration{}", hint(name, &format!("`{}`", names().join("` `"))))
}

/// All names, those of tables of which there may be several with the number 0.
fn names() -> Vec<String> {
    let mut names = vec![format!("{PREFIX}{SUBSCRIBE}")];
    let mut add = |section: &str, keys: Vec<(&'static str, &mut Key)>| {
        names.extend(keys.into_iter().map(|(key, _)| format!("{PREFIX}{section}_{}", key.to_ascii_uppercase())));
    };
    let mut tables = Tables::default();
    add("MQTT", tables.mqtt.keys());
    add("MQTT_TLS", tables.mqtt.tls.keys());
    add("MQTT_WILL", WillTable::default().keys());
    add("PUBLISH", tables.publish.keys());
    add("HTTP", tables.http.keys());
    add("LOG", tables.log.keys());
    add("SUBSCRIBE_0", SubscribeTable::default().keys());
    add("TOKEN_0", TokenTable::default().keys());
    names
}

#[cfg(test)]
mod tests;
