//! TLS to an endpoint, by the configuration that the bridge keeps for its certificates.

use std::io::{self, ErrorKind, Read, Write};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use ureq::Error;

use super::timed::{Timed, is_late};
use super::words::Words;
use crate::tls::Tls;

/// An encrypted connection.
#[derive(Debug)]
pub struct Encrypted {
    connection: ClientConnection,
    timed: Timed,
}

impl Encrypted {
    /// Completes the handshake. Files that have changed are read again.
    pub fn begin(mut timed: Timed, host: &str, tls: &Tls) -> Result<Self, Error> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| Words(format!("no certificate can be for the name {host}")))?;
        let connection = ClientConnection::new(tls.config(), name);
        let mut connection = connection.map_err(|error| Words::of_tls(&error))?;
        while connection.is_handshaking() {
            match connection.complete_io(&mut timed) {
                Ok(_) => {}
                Err(error) if is_late(&error) => {
                    return Err(Words("the TLS handshake did not end in time".to_owned()).into());
                }
                Err(error) => return Err(Words::of_handshake(&error).into()),
            }
        }
        Ok(Self { connection, timed })
    }

    pub fn timed(&mut self) -> &mut Timed {
        &mut self.timed
    }

    /// Whether nothing is to be read, neither in the socket nor what has been decrypted.
    pub fn is_quiet(&mut self) -> bool {
        let decrypted = self.connection.process_new_packets().map(|state| state.plaintext_bytes_to_read());
        decrypted == Ok(0) && self.timed.is_quiet()
    }
}

/// Unlike rustls' own stream it reads though writing has failed: the server may have answered before it closed.
impl Read for Encrypted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            self.connection.read_tls(&mut self.timed)?;
            if let Err(error) = self.connection.process_new_packets() {
                // the alert, for which nobody waits
                let _ = self.connection.write_tls(&mut self.timed);
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        }
    }
}

impl Write for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let amount = self.connection.writer().write(bytes)?;
        self.flush()?;
        Ok(amount)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.timed)?;
        }
        Ok(())
    }
}
