//! How the process ends.

use std::process::ExitCode;

/// The exit status.
#[derive(Debug, Clone, Copy)]
pub enum Status {
    /// Stopped by a signal, or done.
    Stopped = 0,
    /// Something failed while running.
    Failed = 1,
    /// Called with wrong arguments.
    Usage = 2,
    /// A configuration that does not become right by trying again (sysexits.h, `EX_CONFIG`).
    Configuration = 78,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}
