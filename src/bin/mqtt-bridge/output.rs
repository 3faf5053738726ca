//! What the commands print; the daemon's records go through the journal instead.

use std::io;

use mqtt_bridge::printable::one_line;
use mqtt_bridge::standard::Stream;

use crate::status::Status;

/// Prints to standard output; a reader that closes it early, such as `head`, is no failure.
pub fn say(text: &str) -> Status {
    match print(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => unprinted(&error),
        _ => Status::Stopped,
    }
}

/// The same for a secret that is shown only now: any failure counts, and so does a standard output that was closed.
pub fn hand_over(text: &str) -> Status {
    if Stream::Output.may_have_been_closed() {
        return unprinted(&io::Error::from_raw_os_error(libc::EBADF));
    }
    print(text).map_or_else(|error| unprinted(&error), |()| Status::Stopped)
}

/// Prints the one line that says why the process ends.
pub fn fail(status: Status, error: &str) -> Status {
    tell(error);
    status
}

/// Prints a line to standard error.
pub fn tell(words: &str) {
    // if that fails, the exit status says enough
    let _ = Stream::Error.write(format!("mqtt-bridge: {}\n", one_line(words)).as_bytes());
}

fn print(text: &str) -> io::Result<()> {
    Stream::Output.write(text.as_bytes()).map_err(|unwritten| unwritten.error)
}

fn unprinted(error: &io::Error) -> Status {
    fail(Status::Failed, &format!("cannot print to standard output: {error}"))
}
