//! Writes a reply with a deadline: a client that takes nothing for the length of a stall timeout is given up.
//!
//! All replies to requests are written here. The listening socket has a send timeout of 1 ms, so that each try to write
//! returns soon. Only `sockets` writes otherwise: it sends a reply on a connection of which there is no request, or
//! whose request cannot be answered through tiny_http before its body was read, and it never waits.

use std::io::{self, ErrorKind, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tiny_http::{Request, Response};

use super::disposal::is_too_long_to_drop;

/// The pauses between tries to write to a client that takes nothing.
const MIN_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_millis(100);
/// The status of an interim response that asks the client for nothing (RFC 2518, 10.1).
const PROCESSING: u16 = 102;

/// Writes a reply. A client that takes nothing for `stall_timeout` is given up.
pub fn write(writer: &mut dyn Write, reply: &[u8], stall_timeout: Duration) -> io::Result<()> {
    let mut writer = TimedWriter::new(writer, stall_timeout, || false);
    writer.write_all(reply)?;
    writer.flush()
}

/// Writes the reply to a request whose body tiny_http has not read, calls `close`, and drops the request, which waits
/// for the rest of the body. Needs HTTP/1.1.
///
/// tiny_http gives its writer only to those who drop the body, which waits for the body. The exception is a change of
/// protocol, which begins with a response of our choice: an interim one (RFC 9110, 15.2), which the reply may follow.
pub fn write_before_body(request: Request, reply: &[u8], close: impl FnOnce()) {
    let is_too_long = is_too_long_to_drop(&request);
    let mut stream = request.upgrade("HTTP/1.1", Response::empty(PROCESSING));
    let _ = write(&mut stream, reply, Duration::ZERO);
    close();
    if is_too_long {
        // leaks tiny_http's thread and its descriptors; the reaper counts the connection as stuck
        std::mem::forget(stream);
    }
}

/// Whether an error means that the connection is reset or closed.
pub fn is_disconnected(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}

/// A writer that tries again where the socket has no room, as long as the client takes a little now and then.
pub struct TimedWriter<'a, F> {
    writer: &'a mut dyn Write,
    stall_timeout: Duration,
    is_cancelled: F,
    /// When the client last took something, or else when writing began.
    progress: Instant,
    pause: Duration,
}

impl<'a, F: Fn() -> bool> TimedWriter<'a, F> {
    /// A client that takes nothing for `stall_timeout` is given up, and at once when `is_cancelled`.
    pub fn new(writer: &'a mut dyn Write, stall_timeout: Duration, is_cancelled: F) -> Self {
        Self { writer, stall_timeout, is_cancelled, progress: Instant::now(), pause: MIN_PAUSE }
    }

    /// Waits before the next try, if the error was that there is no room.
    fn wait(&mut self, error: io::Error) -> io::Result<()> {
        let may_pass = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted);
        if !may_pass || (self.is_cancelled)() || self.progress.elapsed() >= self.stall_timeout {
            return Err(error);
        }
        sleep(self.pause);
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        Ok(())
    }
}

impl<F: Fn() -> bool> Write for TimedWriter<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.writer.write(bytes) {
                Err(error) => self.wait(error)?,
                written => {
                    (self.progress, self.pause) = (Instant::now(), MIN_PAUSE);
                    return written;
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while let Err(error) = self.writer.flush() {
            self.wait(error)?;
        }
        Ok(())
    }
}
