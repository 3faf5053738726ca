//! Files that cannot be used. Each stays as it is.

use std::os::unix::fs::symlink;

use redb::{ReadableDatabase, ReadableTable};

use super::*;

/// The bytes of a file with some messages, as a process has closed it.
fn good() -> Vec<u8> {
    let folder = Folder::new();
    let (mut store, _) = open(&folder);
    store.commit(&(1..=40).map(|sequence| put(sequence, 1000)).collect::<Vec<_>>()).unwrap();
    store.commit(&[settle(1), Change::PutKey { key: [1; 32], record: record(1) }]).unwrap();
    drop(store);
    std::fs::read(folder.file()).unwrap()
}

fn open_bytes(bytes: &[u8]) -> (Folder, Result<Loaded, OpenError>) {
    let folder = Folder::new();
    std::fs::write(folder.file(), bytes).unwrap();
    let loaded = Store::open(&folder.file()).map(|(_, loaded)| loaded);
    (folder, loaded)
}

fn refused(bytes: &[u8], words: &str) {
    let (folder, loaded) = open_bytes(bytes);
    let error = loaded.unwrap_err();
    let text = error.to_string();
    let path = folder.file();
    assert!(text.starts_with(&format!("outbox {}: ", path.display())) && text.contains(words), "{text}");
    assert!(!error.may_pass() && !text.contains('\n') && text.contains("move"), "{text}");
    assert!(std::fs::read(path).unwrap() == bytes, "it is not touched: {text}");
}

#[test]
fn what_is_no_database_is_refused() {
    refused(b"", "the file is damaged (it is empty)");
    refused(b"hello", "it is no outbox");
    refused(&vec![0; 100_000], "it is no outbox");
    refused(&[b"SQLite format 3\0".as_slice(), &[0; 8192]].concat(), "it is no outbox");
}

#[test]
fn a_shorter_file_is_refused() {
    let good = good();
    for length in (1..good.len()).step_by(3001) {
        let (folder, loaded) = open_bytes(&good[..length]);
        assert!(!loaded.as_ref().unwrap_err().may_pass(), "{length}: {loaded:?}");
        assert_eq!(std::fs::read(folder.file()).unwrap().len(), length);
    }
    refused(&good[..good.len() / 2], "the file is damaged");
}

/// A flipped byte is found, or was in a page that nothing uses.
#[test]
fn a_file_with_a_flipped_byte_is_refused_or_whole() {
    let good = good();
    let all = open_bytes(&good).1.unwrap();
    let mut refused = 0;
    for at in (0..good.len()).step_by(if cfg!(debug_assertions) { 1009 } else { 101 }) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        match open_bytes(&bytes).1 {
            Ok(loaded) => assert_eq!((&loaded.queued, loaded.keys.len()), (&all.queued, 1), "{at}"),
            Err(error) => {
                refused += 1;
                assert!(!error.may_pass(), "{at}: {error}");
            }
        }
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn a_file_of_another_version_is_refused() {
    let folder = Folder::new();
    drop(open(&folder));
    let database = redb::Database::open(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(tables::META).unwrap().insert(tables::FORMAT, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Store::open(&folder.file()).err().unwrap();
    assert!(error.to_string().contains("it has format 2, which this version of the bridge cannot read"), "{error}");
    assert!(!error.may_pass());
    let database = redb::Database::open(folder.file()).unwrap();
    let meta = database.begin_read().unwrap().open_table(tables::META).unwrap();
    assert_eq!(meta.get(tables::FORMAT).unwrap().unwrap().value(), 2);
}

/// The version is the first byte of each of the two slots (docs/design.md of redb).
#[test]
fn a_file_of_another_version_of_redb_is_refused() {
    for version in [2, 4] {
        let mut bytes = good();
        bytes[64] = version;
        bytes[192] = version;
        refused(&bytes, "of the format of redb");
    }
}

#[test]
fn another_database_is_refused() {
    let folder = Folder::new();
    let database = redb::Database::create(folder.file()).unwrap();
    let table: redb::TableDefinition<u64, u64> = redb::TableDefinition::new("other");
    let transaction = database.begin_write().unwrap();
    transaction.open_table(table).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Store::open(&folder.file()).err().unwrap();
    assert!(error.to_string().contains("it is no outbox"), "{error}");
    let database = redb::Database::open(folder.file()).unwrap();
    assert_eq!(database.begin_read().unwrap().open_table(table).unwrap().iter().unwrap().count(), 1);
}

/// A row that redb finds whole, and that makes no sense.
#[test]
fn a_row_that_cannot_be_read_is_refused() {
    let stored = Stored { settled: Some(settled(Settlement::Expired)), ..message(1, 1) };
    for row in [vec![], vec![9], vec![1, 2, 3], codec::encode(&stored)] {
        let folder = Folder::new();
        drop(open(&folder));
        let database = redb::Database::open(folder.file()).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(tables::QUEUED).unwrap().insert(7, row.as_slice()).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let error = Store::open(&folder.file()).err().unwrap();
        assert!(error.to_string().contains("the file is damaged (message 7: "), "{error}");
    }
}

#[test]
fn a_path_that_cannot_be_a_file_is_refused() {
    let folder = Folder::new();
    let refused = |path: &Path, words: &str| {
        let error = Store::open(path).err().unwrap();
        assert!(error.to_string().contains(words) && !error.may_pass(), "{error}");
    };
    refused(&folder.0, "it is a folder");
    refused(&folder.0.join("missing/outbox"), "there is no folder for it");
    std::fs::write(folder.0.join("text"), "text").unwrap();
    refused(&folder.0.join("text/outbox"), "there is no folder for it");
    refused(Path::new("/dev/null"), "it is no regular file");
    symlink("nothing", folder.0.join("link")).unwrap();
    refused(&folder.0.join("link"), "it is a link to nothing");
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 2);
}

#[test]
fn a_file_in_use_is_refused_for_now() {
    let folder = Folder::new();
    let (store, _) = open(&folder);
    let error = Store::open(&folder.file()).err().unwrap();
    assert!(error.to_string().ends_with("another process uses it: each bridge needs an outbox of its own"), "{error}");
    assert!(error.may_pass());
    drop(store);
    open(&folder);
}
