//! Files that are read whole, up to a limit.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use rustix::fs::{Access, access};

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

/// Checks whether this process may make a file at a path, as far as the folder tells.
pub fn require_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !fs::metadata(folder)?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Checks whether this process may write or make a file, without doing either. The error follows the name of it.
pub fn require_writable(path: &Path) -> Result<(), String> {
    require_folder(path).map_err(|error| format!("cannot be written in its folder: {error}"))?;
    let of_file = match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(_) => access(path, Access::READ_OK | Access::WRITE_OK).map_err(io::Error::from),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    of_file.map_err(|error| format!("cannot be written: {error}"))
}
