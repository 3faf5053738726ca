//! Stored messages on connections that end: a kept session sends them again within their `ttl`, and tells late what
//! became of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::outbox::{LONG, ask, await_state, configuration, entry, id};
use crate::support::scripted_broker::{
    CONNECT, PUBACK, PUBLISH, PUBREC, PUBREL, Packet, ScriptedBroker, acknowledgement, behave, connack_resuming,
};
use crate::support::waiting::eventually;

const VARIANTS: [(&str, u8); 4] = [("5", 1), ("5", 2), ("3.1.1", 1), ("3.1.1", 2)];

/// A daemon with a kept session and an outbox.
fn daemon(protocol: &str, broker: &ScriptedBroker) -> (Folder, Daemon) {
    let folder = Folder::new();
    let keys = format!("protocol = \"{protocol}\"\nclean-session = false");
    let daemon = Daemon::with(&configuration(broker.port(), &keys, &folder, ""));
    (folder, daemon)
}

/// The CONNACK of a broker that has the session of an earlier connection, if there was one and it is asked for.
fn resume(protocol: &str, n: usize, connect: &Packet) -> Vec<u8> {
    let session_present = n > 0 && !leaves_session(connect);
    let of_mqtt_5 = connack_resuming(session_present, &[]);
    if protocol == "5" { of_mqtt_5 } else { vec![0x20, 2, session_present.into(), 0] }
}

/// Clean Session or Clean Start.
fn leaves_session(connect: &Packet) -> bool {
    connect.body[7] & 2 != 0
}

#[track_caller]
fn store(daemon: &Daemon, topic: &str, qos: u8, ttl: f64) -> String {
    id(&ask(daemon, "/publish", &json!({ "topic": topic, "msg": "x", "qos": qos, "ttl": ttl }).to_string()))
}

fn has_publish(packets: &[Packet]) -> bool {
    packets.iter().any(|packet| packet.kind == PUBLISH)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn a_resumed_session_sends_stored_messages_again_with_their_packet_identifiers() {
    for (protocol, qos) in VARIANTS {
        let broker = ScriptedBroker::start(move |n, packet| {
            Some(match packet.kind {
                CONNECT => resume(protocol, n, packet),
                PUBLISH if n == 0 => Vec::new(),
                _ => behave(packet, &[]),
            })
        });
        let (_folder, daemon) = daemon(protocol, &broker);
        let ids = ["a", "b"].map(|topic| store(&daemon, topic, qos, LONG));
        let sent = [(); 2].map(|()| broker.wait_for(PUBLISH).0);
        for id in &ids {
            await_state(&daemon, id, "sent");
        }
        broker.close();
        for before in sent {
            let again = broker.wait_for(PUBLISH).0;
            assert!(!before.is_duplicate() && again.is_duplicate(), "{before:?}, {again:?}");
            let of = |packet: &Packet| (packet.topic().to_owned(), packet.identifier(), packet.qos());
            assert_eq!(of(&again), of(&before));
        }
        for id in &ids {
            let entry = await_state(&daemon, id, "acknowledged");
            assert_eq!(entry.get("may_have_arrived"), None, "{entry}");
        }
        assert!(!has_publish(&broker.others()));
    }
}

#[test]
fn after_its_ttl_a_stored_message_is_not_sent_again() {
    for (protocol, qos) in VARIANTS {
        let broker = ScriptedBroker::start(move |n, packet| {
            Some(match packet.kind {
                CONNECT => resume(protocol, n, packet),
                PUBLISH if packet.topic() == "short" => Vec::new(),
                _ => behave(packet, &[]),
            })
        });
        let (_folder, daemon) = daemon(protocol, &broker);
        let short = store(&daemon, "short", qos, 1.0);
        broker.wait_for(PUBLISH);
        let expired = await_state(&daemon, &short, "expired");
        assert_eq!(expired["may_have_arrived"], true, "{expired}");
        broker.close();
        let (connect, _) = broker.wait_for(CONNECT);
        assert!(!leaves_session(&connect), "it is resumed, as it may owe other messages");
        if qos == 2 {
            // the broker may take another message with this packet identifier for this one
            let (connect, others) = broker.wait_for(CONNECT);
            assert!(leaves_session(&connect) && !has_publish(&others), "{others:?}");
            daemon.wait_for("the session owes a message of the outbox whose time is over: it is left");
        }
        let next = store(&daemon, "next", qos, LONG);
        let (packet, others) = broker.wait_for(PUBLISH);
        assert_eq!((packet.topic(), packet.is_duplicate()), ("next", false));
        assert!(others.iter().all(|packet| packet.kind != CONNECT), "{others:?}");
        await_state(&daemon, &next, "acknowledged");
        assert!(!has_publish(&broker.others()));
        assert_eq!(entry(&daemon, &short), expired);
    }
}

#[test]
fn after_its_ttl_a_stored_message_that_the_broker_has_is_completed() {
    for protocol in ["5", "3.1.1"] {
        let broker = ScriptedBroker::start(move |n, packet| {
            Some(match packet.kind {
                CONNECT => resume(protocol, n, packet),
                PUBREL if n == 0 => Vec::new(),
                _ => behave(packet, &[]),
            })
        });
        let (_folder, daemon) = daemon(protocol, &broker);
        let stored = store(&daemon, "t", 2, 1.0);
        let (release, _) = broker.wait_for(PUBREL);
        await_state(&daemon, &stored, "expired");
        broker.close();
        let (again, others) = broker.wait_for(PUBREL);
        assert_eq!(again.identifier(), release.identifier());
        assert!(!has_publish(&others), "{others:?}");
        let entry = await_state(&daemon, &stored, "acknowledged");
        assert_eq!(entry.get("may_have_arrived"), None, "{entry}");
    }
}

#[test]
fn an_acknowledgement_after_the_ttl_says_what_became_of_the_message() {
    for (protocol, qos) in VARIANTS {
        let broker = ScriptedBroker::start(move |n, packet| {
            Some(match packet.kind {
                CONNECT => resume(protocol, n, packet),
                PUBLISH => Vec::new(),
                _ => behave(packet, &[]),
            })
        });
        let (_folder, daemon) = daemon(protocol, &broker);
        let stored = store(&daemon, "t", qos, 1.0);
        let (packet, _) = broker.wait_for(PUBLISH);
        let expired = await_state(&daemon, &stored, "expired");
        assert_eq!(expired["may_have_arrived"], true, "{expired}");
        broker.send(&acknowledgement(if qos == 1 { PUBACK } else { PUBREC }, packet.identifier()));
        let acknowledged = await_state(&daemon, &stored, "acknowledged");
        assert_eq!(acknowledged.get("may_have_arrived"), None, "{acknowledged}");
    }
}

#[test]
fn the_expiry_interval_of_a_retransmission_is_what_remains_of_the_ttl() {
    let broker = ScriptedBroker::start(move |n, packet| {
        Some(match packet.kind {
            CONNECT => resume("5", n, packet),
            PUBLISH if n == 0 => Vec::new(),
            _ => behave(packet, &[]),
        })
    });
    let (_folder, daemon) = daemon("5", &broker);
    let stored = store(&daemon, "t", 1, 100.0);
    let expires = entry(&daemon, &stored)["expires"].as_f64().unwrap();
    let interval = || {
        let (packet, _) = broker.wait_for(PUBLISH);
        // topic, packet identifier, length of the properties
        let [5, 2, interval @ ..] = &packet.body[2 + 1 + 2..] else { panic!("one property: {packet:?}") };
        f64::from(u32::from_be_bytes(interval[..4].try_into().unwrap()))
    };
    let first = interval();
    let most = eventually("a second is over", || expires - now(), |left| *left < first - 1.1);
    broker.close();
    let second = interval();
    let least = expires - now();
    assert!((least.floor()..=most.ceil()).contains(&second) && second < first, "{first}, then {second}");
}

#[test]
fn on_a_lost_connection_only_what_was_not_sent_can_be_taken_back() {
    for (protocol, qos) in VARIANTS {
        let is_open = Arc::new(AtomicBool::new(true));
        let gate = is_open.clone();
        let broker = ScriptedBroker::start(move |n, packet| match packet.kind {
            CONNECT => gate.load(Ordering::SeqCst).then(|| resume(protocol, n, packet)),
            PUBLISH if n == 0 => Some(Vec::new()),
            _ => Some(behave(packet, &[])),
        });
        let (_folder, daemon) = daemon(protocol, &broker);
        let sent = store(&daemon, "sent", qos, LONG);
        broker.wait_for(PUBLISH);
        await_state(&daemon, &sent, "sent");
        is_open.store(false, Ordering::SeqCst);
        broker.close();
        daemon.wait_for("lost");
        let queued = store(&daemon, "queued", qos, LONG);
        assert_eq!(entry(&daemon, &queued)["state"], "queued");
        let delete = |id: &str| daemon.connect().request("DELETE", &format!("/outbox/{id}"), &[], b"").status;
        assert_eq!((delete(&queued), delete(&sent)), (200, 409));
        assert_eq!(entry(&daemon, &sent)["state"], "sent");
        is_open.store(true, Ordering::SeqCst);
        let (packet, _) = broker.wait_for(PUBLISH);
        assert_eq!((packet.topic(), packet.is_duplicate()), ("sent", true));
        await_state(&daemon, &sent, "acknowledged");
        store(&daemon, "next", qos, LONG);
        assert_eq!(broker.wait_for(PUBLISH).0.topic(), "next");
        assert_eq!(daemon.get(&format!("/outbox/{queued}")).status, 404);
    }
}
