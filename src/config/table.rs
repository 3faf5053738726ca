//! Tables of `bridge.toml` that are written as tables: serde would take an array of their values too, by position.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use toml::{Spanned, Value};

/// A value and its place in the file; checked by the functions of [`super::value`].
pub type Key = Option<Spanned<Value>>;

/// A table whose keys can be told by their names, so that none is forgotten where others than the file may set them.
pub trait Keys: Default {
    /// Each with its name, in snake case.
    fn keys(&mut self) -> Vec<(&'static str, &mut Key)>;
}

/// Declares a table with its keys, and after a semicolon the tables in it.
macro_rules! table {
    ($visibility:vis struct $name:ident {
        $($key:ident),+ $(,)? $(; $($(#[$attribute:meta])* $inner:ident: $type:ty),+ $(,)?)?
    }) => {
        #[derive(Default, serde::Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        $visibility struct $name {
            $($key: $crate::config::table::Key,)+
            $($($(#[$attribute])* $inner: $type,)+)?
        }

        impl $crate::config::table::Keys for $name {
            fn keys(&mut self) -> Vec<(&'static str, &mut $crate::config::table::Key)> {
                vec![$((stringify!($key), &mut self.$key)),+]
            }
        }
    };
}
pub(super) use table;

/// One of several tables, and its place in the file.
pub struct Table<T> {
    pub span: Range<usize>,
    pub keys: T,
}

/// `[name]`.
pub fn single<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(Single(PhantomData))
}

/// `[name]`, which may not be there.
pub fn optional<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Table<T>>, D::Error> {
    let element = Spanned::<Element<T>>::deserialize(deserializer)?;
    Ok(Some(Table { span: element.span(), keys: element.into_inner().0 }))
}

/// Tables of this name, in its double brackets, as often as they stand there.
pub fn array<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    name: &'static str,
) -> Result<Vec<Table<T>>, D::Error> {
    deserializer.deserialize_seq(Array { name, keys: PhantomData })
}

struct Single<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Single<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a table, in single brackets and with its keys below")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<T, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<T, E> {
        Err(E::invalid_type(UNSHOWN_TEXT, &self))
    }
}

/// Text in the place of a table might be a secret.
const UNSHOWN_TEXT: Unexpected = Unexpected::Other("string");

struct Array<T> {
    name: &'static str,
    keys: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Array<T> {
    type Value = Vec<Table<T>>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "tables in double brackets, {}", self.name)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::invalid_type(UNSHOWN_TEXT, &self))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<Vec<Table<T>>, S::Error> {
        let mut tables = Vec::new();
        while let Some(element) = sequence.next_element::<Spanned<Element<T>>>()? {
            tables.push(Table { span: element.span(), keys: element.into_inner().0 });
        }
        Ok(tables)
    }
}

struct Element<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        single(deserializer).map(Self)
    }
}
