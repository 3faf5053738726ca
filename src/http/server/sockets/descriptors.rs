//! Acts on sockets that tiny_http owns and does not show, through a descriptor of our own.
//!
//! The owner of a descriptor may close it at any time, and the number may then refer to another file. So nothing is
//! done to the owner's descriptor: the file that it refers to is duplicated onto ours, checked there by its cookie, and
//! only then acted on.
#![expect(unsafe_code, reason = "other threads' descriptors are known by number only")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use rustix::io::{DupFlags, dup3, fcntl_getfd};
use socket2::SockRef;

use super::socket_id::SocketId;
use crate::socket::look;

/// The longest `/proc/self/status`, in bytes.
const STATUS_BYTES: usize = 4096;

/// The descriptors of this process. No method opens a further one (but `has_room`), so that all work at the limit of
/// descriptors.
#[derive(Debug)]
pub struct Descriptors {
    status: File,
    /// `/dev/null`, to which `scratch` refers while it is not in use.
    null: File,
    /// Our descriptor, onto which others are duplicated.
    scratch: Mutex<OwnedFd>,
    /// The number of `scratch`.
    scratch_fd: RawFd,
}

impl Descriptors {
    /// Fails if there is no `/proc`, or no descriptor left.
    pub fn new() -> io::Result<Self> {
        let open = |path| {
            File::open(path).map_err(|error| io::Error::new(error.kind(), format!("{path} cannot be opened: {error}")))
        };
        let null = open("/dev/null")?;
        let scratch = OwnedFd::from(null.try_clone()?);
        let scratch_fd = scratch.as_raw_fd();
        Ok(Self { status: open("/proc/self/status")?, null, scratch: Mutex::new(scratch), scratch_fd })
    }

    /// All numbers that may be open descriptors, but for `scratch`, which shows another's file for a moment.
    pub fn fds(&self) -> impl Iterator<Item = RawFd> {
        let scratch = self.scratch_fd;
        (0..self.table_size()).filter(move |fd| *fd != scratch)
    }

    /// The size of the system's table of our descriptors, some of which may be closed.
    fn table_size(&self) -> RawFd {
        let mut bytes = [0; STATUS_BYTES];
        let length = self.status.read_at(&mut bytes, 0).unwrap_or_default();
        let text = std::str::from_utf8(&bytes[..length]).unwrap_or_default();
        let size = text.lines().find_map(|line| line.strip_prefix("FDSize:")?.trim().parse().ok());
        size.unwrap_or_default()
    }

    /// Whether this many descriptors can be opened.
    pub fn has_room(&self, count: usize) -> bool {
        let opened: io::Result<Vec<File>> = (0..count).map(|_| self.null.try_clone()).collect();
        opened.is_ok()
    }

    /// Calls `act` with the socket, if the descriptor still refers to it.
    pub fn act<R>(&self, socket: SocketId, act: impl FnOnce(SockRef<'_>) -> R) -> Option<R> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        dup3(look(socket.fd), &mut scratch, DupFlags::CLOEXEC).ok()?;
        let is_it = SockRef::from(&*scratch).cookie().is_ok_and(|cookie| cookie == socket.cookie);
        let done = is_it.then(|| act(SockRef::from(&*scratch)));
        // otherwise `scratch` would keep the connection open after tiny_http has closed it
        let _ = dup3(&self.null, &mut scratch, DupFlags::CLOEXEC);
        done
    }

    /// Makes another thread's descriptor refer to `replacement`, which that thread goes on using.
    pub fn replace(fd: RawFd, replacement: impl AsFd) -> io::Result<()> {
        // SAFETY: dup3 closes the old file and opens the replacement in one step; the owner may go on using the number,
        // since `owned` is forgotten and closes nothing
        let mut owned = unsafe { OwnedFd::from_raw_fd(fd) };
        let replaced = dup3(replacement, &mut owned, DupFlags::CLOEXEC);
        std::mem::forget(owned);
        Ok(replaced?)
    }
}

/// Whether this number is an open descriptor.
pub fn is_open(fd: RawFd) -> bool {
    fcntl_getfd(look(fd)).is_ok()
}
