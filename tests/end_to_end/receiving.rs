//! Each received message becomes one record.

use crate::support::daemon::Daemon;
use crate::support::mosquitto::Mosquitto;

const RECEIVED: &str = "Received message on topic: ";

fn subscribed(broker: &Mosquitto) -> Daemon {
    let daemon = Daemon::with(&format!(
        "[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"django/mqtt\"\nqos = 1\n[[subscribe]]\ntopic = \"more/#\"",
        broker.port()
    ));
    daemon.wait_for("subscribed to more/#");
    daemon
}

#[test]
fn a_received_message_is_recorded_as_the_tutorial_prints_it() {
    let broker = Mosquitto::start();
    let daemon = subscribed(&broker);
    broker.publish(&["-t", "django/mqtt", "-m", "hello"]);
    let line = daemon.wait_for(RECEIVED);
    assert_eq!(line, "Received message on topic: django/mqtt with payload: hello");
}

#[test]
fn each_configured_filter_is_subscribed_to_and_its_granted_qos_logged() {
    let broker = Mosquitto::start();
    let daemon = subscribed(&broker);
    assert_eq!(daemon.wait_for("subscribed to django"), "subscribed to django/mqtt at QoS 1");
    assert_eq!(daemon.wait_for("subscribed to more"), "subscribed to more/# at QoS 0");
    broker.publish(&["-t", "more/and/more", "-m", "1"]);
    assert_eq!(daemon.wait_for(RECEIVED), "Received message on topic: more/and/more with payload: 1");
}

#[test]
fn a_payload_cannot_forge_a_second_record() {
    let broker = Mosquitto::start();
    let daemon = subscribed(&broker);
    broker.publish(&["-t", "django/mqtt", "-m", "a\n<0>Received message on topic: b\r\x1b[2J\u{202e}\u{2028}"]);
    let line = daemon.wait_for(RECEIVED);
    let payload = r"a\n<0>Received message on topic: b\r\x1b[2J\u{202e}\u{2028}";
    assert_eq!(line, format!("Received message on topic: django/mqtt with payload: {payload}"));
    broker.publish(&["-t", "django/mqtt", "-m", "end"]);
    daemon.wait_for("payload: end");
    assert_eq!(daemon.lines_with(RECEIVED).len(), 2);
}

#[test]
fn a_topic_is_escaped_in_the_log() {
    let broker = Mosquitto::start();
    let daemon = subscribed(&broker);
    broker.publish(&["-t", "more/\\ with payload: x\u{202e}", "-m", "y"]);
    let line = daemon.wait_for(RECEIVED);
    assert_eq!(line, "Received message on topic: more/\\\\ with payload: x\\u{202e} with payload: y");
}

#[test]
fn a_binary_payload_is_escaped_in_the_log() {
    let broker = Mosquitto::start();
    let daemon = subscribed(&broker);
    let folder = crate::support::folder::Folder::new();
    let file = folder.path().join("payload");
    std::fs::write(&file, b"\xff\x00ok\xc3\xb6\xc3").unwrap();
    broker.publish(&["-t", "django/mqtt", "-f", file.to_str().unwrap()]);
    assert!(daemon.wait_for(RECEIVED).ends_with(r"payload: \xff\x00okö\xc3"));
}

#[test]
fn a_long_payload_is_cut_and_its_length_logged() {
    let broker = Mosquitto::start();
    let daemon = subscribed(&broker);
    broker.publish(&["-t", "django/mqtt", "-m", &"x".repeat(100_000)]);
    let line = daemon.wait_for(RECEIVED);
    assert!(line.ends_with("xxx… (1024 of 100000 bytes)"), "{line}");
    assert!(line.len() < 1200, "{}", line.len());
    broker.publish(&["-t", "django/mqtt", "-n"]);
    daemon.wait_for_nth(2, RECEIVED);
    assert!(daemon.lines_with(RECEIVED)[1].ends_with("payload: "), "an empty one is a record too");
}

/// A daemon with a limit of 1 KiB for its own packets, and so of 16 KiB for incoming ones.
fn small(broker: &Mosquitto, protocol: &str) -> Daemon {
    Daemon::with(&format!(
        "[mqtt]\nport = {}\nprotocol = \"{protocol}\"\nmax-packet-size = 1024\nreconnect-max = 0.05\n\
         [[subscribe]]\ntopic = \"big\"\nqos = 1",
        broker.port()
    ))
}

#[test]
fn a_message_over_max_packet_size_is_recorded_in_part_and_acknowledged() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        let daemon = small(&broker, protocol);
        daemon.wait_for("subscribed to big");
        broker.publish(&["-q", "1", "-t", "big", "-m", &"x".repeat(10_000)]);
        assert!(daemon.wait_for(RECEIVED).ends_with("… (1024 of 10000 bytes)"));
        broker.wait_for("Received PUBACK from mqtt-bridge-");
        assert_eq!(daemon.lines_with("lost").len(), 0);
    }
}

#[test]
fn a_far_too_large_message_costs_three_connections_at_most() {
    // in MQTT 5 mosquitto does not send such a message
    let broker = Mosquitto::start();
    broker.publish(&["-r", "-q", "1", "-t", "big", "-m", &"x".repeat(100_000)]);
    let daemon = small(&broker, "3.1.1");
    let line = daemon.wait_for("error: ");
    assert!(line.contains("subscription to big left out"), "{line}");
    assert!(line.contains("raise `max-packet-size`"), "{line}");
    daemon.wait_for_nth(4, "connected to");
    assert_eq!(daemon.publish(r#"{"topic": "t", "msg": "x", "qos": 1}"#).status, 200);
    assert_eq!(daemon.lines_with("lost").len(), 3, "{:?}", daemon.lines());
    assert!(daemon.lines_with("subscribed").len() <= 3, "the last connection has no subscription");
}
