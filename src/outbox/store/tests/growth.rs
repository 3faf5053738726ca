//! The size of the file.

use super::*;

#[test]
fn the_pages_of_settled_messages_are_used_again() {
    const ROUNDS: u64 = 20;
    const EACH: u64 = 1000;
    let folder = Folder::new();
    let (mut store, _) = open(&folder);
    let mut lengths = vec![];
    for round in 0..ROUNDS {
        let sequences = 1 + round * EACH..=(round + 1) * EACH;
        store.commit(&sequences.clone().map(|sequence| put(sequence, 100)).collect::<Vec<_>>()).unwrap();
        store.commit(&sequences.clone().map(settle).collect::<Vec<_>>()).unwrap();
        store.commit(&sequences.map(|sequence| Change::Forget { sequence }).collect::<Vec<_>>()).unwrap();
        lengths.push(folder.file().metadata().unwrap().len());
    }
    // a message has 300 bytes in either table, and a transaction keeps the pages of the one before
    let bound = EACH * 300 * 8;
    assert!(lengths.iter().all(|length| *length < bound), "{lengths:?}, of {bound}");
    drop(store);
    let length = folder.file().metadata().unwrap().len();
    assert!(length < 256 * 1024, "{length} bytes of nothing");
}
