//! Sockets that a library owns and does not expose: inspected by the numbers of their descriptors.
//!
//! The owner may close a descriptor at any time, and its number may then be another file: callers compare what they
//! find with what they expect.
#![expect(unsafe_code, reason = "the descriptors of others are known by number only, and TCP_INFO has no safe type")]

use std::mem::{MaybeUninit, size_of};
use std::os::fd::{BorrowedFd, RawFd};

use socket2::{SockAddr, SockRef};

/// Identifies a socket: no other one has the same until the system restarts (`SO_COOKIE`, socket(7)).
pub type Cookie = u64;

/// A state of TCP (`TCP_ESTABLISHED` in `net/tcp_states.h` of Linux).
const ESTABLISHED: u8 = 1;

/// The identity of the socket with this number, if there is one.
pub fn cookie(number: RawFd) -> Option<Cookie> {
    SockRef::from(&look(number)).cookie().ok()
}

/// The local address of a socket, and the address of its peer if it is connected.
pub fn ends(number: RawFd) -> Option<(SockAddr, Option<SockAddr>)> {
    let descriptor = look(number);
    let socket = SockRef::from(&descriptor);
    Some((socket.local_addr().ok()?, socket.peer_addr().ok()))
}

/// Whether a socket waits for connections.
pub fn is_listener(number: RawFd) -> bool {
    SockRef::from(&look(number)).is_listener().unwrap_or_default()
}

/// Bytes that were written and that the peer has not acknowledged.
pub fn unsent(number: RawFd) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one integer
    let result = unsafe { libc::ioctl(number, libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { u64::try_from(bytes).unwrap_or_default() } else { 0 }
}

/// Bytes received on a TCP connection since it began; its FIN may count as one (`tcpi_bytes_received`, tcp(7)).
pub fn received(number: RawFd) -> Option<u64> {
    Some(info(number)?.tcpi_bytes_received)
}

/// Bytes that the peer's system has acknowledged since a TCP connection began (`tcpi_bytes_acked`).
pub fn taken(number: RawFd) -> Option<u64> {
    Some(info(number)?.tcpi_bytes_acked)
}

/// Whether neither end of a TCP connection has sent FIN. Shutting down our reading side sends none.
pub fn is_established(number: RawFd) -> bool {
    info(number).is_some_and(|info| info.tcpi_state == ESTABLISHED)
}

fn info(number: RawFd) -> Option<libc::tcp_info> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    // SAFETY: the kernel writes at most `length` bytes; the rest stays zero, and any bits are valid for integers
    let (result, info) = unsafe {
        let result =
            libc::getsockopt(number, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length);
        (result, info.assume_init())
    };
    (result == 0).then_some(info)
}

/// A descriptor that a library owns, for one call.
pub fn look<'a>(number: RawFd) -> BorrowedFd<'a> {
    // SAFETY: it is only inspected or duplicated: if it was closed meanwhile, the call fails; if it is another file by
    // now, the caller finds that by comparing. It never is -1
    unsafe { BorrowedFd::borrow_raw(number) }
}
