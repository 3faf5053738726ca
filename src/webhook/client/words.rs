//! Why there was no answer, in words about the endpoint.

use std::io::{self, ErrorKind};
use std::time::Duration;

use thiserror::Error as ThisError;
use ureq::Error;

use crate::printable::Printable;

/// How much of the words of a library is shown, in bytes.
const SHOWN: usize = 256;

/// An error that has its words already.
#[derive(Debug, ThisError)]
#[error("{0}")]
pub struct Words(pub String);

impl From<Words> for Error {
    fn from(words: Words) -> Self {
        Self::Other(Box::new(words))
    }
}

/// One line without the URL.
pub fn words(error: &Error, timeout: Duration) -> String {
    match error {
        Error::Timeout(_) => format!("no answer within {} s", timeout.as_secs_f64()),
        Error::Io(error) => io_words(error, timeout),
        Error::LargeResponseHeader(..) => format!("the head of the answer is longer than {} bytes", super::MAX_HEAD),
        Error::Protocol(error) => format!("the answer is not HTTP/1.1: {}", shown(error)),
        Error::Other(words) => shown(words),
        other => shown(other),
    }
}

/// The words of an error of a socket.
fn io_words(error: &io::Error, timeout: Duration) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "the endpoint closed the connection without an answer".to_owned(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
            "the endpoint reset the connection without an answer".to_owned()
        }
        // also the end of one address's part of that time
        ErrorKind::TimedOut => format!("no connection within {} s", timeout.as_secs_f64()),
        _ if error.raw_os_error().is_some() => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_ascii_lowercase()
        }
        _ => shown(error),
    }
}

fn shown(error: &impl ToString) -> String {
    Printable::new(&error.to_string(), SHOWN).to_string()
}

#[cfg(feature = "tls")]
impl Words {
    /// An error of TLS.
    pub fn of_tls(error: &rustls::Error) -> Self {
        use rustls::Error as Tls;

        Self(match error {
            Tls::InvalidMessage(_) | Tls::InappropriateMessage { .. } => "what answers there is not TLS".to_owned(),
            other => format!("TLS: {}", shown(other)),
        })
    }

    /// An error during the handshake.
    pub fn of_handshake(error: &io::Error) -> Self {
        match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(error) => Self::of_tls(error),
            None => Self(format!("the TLS handshake failed: {}", shown(error))),
        }
    }
}
