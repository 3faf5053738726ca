//! journald's socket: a datagram for each record, and a sealed memfd for one that is too large for a datagram.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::passing::may_pass;

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// The pause before the next attempt when journald is not there.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether standard error is connected to journald (systemd.exec(5), `$JOURNAL_STREAM`).
pub fn is_stderr_journald() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Some((device, inode)) = stream.split_once(':') else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().and_then(|stderr| File::from(stderr).metadata());
    stderr.is_ok_and(|stderr| device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino()))
}

/// A socket to journald.
pub struct Journald(UnixDatagram);

impl Journald {
    /// # Errors
    /// If there is no descriptor left.
    pub fn open() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        let _ = socket.connect(SOCKET);
        Ok(Self(socket))
    }

    /// Writes a record. Waits for journald, however long it takes or is not there.
    ///
    /// # Errors
    /// If another attempt with this record would fail too.
    pub fn write(&mut self, record: &[u8]) -> io::Result<()> {
        loop {
            let sent = self.0.send(record).map(drop);
            let written =
                sent.or_else(|error| if is_too_large(&error) { self.write_large(record) } else { Err(error) });
            match written {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_passing(&error) => {
                    sleep(PAUSE);
                    // a journald that was restarted has another socket
                    let _ = self.0.connect(SOCKET);
                }
                written => return written,
            }
        }
    }

    fn write_large(&self, record: &[u8]) -> io::Result<()> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("mqtt-bridge-record", flags)?);
        file.write_all(record)?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        fcntl_add_seals(&file, seals)?;
        let file = OwnedFd::from(file);
        let descriptors = [file.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(&self.0, &[IoSlice::new(&[])], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// Whether it is too large for a datagram, or for what the socket has room for at present.
fn is_too_large(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MSGSIZE | Errno::NOBUFS))
}

/// Whether another attempt may succeed: journald is not there or starts, or the system is short of something.
fn is_passing(error: &io::Error) -> bool {
    let of_sockets = [Errno::CONNREFUSED, Errno::CONNRESET, Errno::PIPE, Errno::TOOMANYREFS, Errno::DESTADDRREQ];
    may_pass(error) || Errno::from_io_error(error).is_some_and(|code| of_sockets.contains(&code))
}
