//! Tables of `bridge.toml`: each declares its keys, and is filled from TOML or from variables by that declaration.

use std::collections::BTreeMap;
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Document, Position};
use super::fault::Fault;
use super::key::Slot;

/// The keys of a table; declared by [`keys!`] or [`table!`].
pub trait Keys: Default {
    /// What faults call the table, where it may be missing.
    const TITLE: &'static str;

    fn slots(&mut self) -> Vec<&mut Slot>;

    /// The tables in it, by name.
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Section)>;
}

/// What may stand under the name of a table: one table ([`Keys`]), or several in double brackets ([`Several`]).
pub trait Section {
    fn fill(&mut self, value: &Spanned<DeValue>, document: &Rc<Document>) -> Result<(), Fault>;

    /// The key that a variable names; `rest` is the end of the variable's name, behind that of the table.
    fn slot(&mut self, rest: &str, variable: &Position) -> Option<&mut Slot>;

    /// The names of all variables, each with `prefix` before it.
    fn variables(&mut self, prefix: &str) -> Vec<String>;
}

/// Tables in double brackets. Those of variables replace all of the file.
#[derive(Default)]
pub struct Several<K> {
    in_file: Vec<K>,
    /// By the number in the variable's name.
    in_variables: BTreeMap<u16, K>,
}

impl<K> Several<K> {
    /// The tables that count.
    pub fn tables(&self) -> Vec<&K> {
        if self.in_variables.is_empty() { self.in_file.iter().collect() } else { self.in_variables.values().collect() }
    }

    /// The tables of variables.
    pub fn in_variables(&self) -> Vec<&K> {
        self.in_variables.values().collect()
    }
}

impl<K: Keys> Section for K {
    fn fill(&mut self, value: &Spanned<DeValue>, document: &Rc<Document>) -> Result<(), Fault> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(document.wrong_type(value, "a table, in single brackets and with its keys below"));
        };
        let position = document.position(&value.span());
        self.slots().into_iter().for_each(|slot| slot.set_table(K::TITLE, &position));
        fill(self, table, document)
    }

    fn slot(&mut self, rest: &str, variable: &Position) -> Option<&mut Slot> {
        let rest = rest.strip_prefix('_')?;
        if self.slots().iter().any(|slot| slot.variable_suffix() == rest) {
            self.slots().into_iter().for_each(|slot| slot.set_table(K::TITLE, variable));
            return self.slots().into_iter().find(|slot| slot.variable_suffix() == rest);
        }
        self.tables()
            .into_iter()
            .find_map(|(name, section)| section.slot(rest.strip_prefix(&name.to_ascii_uppercase())?, variable))
    }

    fn variables(&mut self, prefix: &str) -> Vec<String> {
        let mut names: Vec<_> =
            self.slots().into_iter().map(|slot| format!("{prefix}_{}", slot.variable_suffix())).collect();
        for (name, section) in self.tables() {
            names.extend(section.variables(&format!("{prefix}_{}", name.to_ascii_uppercase())));
        }
        names
    }
}

impl<K: Keys> Section for Several<K> {
    fn fill(&mut self, value: &Spanned<DeValue>, document: &Rc<Document>) -> Result<(), Fault> {
        let DeValue::Array(items) = value.get_ref() else {
            return Err(document.wrong_type(value, &format!("tables in double brackets, {}", K::TITLE)));
        };
        for item in items {
            let mut keys = K::default();
            keys.fill(item, document)?;
            self.in_file.push(keys);
        }
        Ok(())
    }

    fn slot(&mut self, rest: &str, variable: &Position) -> Option<&mut Slot> {
        let (number, key) = rest.strip_prefix('_')?.split_once('_')?;
        let (number, key) = (number.parse().ok()?, format!("_{key}"));
        K::default().slot(&key, variable)?;
        self.in_variables.entry(number).or_default().slot(&key, variable)
    }

    fn variables(&mut self, prefix: &str) -> Vec<String> {
        K::default().variables(&format!("{prefix}_0"))
    }
}

/// Gives each key the value that the file has.
pub fn fill(keys: &mut impl Keys, table: &DeTable, document: &Rc<Document>) -> Result<(), Fault> {
    for (name, value) in table {
        let key = name.get_ref().as_ref();
        if let Some(slot) = keys.slots().into_iter().find(|slot| slot.name == key) {
            slot.value = Some((document.value(value)?, document.position(&value.span())));
            continue;
        }
        let section = keys.tables().into_iter().find(|(name, _)| *name == key);
        match section {
            Some((_, section)) => section.fill(value, document)?,
            None => return Err(document.unknown_name(name, &names(keys))),
        }
    }
    Ok(())
}

fn names(keys: &mut impl Keys) -> Vec<String> {
    let mut names: Vec<_> = keys.slots().into_iter().map(|slot| slot.name.clone()).collect();
    names.extend(keys.tables().into_iter().map(|(name, _)| name.to_owned()));
    names
}

/// Declares the keys of a table, each with the kind of its value, and behind a semicolon the tables in it.
macro_rules! keys {
    ($visibility:vis struct $name:ident $($title:literal)? {
        $($key:ident: $kind:ty),* $(,)? $(; $($inner:ident: $section:ty),+ $(,)?)?
    }) => {
        $visibility struct $name {
            $(pub $key: $crate::config::key::Key<$kind>,)*
            $($(pub $inner: $section,)+)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($key: $crate::config::key::Key::new(stringify!($key)),)*
                    $($($inner: Default::default(),)+)?
                }
            }
        }

        impl $crate::config::table::Keys for $name {
            const TITLE: &'static str = concat!($($title)?);

            fn slots(&mut self) -> Vec<&mut $crate::config::key::Slot> {
                vec![$(self.$key.slot()),*]
            }

            fn tables(&mut self) -> Vec<(&'static str, &mut dyn $crate::config::table::Section)> {
                vec![$($((stringify!($inner), &mut self.$inner)),+)?]
            }
        }
    };
}

/// Declares a table whose values go into fields of the same names: its keys, as [`keys!`] does, and a structure that
/// they are read into. A key without a default must be there.
macro_rules! table {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident from $keys:ident $($title:literal)? {
            $($(#[$comment:meta])* $key:ident: $kind:ty $(= $default:expr)?),+ $(,)?
        }
    ) => {
        keys! { pub struct $keys $($title)? { $($key: $kind),+ } }

        $(#[$attribute])*
        pub struct $name {
            $($(#[$comment])* pub $key: <$kind as $crate::config::kind::Kind>::Value,)+
        }

        impl $keys {
            /// The values or their defaults. Each value is checked by itself.
            pub fn read_each(&self) -> Result<$name, $crate::config::fault::Fault> {
                Ok($name { $($key: table!(@read self.$key $(, $default)?),)+ })
            }
        }
    };
    (@read $key:expr) => { $key.required()? };
    (@read $key:expr, $default:expr) => {
        match $key.read()? {
            Some(value) => value,
            None => $default,
        }
    };
}
