//! What is asked of the broker, and what it answers: one operation after the other, several on their way together.

use std::time::{Duration, Instant};

use super::due::Due;
use super::identifiers::identifier;
use super::report::SHOWN;
use super::{Entry, Key, Report, Subscriptions};
use crate::message::{Qos, TopicFilter};
use crate::mqtt::protocol::Limits;
use crate::mqtt::reason::PACKET_TOO_LARGE;
use crate::printable::Printable;

/// The most filters in one SUBSCRIBE.
const MAX_TOGETHER: usize = 100;
/// The most bytes of one with several.
const MAX_TOGETHER_SIZE: usize = 16 * 1024;
/// Bytes of a SUBSCRIBE beside the filter: fixed header, packet identifier, subscription identifier, length and options.
const SUBSCRIBE_OVERHEAD: usize = 1 + 4 + 2 + 6 + 2 + 1;

/// Something that is to be asked of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// With an identifier, for a single filter.
    Subscribe(Vec<(TopicFilter, Qos)>, Option<u32>),
    /// From one filter.
    Unsubscribe(TopicFilter),
}

/// Something that was asked.
pub struct Handed {
    pub keys: Vec<Key>,
    pub is_subscribe: bool,
    since: Instant,
    /// For whoever counts packet identifiers.
    turn: u64,
}

/// A filter that the broker was not asked for, as it would not take the packet.
pub struct Unasked {
    filter: TopicFilter,
    size: usize,
    link: Link,
    is_passing: bool,
}

impl Unasked {
    /// Says it.
    pub fn log(&self) {
        let topic = Printable::new(self.filter.as_str(), SHOWN);
        let (size, limit) = (self.size, self.link.max_packet_size);
        let words = "the broker takes no packet of more than";
        if self.is_passing {
            log::debug!(
                "not subscribed to {topic} for a listener: {words} {limit} bytes, and a SUBSCRIBE takes {size}"
            );
        } else {
            log::warn!("not subscribed to {topic}: {words} {limit} bytes, and our SUBSCRIBE takes up to {size}");
        }
    }
}

/// What is known of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    pub has_identifiers: bool,
    /// Bytes.
    max_packet_size: usize,
    /// Filters are asked for one at a time, with so long behind the broker's answer.
    pub probation: Option<Duration>,
}

impl<R> Subscriptions<R> {
    /// A connection takes SUBSCRIBE from now on; with a `probation` for one filter at a time, as earlier ones ended over
    /// what came for some.
    pub fn connected(&mut self, session_present: bool, limits: Limits, probation: Option<Duration>, now: Instant) {
        let max_packet_size = usize::try_from(limits.max_packet_size).unwrap_or(usize::MAX);
        self.connection = Some(Link { has_identifiers: limits.subscription_identifiers, max_packet_size, probation });
        for key in self.all() {
            let is_continued = session_present && self.is_continued(key);
            if let Some(entry) = self.entries.get(&key).filter(|_| self.was_connected && !is_continued) {
                entry.begin_gap();
            }
        }
        self.was_connected = true;
        for key in self.all() {
            self.change(key, |entry| entry.connected(session_present));
        }
        self.dirty = self.overlaps.all().clone();
        self.first = self.dirty.clone();
        if let Some(length) = probation.filter(|_| session_present) {
            self.begin_probation_of_session(length, now);
        }
    }

    /// Whether the session that the broker kept has what came for a filter meanwhile, be it by a wider one.
    fn is_continued(&self, key: Key) -> bool {
        let Some(entry) = self.entries.get(&key) else { return false };
        let by_wider = || {
            let wider = self.overlaps.wider(&entry.filter);
            wider.iter().filter_map(|key| self.entries.get(&key)).any(Entry::is_queued)
        };
        entry.is_queued() || (self.is_carrying() && by_wider())
    }

    /// The connection has ended.
    pub fn disconnected(&mut self) {
        self.connection = None;
        (self.probation, self.asked_alone) = (None, 0);
        self.handed_over.clear();
        self.asked.clear();
        self.first = super::Keys::default();
        let is_kept = self.is_kept;
        for key in self.all() {
            self.tell(key, |entry| entry.disconnected(is_kept));
            // readers whose moment passed while there was a connection are looked at again
            let waiters = self.entries.get(&key).into_iter().flat_map(|entry| &entry.waiters);
            self.deadlines.extend(waiters.filter_map(|waiting| waiting.begins).map(|begins| (begins, key)));
        }
        self.dirty = self.overlaps.all().clone();
    }

    /// What is to be asked of the broker next. Asked again it is the same, until [`Self::hand_over`].
    pub fn next(&mut self) -> Option<Operation> {
        let link = self.connection?;
        if let Some((key, qos)) = self.due_suspect() {
            return self.ask_alone(key, qos);
        }
        let (mut together, mut size) = (Vec::new(), 0);
        let mut from = 0;
        while let Some(key) = self.dirty.first_from(from) {
            from = key + 1;
            let carrier = self.carrier(key);
            let due = self.due(key, carrier);
            let Some(entry) = self.entries.get(&key) else { continue };
            let more = entry.filter.as_str().len() + SUBSCRIBE_OVERHEAD;
            match due {
                Due::Nothing => self.has_nothing_due(key, carrier),
                // the library would end the connection over it; what it would have carried is to be done now
                Due::Subscribe(_) if more > link.max_packet_size => {
                    let is_passing = !entry.is_recorded();
                    self.unasked.push(Unasked { filter: entry.filter.clone(), size: more, link, is_passing });
                    self.refuse(key);
                    (from, size) = (0, 0);
                    together.clear();
                }
                Due::Subscribe(_) if self.waits_for_probation(key) => {}
                Due::Subscribe(qos) if link.has_identifiers => return self.ask_alone(key, qos),
                Due::Subscribe(qos) if self.is_tried_alone(key) => {
                    if together.is_empty() {
                        return self.ask_alone(key, qos);
                    }
                }
                Due::Subscribe(qos) => {
                    let is_too_much = size + more > link.max_packet_size.min(MAX_TOGETHER_SIZE);
                    if !together.is_empty() && (is_too_much || together.len() == MAX_TOGETHER) {
                        break;
                    }
                    size += more;
                    together.push((entry.filter.clone(), qos));
                }
                // so it would over this; the session keeps it, and nobody gets its messages
                Due::Unsubscribe if more > link.max_packet_size => {
                    self.tell(key, |entry| entry.unsubscribed(None));
                    from = key;
                }
                // of two, nobody could tell which was refused
                Due::Unsubscribe if link.probation.is_some() && self.has_unanswered() => {}
                Due::Unsubscribe if together.is_empty() => return Some(Operation::Unsubscribe(entry.filter.clone())),
                Due::Unsubscribe => {}
            }
        }
        if together.is_empty() {
            self.end_carefulness();
            return None;
        }
        Some(Operation::Subscribe(together, None))
    }

    /// A SUBSCRIBE for one filter, with its identifier where there may be one.
    fn ask_alone(&self, key: Key, qos: Qos) -> Option<Operation> {
        let entry = self.entries.get(&key)?;
        let has_identifiers = self.connection.is_some_and(|link| link.has_identifiers);
        let identifier = has_identifiers.then(|| identifier(entry.slot, entry.generation + 1));
        Some(Operation::Subscribe(vec![(entry.filter.clone(), qos)], identifier))
    }

    fn has_nothing_due(&mut self, key: Key, carrier: Option<Key>) {
        self.dirty.set(key, false);
        if !self.entries.get(&key).is_some_and(Entry::is_asked) {
            self.first.set(key, false);
        }
        self.tidy(key, carrier);
    }

    /// What the broker need not be asked, as its answer is known.
    fn refuse(&mut self, key: Key) {
        let asks = self.asks;
        self.tell(key, |entry| {
            entry.ask(Some(Qos::AtMostOnce), asks);
            entry.subscribed(Some(Err(PACKET_TOO_LARGE)))
        });
        self.touch(key);
    }

    /// The operation of [`Self::next`] was handed over; its packet identifier belongs to this turn.
    pub fn hand_over(&mut self, operation: &Operation, turn: u64, now: Instant) {
        let filters: Vec<(&TopicFilter, Option<Qos>)> = match operation {
            Operation::Subscribe(filters, _) => filters.iter().map(|(filter, qos)| (filter, Some(*qos))).collect(),
            Operation::Unsubscribe(filter) => vec![(filter, None)],
        };
        let mut keys = Vec::with_capacity(filters.len());
        self.asks += 1;
        let asks = self.asks;
        for (filter, qos) in filters {
            let Some(&key) = self.by_filter.get(filter) else { continue };
            if qos.is_some() && self.is_tried_alone(key) {
                self.begin_probation(key);
            }
            self.change(key, |entry| entry.ask(qos, asks));
            keys.push(key);
            self.dirty.set(key, false);
        }
        // what waited for it may go now
        self.dirty = std::mem::take(&mut self.dirty) | &self.waiting();
        let is_subscribe = matches!(operation, Operation::Subscribe(..));
        self.handed_over.push_back(Handed { keys, is_subscribe, since: now, turn });
    }

    /// The oldest operation without a packet identifier has this one.
    pub fn written(&mut self, packet_identifier: u16) {
        if let Some(handed) = self.handed_over.pop_front() {
            self.asked.insert(packet_identifier, handed);
        }
    }

    /// A SUBACK came, with an answer for each of its filters in their order (MQTT 5, 3.9.3-1). Returns the turn of its
    /// packet identifier, and what there is to be said.
    pub fn subscribed(
        &mut self,
        packet_identifier: u16,
        answers: &[Result<u8, u8>],
        now: Instant,
    ) -> Option<(u64, Vec<Report>)> {
        let handed = self.answered(packet_identifier, true)?;
        let mut reports = Vec::new();
        for (position, key) in handed.keys.iter().enumerate() {
            let Some(entry) = self.entries.get(key) else { continue };
            let answer = answers.get(position).copied();
            let (qos, is_passing) = (entry.asked_qos(), !entry.is_asked_to_record());
            reports.push(Report { filter: entry.filter.clone(), qos, answer, is_passing });
            self.tell(*key, |entry| entry.subscribed(answer));
            self.answered_on_probation(*key, matches!(answer, Some(Ok(_))), now);
            self.first.set(*key, false);
            self.touch(*key);
        }
        Some((handed.turn, reports))
    }

    /// An UNSUBACK came, with the reason code of a failure. Returns the turn of its packet identifier.
    pub fn unsubscribed(&mut self, packet_identifier: u16, failure: Option<u8>) -> Option<u64> {
        let handed = self.answered(packet_identifier, false)?;
        for key in &handed.keys {
            self.tell(*key, |entry| entry.unsubscribed(failure));
            self.first.set(*key, false);
            self.touch(*key);
        }
        Some(handed.turn)
    }

    /// What this is the answer to; an UNSUBACK to a SUBSCRIBE, or the reverse, is none: it would be asked again at once, and
    /// so for ever.
    fn answered(&mut self, packet_identifier: u16, is_subscribe: bool) -> Option<Handed> {
        let handed = self.asked.get(&packet_identifier);
        handed.filter(|handed| handed.is_subscribe == is_subscribe)?;
        self.asked.remove(&packet_identifier)
    }

    /// Whether there is something that the broker has not answered.
    pub(super) fn has_unanswered(&self) -> bool {
        !self.handed_over.is_empty() || !self.asked.is_empty()
    }

    /// What the broker was not asked, since the last time.
    pub fn take_unasked(&mut self) -> Vec<Unasked> {
        std::mem::take(&mut self.unasked)
    }

    /// The filters of the oldest SUBSCRIBE that the broker has not answered.
    pub fn unanswered(&self) -> Vec<TopicFilter> {
        let subscribes = self.handed_over.iter().chain(self.asked.values()).filter(|handed| handed.is_subscribe);
        let keys = subscribes.min_by_key(|handed| handed.since).map_or(&[][..], |handed| &handed.keys);
        keys.iter().filter_map(|key| self.entries.get(key)).map(|entry| entry.filter.clone()).collect()
    }

    /// Since when the oldest unanswered operation has been with the connection.
    pub fn oldest_asked(&self) -> Option<Instant> {
        self.handed_over.iter().chain(self.asked.values()).map(|handed| handed.since).min()
    }

    /// Whether the broker has answered for all that was wanted when the connection came about. What came since holds up
    /// nobody.
    pub fn is_settled(&mut self) -> bool {
        self.next();
        self.first.is_empty()
    }
}
