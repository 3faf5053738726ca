//! SUBSCRIBE and UNSUBSCRIBE packets and their answers. Several may be on their way at a time.

use std::time::{Duration, Instant};

use super::Subscriptions;
use super::entry::Entry;
use super::identifiers::identifier;
use super::index::{Key, KeySet};
use super::operation::{Link, Operation, Pending};
use super::plan::Plan;
use super::report::{Report, log_oversized};
use crate::message::{Qos, TopicFilter};
use crate::mqtt::protocol::Limits;
use crate::mqtt::reason::PACKET_TOO_LARGE;

/// The most filters in one SUBSCRIBE.
const MAX_TOGETHER: usize = 100;
/// The most bytes of a SUBSCRIBE with several filters.
const MAX_TOGETHER_SIZE: usize = 16 * 1024;
/// Bytes of a SUBSCRIBE besides the filter: fixed header, packet identifier, subscription identifier, length and
/// options.
const SUBSCRIBE_OVERHEAD: usize = 1 + 4 + 2 + 6 + 2 + 1;

impl Subscriptions {
    /// A connection takes SUBSCRIBE from now on. With a `probation`, filters are tried one at a time, as earlier
    /// connections ended over what came for some.
    pub fn connected(&mut self, session_present: bool, limits: Limits, probation: Option<Duration>, now: Instant) {
        let max_packet_size = usize::try_from(limits.max_packet_size).unwrap_or(usize::MAX);
        self.connection = Some(Link { has_identifiers: limits.subscription_identifiers, max_packet_size, probation });
        for key in self.all() {
            let has_gap = self.connections > 0 && !(session_present && self.is_continued(key));
            self.change(key, |entry| entry.connected(session_present, has_gap));
        }
        self.connections += 1;
        self.dirty = self.index.filters.all.clone();
        self.initial = self.dirty.clone();
        if let Some(length) = probation.filter(|_| session_present) {
            self.begin_probation_of_session(length, now);
        }
    }

    /// Whether the kept session has the messages of a filter since the last connection, perhaps for a wider filter.
    fn is_continued(&self, key: Key) -> bool {
        let Some(entry) = self.entries.get(&key) else { return false };
        let by_wider = || {
            let wider = self.index.filters.wider(&entry.filter);
            wider.iter().filter_map(|key| self.entries.get(&key)).any(Entry::is_queued)
        };
        entry.is_queued() || (self.is_carrying() && by_wider())
    }

    /// The connection has ended.
    pub fn disconnected(&mut self) {
        self.connection = None;
        (self.probation, self.tried_alone) = (None, 0);
        self.handed_over.clear();
        self.sent.clear();
        self.initial = KeySet::default();
        let is_kept = self.is_kept;
        for key in self.all() {
            self.settle(key, |entry| entry.disconnected(is_kept));
            // readers that would have begun without a connection meanwhile are looked at again
            let waiters = self.entries.get(&key).into_iter().flat_map(|entry| &entry.waiters);
            self.deadlines.extend(waiters.filter_map(|waiter| waiter.begins).map(|begins| (begins, key)));
        }
        self.dirty = self.index.filters.all.clone();
    }

    /// The operation to hand over next. It stays the same until [`Self::hand_over`].
    pub fn next(&mut self) -> Option<Operation> {
        let link = self.connection?;
        if let Some((key, qos)) = self.next_suspect() {
            return self.subscribe_alone(key, qos);
        }
        let (mut together, mut size) = (Vec::new(), 0);
        let mut from = 0;
        while let Some(key) = self.dirty.first_from(from) {
            from = key + 1;
            let plan = self.plan(key);
            let Some(entry) = self.entries.get(&key) else { continue };
            let more = entry.filter.as_str().len() + SUBSCRIBE_OVERHEAD;
            match plan {
                Plan::Nothing => self.needs_nothing(key),
                // the MQTT client would end the connection over it; what it would have carried needs its own operation
                Plan::Subscribe(_) if more > link.max_packet_size => {
                    log_oversized(&entry.filter, !entry.is_recorded(), more, link.max_packet_size);
                    self.refuse_oversized(key);
                    (from, size) = (0, 0);
                    together.clear();
                }
                Plan::Subscribe(_) if self.waits_for_probation(key) => {}
                Plan::Subscribe(qos) if link.has_identifiers => return self.subscribe_alone(key, qos),
                Plan::Subscribe(qos) if self.is_tried_alone(key) => {
                    if together.is_empty() {
                        return self.subscribe_alone(key, qos);
                    }
                }
                Plan::Subscribe(qos) => {
                    let is_too_much = size + more > link.max_packet_size.min(MAX_TOGETHER_SIZE);
                    if !together.is_empty() && (is_too_much || together.len() == MAX_TOGETHER) {
                        break;
                    }
                    size += more;
                    together.push((entry.filter.clone(), qos));
                }
                // so it would over this; the session keeps the filter, and its messages go nowhere
                Plan::Unsubscribe if more > link.max_packet_size => {
                    self.settle(key, |entry| entry.unsubscribed(None));
                    from = key;
                }
                // of two operations it would not be known which was refused
                Plan::Unsubscribe if link.probation.is_some() && self.has_unanswered() => {}
                Plan::Unsubscribe if together.is_empty() => return Some(Operation::Unsubscribe(entry.filter.clone())),
                Plan::Unsubscribe => {}
            }
        }
        if together.is_empty() {
            self.end_carefulness();
            return None;
        }
        Some(Operation::Subscribe(together, None))
    }

    /// A SUBSCRIBE for one filter, with its identifier where the broker supports that.
    fn subscribe_alone(&self, key: Key, qos: Qos) -> Option<Operation> {
        let entry = self.entries.get(&key)?;
        let has_identifiers = self.connection.is_some_and(|link| link.has_identifiers);
        let identifier = has_identifiers.then(|| identifier(entry.slot, entry.generation + 1));
        Some(Operation::Subscribe(vec![(entry.filter.clone(), qos)], identifier))
    }

    fn needs_nothing(&mut self, key: Key) {
        self.dirty.set(key, false);
        if !self.entries.get(&key).is_some_and(Entry::is_unanswered) {
            self.initial.set(key, false);
        }
        self.tidy(key);
    }

    /// Refuses a filter whose SUBSCRIBE would be larger than the broker accepts.
    fn refuse_oversized(&mut self, key: Key) {
        let operations = self.operations;
        self.settle(key, |entry| {
            entry.sent(Some(Qos::AtMostOnce), operations);
            entry.subscribed(Some(Err(PACKET_TOO_LARGE)))
        });
        self.touch(key);
    }

    /// The operation of [`Self::next`] was handed over; `ordinal` is that of its packet identifier.
    pub fn hand_over(&mut self, operation: &Operation, ordinal: u64, now: Instant) {
        let filters: Vec<(&TopicFilter, Option<Qos>)> = match operation {
            Operation::Subscribe(filters, _) => filters.iter().map(|(filter, qos)| (filter, Some(*qos))).collect(),
            Operation::Unsubscribe(filter) => vec![(filter, None)],
        };
        let mut keys = Vec::with_capacity(filters.len());
        self.operations += 1;
        let operations = self.operations;
        for (filter, qos) in filters {
            let Some(&key) = self.by_filter.get(filter) else { continue };
            if qos.is_some() && self.is_tried_alone(key) {
                self.begin_probation(key);
            }
            self.change(key, |entry| entry.sent(qos, operations));
            keys.push(key);
            self.dirty.set(key, false);
        }
        self.dirty = std::mem::take(&mut self.dirty).or(&self.replaceable());
        let is_subscribe = matches!(operation, Operation::Subscribe(..));
        self.handed_over.push_back(Pending { keys, is_subscribe, since: now, ordinal });
    }

    /// The oldest operation without a packet identifier has this one.
    pub fn written(&mut self, packet_identifier: u16) {
        if let Some(pending) = self.handed_over.pop_front() {
            self.sent.insert(packet_identifier, pending);
        }
    }

    /// A SUBACK came, with an answer for each of its filters in their order (MQTT 5, 3.9.3-1). Returns the ordinal of
    /// its packet identifier, and what is to be logged.
    pub fn subscribed(
        &mut self,
        packet_identifier: u16,
        answers: &[Result<u8, u8>],
        now: Instant,
    ) -> Option<(u64, Vec<Report>)> {
        let pending = self.take_answered(packet_identifier, true)?;
        let mut reports = Vec::new();
        for (position, key) in pending.keys.iter().enumerate() {
            let Some(entry) = self.entries.get(key) else { continue };
            let answer = answers.get(position).copied();
            let (qos, is_passing) = (entry.requested_qos(), !entry.is_subscribed_to_record());
            reports.push(Report { filter: entry.filter.clone(), qos, answer, is_passing });
            self.settle(*key, |entry| entry.subscribed(answer));
            self.answered_on_probation(*key, matches!(answer, Some(Ok(_))), now);
            self.initial.set(*key, false);
            self.touch(*key);
        }
        Some((pending.ordinal, reports))
    }

    /// An UNSUBACK came, with the reason code of a failure. Returns the ordinal of its packet identifier.
    pub fn unsubscribed(&mut self, packet_identifier: u16, failure: Option<u8>) -> Option<u64> {
        let pending = self.take_answered(packet_identifier, false)?;
        for key in &pending.keys {
            self.settle(*key, |entry| entry.unsubscribed(failure));
            self.initial.set(*key, false);
            self.touch(*key);
        }
        Some(pending.ordinal)
    }

    /// The operation that this answers. An UNSUBACK is no answer to a SUBSCRIBE, nor a SUBACK to an UNSUBSCRIBE: with
    /// an answer of the wrong kind the operation would be repeated without end.
    fn take_answered(&mut self, packet_identifier: u16, is_subscribe: bool) -> Option<Pending> {
        let pending = self.sent.get(&packet_identifier);
        pending.filter(|pending| pending.is_subscribe == is_subscribe)?;
        self.sent.remove(&packet_identifier)
    }

    /// The operations without an answer.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Pending> {
        self.handed_over.iter().chain(self.sent.values())
    }

    /// Whether an operation has no answer yet.
    pub(super) fn has_unanswered(&self) -> bool {
        self.pending().next().is_some()
    }

    /// The filters of the oldest SUBSCRIBE without an answer.
    pub fn unanswered(&self) -> Vec<TopicFilter> {
        let subscribes = self.pending().filter(|pending| pending.is_subscribe);
        let keys = subscribes.min_by_key(|pending| pending.since).map_or(&[][..], |pending| &pending.keys);
        keys.iter().filter_map(|key| self.entries.get(key)).map(|entry| entry.filter.clone()).collect()
    }

    /// Since when the oldest unanswered operation has been with the connection.
    pub fn oldest_unanswered(&self) -> Option<Instant> {
        self.pending().map(|pending| pending.since).min()
    }

    /// Whether the broker has answered for everything that was wanted when the connection came about. Later interests
    /// do not count.
    pub fn is_settled(&mut self) -> bool {
        self.next();
        self.initial.is_empty()
    }
}
