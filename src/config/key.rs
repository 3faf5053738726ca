//! A key of a table: its name, the kind of its value, and the value where there is one.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use toml::{Table, Value};

use super::document::Position;
use super::environment::Environment;
use super::fault::Fault;
use super::kind::Kind;

/// A key whose value is of a kind.
pub struct Key<K> {
    slot: Slot,
    kind: PhantomData<K>,
}

/// A key of any kind. Shown as its name in backticks.
pub struct Slot {
    /// As in the file, such as `max-body`.
    pub name: String,
    /// As it was read, and where.
    pub value: Option<(Value, Position)>,
    /// The title of the table that has the key, and where the table starts, if it is there at all.
    table: Option<(&'static str, Position)>,
}

impl<K> Key<K> {
    /// A key without a value; `name` is in snake case.
    pub fn new(name: &str) -> Self {
        Self { slot: Slot { name: name.replace('_', "-"), value: None, table: None }, kind: PhantomData }
    }

    pub fn slot(&mut self) -> &mut Slot {
        &mut self.slot
    }

    /// The value as another check reads it.
    pub fn read_as<T>(&self, check: impl Fn(&Value) -> Result<T, String>) -> Result<Option<T>, Fault> {
        let Some((value, position)) = &self.slot.value else { return Ok(None) };
        let checked = match value {
            Value::String(text) if self.is_overridden() => from_text(text, check),
            _ => check(value),
        };
        let fault = |what| match position {
            Position::Tutorial(_) => Fault::new(position, what),
            _ => Fault::new(position, format!("{} {what}", self.slot)),
        };
        checked.map(Some).map_err(fault)
    }
}

impl<K: Kind> Key<K> {
    /// The value, if there is one.
    pub fn read(&self) -> Result<Option<K::Value>, Fault> {
        self.read_as(K::read)
    }

    /// The value of a key that its table must have.
    pub fn required(&self) -> Result<K::Value, Fault> {
        self.read()?.ok_or_else(|| match &self.slot.table {
            Some((title, position)) => {
                let this = if title.starts_with("[[") { "this " } else { "" };
                Fault::new(position, format!("{} is missing in {this}{title}", self.slot))
            }
            None => Fault::new(&self.slot, "is missing"),
        })
    }

    /// Takes the value of a variable of the tutorial, unless the key's own variable is set. What the file has is
    /// checked all the same.
    pub fn override_by(&mut self, variable: &'static str, environment: &Environment) -> Result<(), Fault> {
        if self.is_set_by_variable() {
            return Ok(());
        }
        self.read()?;
        if let Some(text) = environment.text(variable)? {
            self.slot.value = Some((Value::String(text), Position::Tutorial(variable)));
        }
        Ok(())
    }
}

impl Slot {
    /// The end of the name of its environment variable, such as `MAX_BODY`.
    pub fn variable_suffix(&self) -> String {
        self.name.replace('-', "_").to_ascii_uppercase()
    }

    pub fn set_table(&mut self, title: &'static str, position: &Position) {
        self.table.get_or_insert_with(|| (title, position.clone()));
    }

    /// Whether its table is there, with or without this key.
    pub fn has_table(&self) -> bool {
        self.table.is_some()
    }

    pub fn position(&self) -> Option<&Position> {
        self.value.as_ref().map(|(_, position)| position)
    }

    pub fn is_set_by_variable(&self) -> bool {
        matches!(self.position(), Some(Position::Variable(_)))
    }

    /// Whether the value comes from the environment.
    pub fn is_overridden(&self) -> bool {
        matches!(self.position(), Some(Position::Variable(_) | Position::Tutorial(_)))
    }

    /// A fault of the value: it breaks a rule that other keys are part of.
    pub fn fault(&self, what: impl Into<String>) -> Fault {
        match self.position() {
            Some(position) => Fault::new(position, what),
            None => Fault::new(self, what),
        }
    }
}

impl<K> Deref for Key<K> {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl<K> fmt::Display for Key<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.slot.fmt(f)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name)
    }
}

/// Reads a text without a type, as variables are: `7` is a number for one key and a name for another. Where the key
/// takes a list, that is TOML's in brackets, or the items between commas; where it takes a table, that is TOML's in
/// braces.
fn from_text<T>(text: &str, check: impl Fn(&Value) -> Result<T, String>) -> Result<T, String> {
    if check(&Value::Array(Vec::new())).is_ok() {
        return check(&Value::Array(list_from_text(text)));
    }
    if check(&Value::Table(Table::new())).is_ok() {
        return check(&of_toml(text, '{').unwrap_or_else(|| Value::String(text.to_owned())));
    }
    let (integer, float, truth) = (text.parse().ok(), text.parse().ok(), text.parse().ok());
    let typed = [integer.map(Value::Integer), float.map(Value::Float), truth.map(Value::Boolean)];
    let found = typed.into_iter().flatten().find_map(|value| check(&value).ok());
    found.map_or_else(|| check(&Value::String(text.to_owned())), Ok)
}

pub fn list_from_text(text: &str) -> Vec<Value> {
    match of_toml(text, '[') {
        Some(Value::Array(items)) => items,
        _ => text.split(',').map(|item| Value::String(item.trim().to_owned())).collect(),
    }
}

/// A value of TOML that begins with `start`.
fn of_toml(text: &str, start: char) -> Option<Value> {
    let document = text.trim_start().starts_with(start).then(|| format!("value = {text}"))?;
    document.parse::<Table>().ok()?.remove("value")
}
