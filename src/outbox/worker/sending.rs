//! Stored messages go to the connection, and what becomes of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use super::Worker;
use super::batch::Batch;
use crate::metrics;
use crate::mqtt::{Failure, Outcome, Published, StoredPublish};
use crate::outbox::commands::Command;
use crate::outbox::ledger::Entry;
use crate::outbox::store::Change;
use crate::outbox::{Settled, Settlement, Stored};

/// Messages that are read from disk at a time, and their bytes.
const READ_AT_ONCE: usize = 250;
const READ_BYTES: usize = 2 * 1024 * 1024;
/// Messages that expire in one transaction, for which others wait.
const EXPIRED_AT_ONCE: usize = 1000;
/// Bytes of the messages that need not be read from disk, as they were stored just now.
const MAX_FRESH_BYTES: u64 = 4 * 1024 * 1024;

/// Messages that were just stored, and are not with the connection yet.
#[derive(Default)]
pub struct Fresh {
    messages: BTreeMap<u64, Arc<Stored>>,
    bytes: u64,
}

impl Fresh {
    /// Keeps a message, if there is room.
    pub fn keep(&mut self, sequence: u64, stored: Arc<Stored>) {
        if self.bytes + stored.size <= MAX_FRESH_BYTES && self.messages.len() < 2 * READ_AT_ONCE {
            self.bytes += stored.size;
            self.messages.insert(sequence, stored);
        }
    }

    /// Returns a message, and forgets it.
    pub fn take(&mut self, sequence: u64) -> Option<Arc<Stored>> {
        let stored = self.messages.remove(&sequence)?;
        self.bytes -= stored.size;
        Some(stored)
    }
}

impl Worker {
    /// Lets the next messages go, if there is a connection: it is written that they may be sent, before they are.
    pub fn let_go(&mut self, batch: &mut Batch) {
        let last = self.contents.ledger.last_with_room().filter(|last| *last > self.contents.given_up_to);
        let Some(up_to) = last.filter(|_| self.is_sending()) else { return };
        batch.push(vec![Change::Give { up_to }], move |contents, written| {
            if written.is_ok() {
                contents.given_up_to = up_to;
            }
        });
    }

    fn is_sending(&self) -> bool {
        !self.is_stopping && self.publisher.is_ready()
    }

    /// Gives messages to the connection, as many as it may have.
    pub fn send(&mut self) {
        if !self.is_sending() {
            return;
        }
        loop {
            let ready = self.contents.ledger.next_ready(READ_AT_ONCE, self.contents.given_up_to);
            let (Some(&first), Some(&last)) = (ready.first(), ready.last()) else { return };
            let Ok(messages) = self.read(&ready, first, last) else { return };
            let publishes: Vec<_> =
                messages.into_iter().filter_map(|(sequence, stored)| self.give(sequence, stored)).collect();
            self.publisher.publish_stored(publishes);
        }
    }

    /// The first of these messages, which are ready.
    pub(super) fn read(&mut self, ready: &[u64], first: u64, last: u64) -> Result<Vec<(u64, Arc<Stored>)>, ()> {
        let fresh: Vec<_> =
            ready.iter().map_while(|sequence| Some((*sequence, self.contents.fresh.take(*sequence)?))).collect();
        if !fresh.is_empty() {
            return Ok(fresh);
        }
        // it is opened again before something is written
        if !self.store.is_open() {
            return Err(());
        }
        self.board.disk_begins();
        let read = self.store.queued_from(first, READ_AT_ONCE, READ_BYTES);
        self.board.disk_ends();
        match read {
            Ok(read) => {
                // a transaction that failed took it back, and is in the file all the same
                if read.first().is_none_or(|(sequence, _)| *sequence != first) {
                    self.contents.ledger.remove(first);
                }
                let is_ready = |sequence: &u64| *sequence <= last && ready.binary_search(sequence).is_ok();
                let read = read.into_iter().filter(|(sequence, _)| is_ready(sequence));
                Ok(read.map(|(sequence, stored)| (sequence, Arc::new(stored))).collect())
            }
            Err(error) => {
                self.note(&error, None);
                Err(())
            }
        }
    }

    fn give(&mut self, sequence: u64, stored: Arc<Stored>) -> Option<StoredPublish> {
        let (deadline, was_sent) = self.contents.ledger.give(sequence)?;
        let message = Arc::try_unwrap(stored).map_or_else(|stored| stored.message.clone(), |stored| stored.message);
        let tell = |is_late| {
            let commands = self.commands.clone();
            Box::new(move |outcome| commands.tell(Command::Settled { sequence, outcome, is_late }))
        };
        let on_written = Box::new(move || was_sent.store(true, Ordering::Relaxed));
        Some(StoredPublish { sequence, message, deadline, on_written, caller: tell(false), late: tell(true) })
    }

    /// The connection tells what became of a message.
    pub fn settled(&mut self, sequence: u64, outcome: Outcome, is_late: bool) {
        // the connections may have ended over something else: few other reasons are known to end three in a row
        if outcome == Err(Failure::GivenUp) && self.contents.ledger.rest(sequence, Instant::now()) {
            return;
        }
        if outcome == Err(Failure::Unknown) {
            self.contents.ledger.may_be_sent(sequence);
        }
        if let Some(settled) = self.settlement(sequence, outcome, is_late) {
            self.settle(sequence, settled);
        }
    }

    /// What an outcome means; nothing if the message stays queued.
    fn settlement(&self, sequence: u64, outcome: Outcome, is_late: bool) -> Option<Settled> {
        let entry = self.contents.ledger.get(sequence)?;
        let (is_over, sent_before) = (entry.end <= Instant::now(), entry.sent_before);
        Some(match outcome {
            Ok(published) => Settled::acknowledged(match published {
                Published::Acknowledged { reason_code, .. } => reason_code,
                Published::HandedOver => None,
            }),
            Err(Failure::Stopping | Failure::Unknown) if self.is_stopping && !is_over => return None,
            Err(Failure::Unknown) if is_over => Settled::expired(true),
            Err(Failure::NotConnected | Failure::NotReady(_) | Failure::Busy | Failure::Stopping) => {
                Settled::expired(sent_before)
            }
            Err(failure) => {
                let is_unknown = !is_late && matches!(failure, Failure::Unknown | Failure::GivenUp);
                Settled {
                    reason_code: failure.reason_code(),
                    error: Some(failure.to_string().into()),
                    may_have_arrived: is_unknown || sent_before,
                    ..Settled::now(Settlement::Refused)
                }
            }
        })
    }

    /// Expires what is on disk only.
    pub fn expire(&mut self) {
        // while the disk fails they are not written
        let most = if self.trouble.is_some() { usize::MAX } else { EXPIRED_AT_ONCE };
        for sequence in self.contents.ledger.expired(Instant::now(), most) {
            self.settle(sequence, Settled::expired(self.was_sent(sequence)));
        }
    }

    fn was_sent(&self, sequence: u64) -> bool {
        self.contents.ledger.get(sequence).is_some_and(Entry::was_sent)
    }

    fn settle(&mut self, sequence: u64, settled: Settled) {
        self.contents.fresh.take(sequence);
        // a late outcome takes the place of one that was counted
        if self.contents.ledger.settle(sequence, settled.result, settled.at) {
            metrics::outbox().settled(settled.result);
        }
        self.contents.unwritten.push(Change::Settle { sequence, settled });
    }
}

impl Settled {
    fn now(result: Settlement) -> Self {
        Self { at: SystemTime::now(), result, reason_code: None, error: None, may_have_arrived: false }
    }

    fn acknowledged(reason_code: Option<u8>) -> Self {
        Self { reason_code, ..Self::now(Settlement::Acknowledged) }
    }

    fn expired(may_have_arrived: bool) -> Self {
        Self { may_have_arrived, ..Self::now(Settlement::Expired) }
    }
}
