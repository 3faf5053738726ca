//! Reads the parts of a row.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// The version of rows that are written, and the only one that is read.
pub const VERSION: u8 = 1;

/// A row cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// It has another version.
    #[error("version {0}")]
    Version(u8),
    /// It ends too early, or has something after its end.
    #[error("its length is wrong")]
    Length,
    /// A part has a value that it cannot have; the name of the part.
    #[error("{0} is wrong")]
    Part(&'static str),
}

/// What is left of a row.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A whole row.
    pub fn new(row: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Self(row);
        match reader.byte()? {
            VERSION => Ok(reader),
            other => Err(Malformed::Version(other)),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed::Length)
    }

    pub fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    /// 0 or 1; the name of the part is for the error.
    pub fn flag(&mut self, part: &'static str) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::Part(part)),
        }
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(usize::try_from(length).map_err(|_| Malformed::Length)?)
    }

    /// UTF-8; the name of the part is for the error.
    pub fn text(&mut self, part: &'static str) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed::Part(part))
    }

    /// A text that is there if the flag before it says so.
    pub fn optional_text(&mut self, part: &'static str) -> Result<Option<&'a str>, Malformed> {
        self.flag(part)?.then(|| self.text(part)).transpose()
    }

    pub fn number(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// Nanoseconds since 1970.
    pub fn time(&mut self) -> Result<SystemTime, Malformed> {
        let since = Duration::from_nanos(self.number()?);
        UNIX_EPOCH.checked_add(since).ok_or(Malformed::Part("a time"))
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::Length) }
    }
}
