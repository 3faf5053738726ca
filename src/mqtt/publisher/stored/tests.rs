//! Messages of the outbox on a connection of the test's own.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::config::{Config, Environment, Source};
use crate::message::{Properties, Qos, TopicFilter, TopicName};
use crate::mqtt::client::{QueueFull, Sender};
use crate::mqtt::outcome::Outcome;
use crate::mqtt::protocol::{Connack, Terms, Window};
use crate::mqtt::session::clock::Clock;
use crate::mqtt::session::in_flight::Blame;

/// Keeps what is handed over.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Message>>>);

impl Recorder {
    /// The expiry intervals since the last call.
    fn take(&self) -> Vec<Option<u32>> {
        let taken = std::mem::take(&mut *self.0.lock().unwrap());
        taken.into_iter().map(|message| message.properties.message_expiry_interval).collect()
    }
}

impl Sender for Recorder {
    fn publish(&self, message: &Message) -> Result<(), QueueFull> {
        self.0.lock().unwrap().push(message.clone());
        Ok(())
    }

    fn subscribe(&self, _: &[(TopicFilter, Qos)], _: Option<u32>) -> Result<(), QueueFull> {
        Ok(())
    }

    fn unsubscribe(&self, _: &TopicFilter) -> Result<(), QueueFull> {
        Ok(())
    }

    fn acknowledge(&self, _: u16, _: u8) -> Result<(), QueueFull> {
        Ok(())
    }

    fn disconnect(&self) -> Result<(), QueueFull> {
        Ok(())
    }
}

fn publisher(mqtt: &str) -> Publisher {
    let text = format!("[mqtt]\n{mqtt}\n[publish]\nmax-waiting = 1\n");
    let config = Config::parse(&text, &Source::BuiltIn, &Environment::default()).unwrap();
    Publisher::new(&config, Arc::new(Clock::default()))
}

fn connect(publisher: &Publisher, limits: Limits) -> Recorder {
    let (recorder, terms) = (Recorder::default(), Terms { keepalive: Duration::from_secs(60), client_id: None });
    publisher.connected(Box::new(recorder.clone()), &Connack { session_present: false, limits, terms });
    publisher.ready(Window { size: 10, exactly_once: 10, cycle: 10 });
    recorder
}

fn message(payload: usize) -> Message {
    Message {
        topic: TopicName::try_from("t".to_owned()).unwrap(),
        payload: vec![0; payload].into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: Properties::default(),
    }
}

/// Messages with these places in the outbox and sizes, and their outcomes.
fn publish(publisher: &Publisher, ttl: Duration, messages: &[(u64, usize)]) -> mpsc::Receiver<(u64, Outcome)> {
    let ((tell, told), deadline) = (mpsc::channel(), Instant::now() + ttl);
    publisher.publish_stored(messages.iter().map(|&(sequence, payload)| {
        let tell = tell.clone();
        StoredPublish {
            sequence,
            message: message(payload),
            deadline,
            on_written: Box::new(|| ()),
            caller: Box::new(move |outcome| tell.send((sequence, outcome)).unwrap()),
            late: Box::new(drop),
        }
    }));
    told
}

#[test]
fn what_is_left_for_a_message_is_its_expiry_interval_in_mqtt_5_only() {
    for (protocol, expiry) in [("5", Some(100)), ("3.1.1", None)] {
        let publisher = publisher(&format!("protocol = \"{protocol}\""));
        let recorder = connect(&publisher, Limits::default());
        let told = publish(&publisher, Duration::from_secs(100), &[(1, 1)]);
        assert_eq!(recorder.take(), [expiry], "{protocol}");
        assert!(told.try_recv().is_err(), "no outcome yet");
    }
}

#[test]
fn after_its_time_a_message_is_not_handed_over() {
    let publisher = publisher("");
    let told = publish(&publisher, Duration::ZERO, &[(1, 1)]);
    let recorder = connect(&publisher, Limits::default());
    assert_eq!(recorder.take(), []);
    assert!(matches!(told.try_recv(), Ok((1, Err(Failure::NotConnected | Failure::Busy)))));
}

#[test]
fn one_that_this_broker_does_not_take_is_refused_and_the_others_go_on() {
    let publisher = publisher("");
    let limits = Limits { max_packet_size: 50, ..Limits::default() };
    let told = publish(&publisher, Duration::from_secs(100), &[(1, 100), (2, 1)]);
    let recorder = connect(&publisher, limits);
    assert!(matches!(told.try_iter().next(), Some((1, Err(Failure::PacketTooLarge { limit: 50, .. })))));
    assert_eq!(recorder.take().len(), 1);
}

#[test]
fn a_message_is_refused_beforehand_with_the_size_that_it_will_have() {
    let publisher = publisher("");
    // 1 + 1 + 2 + 1 + 2 + 1 bytes without the payload and without the expiry interval, which takes 5
    let largest = 50 - 8 - 5;
    assert_eq!(publisher.refuses(&message(1000)), None);
    connect(&publisher, Limits { max_packet_size: 50, ..Limits::default() });
    assert_eq!(publisher.refuses(&message(largest)), None);
    let refused = Some(Failure::PacketTooLarge { size: 51, limit: 50 });
    assert_eq!(publisher.refuses(&message(largest + 1)), refused);
}

#[test]
fn a_stop_refuses_new_ones_and_gives_back_those_that_were_not_sent() {
    let publisher = publisher("");
    let told = publish(&publisher, Duration::from_secs(100), &[(1, 1), (3, 1), (2, 1)]);
    assert!(publisher.withdraw_stored(3));
    assert!(!publisher.withdraw_stored(3));
    publisher.stop_accepting();
    let refused = publish(&publisher, Duration::from_secs(100), &[(4, 1)]);
    assert_eq!(refused.try_recv(), Ok((4, Err(Failure::Stopping))));
    assert_eq!(publisher.withdraw_all_stored(), [1, 2]);
    let begun = Instant::now();
    publisher.drain(begun + Duration::from_secs(60));
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Disconnected), "their callbacks are dropped");
}

#[test]
fn a_stop_does_not_wait_for_one_that_waits_again() {
    let publisher = publisher("");
    connect(&publisher, Limits::default());
    let told = publish(&publisher, Duration::from_secs(100), &[(1, 1)]);
    assert_eq!(publisher.withdraw_all_stored(), [0; 0], "it was handed over");
    publisher.detach();
    publisher.lost(false, Blame::Elsewhere);
    publisher.stop_accepting();
    let begun = Instant::now();
    publisher.drain(begun + Duration::from_secs(60));
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(told.try_recv(), Ok((1, Err(Failure::Unknown))));
}
