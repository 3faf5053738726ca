//! Which failures of the system may be over when the same is tried again.

use std::io;

use rustix::io::Errno;

/// Somebody else has what we need, it has not come yet, or the system is short of something; rights and wrong names do not
/// get better by waiting.
pub fn may_pass(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_some_and(|code| CODES.contains(&code))
}

const CODES: [Errno; 17] = [
    // an address or a device that comes later, as those of a VPN do, and a port that its last owner has yet to leave
    Errno::ADDRINUSE,
    Errno::ADDRNOTAVAIL,
    Errno::NODEV,
    // a file of a file system that is mounted later, or whose server does not answer
    Errno::NOENT,
    Errno::IO,
    Errno::STALE,
    Errno::TIMEDOUT,
    Errno::HOSTDOWN,
    Errno::HOSTUNREACH,
    Errno::NOTCONN,
    // descriptors, memory and threads
    Errno::MFILE,
    Errno::NFILE,
    Errno::NOMEM,
    Errno::NOBUFS,
    Errno::AGAIN,
    Errno::INTR,
    Errno::BUSY,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_later_may_pass_and_what_is_wrong_does_not() {
        for (code, passes) in [
            (libc::EADDRNOTAVAIL, true),
            (libc::EADDRINUSE, true),
            (libc::ENOENT, true),
            (libc::EMFILE, true),
            (libc::EACCES, false),
            (libc::ENOTDIR, false),
            (libc::EAFNOSUPPORT, false),
        ] {
            assert_eq!(may_pass(&io::Error::from_raw_os_error(code)), passes, "{code}");
        }
        assert!(!may_pass(&io::Error::other("it is longer than allowed")));
    }
}
