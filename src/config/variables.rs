//! Environment variables that say what the file could: `MQTT_BRIDGE_`, the table and the key, in upper case.
//!
//! Tables in double brackets have a number behind their name. A variable wins over the file, and those of such tables
//! replace all that the file has of them.

use toml::Value;

use super::document::Position;
use super::environment::Environment;
use super::fault::Fault;
use super::table::Section;
use crate::similar::hint;

/// The start of each name.
pub const PREFIX: &str = "MQTT_BRIDGE_";

/// Sets the keys that variables name. Returns a warning for each variable that names no key.
pub fn overlay(tables: &mut impl Section, environment: &Environment) -> Result<Vec<String>, Fault> {
    let mut warnings = Vec::new();
    for name in environment.names(PREFIX) {
        let Some(text) = environment.text(&name)? else { continue };
        let position = Position::Variable(name.clone());
        match tables.slot(&name[PREFIX.len() - 1..], &position) {
            Some(slot) => slot.value = Some((Value::String(text), position)),
            None if is_of_kubernetes(&name[PREFIX.len() - 1..]) => {}
            None => warnings.push(unknown(&name, &names(tables))),
        }
    }
    Ok(warnings)
}

/// What Kubernetes sets for a service whose name begins with "mqtt-bridge": `…_SERVICE_HOST`, `…_SERVICE_PORT`,
/// `…_PORT`, `…_SERVICE_PORT_NAME` and `…_PORT_1883_TCP_ADDR`.
fn is_of_kubernetes(rest: &str) -> bool {
    let has_number = |behind: &str| behind.starts_with(|c: char| c.is_ascii_digit());
    rest.ends_with("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || rest.ends_with("_PORT")
        || rest.split_once("_PORT_").is_some_and(|(_, behind)| has_number(behind))
}

/// The warning about a variable that names no key, with the name that it may be meant for.
fn unknown(name: &str, known: &[String]) -> String {
    format!("{name} names no key of the configuration{}", hint(name, &format!("`{}`", known.join("` `"))))
}

/// All names. Tables of which there may be several have the number 0.
pub fn names(tables: &mut impl Section) -> Vec<String> {
    tables.variables(PREFIX.trim_end_matches('_'))
}
