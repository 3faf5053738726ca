//! What the file keeps, and what it refuses.

mod contents;
mod damage;
mod failing;
pub mod faulty;
mod format;
mod growth;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use self::faulty::backend;

use super::*;
use crate::message::{Message, MqttString, Properties, Qos, TopicName};
use crate::outbox::{Answer, KeyHash, KeyRecord, Settled, Settlement};

/// A folder that is removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("mqtt-bridge-store-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("outbox.redb")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn open(folder: &Folder) -> (Store, Loaded) {
    Store::open(&folder.file()).unwrap_or_else(|error| panic!("{error}"))
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn message(sequence: u64, bytes: usize) -> Stored {
    let payload = vec![u8::try_from(sequence % 251).unwrap(); bytes];
    let text = |text: &str| MqttString::try_from(text.to_owned()).unwrap();
    let properties = Properties {
        content_type: Some(text("text/plain")),
        user_properties: vec![(text("number"), text(&sequence.to_string()))],
        ..Properties::default()
    };
    let topic = TopicName::try_from(format!("a/{sequence}")).unwrap();
    Stored {
        message: Message { topic, payload: payload.into(), qos: Qos::AtLeastOnce, retain: false, properties },
        size: bytes as u64,
        owner: "door".into(),
        since: time(sequence),
        until: time(sequence + 60),
        settled: None,
    }
}

fn put(sequence: u64, bytes: usize) -> Change {
    Change::Put { sequence, stored: Arc::new(message(sequence, bytes)) }
}

fn settled(result: Settlement) -> Settled {
    Settled { at: time(1000), result, reason_code: Some(0x87), error: Some("no".into()), may_have_arrived: true }
}

fn settle(sequence: u64) -> Change {
    Change::Settle { sequence, settled: settled(Settlement::Refused) }
}

fn record(seconds: u64) -> KeyRecord {
    let answer = Answer {
        status: 202,
        code: 0,
        body: b"{\"code\":0}".as_slice().into(),
        location: Some("/outbox/1".into()),
        not_stored: true,
    };
    KeyRecord { owner: "door".into(), request: [7; 32], since: time(seconds), answer: Some(answer) }
}

fn sequences(briefs: &[Brief]) -> Vec<u64> {
    briefs.iter().map(|brief| brief.sequence).collect()
}

/// The file as a killed process would leave it.
fn copy_while_open(from: &Path, to: &Folder) {
    std::fs::copy(from, to.file()).unwrap();
}
