//! Memory under the largest packets that a broker may send.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::memory::{LARGE, RECORDED, assert_modest, listen, published, variable};
use crate::support::events::Listener;
use crate::support::limited::Limited;
use crate::support::scripted_broker::{CONNECT, Packet, SUBSCRIBE, ScriptedBroker, behave};

/// A broker, and the Maximum Packet Size that the client announces to it.
fn broker() -> (ScriptedBroker, Arc<AtomicUsize>) {
    let announced = Arc::new(AtomicUsize::new(0));
    let told = announced.clone();
    let broker = ScriptedBroker::start(move |_, packet| {
        if packet.kind == CONNECT {
            told.store(maximum_packet_size(packet), Ordering::SeqCst);
        }
        Some(behave(packet, &[]))
    });
    (broker, announced)
}

/// The Maximum Packet Size of a CONNECT (MQTT 5, 3.1.2.11.4), which a Receive Maximum may precede.
fn maximum_packet_size(connect: &Packet) -> usize {
    let mut properties = &connect.body[11..];
    if properties[0] == 0x21 {
        properties = &properties[3..];
    }
    assert_eq!(properties[0], 0x27, "a Maximum Packet Size");
    usize::try_from(u32::from_be_bytes(properties[1..5].try_into().unwrap())).unwrap()
}

/// A PUBLISH of about this size that consists of this user property.
fn full_of_pairs(topic: &str, size: usize, name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[0, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let pair = [vec![0x26], text(name), text(value)].concat();
    published(topic, &pair.repeat((size - 100) / pair.len()), b"")
}

#[test]
fn packets_of_the_announced_size_may_consist_of_user_properties() {
    let (broker, announced) = broker();
    let daemon =
        Limited::with(&format!("[mqtt]\nport = {}\nkeepalive = 600\n[[subscribe]]\ntopic = \"t/#\"", broker.port()));
    daemon.wait_for("subscribed to t/#");
    let _listeners =
        listen(&daemon, 64, |number| if number % 4 < 2 { "t/#".to_owned() } else { format!("t/{number}") });
    let size = announced.load(Ordering::SeqCst);
    let mut dropped = 0;
    for (round, (name, value)) in [("", ""), ("a", "b"), ("a", "")].into_iter().enumerate() {
        let packets: Vec<Vec<u8>> =
            (0..12).map(|number| full_of_pairs(&format!("t/{number}"), size, name, value)).collect();
        dropped += 12 * ((size - 100) / (5 + name.len() + value.len()) - 100);
        broker.send(&packets.concat());
        broker.send(&published("t/end", &[], b"x"));
        daemon.wait_for_nth(round + 1, &format!("{RECORDED}t/end"));
    }
    assert_modest(&daemon);
    assert_eq!(size, LARGE, "as large as what may be published");
    assert_eq!(daemon.lines_with("user properties: the first 100 are kept").len(), 1, "logged once");
    assert_eq!(daemon.lines_with(RECORDED).len(), 3 * 13, "each is recorded");
    let metrics = daemon.get("/metrics").body;
    let counted = format!("mqtt_bridge_user_properties_dropped_total {dropped}\n");
    assert!(String::from_utf8(metrics).unwrap().contains(&counted), "{counted}");
    assert!(daemon.lines_with("lost").is_empty(), "{:?}", daemon.lines());
    // a packet over the announced size
    broker.send(&full_of_pairs("t/0", 16_500_000, "", "")[..100]);
    daemon.wait_for("lost: the broker sent a packet of 16");
    daemon.wait_for_nth(2, "connected to");
    assert_modest(&daemon);
}

#[test]
fn in_mqtt_3_1_1_packets_four_times_as_large_are_accepted() {
    let broker = ScriptedBroker::start(move |_, packet| {
        Some(match packet.kind {
            CONNECT => vec![0x20, 2, 0, 0],
            SUBSCRIBE => vec![0x90, 3, packet.body[0], packet.body[1], 0],
            _ => behave(packet, &[]),
        })
    });
    let daemon = Limited::with(&format!(
        "[mqtt]\nport = {}\nkeepalive = 600\nprotocol = \"3.1.1\"\n[[subscribe]]\ntopic = \"t/#\"",
        broker.port()
    ));
    daemon.wait_for("subscribed to t/#");
    let _listeners = listen(&daemon, 64, |_| "t/#".to_owned());
    let packet = |topic: &str, payload: &[u8]| {
        let length = [0, u8::try_from(topic.len()).unwrap()];
        let rest = [&length, topic.as_bytes(), payload].concat();
        [&[0x30], variable(rest.len()).as_slice(), &rest].concat()
    };
    let large = packet("t/large", &vec![b'x'; 4 * LARGE - 100]);
    broker.send(&large.repeat(24));
    broker.send(&packet("t/end", b"x"));
    daemon.wait_for(&format!("{RECORDED}t/end"));
    assert_modest(&daemon);
    assert!(daemon.lines_with("lost").is_empty(), "{:?}", daemon.lines());
    broker.send(&packet("t/large", &vec![b'x'; 4 * LARGE])[..100]);
    daemon.wait_for("lost: the broker sent a packet of 41943");
    daemon.wait_for_nth(2, "connected to");
    assert_modest(&daemon);
}

#[test]
fn stalled_listeners_do_not_keep_their_long_events() {
    let (broker, announced) = broker();
    let daemon =
        Limited::with(&format!("[mqtt]\nport = {}\nkeepalive = 600\n[[subscribe]]\ntopic = \"t/#\"", broker.port()));
    daemon.wait_for("subscribed to t/#");
    // each of these bytes becomes six characters in JSON
    let payload = vec![1; announced.load(Ordering::SeqCst).min(16_000_000) - 100];
    let mut listeners = Vec::new();
    for number in 0..64_usize {
        let filter = if number.is_multiple_of(2) { "t/#".to_owned() } else { format!("t/{number}") };
        listeners.push(Listener::with_small_buffer(&daemon, &filter));
        broker.send(&published(&format!("t/{number}"), &[], &payload));
        broker.send(&published("t/end", &[], b"x"));
        daemon.wait_for_nth(number + 1, &format!("{RECORDED}t/end"));
    }
    assert_modest(&daemon);
    // a new listener is served
    let mut listener = Listener::open(&daemon, "t/next");
    broker.send(&published("t/next", &[], b"x"));
    assert_eq!(listener.message()["payload"], "x");
}
