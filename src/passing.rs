//! Which failures of system calls may not occur again at a later attempt.

use std::io;

use rustix::io::Errno;

/// Whether a later attempt may succeed: another process has what we need, it is not there yet, or the system is short
/// of something. Missing permissions and wrong names stay as they are.
pub fn may_pass(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_some_and(|code| CODES.contains(&code))
}

const CODES: [Errno; 17] = [
    // an address or a device that comes later, such as that of a VPN; a port that another process is about to release
    Errno::ADDRINUSE,
    Errno::ADDRNOTAVAIL,
    Errno::NODEV,
    // a file on a file system that is mounted later, or whose server does not answer
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
    fn shortages_may_pass_and_wrong_names_do_not() {
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
