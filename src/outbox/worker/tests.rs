//! What the thread does with commands, one step after another, on a disk that fails when a test says so.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use super::*;
use crate::memory::Memory;
use crate::message::{Message, Properties, Qos, TopicName};
use crate::mqtt::Failure;
use crate::outbox::callers::{Caller, Callers};
use crate::outbox::commands::Times;
use crate::outbox::store::tests::faulty::{Operation, fail, mend};
use crate::outbox::view::{State, View};
use crate::outbox::{Answer, Done, Id, KeyRecord, NotStored};

const LONG: Duration = Duration::from_secs(600);
const KEY: [u8; 32] = [1; 32];

type Told = Result<Vec<Id>, NotStored>;

/// A worker without a broker, and its file.
struct Fixture {
    worker: Worker,
    path: PathBuf,
    callers: Callers,
    told: (mpsc::Sender<Told>, mpsc::Receiver<Told>),
}

impl Fixture {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("mqtt-bridge-worker-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let limits = Limits { messages: 10, bytes: 1_000_000, keep: LONG };
        let worker = Worker::new(Store::open(&path).unwrap(), limits, Publisher::idle(), Default::default());
        Self { worker, path, callers: Callers::default(), told: mpsc::channel() }
    }

    fn work<const COUNT: usize>(&mut self, commands: [Command; COUNT]) {
        self.worker.work(Due { commands: commands.into(), is_stopping: false });
    }

    fn done(&self) -> Done {
        let sender = self.told.0.clone();
        Box::new(move |told| drop(sender.send(told)))
    }

    fn caller(&self) -> Caller<Vec<Id>> {
        self.callers.caller(self.done(), LONG)
    }

    fn store(&self, times: Times) -> Command {
        let topic = TopicName::try_from("a".to_owned()).unwrap();
        let (payload, properties) = ("p".into(), Properties::default());
        let message = Message { topic, payload, qos: Qos::AtLeastOnce, retain: false, properties };
        let messages = vec![(message, Memory::new(0).nothing())];
        let key = Some(Box::new(|_: &[Id]| (KEY, record(Some(202)))) as _);
        Command::Store { messages, times, owner: "".into(), key, caller: self.caller(), late: None }
    }

    /// The same for one who is told more late.
    fn store_or_late(&self, times: Times) -> Command {
        match self.store(times) {
            Command::Store { messages, times, owner, key, caller, .. } => {
                Command::Store { messages, times, owner, key, caller, late: Some(self.done()) }
            }
            other => other,
        }
    }

    fn told(&self) -> Option<Told> {
        self.told.1.try_recv().ok()
    }

    /// What the next process finds.
    fn reopened(self) -> Loaded {
        let path = self.path.clone();
        drop(self.worker);
        let loaded = Store::open(&path).unwrap().1;
        std::fs::remove_file(path).unwrap();
        loaded
    }
}

fn record(status: Option<u16>) -> KeyRecord {
    let answer = status.map(|status| Answer { status, code: 0, body: [].into(), location: None, not_stored: false });
    KeyRecord { owner: "".into(), request: [0; 32], since: SystemTime::now(), answer }
}

/// A removal is written before what is asked for in the same transaction.
/// A caller that was told already that nothing is known.
fn over() -> Caller<Vec<Id>> {
    let callers = Callers::default();
    let caller = callers.caller(Box::new(drop), LONG);
    callers.end();
    caller
}

#[test]
fn a_key_that_nobody_waits_for_is_not_stored() {
    let mut fixture = Fixture::new();
    let caller = over();
    fixture.work([
        Command::PutKey { key: KEY, record: record(None), caller },
        Command::UpdateKey { key: KEY, record: None },
    ]);
    assert_eq!(fixture.reopened().keys, []);
}

#[test]
fn a_stored_key_can_be_removed() {
    let mut fixture = Fixture::new();
    let caller = fixture.caller();
    fixture.work([Command::PutKey { key: KEY, record: record(None), caller }]);
    assert_eq!(fixture.told(), Some(Ok(vec![])));
    fixture.work([Command::UpdateKey { key: KEY, record: None }]);
    assert_eq!(fixture.reopened().keys, []);
}

/// What a failed fsync has written is there all the same.
#[test]
fn nothing_of_a_refused_request_is_in_the_file() {
    for is_message in [true, false] {
        let mut fixture = Fixture::new();
        let command = if is_message {
            fixture.store_or_late(Times::now(LONG))
        } else {
            Command::PutKey { key: KEY, record: record(None), caller: fixture.caller() }
        };
        fail(Operation::Sync, libc::EIO);
        fixture.work([command]);
        mend();
        assert!(matches!(fixture.told(), Some(Err(NotStored::Uncertain(_)))));
        assert_eq!(fixture.told(), None);
        // what the next attempt writes
        fixture.worker.trouble.as_mut().unwrap().retry_at = Instant::now();
        fixture.work([]);
        assert_eq!(fixture.told(), is_message.then_some(Err(NotStored::Busy)), "it is certain now");
        let loaded = fixture.reopened();
        assert_eq!((loaded.keys.len(), loaded.queued.len()), (0, 0));
    }
}

/// A full disk takes what is small.
#[test]
fn only_a_stored_message_shows_at_once_that_there_is_room() {
    let mut fixture = Fixture::new();
    let store = |fixture: &mut Fixture| {
        fixture.work([fixture.store(Times::now(LONG))]);
        fixture.told().unwrap().is_ok()
    };
    fail(Operation::Write, libc::ENOSPC);
    assert!(!store(&mut fixture));
    mend();
    let trial = |fixture: &mut Fixture| {
        fixture.worker.trouble.as_mut().unwrap().retry_at = Instant::now();
        fixture.work([]);
        fixture.worker.trouble.as_ref().and_then(|trouble| trouble.over_at)
    };
    assert!(trial(&mut fixture).is_some() && fixture.worker.next_time() > Some(Instant::now()));
    assert!(store(&mut fixture) && fixture.worker.trouble.is_none());
    fail(Operation::Write, libc::ENOSPC);
    assert!(!store(&mut fixture));
    mend();
    assert!(trial(&mut fixture).is_some());
    fixture.worker.trouble.as_mut().unwrap().over_at = Some(Instant::now());
    fixture.work([]);
    assert!(fixture.worker.trouble.is_none(), "nothing failed for long");
    std::fs::remove_file(&fixture.path).unwrap();
}

/// A disk that hung until then.
#[test]
fn the_time_of_a_message_begins_with_its_request() {
    let mut fixture = Fixture::new();
    let ended = Times { end: Instant::now(), ..Times::now(LONG) };
    fixture.work([fixture.store(ended)]);
    assert_eq!(fixture.told().unwrap().unwrap().len(), 1);
    fixture.work([]);
    assert_eq!(fixture.worker.contents.ledger.get(1).unwrap().state(), State::Expired);
    std::fs::remove_file(&fixture.path).unwrap();
}

#[test]
fn who_was_told_that_nothing_is_known_is_told_late() {
    let mut fixture = Fixture::new();
    let Command::Store { messages, times, owner, key, .. } = fixture.store(Times::now(LONG)) else { return };
    let (caller, late) = (over(), Some(fixture.done()));
    fixture.work([Command::Store { messages, times, owner, key, caller, late }]);
    assert!(fixture.told().unwrap().is_err_and(|refusal| refusal != NotStored::Unknown), "it is certain");
    let loaded = fixture.reopened();
    assert_eq!((loaded.keys.len(), loaded.queued.len()), (0, 0));
}

/// The broker may have them, and an orderly end does not change that.
#[test]
fn a_message_of_unknown_outcome_counts_as_sent_after_an_orderly_end() {
    let mut fixture = Fixture::new();
    fixture.work([fixture.store(Times::now(LONG))]);
    assert_eq!(fixture.worker.contents.ledger.give(1).map(|(_, sent)| sent.load(Ordering::Relaxed)), Some(false));
    fixture.worker.is_stopping = true;
    let settled = Command::Settled { sequence: 1, outcome: Err(Failure::Unknown), is_late: false };
    fixture.worker.work(Due { commands: [settled].into(), is_stopping: true });
    assert_eq!(fixture.worker.contents.ledger.last_sent(), Some(1));
    std::fs::remove_file(&fixture.path).unwrap();
}

/// A page of many messages does not hold up those who store.
#[test]
fn what_is_looked_up_waits_for_what_is_stored_and_not_without_bound() {
    let mut fixture = Fixture::new();
    let (sender, order) = mpsc::channel();
    let get = |fixture: &Fixture| {
        let sender = sender.clone();
        let told = move |found: Result<Option<View>, NotStored>| sender.send(found.map(|view| view.is_some())).unwrap();
        let id = Id { file: fixture.worker.file, sequence: 1 };
        Command::Get { id, owner: None, caller: fixture.callers.caller(Box::new(told), LONG) }
    };
    fixture.work([get(&fixture), fixture.store(Times::now(LONG))]);
    assert_eq!(order.try_recv(), Ok(Ok(true)), "it is stored already");
    let many = (0..1001).map(|_| get(&fixture)).collect();
    fixture.worker.work(Due { commands: many, is_stopping: false });
    assert_eq!(order.try_recv(), Ok(Err(NotStored::Busy)));
    while fixture.worker.next_time().is_some_and(|at| at <= Instant::now()) {
        fixture.work([]);
    }
    assert_eq!(order.try_iter().filter(|found| *found == Ok(true)).count(), 1000);
    std::fs::remove_file(&fixture.path).unwrap();
}

#[test]
fn messages_that_expire_at_the_same_moment_are_written_in_parts() {
    let mut fixture = Fixture::new();
    let ended = Times { end: Instant::now(), ..Times::now(LONG) };
    fixture.worker.contents.ledger = Ledger::new(
        Limits { messages: 5000, bytes: 1_000_000, keep: LONG },
        (&[], 0),
        SystemTime::now(),
        Instant::now(),
    );
    fixture.worker.work(Due { commands: (0..1500).map(|_| fixture.store(ended)).collect(), is_stopping: false });
    fixture.work([]);
    assert_eq!(fixture.worker.contents.ledger.counts(), [500, 0, 0, 1000, 0]);
    assert!(fixture.worker.next_time().is_some_and(|at| at <= Instant::now()), "the rest at once");
    fixture.work([]);
    assert_eq!(fixture.worker.contents.ledger.counts(), [0, 0, 0, 1500, 0]);
    std::fs::remove_file(&fixture.path).unwrap();
}

/// A transaction took it back, and said that it failed.
#[test]
fn a_message_that_is_not_in_the_file_holds_nothing_up() {
    let mut fixture = Fixture::new();
    fixture.work([fixture.store(Times::now(LONG)), fixture.store(Times::now(LONG))]);
    fixture.worker.store.commit(&[Change::Remove { sequence: 1 }]).unwrap();
    (1..=2).for_each(|sequence| drop(fixture.worker.contents.fresh.take(sequence)));
    let read = fixture.worker.read(&[1, 2], 1, 2).unwrap();
    assert_eq!(read.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [2]);
    assert_eq!(fixture.worker.contents.ledger.next_ready(9, 9), [2]);
    std::fs::remove_file(&fixture.path).unwrap();
}
