//! Reads what clients send into the types of the bridge: `json` bodies and the `query`, which both have `named` values,
//! whose types `values` checks.

pub mod context;
pub mod idempotency_key;
pub mod json;
pub mod named;
pub mod payload;
pub mod percent;
pub mod prefer;
pub mod properties;
pub mod query;
pub mod requirements;
pub mod values;
