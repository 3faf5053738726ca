//! Standard output and standard error, written to without what std hides of their failures.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, major, minor};
use rustix::io::Errno;

/// One of the two.
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
    /// Bytes that were taken.
    pub written: usize,
    /// What became of the rest.
    pub error: io::Error,
}

impl Stream {
    /// Writes everything, however long the reader takes.
    ///
    /// # Errors
    /// If the rest cannot be written. std calls it success where the descriptor is closed.
    pub fn write(self, bytes: &[u8]) -> Result<(), Unwritten> {
        let mut written = 0;
        while written < bytes.len() {
            match self.with(|stream| rustix::io::write(stream, &bytes[written..])) {
                Ok(0) => return Err(Unwritten { written, error: io::ErrorKind::WriteZero.into() }),
                Ok(more) => written += more,
                Err(Errno::INTR) => {}
                // another program that has it open too may have made it one that does not block
                Err(Errno::AGAIN) => self.with(wait_for_room),
                Err(error) => return Err(Unwritten { written, error: error.into() }),
            }
        }
        Ok(())
    }

    /// Whether it was closed when the program began, as by `2>&-`: std has then put /dev/null in its place, open for
    /// reading and writing. That of `2>/dev/null` is for writing only; one that a supervisor opened for both cannot be
    /// told apart, and counts as closed.
    #[must_use]
    pub fn was_closed(self) -> bool {
        self.with(is_null_for_both)
    }

    fn with<T>(self, act: impl FnOnce(BorrowedFd) -> T) -> T {
        match self {
            Self::Output => act(io::stdout().as_fd()),
            Self::Error => act(io::stderr().as_fd()),
        }
    }
}

fn wait_for_room(stream: BorrowedFd) {
    // a failure shows at the next try
    let _ = poll(&mut [PollFd::new(&stream, PollFlags::OUT)], None);
}

fn is_null_for_both(stream: BorrowedFd) -> bool {
    let is_null = fstat(stream).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3)
    });
    is_null && fcntl_getfl(stream).is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDWR)
}
