//! The file that format 1 has written is read by all later versions.

use super::*;

/// Queued messages 2, 3 and 5, the outcomes of 1 and 4, and two keys. Never write it again: a later version reads what
/// this one has written.
const FIXTURE: &str = "tests/fixtures/outbox-1.redb";

fn changes() -> Vec<Change> {
    let mut changes: Vec<_> = (1..=6).map(|sequence| put(sequence, usize::try_from(sequence).unwrap() * 100)).collect();
    changes.extend([
        Change::Settle {
            sequence: 1,
            settled: Settled {
                result: Settlement::Acknowledged,
                reason_code: Some(0x10),
                error: None,
                may_have_arrived: false,
                ..settled(Settlement::Acknowledged)
            },
        },
        settle(4),
        Change::Remove { sequence: 6 },
        Change::PutKey { key: [1; 32], record: record(2) },
        Change::PutKey { key: [2; 32], record: KeyRecord { answer: None, ..record(1) } },
    ]);
    changes
}

#[test]
fn the_file_of_format_1_is_read() {
    let folder = Folder::new();
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE), folder.file()).unwrap();
    let (mut store, loaded) = open(&folder);
    assert_eq!((loaded.file, loaded.next_sequence), (0x0b0c_0d0e, 7));
    assert_eq!((sequences(&loaded.queued), sequences(&loaded.outcomes)), (vec![2, 3, 5], vec![1, 4]));
    assert_eq!(loaded.keys, [([2; 32], KeyRecord { answer: None, ..record(1) }), ([1; 32], record(2))]);
    assert_eq!(store.get(3), Ok(Some(message(3, 300))));
    let [first, fourth] = [1, 4].map(|sequence| store.get(sequence).unwrap().unwrap());
    assert_eq!((first.size, first.settled.unwrap().reason_code), (100, Some(0x10)));
    assert_eq!(fourth.settled, Some(settled(Settlement::Refused)));
    store.commit(&[put(7, 10), settle(2)]).unwrap();
}

/// Writes a file for this test to the temporary folder: `cargo test --lib -- --ignored writes_a_file_of_this_format`.
/// Call it when the format changes, and put the file beside the others.
#[test]
#[ignore = "it makes the file of the test above"]
fn writes_a_file_of_this_format() {
    let path = std::env::temp_dir().join("outbox.redb");
    drop(std::fs::remove_file(&path));
    let (mut store, _) = Store::open(&path).unwrap();
    store.commit(&changes()).unwrap();
    commit(store.opened().unwrap(), |transaction| {
        transaction.open_table(tables::META)?.insert(tables::FILE, 0x0b0c_0d0e)?;
        Ok(())
    })
    .unwrap();
    drop(store);
    println!("{} bytes: {}", path.metadata().unwrap().len(), path.display());
}
