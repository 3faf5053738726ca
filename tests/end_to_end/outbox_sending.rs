//! What becomes of stored messages: nothing is sent after its `ttl`, and everything else arrives in its order.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::outbox::{LONG, Setup, all, ask, await_state, configuration, count, entry, id, store};
use crate::support::scripted_broker::{
    CONNECT, PUBACK, PUBLISH, ScriptedBroker, acknowledgement, behave, connack_resuming, receive_maximum,
};
use crate::support::waiting::{SLACK, eventually};

#[test]
fn the_broker_comes_back_and_gets_all_in_their_order() {
    let port = free_port();
    let setup = Setup::new(port, "");
    let ids: Vec<String> = (0..50).map(|n| store(&setup.daemon, &format!("n/{n}"), LONG)).collect();
    let first = entry(&setup.daemon, &ids[0]);
    let time = |name: &str| first[name].as_f64().unwrap_or_else(|| panic!("{name}: {first}"));
    assert!((time("expires") - time("stored") - LONG).abs() < 0.01, "{first}");
    let expected = json!({"code": 0, "id": ids[0], "state": "queued", "topic": "n/0", "qos": 1, "retain": false, "bytes": 3,
        "stored": first["stored"], "expires": first["expires"]});
    assert_eq!(first, expected);
    assert_eq!(count(&setup.daemon, "queued"), 50);
    let broker = Mosquitto::on_port(port, "allow_anonymous true\nmax_queued_messages 0");
    for id in &ids {
        let entry = await_state(&setup.daemon, id, "acknowledged");
        let settled = entry["settled"].as_f64().unwrap();
        assert!(settled >= time("stored") && entry["reason_code"] == 16, "{entry}");
    }
    let received = broker.log_with("Received PUBLISH");
    let topics: Vec<_> = received.iter().map(|line| line.split('\'').nth(1).unwrap()).collect();
    assert_eq!(topics, (0..50).map(|n| format!("n/{n}")).collect::<Vec<_>>());
}

#[test]
fn what_is_stored_outlives_the_process_and_so_does_what_became_of_it() {
    let port = free_port();
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    let setup = Setup::new(port, "");
    let done = store(&setup.daemon, "done", LONG);
    let outcome = await_state(&setup.daemon, &done, "acknowledged");
    drop(broker);
    setup.daemon.wait_for("lost");
    let queued = store(&setup.daemon, "queued", LONG);
    let before = entry(&setup.daemon, &queued);
    let setup = setup.restart();
    assert_eq!(entry(&setup.daemon, &done), outcome);
    assert_eq!(entry(&setup.daemon, &queued), before);
    let new = store(&setup.daemon, "new", LONG);
    assert!(![&done, &queued].contains(&&new), "{new}");
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    await_state(&setup.daemon, &queued, "acknowledged");
    await_state(&setup.daemon, &new, "acknowledged");
    assert_eq!(broker.log_with("Received PUBLISH").len(), 2, "what was acknowledged is not sent again");
}

#[test]
fn a_message_without_an_acknowledgement_is_sent_and_then_expired() {
    let broker = ScriptedBroker::withholding(&[]);
    let setup = Setup::new(broker.port(), "");
    setup.daemon.wait_for("connected to");
    let (short, long) = (store(&setup.daemon, "short", 2.0), store(&setup.daemon, "long", LONG));
    let [_, packet] = [broker.wait_for(PUBLISH).0, broker.wait_for(PUBLISH).0];
    assert_eq!(packet.topic(), "long");
    await_state(&setup.daemon, &long, "sent");
    assert_eq!(setup.delete(&long).status, 409, "it was sent");
    let expired = await_state(&setup.daemon, &short, "expired");
    assert_eq!(expired["may_have_arrived"], true, "{expired}");
    broker.send(&acknowledgement(PUBACK, packet.identifier()));
    let acknowledged = await_state(&setup.daemon, &long, "acknowledged");
    assert_eq!(acknowledged.get("may_have_arrived"), None, "{acknowledged}");
}

#[test]
fn an_acknowledgement_after_the_ttl_is_told_all_the_same() {
    let broker = ScriptedBroker::withholding(&[]);
    let setup = Setup::new(broker.port(), "");
    let late = store(&setup.daemon, "late", 1.0);
    let (packet, _) = broker.wait_for(PUBLISH);
    await_state(&setup.daemon, &late, "expired");
    broker.send(&acknowledgement(PUBACK, packet.identifier()));
    let entry = await_state(&setup.daemon, &late, "acknowledged");
    assert_eq!(entry.get("may_have_arrived"), None, "{entry}");
}

#[test]
fn nothing_is_sent_after_its_ttl() {
    let port = free_port();
    let setup = Setup::new(port, "");
    let (short, long) = (store(&setup.daemon, "short", 0.5), store(&setup.daemon, "long", LONG));
    let expired = await_state(&setup.daemon, &short, "expired");
    assert_eq!(expired.get("may_have_arrived"), None, "{expired}");
    let setup = setup.restart();
    assert_eq!(entry(&setup.daemon, &short), expired);
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    await_state(&setup.daemon, &long, "acknowledged");
    assert_eq!(broker.log_with("'short'"), Vec::<String>::new());
}

#[test]
fn what_expires_while_the_bridge_is_stopped_is_not_sent() {
    let port = free_port();
    let mut setup = Setup::new(port, "");
    let (short, long) = (store(&setup.daemon, "short", 1.0), store(&setup.daemon, "long", LONG));
    let expires = entry(&setup.daemon, &short)["expires"].as_f64().unwrap();
    setup.daemon.signal("TERM");
    assert_eq!(setup.daemon.wait_for_end().code(), Some(0));
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    eventually("its time is over", now, |now| *now > expires + 0.01);
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    let daemon = Daemon::with(&setup.configuration);
    await_state(&daemon, &long, "acknowledged");
    await_state(&daemon, &short, "expired");
    assert_eq!(broker.log_with("'short'"), Vec::<String>::new());
}

#[test]
fn a_retransmission_stays_within_the_ttl() {
    // the first connection gets both, and acknowledges none; the session is resumed after the first ttl
    let broker = ScriptedBroker::start(|n, packet| match packet.kind {
        PUBLISH if n == 0 => Some(Vec::new()),
        _ if n > 0 && packet.kind == CONNECT => Some(connack_resuming(true, &[])),
        _ => Some(behave(packet, &[])),
    });
    let folder = Folder::new();
    let daemon = Daemon::with(&configuration(broker.port(), "clean-session = false", &folder, ""));
    let (short, long) = (store(&daemon, "short", 1.0), store(&daemon, "long", LONG));
    (0..2).for_each(|_| drop(broker.wait_for(PUBLISH)));
    await_state(&daemon, &short, "expired");
    broker.close();
    let (packet, _) = broker.wait_for(PUBLISH);
    assert_eq!((packet.topic(), packet.is_duplicate()), ("long", true));
    await_state(&daemon, &long, "acknowledged");
    assert!(broker.others().iter().all(|packet| packet.kind != PUBLISH), "nothing else");
    let entry = entry(&daemon, &short);
    assert_eq!((&entry["state"], &entry["may_have_arrived"]), (&json!("expired"), &json!(true)), "{entry}");
}

#[test]
fn what_remains_of_the_ttl_is_the_expiry_interval_in_mqtt_5() {
    let broker = ScriptedBroker::start(|_, packet| Some(behave(packet, &[])));
    let setup = Setup::new(broker.port(), "");
    let begun = Instant::now();
    for (ttl, most) in [(LONG, 600), (0.9, 1), (100.2, 101)] {
        store(&setup.daemon, "t", ttl);
        let (packet, _) = broker.wait_for(PUBLISH);
        // topic, packet identifier, length of the properties
        let properties = &packet.body[2 + 1 + 2..];
        let [5, 2, interval @ ..] = properties else { panic!("one property: {properties:?}") };
        let seconds = u32::from_be_bytes(interval[..4].try_into().unwrap());
        let waited = u32::try_from(begun.elapsed().as_secs()).unwrap() + 1;
        assert!((most.max(1 + waited) - waited..=most).contains(&seconds), "{seconds} of {ttl}");
    }
}

#[test]
fn a_refused_message_does_not_hold_up_others() {
    let folder = Folder::new();
    let acl = folder.write("acl", "topic readwrite allowed/#\n");
    let broker = Mosquitto::on_port(free_port(), &format!("allow_anonymous true\nacl_file {}", acl.display()));
    let setup = Setup::new(broker.port(), "");
    let denied = store(&setup.daemon, "denied", LONG);
    let allowed = store(&setup.daemon, "allowed/x", LONG);
    await_state(&setup.daemon, &allowed, "acknowledged");
    let entry = await_state(&setup.daemon, &denied, "refused");
    assert_eq!(entry["reason_code"], 135, "{entry}");
    assert!(entry["error"].as_str().unwrap().contains("not authorized"), "{entry}");
}

#[test]
fn a_message_too_large_for_the_broker_is_refused_and_others_go_on() {
    let port = free_port();
    let setup = Setup::new(port, "");
    let large = id(&ask(&setup.daemon, "/topics/large?qos=1&ttl=600", &"x".repeat(5000)));
    let small = store(&setup.daemon, "small", LONG);
    let _broker = Mosquitto::on_port(port, "allow_anonymous true\nmax_packet_size 1000");
    await_state(&setup.daemon, &small, "acknowledged");
    let entry = await_state(&setup.daemon, &large, "refused");
    assert!(entry["error"].is_string(), "{entry}");
    assert_eq!(entry.get("may_have_arrived"), None, "{entry}");
}

#[test]
fn outcomes_are_forgotten_after_a_time() {
    let broker = Mosquitto::start();
    let setup = Setup::new(broker.port(), "keep = 1");
    let stored = store(&setup.daemon, "t", LONG);
    // the state may be forgotten before it is seen
    let status = || setup.daemon.get(&format!("/outbox/{stored}")).status;
    eventually("it is forgotten", status, |status| *status == 404);
    assert_eq!(broker.log_with("Received PUBLISH").len(), 1);
    assert_eq!(all(&setup.daemon), Vec::<Value>::new());
}

#[test]
fn an_acknowledgement_during_a_stop_is_written() {
    let broker = ScriptedBroker::withholding(&[]);
    let mut setup = Setup::new(broker.port(), "[publish]\ntimeout = 60");
    let sent = store(&setup.daemon, "sent", LONG);
    let (packet, _) = broker.wait_for(PUBLISH);
    await_state(&setup.daemon, &sent, "sent");
    setup.daemon.signal("TERM");
    setup.daemon.wait_for("stopping");
    broker.send(&acknowledgement(PUBACK, packet.identifier()));
    assert_eq!(setup.daemon.wait_for_end().code(), Some(0));
    let daemon = Daemon::with(&setup.configuration);
    assert_eq!(entry(&daemon, &sent)["state"], "acknowledged");
}

#[test]
fn a_stop_waits_a_while_for_what_was_sent_and_not_for_what_is_queued() {
    let broker = ScriptedBroker::withholding(&receive_maximum(1));
    let mut setup = Setup::new(broker.port(), "[publish]\ntimeout = 2");
    let ids: Vec<String> = ["sent", "queued"].iter().map(|topic| store(&setup.daemon, topic, LONG)).collect();
    broker.wait_for(PUBLISH);
    await_state(&setup.daemon, &ids[0], "sent");
    let begun = Instant::now();
    setup.daemon.signal("TERM");
    assert_eq!(setup.daemon.wait_for_end().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5) + SLACK, "{:?}", begun.elapsed());
    assert!(broker.others().iter().all(|packet| packet.kind != PUBLISH), "one of two");
    // nobody knows whether the broker has the first one
    let daemon = Daemon::with(&setup.configuration);
    for (id, topic) in ids.iter().zip(["sent", "queued"]) {
        let (packet, _) = broker.wait_for(PUBLISH);
        assert_eq!(packet.topic(), topic);
        broker.send(&acknowledgement(PUBACK, packet.identifier()));
        await_state(&daemon, id, "acknowledged");
    }
}
