//! A disk that fails, and works again.

use super::faulty::{Operation, fail, mend};
use super::*;

const EIO: i32 = libc::EIO;

fn fails(store: &mut Store) {
    for (operation, error) in [(Operation::Sync, EIO), (Operation::Write, EIO), (Operation::Write, libc::ENOSPC)] {
        store.commit(&[put(1, 100), Change::PutKey { key: [1; 32], record: record(1) }]).unwrap();
        fail(operation, error);
        let failed = store.commit(&[put(2, 100), settle(1)]).unwrap_err();
        match error {
            EIO => assert!(matches!(failed, StoreError::Failing(_)), "{failed:?}"),
            _ => assert!(matches!(failed, StoreError::Full(_)), "{failed:?}"),
        }
        assert_eq!(store.get(1), Err(StoreError::Failing("it failed before".to_owned())));
        assert!(
            store.commit(&[put(3, 1)]).is_err() && store.reopen(2, &[]).is_err() && store.queued_from(1, 1, 1).is_err()
        );
        mend();
        store.reopen(2, &[]).unwrap();
        assert!(store.get(1).unwrap().is_some(), "what was there stays");
        assert_eq!([store.get(2), store.get(3)], [Ok(None), Ok(None)]);
        store.commit(&[put(2, 100), settle(2)]).unwrap();
        assert!(store.get(2).unwrap().is_some());
        store.commit(&[Change::Remove { sequence: 1 }, Change::Forget { sequence: 1 }]).unwrap();
    }
}

#[test]
fn nothing_of_a_failed_transaction_counts() {
    let folder = Folder::new();
    let (mut store, _) = open(&folder);
    fails(&mut store);
    drop(store);
    let (_store, loaded) = open(&folder);
    assert_eq!((loaded.keys.len(), loaded.queued.len(), sequences(&loaded.outcomes)), (1, 0, vec![2]));
}

/// A disk that takes all, and says that it failed, leaves the transaction there.
#[test]
fn messages_and_keys_of_a_transaction_that_is_there_all_the_same_are_removed() {
    let folder = Folder::new();
    let (mut store, _) = open(&folder);
    let key = |number: u8| Change::PutKey { key: [number; 32], record: record(number.into()) };
    store.commit(&[put(1, 100), put(2, 100), put(3, 1), settle(3), key(1), key(2)]).unwrap();
    store.reopen(2, &[[2; 32], [3; 32]]).unwrap();
    store.commit(&[key(3)]).unwrap();
    store.reopen(4, &[[3; 32]]).unwrap();
    drop(store);
    let (_store, loaded) = open(&folder);
    assert_eq!((sequences(&loaded.queued), sequences(&loaded.outcomes), loaded.next_sequence), (vec![1], vec![], 4));
    assert_eq!(loaded.keys, [([1; 32], record(1))]);
}

#[test]
fn a_file_that_is_written_again_stays_as_it_is() {
    let folder = Folder::new();
    let (mut store, _) = open(&folder);
    store.commit(&[put(1, 100_000)]).unwrap();
    drop(store);
    let before = std::fs::read(folder.file()).unwrap();
    file::write_again(&folder.file()).unwrap();
    assert_eq!(std::fs::read(folder.file()).unwrap(), before);
    let (_store, _) = open(&folder);
    assert_eq!(file::write_again(&folder.file()), Err(Fault::InUse), "another process may have it");
}
