//! How an error text repeats what a client sent, and names the part of it that is wrong.

use crate::printable::Printable;

/// How much of what a client sent is repeated, in bytes.
pub const SHOWN: usize = 80;

/// What a client sent, for a text: printable, and cut.
pub fn shown(sent: &(impl AsRef<[u8]> + ?Sized)) -> Printable<'_> {
    Printable::new(sent, SHOWN)
}

/// Puts the name of a field, parameter or header before the error of its value.
pub fn in_field<T>(name: &str, checked: Result<T, String>) -> Result<T, String> {
    checked.map_err(|error| format!("`{}` {error}", shown(name)))
}
