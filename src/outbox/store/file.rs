//! The file itself: it is made complete or not at all, and is written again where the disk may have lost a write.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::error::Fault;

/// Bytes that are written again at once.
const BLOCK: usize = 4096;

/// Whether there is a file. What is there must be a file that is not empty: it is never taken for a new one.
pub fn exists(path: &Path) -> Result<bool, Fault> {
    let metadata = match path.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_symlink() => {
            return Err(Fault::Foreign("it is a link to nothing".to_owned()));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Err(Fault::NoFolder),
        other => other?,
    };
    if metadata.is_dir() {
        return Err(Fault::Foreign("it is a folder".to_owned()));
    }
    if !metadata.is_file() {
        return Err(Fault::Foreign("it is no regular file".to_owned()));
    }
    if metadata.len() == 0 { Err(Fault::Damaged("it is empty".to_owned())) } else { Ok(true) }
}

/// Bytes of the file system: those that are left, and all of them.
pub fn space(path: &Path) -> Result<(u64, u64), Fault> {
    let space = rustix::fs::statvfs(path).map_err(io::Error::from)?;
    Ok((space.f_bavail.saturating_mul(space.f_frsize), space.f_blocks.saturating_mul(space.f_frsize)))
}

/// Makes a new file under another name, which `fill` writes, and then gives it its name. If another process has made
/// one meanwhile, that one stays.
pub fn create(path: &Path, fill: impl FnOnce(File) -> Result<(), Fault>) -> Result<(), Fault> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(Fault::NoFolder);
    }
    let temporary = temporary(path);
    let made = write(&temporary, fill).and_then(|()| {
        name(&temporary, path)?;
        // the name must outlast a power failure, too
        Ok(File::open(folder)?.sync_all()?)
    });
    // it has no such name any more if all went well
    let _ = fs::remove_file(&temporary);
    made
}

/// With the process in its name, so that two processes do not share one.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().display();
    path.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

fn write(path: &Path, fill: impl FnOnce(File) -> Result<(), Fault>) -> Result<(), Fault> {
    // left by a process that had this number
    let _ = fs::remove_file(path);
    let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    fill(made.try_clone()?)?;
    Ok(made.sync_all()?)
}

fn name(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => Ok(()),
        // not every file system can refuse to replace
        Err(Errno::INVAL) => fs::rename(from, to),
        other => Ok(other?),
    }
}

/// Writes the whole file again, with what it has, up to the disk.
///
/// After a failed fsync the kernel takes what it could not write for written: a later fsync succeeds without it. What
/// reads like the last transaction could then be lost with the next power failure.
///
/// Holes, and other blocks of zeros, stay: redb has no such page, and they need no room.
pub fn write_again(path: &Path) -> Result<(), Fault> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Fault::InUse),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let mut block = [0; BLOCK];
    let mut at = 0;
    loop {
        let length = read_up_to(&file, &mut block, at)?;
        if block[..length].iter().any(|byte| *byte != 0) {
            file.write_all_at(&block[..length], at)?;
        }
        at += length as u64;
        if length < BLOCK {
            return Ok(file.sync_all()?);
        }
    }
}

/// Reads until the block is full or the file ends.
fn read_up_to(file: &File, block: &mut [u8], at: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < block.len() {
        match file.read_at(&mut block[length..], at + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
