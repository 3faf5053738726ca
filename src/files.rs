//! Files that are read whole, up to a limit.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The longest configuration file, in bytes.
pub const MAX_FILE: u64 = 1024 * 1024;

/// The whole of a file, unless it is longer than `limit` bytes.
pub fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is longer than {limit} bytes")));
    }
    Ok(bytes)
}

pub fn is_blank(path: &Path) -> bool {
    read_limited(path, MAX_FILE).is_ok_and(|bytes| bytes.trim_ascii().is_empty())
}

/// Whether there is something at a path, even if it is unreadable: that is a fault, and must not be ignored.
pub fn is_there(path: &Path) -> bool {
    !matches!(path.symlink_metadata(), Err(error) if error.kind() == ErrorKind::NotFound)
}
