//! Another client with the same client identifier, and a broker that refers to another server.

use std::time::{Duration, Instant};

use crate::support::certificates::Authority;
use crate::support::daemon::Daemon;
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{CONNECT, NO_SUBSCRIPTION_IDENTIFIERS, PUBLISH, ScriptedBroker, behave, connack};
use crate::support::tls_broker::{TlsBroker, with_protocol};

/// A broker that ends the first connection with this reason code and these properties, and keeps the next one.
fn ending(code: u8, properties: &[u8]) -> ScriptedBroker {
    let length = u8::try_from(properties.len()).unwrap();
    let disconnect = [&[0xe0, 2 + length, code, length], properties].concat();
    ScriptedBroker::start(move |n, packet| {
        let mut answer = behave(packet, &[]);
        if n == 0 {
            answer.extend_from_slice(&disconnect);
        }
        Some(answer)
    })
}

/// A string property: 0x1f is the Reason String, 0x1c the Server Reference.
fn property(identifier: u8, text: &str) -> Vec<u8> {
    [&[identifier, 0, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn line_of_loss(broker: &ScriptedBroker) -> String {
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\nclient-id = \"me\\\\\"", broker.port()));
    daemon.wait_for_nth(2, "connected to");
    daemon.wait_for("lost: ").split("lost: ").nth(1).unwrap().to_owned()
}

#[test]
fn a_disconnect_with_session_taken_over_is_logged() {
    let broker = ending(142, &property(0x1f, "by\nme"));
    let words = "ended by the broker: session taken over (reason code 142): by\\nme";
    let advice = "another client uses our client identifier, me\\\\: give this one another `client-id`";
    assert_eq!(line_of_loss(&broker), format!("{words}; {advice}; connecting again"));
}

#[test]
fn a_server_reference_is_logged_and_not_followed() {
    let advice = "set `server` in [mqtt] to the other one, and restart: the bridge does not go there by itself";
    for (code, words) in [(156, "use another server"), (157, "server moved")] {
        let broker = ending(code, &[property(0x1c, "b.example:1883\n"), property(0x1f, "bye")].concat());
        let told = format!("ended by the broker: {words} (reason code {code}): bye; it refers to b.example:1883\\n");
        assert_eq!(line_of_loss(&broker), format!("{told}; {advice}; connecting again"));
    }
    // a reference may come with other reasons, and is cut to a length
    let broker = ending(139, &property(0x1c, &"x".repeat(120)));
    let line = line_of_loss(&broker);
    assert!(
        line.starts_with("ended by the broker: server shutting down (reason code 139); it refers to xxx"),
        "{line}"
    );
    let broker = ScriptedBroker::start(|_, packet| (packet.kind == CONNECT).then(|| connack(157, &[])));
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}", broker.port()));
    let line = daemon.wait_for("cannot connect");
    assert!(line.ends_with(&format!("refused by the broker: server moved (reason code 157); {advice}; trying again")));
}

#[test]
fn two_daemons_with_one_client_identifier_log_the_likely_takeover_and_back_off() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        let start = Instant::now();
        let config = format!("[mqtt]\nport = {}\nclient-id = \"me\"\nprotocol = \"{protocol}\"", broker.port());
        let daemons = [(); 2].map(|()| Daemon::connected_with(&config));
        for daemon in &daemons {
            let line = daemon.wait_for("perhaps");
            let words = "the connection was closed 3 times in a row within seconds: perhaps another client uses our client \
                         identifier, me: give this one another `client-id`";
            assert_eq!(line, format!("warning: {words}"), "{protocol}");
        }
        daemons[0].wait_for_nth(6, "lost: ");
        // pauses of 0.1, 0.2, 0.4, 0.8 and 1.6 s, reduced by jitter to half at most
        assert!(start.elapsed() > Duration::from_millis(1550), "{:?}", start.elapsed());
        // the pauses of the other daemon are as long
        let connections = broker.log_with("New client connected").len();
        assert!((10..=18).contains(&connections), "{connections}");
        assert_eq!(daemons[0].lines_with("perhaps").len(), 1);
    }
}

#[test]
fn behind_tls_the_likely_takeover_is_logged() {
    let authority = Authority::new();
    let broker = TlsBroker::start(&authority.issue("broker"));
    for protocol in ["5", "3.1.1"] {
        let config = with_protocol(&broker.known_as("localhost", &authority.trusted()), protocol);
        let config = config.replacen("[mqtt]\n", "[mqtt]\nclient-id = \"me\"\n", 1);
        let daemons = [(); 2].map(|()| Daemon::with(&config));
        for daemon in &daemons {
            daemon.wait_for("perhaps another client uses our client identifier, me");
        }
    }
}

#[test]
fn the_likely_takeover_is_logged_once() {
    let broker = ScriptedBroker::start(|_, packet| Some(behave(packet, &[])));
    let config = format!("[mqtt]\nport = {}\nreconnect-max = 0.1\n[[subscribe]]\ntopic = \"a\"", broker.port());
    let daemon = Daemon::with(&config);
    for n in 1..=7 {
        daemon.wait_for_nth(n, "subscribed to a");
        broker.close();
    }
    daemon.wait_for_nth(8, "subscribed to a");
    assert_eq!(daemon.lines_with("lost: ").len(), 7);
    assert_eq!(daemon.lines_with("perhaps").len(), 1);
    assert_eq!(daemon.lines_with("perhaps another client uses our client identifier").len(), 1);
}

#[test]
fn a_broker_that_closes_over_a_subscribe_is_not_a_takeover() {
    for protocol in ["5", "3.1.1"] {
        let broker = ScriptedBroker::start(move |_, packet| match (packet.kind, protocol) {
            (CONNECT, "3.1.1") => Some(vec![0x20, 2, 0, 0]),
            (CONNECT, _) => Some(behave(packet, &NO_SUBSCRIPTION_IDENTIFIERS)),
            _ => None,
        });
        let daemon = Daemon::with(&format!(
            "[mqtt]\nport = {}\nprotocol = \"{protocol}\"\nreconnect-max = 0.1\n[[subscribe]]\ntopic = \"a/#\"\n\
             [[subscribe]]\ntopic = \"b\"",
            broker.port()
        ));
        let line = daemon.wait_for("lost: ");
        let words = "closed by the broker instead of an answer to our SUBSCRIBE of a/# and 1 more: perhaps we may not \
                     subscribe to that, or it takes no such wildcard or QoS; connecting again";
        assert!(line.ends_with(words), "{line}");
        daemon.wait_for("subscription to a/# left out");
        daemon.wait_for("subscription to b left out");
        assert_eq!(daemon.lines_with("another client").len(), 0, "{:?}", daemon.lines());
    }
}

#[test]
fn a_broker_that_closes_over_a_message_at_qos_0_is_not_a_takeover() {
    let broker = ScriptedBroker::start(|_, packet| (packet.kind != PUBLISH).then(|| behave(packet, &[])));
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\nreconnect-max = 0.1", broker.port()));
    for n in 1..=5 {
        daemon.wait_for_nth(n, "connected to");
        daemon.publish(r#"{"topic": "t", "msg": "x"}"#).assert_published();
        daemon.wait_for_nth(n, "lost: ");
    }
    assert_eq!(daemon.lines_with("perhaps").len(), 0, "{:?}", daemon.lines());
}

#[test]
fn a_broker_that_closes_over_a_forbidden_message_is_not_a_takeover() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        PUBLISH if packet.topic() == "forbidden" => None,
        _ => Some(behave(packet, &[])),
    });
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\nreconnect-max = 0.1", broker.port()));
    for _ in 0..2 {
        let reply = daemon.publish(r#"{"topic": "forbidden", "msg": "x", "qos": 1}"#);
        assert_eq!((reply.status, reply.code()), (502, 13), "{reply:?}");
    }
    assert_eq!(daemon.publish(r#"{"topic": "t", "msg": "x", "qos": 1}"#).status, 200);
    assert_eq!(daemon.lines_with("lost: ").len(), 6);
    assert_eq!(daemon.lines_with("perhaps").len(), 0);
}
