//! A connection to an endpoint, as ureq uses it.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use thiserror::Error as ThisError;
use ureq::Error;
use ureq::config::Config;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use super::timed::{Timed, is_late};
#[cfg(feature = "tls")]
use super::tls::Encrypted;
use super::words::Words;

/// The byte stream of a connection, encrypted or not.
#[derive(Debug)]
pub enum Channel {
    Plain(Timed),
    #[cfg(feature = "tls")]
    Encrypted(Box<Encrypted>),
}

/// A connection to an endpoint.
#[derive(Debug)]
pub struct Link {
    channel: Channel,
    buffers: LazyBuffers,
    /// It was kept, and nothing has come since.
    is_kept: bool,
    /// Why a request could not be written. What follows of it is dropped, and its answer may still come.
    unwritten: Option<io::Error>,
}

/// The end of a kept connection, without an answer to the request that was sent on it: the server had closed it, or
/// did so at that moment.
#[derive(Debug, ThisError)]
#[error("the kept connection was closed")]
pub struct Stale;

/// Whether this error is the end of a kept connection.
pub fn is_stale(error: &Error) -> bool {
    matches!(error, Error::Other(error) if error.is::<Stale>())
}

impl Link {
    pub fn new(channel: Channel, config: &Config) -> Self {
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Self { channel, buffers, is_kept: false, unwritten: None }
    }

    /// The end of the connection by the server.
    fn end(&mut self, error: io::Error) -> Error {
        if self.is_kept { Error::Other(Stale.into()) } else { Error::Io(self.unwritten.take().unwrap_or(error)) }
    }
}

impl Transport for Link {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.unwritten.is_some() {
            return Ok(());
        }
        self.channel.timed().set_deadline(deadline(&timeout));
        let writer = self.channel.writer();
        match writer.write_all(&self.buffers.output()[..amount]).and_then(|()| writer.flush()) {
            Err(error) if is_late(&error) => Err(Error::Timeout(timeout.reason)),
            Err(error) if is_end(&error) => {
                self.unwritten = Some(error);
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.channel.timed().set_deadline(deadline(&timeout));
        let buffer = self.buffers.input_append_buf();
        if buffer.is_empty() {
            return Err(Words("the head of the answer is too long".to_owned()).into());
        }
        match self.channel.reader().read(buffer) {
            Ok(0) => Err(self.end(ErrorKind::UnexpectedEof.into())),
            Ok(amount) => {
                self.is_kept = false;
                self.buffers.input_appended(amount);
                Ok(true)
            }
            Err(error) if is_late(&error) => Err(Error::Timeout(timeout.reason)),
            Err(error) if is_end(&error) => Err(self.end(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Asked before a connection is kept, and before it is used again.
    fn is_open(&mut self) -> bool {
        self.is_kept = self.unwritten.is_none() && self.channel.is_quiet();
        self.is_kept
    }

    fn is_tls(&self) -> bool {
        !matches!(self.channel, Channel::Plain(_))
    }
}

impl Channel {
    fn timed(&mut self) -> &mut Timed {
        match self {
            Self::Plain(timed) => timed,
            #[cfg(feature = "tls")]
            Self::Encrypted(encrypted) => encrypted.timed(),
        }
    }

    fn reader(&mut self) -> &mut dyn Read {
        match self {
            Self::Plain(timed) => timed,
            #[cfg(feature = "tls")]
            Self::Encrypted(encrypted) => &mut **encrypted,
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(timed) => timed,
            #[cfg(feature = "tls")]
            Self::Encrypted(encrypted) => &mut **encrypted,
        }
    }

    fn is_quiet(&mut self) -> bool {
        match self {
            Self::Plain(timed) => timed.is_quiet(),
            #[cfg(feature = "tls")]
            Self::Encrypted(encrypted) => encrypted.is_quiet(),
        }
    }
}

/// When this timeout is over: in a day at most, as ureq's endless timeout would overflow.
pub fn deadline(timeout: &NextTimeout) -> Instant {
    Instant::now() + (*timeout.after).min(Duration::from_secs(86_400))
}

/// Whether it is the end of a connection by the server, with or without a reset.
fn is_end(error: &io::Error) -> bool {
    use ErrorKind as Kind;

    matches!(error.kind(), Kind::UnexpectedEof | Kind::BrokenPipe | Kind::ConnectionReset | Kind::ConnectionAborted)
}
