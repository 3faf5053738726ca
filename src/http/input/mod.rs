//! What requests say, read into the types of the bridge: JSON by `fields`, queries by `parameters`, each value by
//! `values`.

pub mod fields;
pub mod form;
pub mod items;
pub mod parameters;
pub mod payload;
pub mod properties;
pub mod requirements;
pub mod values;
