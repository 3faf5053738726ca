//! The text of a configuration file, and positions in it.

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};
use toml::{Spanned, Value};

use super::fault::Fault;
use super::syntax;

/// The text of a configuration file.
#[derive(Debug)]
pub struct Document {
    name: String,
    text: String,
}

/// Where a value was read.
#[derive(Debug, Clone)]
pub enum Position {
    /// At a byte of a file. Shown as `PATH:LINE`.
    File(Rc<Document>, usize),
    /// In the environment variable of the key, such as `MQTT_BRIDGE_MQTT_PORT`.
    Variable(String),
    /// In a variable that the tutorial uses, such as `MQTT_PORT`.
    Tutorial(&'static str),
}

impl Document {
    pub fn new(name: String, text: String) -> Rc<Self> {
        Rc::new(Self { name, text })
    }

    /// The tables of the file.
    pub fn parse(self: &Rc<Self>) -> Result<DeTable<'_>, Fault> {
        DeTable::parse(&self.text).map(Spanned::into_inner).map_err(|error| self.syntax_fault(&error))
    }

    pub fn position(self: &Rc<Self>, span: &Range<usize>) -> Position {
        Position::File(self.clone(), span.start.min(self.text.len()))
    }

    /// A fault that the TOML parser found.
    fn syntax_fault(self: &Rc<Self>, error: &Error) -> Fault {
        self.fault(error.message(), error.span())
    }

    pub fn unknown_name(self: &Rc<Self>, name: &Spanned<impl AsRef<str>>, known: &[String]) -> Fault {
        let known = known.join("`, `");
        self.fault(
            &format!("unknown field `{}`, expected one of `{known}`", name.get_ref().as_ref()),
            Some(name.span()),
        )
    }

    pub fn value(self: &Rc<Self>, value: &Spanned<DeValue>) -> Result<Value, Fault> {
        Value::deserialize(ValueDeserializer::from(value.clone())).map_err(|error| self.syntax_fault(&error))
    }

    pub fn wrong_type(self: &Rc<Self>, value: &Spanned<DeValue>, expected: &str) -> Fault {
        match ValueDeserializer::from(value.clone()).deserialize_any(Refused(expected)) {
            Err(error) => self.syntax_fault(&error),
            Ok(never) => match never {},
        }
    }

    fn fault(self: &Rc<Self>, message: &str, span: Option<Range<usize>>) -> Fault {
        let position = self.position(&span.clone().unwrap_or_default());
        Fault::new(position, syntax::words(message, span, &self.text))
    }
}

/// Takes no value, and says what is expected instead, in the words that serde has for other types.
struct Refused<'a>(&'a str);

impl Visitor<'_> for Refused<'_> {
    type Value = Infallible;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.0)
    }

    /// The text is not shown: it may be a secret.
    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Infallible, E> {
        Err(E::invalid_type(Unexpected::Other("string"), &self))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(document, at) => {
                let line = document.text.as_bytes()[..*at].split(|&byte| byte == b'\n').count();
                write!(f, "{}:{line}", document.name)
            }
            Self::Variable(name) => f.write_str(name),
            Self::Tutorial(name) => f.write_str(name),
        }
    }
}
