//! Named values: the fields of a JSON object and the parameters of a query, each taken by its name and then checked.

use crate::http::reply::{in_field, shown};
use crate::similar::{hint, similar};

/// Named values that are not yet taken, in their order. Each name is there once.
#[derive(Debug)]
pub struct Named<V> {
    /// `field` or `parameter`, for the errors.
    kind: &'static str,
    values: Vec<(String, V)>,
}

impl<V> Named<V> {
    pub fn new(kind: &'static str, values: Vec<(String, V)>) -> Self {
        Self { kind, values }
    }

    /// Those that are not yet taken.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub fn take(&mut self, name: &str) -> Option<V> {
        let position = self.values.iter().position(|(other, _)| other == name)?;
        Some(self.values.remove(position).1)
    }

    /// The checked value, if it is there. The error names it.
    pub fn read<T>(&mut self, name: &str, check: impl Fn(V) -> Result<T, String>) -> Result<Option<T>, String> {
        self.take(name).map(|value| in_field(name, check(value))).transpose()
    }

    /// The same for a value that has two names, of which only one may be there.
    pub fn read_either<T>(
        &mut self,
        [name, other]: [&str; 2],
        check: impl Fn(V) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        match (self.read(name, &check)?, self.read(other, &check)?) {
            (Some(_), Some(_)) => Err(format!("{}s `{name}` and `{other}` are two names for one thing", self.kind)),
            (value, of_other) => Ok(value.or(of_other)),
        }
    }

    /// The error for a missing value. It names an unknown one that the client may have meant for it.
    pub fn missing(&self, name: &str) -> String {
        let kind = self.kind;
        let meant = self.values.iter().find(|(other, _)| similar(other, [name]).is_some());
        let unknown = meant
            .map(|(other, _)| format!(", and {kind} `{}` is unknown: did you mean `{name}`?", shown(other)))
            .unwrap_or_default();
        format!("{kind} `{name}` is missing{unknown}")
    }

    /// Refuses values that were not taken: an unknown value must not be ignored silently.
    pub fn finish(self, known: &str) -> Result<(), String> {
        let Some((name, _)) = self.values.first() else { return Ok(()) };
        Err(format!("unknown {} `{}`: there are {known}{}", self.kind, shown(name), hint(name, known)))
    }
}
