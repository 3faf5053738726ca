//! Sockets that a library owns and does not show: looked at by the numbers of their descriptors.
//!
//! A number may be closed and given to another file at any time by whoever owns it: what is seen is compared with what
//! was meant.
#![expect(unsafe_code, reason = "the descriptors of others are known by number only, and TCP_INFO has no safe type")]

use std::mem::{MaybeUninit, size_of};
use std::os::fd::{BorrowedFd, RawFd};

use socket2::{SockAddr, SockRef};

/// What identifies a socket: no other one has the same as long as the system runs (`SO_COOKIE`, socket(7)).
pub type Cookie = u64;

/// A state of TCP (`TCP_ESTABLISHED` in `net/tcp_states.h` of Linux).
const ESTABLISHED: u8 = 1;

/// The socket behind a number, if it is one.
pub fn cookie(number: RawFd) -> Option<Cookie> {
    SockRef::from(&look(number)).cookie().ok()
}

/// The address of our end of a socket, and the one of the client's if it is connected.
pub fn ends(number: RawFd) -> Option<(SockAddr, Option<SockAddr>)> {
    let descriptor = look(number);
    let socket = SockRef::from(&descriptor);
    Some((socket.local_addr().ok()?, socket.peer_addr().ok()))
}

/// Whether a socket waits for connections.
pub fn is_listener(number: RawFd) -> bool {
    SockRef::from(&look(number)).is_listener().unwrap_or_default()
}

/// Bytes that were written and that the other end has not taken.
pub fn unsent(number: RawFd) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one integer
    let result = unsafe { libc::ioctl(number, libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { u64::try_from(bytes).unwrap_or_default() } else { 0 }
}

/// Bytes that came in on a TCP connection since it began; its end may count as one (`tcpi_bytes_received`, tcp(7)).
pub fn received(number: RawFd) -> Option<u64> {
    Some(info(number)?.tcpi_bytes_received)
}

/// Bytes of ours that the other end's system has taken since a TCP connection began (`tcpi_bytes_acked`).
pub fn taken(number: RawFd) -> Option<u64> {
    Some(info(number)?.tcpi_bytes_acked)
}

/// Whether neither end of a TCP connection has said that it will send no more. Ending what comes in says nothing.
pub fn is_established(number: RawFd) -> bool {
    info(number).is_some_and(|info| info.tcpi_state == ESTABLISHED)
}

fn info(number: RawFd) -> Option<libc::tcp_info> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    // SAFETY: the kernel writes at most `length` bytes; what it leaves is zero, and any bits are valid for integers
    let (result, info) = unsafe {
        let result =
            libc::getsockopt(number, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length);
        (result, info.assume_init())
    };
    (result == 0).then_some(info)
}

/// A descriptor that somebody else owns, for the length of one call.
pub fn look<'a>(number: RawFd) -> BorrowedFd<'a> {
    // SAFETY: it is only looked at or duplicated: if it was closed meanwhile, the call fails; if it was given to
    // another file, the caller finds out by what it sees. It never is -1
    unsafe { BorrowedFd::borrow_raw(number) }
}
