//! Descriptors that tiny_http owns and does not show: looked at by their number, and acted on through one of ours.
//!
//! A number may be closed and given to another file at any time by the thread that owns it. So a look may tell of a
//! file that was not meant, and is compared with what was; and nothing is done to a number: the file behind it is
//! duplicated onto a descriptor of ours, looked at again there, and only then acted on.
#![expect(unsafe_code, reason = "the descriptors of others are known by number only")]

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{DupFlags, dup3, fcntl_getfd, ioctl_fionread};
use socket2::SockRef;

pub use crate::socket::{Cookie, cookie, ends, is_established, received, unsent};

use crate::socket::look;

/// What `/proc/self/status` may take.
const STATUS_BYTES: usize = 4096;

/// The descriptors of this process. Nothing here takes a new one, so that it works when there are none left.
#[derive(Debug)]
pub struct Descriptors {
    status: File,
    /// Behind [`Self::hand`] while it holds nothing.
    nothing: File,
    /// What is acted through.
    hand: Mutex<OwnedFd>,
    /// Its number.
    ours: RawFd,
}

impl Descriptors {
    /// # Errors
    /// If there is no `/proc`, or no descriptor left.
    pub fn new() -> io::Result<Self> {
        let open = |path| {
            File::open(path).map_err(|error| io::Error::new(error.kind(), format!("{path} cannot be opened: {error}")))
        };
        let nothing = open("/dev/null")?;
        let hand = OwnedFd::from(nothing.try_clone()?);
        let ours = hand.as_raw_fd();
        Ok(Self { status: open("/proc/self/status")?, nothing, hand: Mutex::new(hand), ours })
    }

    /// All numbers that may be in use by others: what our hand holds, somebody else has.
    pub fn numbers(&self) -> impl Iterator<Item = RawFd> {
        let ours = self.ours;
        (0..self.table_size()).filter(move |number| *number != ours)
    }

    /// As many numbers as the system has place for now, of which there may be fewer in use.
    fn table_size(&self) -> RawFd {
        let mut bytes = [0; STATUS_BYTES];
        let length = self.status.read_at(&mut bytes, 0).unwrap_or_default();
        let text = std::str::from_utf8(&bytes[..length]).unwrap_or_default();
        let size = text.lines().find_map(|line| line.strip_prefix("FDSize:")?.trim().parse().ok());
        size.unwrap_or_default()
    }

    /// Whether so many descriptors are to be had.
    pub fn has_room(&self, count: usize) -> bool {
        let taken: io::Result<Vec<File>> = (0..count).map(|_| self.nothing.try_clone()).collect();
        taken.is_ok()
    }

    /// Does something to the socket behind a number, if it is still the one that was meant.
    pub fn act<R>(&self, number: RawFd, cookie: Cookie, act: impl FnOnce(SockRef<'_>) -> R) -> Option<R> {
        let mut hand = self.hand.lock().unwrap_or_else(PoisonError::into_inner);
        dup3(look(number), &mut hand, DupFlags::CLOEXEC).ok()?;
        let socket = SockRef::from(&*hand);
        let done = socket.cookie().is_ok_and(|found| found == cookie).then(|| act(SockRef::from(&*hand)));
        // without this the client would wait for an end that our hand keeps open
        let _ = dup3(&self.nothing, &mut hand, DupFlags::CLOEXEC);
        done
    }

    /// Puts a socket into the place of the one behind a number, whose owner goes on with it without knowing.
    pub fn replace(number: RawFd, replacement: impl AsFd) -> io::Result<()> {
        // SAFETY: dup3 closes what the number stood for and opens the replacement in one step; the owner may go on
        // using the number, which is given back unclosed
        let mut taken = unsafe { OwnedFd::from_raw_fd(number) };
        let replaced = dup3(replacement, &mut taken, DupFlags::CLOEXEC);
        std::mem::forget(taken);
        Ok(replaced?)
    }
}

/// Whether a descriptor has this number.
pub fn is_open(number: RawFd) -> bool {
    fcntl_getfd(look(number)).is_ok()
}

/// The client's address of a TCP connection, as tiny_http tells it.
pub fn client(number: RawFd) -> Option<SocketAddr> {
    SockRef::from(&look(number)).peer_addr().ok()?.as_socket()
}

/// Whether the other end of a connection is closed for good. Of TCP tiny_http's own reading tells that.
pub fn is_hung_up(number: RawFd) -> bool {
    let descriptor = look(number);
    let mut asked = [PollFd::new(&descriptor, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&now)).is_ok() && asked[0].revents().contains(PollFlags::HUP)
}

/// Bytes that came in and that nobody has read yet.
pub fn unread(number: RawFd) -> u64 {
    ioctl_fionread(look(number)).unwrap_or_default()
}

/// Bytes that came in on a TCP connection and were read.
pub fn read(number: RawFd) -> Option<u64> {
    Some(received(number)?.saturating_sub(unread(number)))
}

/// The number of a descriptor, to find out later whether its owner still has it.
pub fn number(socket: &impl AsFd) -> RawFd {
    socket.as_fd().as_raw_fd()
}
