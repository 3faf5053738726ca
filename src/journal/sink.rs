//! Where records are written: journald, or standard error.

use std::io;
use std::time::SystemTime;

use super::entry::Entry;
use super::line;
use super::native::{self, Journald};
use crate::config;
use crate::standard::Stream;

/// What is wrong with a standard error that cannot be told from a closed one.
const CLOSED: &str = "it is closed, or a /dev/null that is open for reading too";

/// Where records are written.
pub enum Sink {
    /// Datagrams with fields.
    Journald(Journald),
    /// One line each on standard error.
    Lines {
        settings: config::Log,
        is_closed: bool,
        /// The last line was written in part only.
        is_torn: bool,
    },
}

impl Sink {
    /// journald, if standard error is connected to it, and else standard error.
    pub fn open(settings: &config::Log) -> io::Result<Self> {
        if native::is_stderr_journald() {
            return Journald::open().map(Self::Journald);
        }
        let is_closed = Stream::Error.may_have_been_closed();
        Ok(Self::Lines { settings: *settings, is_closed, is_torn: false })
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Journald(_) => "journald",
            Self::Lines { .. } => "standard error",
        }
    }

    /// The record in the form of this sink.
    pub fn form(&self, entry: &Entry, time: SystemTime, bytes: &mut Vec<u8>) {
        match self {
            // journald adds the time
            Self::Journald(_) => entry.encode(bytes),
            Self::Lines { settings, .. } => line::write(entry, time, settings, bytes),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Journald(journald) => journald.write(bytes),
            Self::Lines { is_closed: true, .. } => Err(io::Error::other(CLOSED)),
            Self::Lines { is_torn, .. } => {
                // the part of a line that was written before the disk was full gets its own line
                if *is_torn {
                    Stream::Error.write(b"\n").map_err(|unwritten| unwritten.error)?;
                    *is_torn = false;
                }
                // one write, so that no line of another process gets into the middle
                Stream::Error.write(bytes).map_err(|unwritten| {
                    *is_torn = unwritten.written > 0;
                    unwritten.error
                })
            }
        }
    }
}
