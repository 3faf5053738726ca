//! The binary form of what the file keeps. Numbers are little-endian; texts and bytes have their length first.
//!
//! A row begins with the version of this form. What cannot be read is an error, never a panic: the file is damaged
//! then.

mod key;
mod reader;
mod stored;
#[cfg(test)]
mod tests;
mod writer;

pub use self::key::{decode_key, encode_key};
pub use self::stored::{decode, encode};
