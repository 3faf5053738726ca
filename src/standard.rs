//! Writing to standard output and standard error, with the failures that std hides.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat, major, minor};
use rustix::io::Errno;

/// Standard output or standard error.
#[derive(Debug, Clone, Copy)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Why not all was written, and how much was.
#[derive(Debug)]
pub struct Unwritten {
    /// Bytes that were written.
    pub written: usize,
    /// Why the rest was not.
    pub error: io::Error,
}

impl Stream {
    /// Writes everything, however long the reader takes.
    ///
    /// # Errors
    /// If not everything can be written. With std, writing to a closed descriptor succeeds.
    pub fn write(self, bytes: &[u8]) -> Result<(), Unwritten> {
        let mut written = 0;
        while written < bytes.len() {
            match self.with(|stream| rustix::io::write(stream, &bytes[written..])) {
                Ok(0) => return Err(Unwritten { written, error: io::ErrorKind::WriteZero.into() }),
                Ok(more) => written += more,
                Err(Errno::INTR) => {}
                // another program that shares it may have set O_NONBLOCK
                Err(Errno::AGAIN) => self.with(wait_for_room),
                Err(error) => return Err(Unwritten { written, error: error.into() }),
            }
        }
        Ok(())
    }

    /// Whether it may have been closed when the program started, as by `2>&-`: then std has opened /dev/null for
    /// reading and writing instead, once for all three streams. So if two of them are null devices that were opened
    /// separately, the parent process opened them, as Node's `stdio: "ignore"` does. A single one cannot be told from a
    /// closed one.
    #[must_use]
    pub fn may_have_been_closed(self) -> bool {
        let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
        let (this, others) = match self {
            Self::Output => (output.as_fd(), [input.as_fd(), error.as_fd()]),
            Self::Error => (error.as_fd(), [input.as_fd(), output.as_fd()]),
        };
        is_null_for_both(this) && !others.into_iter().any(|other| is_null_for_both(other) && !is_same(this, other))
    }

    fn with<T>(self, act: impl FnOnce(BorrowedFd) -> T) -> T {
        match self {
            Self::Output => act(io::stdout().as_fd()),
            Self::Error => act(io::stderr().as_fd()),
        }
    }
}

fn wait_for_room(stream: BorrowedFd) {
    // the next write fails if this does
    let _ = poll(&mut [PollFd::new(&stream, PollFlags::OUT)], None);
}

fn is_null_for_both(stream: BorrowedFd) -> bool {
    let is_null = fstat(stream).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3)
    });
    is_null && fcntl_getfl(stream).is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDWR)
}

/// Whether two null devices are one open file description: then a flag that is changed on one changes on the other. The
/// flag has no effect on a null device.
fn is_same(null: BorrowedFd, other: BorrowedFd) -> bool {
    let (Ok(flags), Ok(before)) = (fcntl_getfl(null), fcntl_getfl(other)) else { return true };
    if fcntl_setfl(null, flags ^ OFlags::APPEND).is_err() {
        return true;
    }
    let is_changed = fcntl_getfl(other).is_ok_and(|after| after != before);
    // it succeeded just before
    let _ = fcntl_setfl(null, flags);
    is_changed
}
