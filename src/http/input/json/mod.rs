//! JSON bodies: an object by its `fields`, an array by its `items`, each a `value` that is checked where it is used.
//!
//! `serde_json` splits a body into values without parsing these; `raw` does that with limits, so that a body of a few
//! bytes per value cannot take many times its memory.

mod body;
mod form;
mod raw;
mod value;

pub mod fields;
pub mod items;
pub mod pointer;

pub use self::fields::Fields;
pub use self::raw::{Limit, Value};
