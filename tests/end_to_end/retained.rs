//! Retained messages reach the listeners for which they were sent, whenever they arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::daemon::Daemon;
use crate::support::events::Listener;
use crate::support::scripted_broker::{
    CONNECT, SUBSCRIBE, ScriptedBroker, UNSUBSCRIBE, answer_filters, behave, publish,
};

/// A retained message, made from what [`publish`] returns.
pub fn retained(topic: &str, payload: &str, properties: &[u8]) -> Vec<u8> {
    let mut packet = publish(topic, payload, properties);
    packet[0] |= 1;
    packet
}

#[test]
fn a_listener_gets_messages_that_precede_the_suback() {
    // the broker may send messages before the SUBACK (MQTT 5, 3.8.4)
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            SUBSCRIBE => {
                let properties = packet.subscription_properties();
                [retained("a", "kept", properties), answer_filters(packet, |_| None)].concat()
            }
            UNSUBSCRIBE => answer_filters(packet, |_| None),
            _ => behave(packet, &[]),
        })
    });
    let daemon = Daemon::connected(broker.port());
    for _ in 0..2 {
        assert_eq!(Listener::open(&daemon, "a").message()["payload"], "kept");
    }
}

#[test]
fn a_late_retained_message_reaches_only_the_listener_it_was_sent_for() {
    let broker = ScriptedBroker::start(|_, packet| {
        Some(match packet.kind {
            SUBSCRIBE => answer_filters(packet, |_| None),
            _ => behave(packet, &[]),
        })
    });
    let daemon = Daemon::connected(broker.port());
    // each one subscribes again, for the retained messages
    let mut listeners: Vec<Listener> = (0..50).map(|_| Listener::open(&daemon, "a")).collect();
    let (first, _) = broker.wait_for(SUBSCRIBE);
    broker.send(&retained("a", "kept", first.subscription_properties()));
    broker.send(&publish("a", "end", first.subscription_properties()));
    assert_eq!(listeners.remove(0).payloads_until("end"), ["kept"]);
    for listener in &mut listeners {
        assert_eq!(listener.payloads_until("end"), [""; 0]);
    }
}

#[test]
fn a_retained_message_reaches_a_listener_opened_without_a_broker() {
    let is_there = Arc::new(AtomicBool::new(false));
    let asked = is_there.clone();
    let broker = ScriptedBroker::start(move |_, packet| match packet.kind {
        CONNECT if !asked.load(Ordering::SeqCst) => None,
        SUBSCRIBE => {
            let kept = retained("a", "kept", packet.subscription_properties());
            Some([answer_filters(packet, |_| None), kept].concat())
        }
        _ => Some(behave(packet, &[])),
    });
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\nreconnect-max = 0.1", broker.port()));
    let mut listener = Listener::open(&daemon, "a");
    is_there.store(true, Ordering::SeqCst);
    assert_eq!(listener.message()["payload"], "kept");
}
