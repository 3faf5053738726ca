//! The table of topic filters, event by event.

mod callers;
mod operations;
mod overlaps;
mod probation;
mod random;
mod readers;

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::quota::LINGER;
use super::*;
use crate::config::{MAX_FILTER_BYTES, MAX_FILTERS};
use crate::message::{Priority, Received};
use crate::mqtt::protocol::Limits;
use crate::mqtt::session::topic_buffer::Retained;

const SECOND: Duration = Duration::from_secs(1);

fn filter(text: &str) -> TopicFilter {
    TopicFilter::try_from(text.to_owned()).unwrap()
}

fn of_file(text: &str, qos: Qos) -> Subscription {
    Subscription { topic: filter(text), qos, priority: Priority::default() }
}

fn limits(subscription_identifiers: bool) -> Limits {
    Limits { subscription_identifiers, ..Limits::default() }
}

const READ: Interest = Interest::Read { qos: Qos::AtMostOnce, retained: true };
const FETCH: Interest = Interest::Fetch(Qos::AtMostOnce);
const RECORD: Interest = Interest::Record(Qos::AtLeastOnce);

/// A table with a model of a broker, which answers when a test says so.
struct Bench {
    table: Subscriptions,
    told: mpsc::Receiver<(u32, Answer)>,
    tell: mpsc::Sender<(u32, Answer)>,
    now: Instant,
    /// The filters that the broker has, with their identifiers.
    broker: BTreeMap<String, Option<u32>>,
    /// Operations without an answer, in order.
    open: Vec<(u16, Operation)>,
    next_identifier: u16,
    refused: Vec<&'static str>,
}

impl Bench {
    fn new(file: &[Subscription], is_kept: bool) -> Self {
        let (tell, told) = mpsc::channel();
        Self {
            table: Subscriptions::new(file, is_kept),
            told,
            tell,
            now: Instant::now(),
            broker: BTreeMap::new(),
            open: Vec::new(),
            next_identifier: 1,
            refused: Vec::new(),
        }
    }

    fn connect(&mut self, session_present: bool, has_identifiers: bool) {
        if !session_present {
            self.broker.clear();
        }
        self.table.connected(session_present, limits(has_identifiers), None, self.now);
    }

    fn disconnect(&mut self) {
        self.open.clear();
        self.table.disconnected();
    }

    fn register(&mut self, text: &str, interest: Interest, who: u32) {
        self.register_for(text, interest, SECOND, who);
    }

    fn register_for(&mut self, text: &str, interest: Interest, timeout: Duration, who: u32) {
        let tell = self.tell.clone();
        let caller = Box::new(move |answer| tell.send((who, answer)).unwrap());
        self.table.register(&filter(text), interest, (self.now, self.now + timeout), caller);
    }

    /// Hands over all operations; returns them as text.
    fn send(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        while let Some(operation) = self.table.next() {
            words.push(match &operation {
                Operation::Subscribe(filters, identifier) => {
                    let filters = filters.iter().map(|(filter, qos)| format!(" {} {qos}", filter.as_str()));
                    let prefix = if identifier.is_some() { "id" } else { "all" };
                    format!("{prefix}{}", filters.collect::<String>())
                }
                Operation::Unsubscribe(filter) => format!("not {}", filter.as_str()),
            });
            self.table.hand_over(&operation, 0, self.now);
            self.table.written(self.next_identifier);
            self.open.push((self.next_identifier, operation));
            self.next_identifier += 1;
        }
        words
    }

    /// The broker answers all operations.
    fn answer(&mut self) {
        for (packet_identifier, operation) in std::mem::take(&mut self.open) {
            match operation {
                Operation::Subscribe(filters, identifier) => {
                    let answer = |(filter, qos): &(TopicFilter, Qos)| {
                        if self.refused.contains(&filter.as_str()) { Err(135) } else { Ok(*qos as u8) }
                    };
                    let answers: Vec<_> = filters.iter().map(answer).collect();
                    for ((filter, _), answer) in filters.iter().zip(&answers) {
                        if answer.is_ok() {
                            self.broker.insert(filter.as_str().to_owned(), identifier);
                        }
                    }
                    assert!(self.table.subscribed(packet_identifier, &answers, self.now).is_some());
                }
                Operation::Unsubscribe(filter) => {
                    self.broker.remove(filter.as_str());
                    assert!(self.table.unsubscribed(packet_identifier, None).is_some());
                }
            }
        }
    }

    fn settle(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let asked = self.send();
            if asked.is_empty() {
                return all;
            }
            all.extend(asked);
            self.answer();
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.table.expire(self.now);
    }

    fn answers(&mut self) -> Vec<(u32, Answer)> {
        for (caller, answer) in self.table.take_settled() {
            caller(answer);
        }
        self.told.try_iter().collect()
    }

    fn open_buffer(&mut self, text: &str) -> u32 {
        let make = || Arc::new(TopicBuffer::new(0, Arc::default()));
        self.table.open_buffer(&filter(text), make).unwrap().1
    }

    /// Whether a copy of a message for these filters goes to the journal, and to how many buffers.
    fn route(&mut self, topic: &str, copies: &[&str], retain: bool) -> (bool, usize) {
        let mut message = Received { topic: topic.as_bytes().to_vec(), retain, ..Received::default() };
        message.properties.subscription_identifiers = copies.iter().map(|copy| self.broker[*copy].unwrap()).collect();
        let route = self.table.route(&message);
        (route.journal.is_some(), route.buffers.len())
    }
}
