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
        _ if error.raw_os_error().is_some() => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_ascii_lowercase()
        }
        // of one address, which has a part of the time
        ErrorKind::TimedOut => format!("no connection within {} s", timeout.as_secs_f64()),
        _ => tls_words(error).unwrap_or_else(|| shown(error)),
    }
}

fn shown(error: &impl ToString) -> String {
    Printable::new(&error.to_string(), SHOWN).to_string()
}

/// A build without TLS has no such errors.
#[cfg(not(feature = "tls"))]
fn tls_words(_: &io::Error) -> Option<String> {
    None
}

/// The words of an error of TLS that a stream of bytes ended with.
#[cfg(feature = "tls")]
fn tls_words(error: &io::Error) -> Option<String> {
    error.get_ref()?.downcast_ref().map(|error| Words::of_tls(error).0)
}

#[cfg(feature = "tls")]
impl Words {
    /// An error of TLS.
    pub fn of_tls(error: &rustls::Error) -> Self {
        use rustls::CertificateError as Fault;
        use rustls::Error as Tls;

        let fault = match error {
            Tls::InvalidMessage(_) | Tls::InappropriateMessage { .. } => {
                return Self("what answers there is not TLS".to_owned());
            }
            Tls::AlertReceived(alert) => return Self(format!("the endpoint ended TLS with the alert {alert:?}")),
            Tls::PeerIncompatible(_) => {
                let what = "the endpoint has no version of TLS (1.2 or 1.3) or no cipher in common with us";
                return Self(what.to_owned());
            }
            Tls::InvalidCertificate(fault) => fault,
            other => return Self(format!("TLS: {}", shown(other))),
        };
        Self(match fault {
            Fault::UnknownIssuer => {
                "the endpoint's certificate is of no authority in `ca-file`, or that the system trusts".to_owned()
            }
            Fault::Other(rustls::OtherError(between)) => format!("a certificate between the two: {}", shown(between)),
            // these have times and names in them
            fault => format!("the endpoint's certificate: {}", shown(fault)),
        })
    }

    /// An error during the handshake.
    pub fn of_handshake(error: &io::Error) -> Self {
        Self(match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                "the endpoint closed the connection before TLS began".to_owned()
            }
            _ => tls_words(error).unwrap_or_else(|| format!("the TLS handshake failed: {}", shown(error))),
        })
    }
}
