//! The table of topic filters, event by event, and random ones against a model of a broker.

mod probation;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::room::LINGER;
use super::*;
use crate::config::{MAX_FILTER_BYTES, MAX_FILTERS};
use crate::message::{Priority, Received};
use crate::mqtt::protocol::Limits;

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

const READ: Want = Want::Read { qos: Qos::AtMostOnce, retained: true };
const RECORDED: Want = Want::Recorded(Qos::AtLeastOnce);

/// A table with a broker that grants everything, whose answers come when they are asked for.
struct Bench {
    table: Subscriptions<u32>,
    now: Instant,
    /// What the broker has, with the identifiers.
    broker: BTreeMap<String, Option<u32>>,
    /// What was asked and has no answer, in order.
    open: Vec<(u16, Operation)>,
    next_identifier: u16,
    refused: Vec<&'static str>,
}

impl Bench {
    fn new(file: &[Subscription], is_kept: bool) -> Self {
        let (table, now) = (Subscriptions::new(file, is_kept), Instant::now());
        Self { table, now, broker: BTreeMap::new(), open: Vec::new(), next_identifier: 1, refused: Vec::new() }
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

    fn want(&mut self, text: &str, want: Want, who: u32) {
        self.table.want(&filter(text), want, (self.now, self.now + SECOND), who);
    }

    /// Hands over everything that there is; returns it in words.
    fn ask(&mut self) -> Vec<String> {
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

    /// The broker answers everything.
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
            let asked = self.ask();
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

    fn told(&mut self) -> Vec<(u32, Answer)> {
        self.table.take_settled()
    }

    fn open_channel(&mut self, text: &str) -> u32 {
        let make = || Arc::new(Channel::new(0, Arc::default()));
        self.table.open_channel(&filter(text), make).unwrap().1
    }

    /// Whether a copy of a message for these filters is for the journal, and how many channels get it.
    fn route(&self, topic: &str, copies: &[&str], retain: bool) -> (bool, usize) {
        let mut message = Received { topic: topic.as_bytes().to_vec(), retain, ..Received::default() };
        message.properties.subscription_identifiers = copies.iter().map(|copy| self.broker[*copy].unwrap()).collect();
        let route = self.table.route(&message);
        (route.journal.is_some(), route.channels.len())
    }
}

#[test]
fn with_identifiers_each_filter_is_asked_for_by_itself_and_all_are_on_the_way_together() {
    let mut bench = Bench::new(&[of_file("a/#", Qos::AtLeastOnce), of_file("a/b", Qos::AtMostOnce)], false);
    assert_eq!(bench.ask(), [""; 0]);
    bench.connect(false, true);
    assert_eq!(bench.ask(), ["id a/# 1", "id a/b 0"]);
    assert!(!bench.table.is_settled());
    bench.answer();
    assert!(bench.table.is_settled());
    let granted: Vec<_> = bench.table.standings().iter().map(|standing| standing.answer).collect();
    assert_eq!(granted, [Some(Ok(1)), Some(Ok(0))]);
}

#[test]
fn what_is_asked_since_the_connection_came_about_holds_up_nobody() {
    let mut bench = Bench::new(&[of_file("file", Qos::AtMostOnce)], false);
    bench.connect(false, true);
    bench.ask();
    bench.want("a", RECORDED, 1);
    assert!(!bench.table.is_settled());
    bench.answer();
    bench.ask();
    bench.want("b", RECORDED, 2);
    assert!(bench.table.is_settled());
}

#[test]
fn unsubscribing_beside_a_reader_who_is_on_the_way_comes_to_an_end() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, true);
    bench.want("a", Want::Recorded(Qos::AtMostOnce), 1);
    bench.settle();
    bench.want("a", Want::Read { qos: Qos::AtLeastOnce, retained: true }, 2);
    bench.want("a", Want::Unsubscribed, 3);
    bench.settle();
    assert_eq!(bench.told(), [(1, Ok(0)), (2, Ok(1)), (3, Ok(0))]);
    assert_eq!(bench.table.standings()[0].source, Source::Listener);
}

#[test]
fn whoever_wants_a_filter_is_told_what_the_broker_says() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, true);
    bench.refused.push("no");
    bench.want("yes", RECORDED, 1);
    bench.want("no", RECORDED, 2);
    assert_eq!(bench.settle(), ["id yes 1", "id no 1"]);
    assert_eq!(bench.told(), [(1, Ok(1)), (2, Err(Refusal::Refused(135)))]);
    let standings = bench.table.standings();
    assert_eq!(standings.iter().map(|standing| standing.filter.as_str()).collect::<Vec<_>>(), ["yes"]);
    // the same again changes nothing, another quality of service does
    bench.want("yes", RECORDED, 3);
    assert_eq!((bench.settle(), bench.told()), (vec![], vec![(3, Ok(1))]));
    bench.want("yes", Want::Recorded(Qos::AtMostOnce), 4);
    assert_eq!(bench.settle(), ["id yes 0"]);
    assert_eq!(bench.told(), [(4, Ok(0))]);
    bench.want("yes", Want::Unsubscribed, 5);
    bench.want("other", Want::Unsubscribed, 6);
    assert_eq!(bench.settle(), ["not yes"]);
    assert_eq!(bench.told(), [(6, Ok(0)), (5, Ok(0))]);
    assert!(bench.table.entries.is_empty() && bench.broker.is_empty());
}

#[test]
fn a_deadline_leaves_things_as_they_were() {
    let mut bench = Bench::new(&[], false);
    bench.want("a", RECORDED, 1);
    bench.pass(SECOND);
    assert_eq!(bench.told(), [(1, Err(Refusal::NotConnected))]);
    bench.connect(false, true);
    assert_eq!(bench.settle(), [""; 0]);
    bench.want("a", RECORDED, 2);
    bench.ask();
    bench.pass(SECOND);
    assert_eq!(bench.told(), [(2, Err(Refusal::Unknown))]);
    // its answer comes late, and nobody wants it
    bench.answer();
    assert_eq!(bench.settle(), ["not a"]);
    // what is to end goes on while nobody can be told
    bench.want("b", RECORDED, 3);
    bench.settle();
    bench.disconnect();
    bench.want("b", Want::Unsubscribed, 4);
    bench.pass(SECOND);
    assert_eq!(bench.told(), [(3, Ok(1)), (4, Err(Refusal::NotConnected))]);
    // there is a connection, which takes nothing at the time
    bench.connect(false, true);
    bench.want("c", RECORDED, 5);
    bench.pass(SECOND);
    assert_eq!(bench.told(), [(5, Err(Refusal::Busy))]);
    bench.connect(false, true);
    assert_eq!(bench.settle(), ["id b 1"]);
}

#[test]
fn a_filter_over_which_connections_end_is_given_up() {
    let mut bench = Bench::new(&[of_file("file", Qos::AtMostOnce)], false);
    for _ in 0..2 {
        bench.connect(false, true);
        if bench.table.entries.len() == 1 {
            bench.want("deadly", RECORDED, 1);
        }
        bench.ask();
        bench.disconnect();
    }
    assert_eq!(bench.told(), [(1, Err(Refusal::Unknown))]);
    bench.connect(false, true);
    assert_eq!(bench.settle(), ["id file 0"]);
}

#[test]
fn a_reader_begins_without_a_broker_and_keeps_no_further_connection_from_coming_about() {
    let mut bench = Bench::new(&[of_file("file", Qos::AtMostOnce)], false);
    bench.want("deadly", READ, 1);
    bench.want("deadly", Want::Answers, 2);
    let next = bench.open_channel("deadly");
    assert_eq!(bench.told(), []);
    bench.pass(BEGINS_AFTER);
    assert_eq!(bench.told(), [(1, Ok(0)), (2, Err(Refusal::NotConnected))]);
    for asks in 1..=2 {
        bench.connect(false, true);
        assert_eq!(bench.ask(), ["id file 0", "id deadly 0"], "{asks}");
        bench.disconnect();
    }
    bench.connect(false, true);
    assert_eq!(bench.settle(), ["id file 0"]);
    // who asks for it anew has it tried, and so does the connection after
    bench.disconnect();
    bench.connect(false, true);
    assert_eq!(bench.settle(), ["id file 0", "id deadly 0"]);
    assert!(next < bench.open_channel("deadly"));
}

#[test]
fn a_reader_whose_question_was_lost_waits_for_another_answer_while_there_is_time() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, true);
    bench.want("a", READ, 1);
    bench.ask();
    bench.disconnect();
    bench.pass(SECOND / 2);
    assert_eq!(bench.told(), []);
    bench.pass(SECOND / 2);
    assert_eq!(bench.told(), [(1, Ok(0))]);
    // a broker that is there and does not answer is not away
    bench.connect(false, true);
    bench.want("b", READ, 2);
    bench.ask();
    bench.pass(SECOND);
    assert_eq!(bench.told(), [(2, Err(Refusal::Unknown))]);
}

#[test]
fn a_reader_that_was_not_asked_for_in_time_begins_when_the_connection_is_lost() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, true);
    bench.table.want(&filter("a"), READ, (bench.now, bench.now + 60 * SECOND), 1);
    bench.pass(BEGINS_AFTER);
    assert_eq!(bench.told(), []);
    bench.disconnect();
    assert!(bench.table.next_deadline().is_some_and(|deadline| deadline <= bench.now));
    bench.pass(Duration::ZERO);
    assert_eq!(bench.told(), [(1, Ok(0))]);
}

#[test]
fn an_answer_of_the_wrong_kind_is_none() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtLeastOnce)], false);
    bench.connect(false, true);
    assert_eq!(bench.ask(), ["id a 1"]);
    assert!(bench.table.unsubscribed(1, None).is_none());
    assert!(bench.ask().is_empty() && bench.table.oldest_asked().is_some());
    bench.answer();
    bench.want("b", RECORDED, 1);
    bench.settle();
    bench.want("b", Want::Unsubscribed, 2);
    assert_eq!(bench.ask(), ["not b"]);
    assert!(bench.table.subscribed(3, &[Ok(1)], bench.now).is_none());
    assert!(bench.ask().is_empty() && bench.table.oldest_asked().is_some());
    bench.answer();
    assert_eq!(bench.told(), [(1, Ok(1)), (2, Ok(0))]);
}

#[test]
fn what_cannot_be_is_refused_at_once() {
    let mut bench = Bench::new(&[of_file("file", Qos::AtMostOnce)], true);
    bench.connect(false, true);
    bench.settle();
    bench.want("file", RECORDED, 1);
    bench.want("file", Want::Unsubscribed, 2);
    bench.want("file", Want::Recorded(Qos::AtMostOnce), 3);
    bench.want("a", Want::Recorded(Qos::ExactlyOnce), 4);
    let refused = Err(Refusal::OfConfiguration);
    assert_eq!(bench.told(), [(1, refused), (2, refused), (3, Ok(0)), (4, Err(Refusal::QosNotSupported))]);
    for number in 0..MAX_FILTERS {
        bench.want(&number.to_string(), RECORDED, 5);
    }
    bench.want("one/more", RECORDED, 6);
    assert_eq!(bench.told(), [(6, Err(Refusal::TooManyFilters))]);
    // readers have places of their own, and one is kept
    for number in 0..MAX_FILTERS {
        bench.want(&format!("r/{number}"), READ, 7);
    }
    bench.want("one/more", READ, 8);
    assert_eq!(bench.told(), [(8, Err(Refusal::TooManyFilters))]);
    bench.table.reserve(Some(filter("answers/+")));
    bench.want("answers/+", Want::Answers, 9);
    assert_eq!(bench.told(), []);
    // and so it is with their length
    let mut bench = Bench::new(&[], false);
    for (want, prefix) in [(RECORDED, "a"), (READ, "b")] {
        for long in ["1", "2"].map(|number| format!("{prefix}{number}{}", "x".repeat(MAX_FILTER_BYTES / 2 - 4))) {
            bench.want(&long, want, 1);
        }
        bench.want(&format!("{prefix}/more"), want, 2);
        bench.want(&format!("{prefix}/no"), want, 3);
    }
    assert_eq!(bench.told(), [(2, Err(Refusal::TooManyFilters)); 2]);
    let tiny = Limits { max_packet_size: 20, ..limits(true) };
    let mut bench = Bench::new(&[], false);
    bench.table.connected(false, tiny, None, bench.now);
    bench.want("longer/than/that", RECORDED, 7);
    assert_eq!((bench.settle(), bench.told()), (vec![], vec![(7, Err(Refusal::Refused(149)))]));
    assert!(bench.settle().is_empty() && bench.table.entries.is_empty());
}

#[test]
fn readers_share_a_subscription_which_outlives_them_for_a_while() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, false);
    for reader in 1..=3 {
        bench.want("a", READ, reader);
        bench.settle();
    }
    assert_eq!(bench.told(), [(1, Ok(0)), (2, Ok(0)), (3, Ok(0))]);
    for _ in 0..3 {
        bench.table.leave(&filter("a"), READ, bench.now);
    }
    bench.pass(LINGER.saturating_sub(SECOND));
    assert_eq!(bench.settle(), [""; 0]);
    // one that comes again finds it there
    bench.want("a", READ, 4);
    assert_eq!(bench.told(), [(4, Ok(0))]);
    bench.pass(LINGER);
    assert_eq!(bench.settle(), [""; 0]);
    bench.table.leave(&filter("a"), READ, bench.now);
    bench.pass(LINGER);
    assert_eq!(bench.settle(), ["not a"]);
    assert!(bench.table.entries.is_empty());
}

#[test]
fn readers_that_come_and_go_with_ever_another_filter_leave_room_for_others() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, true);
    for number in 0..2 * MAX_FILTERS {
        let text = format!("read/{number}");
        bench.want(&text, READ, 1);
        bench.settle();
        assert_eq!(bench.told(), [(1, Ok(0))], "{number}");
        bench.table.leave(&filter(&text), READ, bench.now);
        bench.pass(Duration::ZERO);
    }
    bench.settle();
    assert_eq!(bench.table.standings().len(), MAX_FILTERS / 4, "others are kept for a while");
}

#[test]
fn a_reader_may_read_though_the_broker_is_away_for_the_moment() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtMostOnce)], false);
    bench.want("a", READ, 1);
    assert_eq!(bench.told(), [], "it was never granted");
    bench.connect(false, true);
    bench.settle();
    assert_eq!(bench.told(), [(1, Ok(0))]);
    bench.disconnect();
    bench.want("a", READ, 2);
    bench.want("a", Want::Read { qos: Qos::AtLeastOnce, retained: true }, 3);
    bench.want("a", Want::Answers, 4);
    assert_eq!(bench.told(), [(2, Ok(0))]);
    bench.connect(false, true);
    assert_eq!(bench.settle(), ["id a 1"]);
    assert_eq!(bench.told(), [(3, Ok(1)), (4, Ok(1))]);
}

#[test]
fn retained_messages_go_to_those_for_whom_they_were_asked() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtMostOnce)], false);
    bench.connect(false, true);
    bench.settle();
    assert_eq!(bench.route("a", &["a"], true), (true, 0));
    bench.want("a", READ, 1);
    let joins = bench.open_channel("a");
    assert_eq!(bench.settle(), ["id a 0"]);
    let kept = |bench: &Bench| {
        let mut message = Received { topic: b"a".to_vec(), retain: true, ..Received::default() };
        message.properties.subscription_identifiers = vec![bench.broker["a"].unwrap()];
        let route = bench.table.route(&message);
        (route.journal.is_some(), route.channels[0].1.unwrap())
    };
    let (recorded, found) = kept(&bench);
    assert_eq!((recorded, found.generation, found.is_for_all), (false, joins, false));
    assert_eq!(bench.route("a", &["a"], false), (true, 1));
    // a new connection brings them to everybody
    bench.disconnect();
    bench.connect(false, true);
    bench.settle();
    let (recorded, found) = kept(&bench);
    assert!(recorded && found.is_for_all && found.generation > joins);
}

#[test]
fn of_overlapping_copies_one_is_recorded_and_each_reader_gets_its_own() {
    let mut bench = Bench::new(&[of_file("a/#", Qos::AtMostOnce), of_file("a/+", Qos::AtLeastOnce)], false);
    bench.connect(false, true);
    for (number, text) in ["#", "+/b", "$share/g/a/b"].into_iter().enumerate() {
        let want = if text == "#" { READ } else { RECORDED };
        bench.want(text, want, u32::try_from(number).unwrap());
    }
    bench.settle();
    bench.open_channel("#");
    let all = ["a/#", "a/+", "+/b", "#", "$share/g/a/b"];
    let recorded: Vec<_> = all.iter().filter(|copy| bench.route("a/b", &[copy], false).0).collect();
    assert_eq!(recorded, [&"a/+"], "the first one with the best quality of service");
    let read: usize = all.iter().map(|copy| bench.route("a/b", &[copy], false).1).sum();
    assert_eq!(read, 1);
    // a broker that sends one copy for all of them
    assert_eq!(bench.route("a/b", &all, false), (true, 1));
    // where only the shared one matches, it counts
    assert_eq!(bench.route("x/b", &["+/b"], false), (true, 0));
    assert_eq!(bench.route("x", &["#"], false), (false, 1));
    // nobody knows this subscription
    bench.broker.insert("gone".to_owned(), Some(7));
    assert_eq!(bench.route("a/b", &["gone"], false), (false, 0));
    // a broker that does not tell
    assert_eq!(bench.route("a/b", &[], false), (true, 1));
    assert_eq!(bench.route("x", &[], false), (false, 1));
    assert_eq!(bench.route("$SYS/x", &[], false), (false, 0));
}

#[test]
fn without_identifiers_a_filter_is_carried_by_a_wider_one() {
    let mut bench = Bench::new(&[of_file("a/#", Qos::AtMostOnce), of_file("a/b", Qos::AtLeastOnce)], false);
    bench.connect(false, false);
    assert_eq!(bench.settle(), ["all a/# 1"]);
    assert!(bench.table.standings().iter().all(|standing| standing.answer == Some(Ok(1))));
    bench.want("a/c", READ, 1);
    assert_eq!((bench.settle(), bench.told()), (vec![], vec![(1, Ok(1))]));
    // a still wider one takes over when it is there, and not before
    bench.want("#", READ, 2);
    assert_eq!(bench.ask(), ["all # 1"]);
    bench.answer();
    assert_eq!(bench.settle(), ["not a/#"]);
    assert_eq!(bench.told(), [(2, Ok(1))]);
    // and gives back when it goes
    bench.table.leave(&filter("#"), READ, bench.now);
    bench.pass(LINGER);
    assert_eq!(bench.settle(), ["all a/# 1", "not #"]);
    // two that mean the same
    bench.want("+/#", READ, 3);
    bench.want("#", READ, 4);
    let asked = bench.settle();
    assert_eq!(asked.iter().filter(|words| words.starts_with("all")).count(), 1, "{asked:?}");
    assert_eq!(bench.told().len(), 2);
}

#[test]
fn without_identifiers_a_wider_filter_stays_until_what_it_carried_is_on_its_way() {
    let mut bench = Bench::new(&[of_file("a/b", Qos::AtLeastOnce)], false);
    bench.connect(false, false);
    bench.settle();
    bench.want("#", RECORDED, 1);
    assert_eq!(bench.ask(), ["all # 1"]);
    bench.answer();
    assert_eq!(bench.ask(), ["not a/b"]);
    // before that is answered
    bench.want("#", Want::Unsubscribed, 2);
    assert_eq!(bench.ask(), [""; 0]);
    bench.answer();
    assert_eq!(bench.ask(), ["all a/b 1", "not #"]);
    bench.answer();
    assert_eq!(bench.told(), [(1, Ok(1)), (2, Ok(0))]);
    // the same where the wider one was there first
    bench.want("#", RECORDED, 3);
    bench.settle();
    bench.want("c", RECORDED, 4);
    bench.want("#", Want::Unsubscribed, 5);
    assert_eq!(bench.ask(), ["all a/b 1 c 1", "not #"]);
}

#[test]
fn without_identifiers_a_wider_filter_that_is_refused_carries_nothing() {
    let mut bench = Bench::new(&[of_file("#", Qos::AtMostOnce), of_file("a", Qos::AtMostOnce)], false);
    bench.refused.push("#");
    bench.connect(false, false);
    assert_eq!(bench.settle(), ["all # 0", "all a 0"]);
    assert_eq!(bench.broker.keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_kept_session_is_told_what_nobody_wants_any_more() {
    let mut bench = Bench::new(&[], true);
    bench.connect(false, true);
    bench.want("a", RECORDED, 1);
    bench.want("b", READ, 2);
    bench.settle();
    bench.disconnect();
    bench.table.leave(&filter("b"), READ, bench.now);
    bench.pass(LINGER);
    bench.connect(true, true);
    let mut asked = bench.settle();
    asked.sort();
    assert_eq!(asked, ["id a 1", "not b"]);
    assert_eq!(bench.table.entries.len(), 1);
}

#[test]
fn a_kept_session_keeps_what_the_broker_takes_no_unsubscribe_for() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtLeastOnce)], true);
    bench.connect(false, true);
    let long = "b".repeat(100);
    bench.want(&long, READ, 1);
    bench.settle();
    bench.disconnect();
    bench.table.leave(&filter(&long), READ, bench.now);
    bench.pass(LINGER);
    bench.table.connected(true, Limits { max_packet_size: 100, ..limits(true) }, None, bench.now);
    assert_eq!(bench.settle(), ["id a 1"]);
    assert!(bench.table.is_settled() && bench.table.entries.len() == 1);
}

#[test]
fn a_kept_session_is_left_with_what_the_configuration_wants() {
    let mut bench = Bench::new(&[of_file("a/b", Qos::AtLeastOnce)], true);
    bench.connect(false, false);
    bench.want("c", RECORDED, 1);
    bench.settle();
    assert_eq!(bench.table.to_leave(), (vec![], vec![filter("c")]));
    bench.want("#", READ, 2);
    bench.settle();
    assert_eq!(bench.table.to_leave(), (vec![(filter("a/b"), Qos::AtLeastOnce)], vec![filter("#")]));
}

/// What may happen.
#[derive(Debug, Clone)]
enum Step {
    Want(usize, Want),
    Leave(usize),
    Ask,
    Answer,
    Lose,
    Connect,
    Pass(u64),
}

const FILTERS: [&str; 7] = ["#", "a/#", "a/+", "a/b", "+/b", "+/#", "$share/g/a"];

fn step() -> impl Strategy<Value = Step> {
    let number = 0..FILTERS.len();
    prop_oneof![
        3 => (number.clone(), prop_oneof![Just(READ), Just(RECORDED), Just(Want::Unsubscribed), Just(Want::Answers)])
            .prop_map(|(number, want)| Step::Want(number, want)),
        2 => number.prop_map(Step::Leave),
        2 => Just(Step::Ask),
        2 => Just(Step::Answer),
        1 => Just(Step::Lose),
        2 => Just(Step::Connect),
        1 => (0_u64..40).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_broker_ends_up_with_what_is_wanted(
        steps in prop::collection::vec(step(), 0..60),
        has_identifiers: bool,
        is_kept: bool,
    ) {
        let mut bench = Bench::new(&[of_file("a/b", Qos::AtMostOnce)], is_kept);
        let (mut who, mut asked, mut told) = (0, 0, 0);
        // who was granted a place and has not left, by filter
        let mut readers: Vec<usize> = Vec::new();
        let mut by_who: BTreeMap<u32, (usize, Want)> = BTreeMap::new();
        let (mut is_connected, mut was_brought) = (false, false);
        let mut steps = steps;
        steps.extend([Step::Connect, Step::Pass(100)]);
        for step in steps {
            match step {
                Step::Want(number, want) => {
                    who += 1;
                    asked += 1;
                    by_who.insert(who, (number, want));
                    bench.want(FILTERS[number], want, who);
                }
                Step::Leave(number) => {
                    if let Some(position) = readers.iter().position(|reader| *reader == number) {
                        readers.remove(position);
                        bench.table.leave(&filter(FILTERS[number]), READ, bench.now);
                    }
                }
                Step::Ask => drop(bench.ask()),
                Step::Answer => bench.answer(),
                Step::Lose if is_connected => {
                    is_connected = false;
                    bench.disconnect();
                    if !is_kept {
                        bench.broker.clear();
                    }
                }
                Step::Connect if !is_connected => {
                    is_connected = true;
                    bench.connect(is_kept, has_identifiers);
                }
                Step::Lose | Step::Connect => {}
                Step::Pass(seconds) => bench.pass(SECOND * u32::try_from(seconds).unwrap()),
            }
            for (who, answer) in bench.told() {
                told += 1;
                if answer.is_ok() && by_who[&who].1 == READ {
                    readers.push(by_who[&who].0);
                }
            }
            // from the first time on that the broker had what the file wants, it always has it
            let is_brought = bench.broker.keys().any(|held| filter(held).covers(&filter("a/b")) && held != FILTERS[6]);
            prop_assert!(!was_brought || is_brought || bench.broker.is_empty(), "{:?}", bench.broker);
            was_brought = is_connected && is_brought;
        }
        bench.answer();
        bench.settle();
        for (who, answer) in bench.told() {
            told += 1;
            if answer.is_ok() && by_who[&who].1 == READ {
                readers.push(by_who[&who].0);
            }
        }
        prop_assert_eq!(asked, told, "everybody is told once");
        let standings = bench.table.standings();
        let standing = |reader: &usize| standings.iter().any(|standing| standing.filter == filter(FILTERS[*reader]));
        prop_assert!(readers.iter().all(standing));
        // one with readers over which two connections ended is left out of the next
        let is_asked_for = |standing: &&Standing| !matches!(standing.answer, Some(Err(_)));
        let asked_for = standings.iter().filter(is_asked_for);
        let wanted: Vec<TopicFilter> = asked_for.map(|standing| standing.filter.clone()).collect();
        prop_assert!(wanted.contains(&filter("a/b")));
        let held: Vec<TopicFilter> = bench.broker.keys().map(|text| filter(text)).collect();
        if has_identifiers {
            prop_assert_eq!(held.len(), wanted.len(), "{:?} {:?}", held, wanted);
            prop_assert!(held.iter().all(|held| wanted.contains(held)));
        } else {
            let is_brought = |filter: &TopicFilter| held.iter().any(|held| held == filter || held.covers(filter));
            prop_assert!(wanted.iter().all(is_brought), "{:?} {:?}", held, wanted);
            for (one, other) in held.iter().flat_map(|one| held.iter().map(move |other| (one, other))) {
                let is_double = one != other && one.covers(other) && !one.is_shared() && !other.is_shared();
                prop_assert!(!is_double, "{one:?} {other:?}");
            }
        }
        prop_assert!(bench.table.entries.len() == standings.len(), "what nobody wants is forgotten");
    }
}

/// What this thread has had of the processor: time that others took does not count.
fn processor_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(statistics.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn many_filters_that_overlap_hold_up_nobody() {
    for has_identifiers in [false, true] {
        let begun = processor_time();
        let mut bench = Bench::new(&[of_file("file", Qos::AtMostOnce)], false);
        bench.connect(false, has_identifiers);
        let names: Vec<String> = (0..MAX_FILTERS - 1).map(|number| format!("a/a/a/a/a/a/a/a/a/a/{number}")).collect();
        // of each of these others are wider, and others narrower; each of those is covered by all of these
        for (number, name) in names.iter().enumerate() {
            let levels = (0..10).map(|level| if number >> level & 1 == 0 { "+" } else { "a" });
            bench.want(&format!("{}/#", levels.collect::<Vec<_>>().join("/")), RECORDED, 1);
            bench.want(name, READ, 2);
        }
        bench.settle();
        let told = bench.told();
        assert!(told.len() == 2 * names.len() && told.iter().all(|(_, answer)| answer.is_ok()));
        // what all of them are carried by comes and goes
        bench.want("#", READ, 3);
        bench.settle();
        assert_eq!(bench.told(), [(3, Ok(u8::from(!has_identifiers)))]);
        bench.table.leave(&filter("#"), READ, bench.now);
        bench.pass(LINGER);
        bench.settle();
        assert_eq!(bench.table.standings().len(), 2 * names.len() + 1);
        let changing = processor_time().saturating_sub(begun);
        let begun = processor_time();
        let copies = ["+/+/+/+/+/+/+/+/+/+/#"];
        let routed = (0..1000).filter(|_| bench.route(&names[7], &copies[..usize::from(has_identifiers)], false).0);
        assert_eq!(routed.count(), 1000);
        let routing = processor_time().saturating_sub(begun);
        let spent = format!("{changing:?} for the filters, {routing:?} for a thousand messages");
        assert!(changing < Duration::from_secs(5) && routing < Duration::from_secs(1), "{spent}");
    }
}
