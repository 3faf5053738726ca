//! Idempotency keys where there is an outbox: they hold over a restart, and for stored messages too.

use serde_json::{Value, json};

use crate::idempotency::{ask, assert_repeated, is_replayed};
use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;
use crate::support::outbox::{ASYNC, Setup, all, id};
use crate::support::request::request;
use crate::support::scripted_broker::{PUBACK, PUBLISH, ScriptedBroker, acknowledgement};
use crate::support::waiting::eventually;

/// Kills the daemon, and starts it again.
fn kill(Setup { folder, configuration, daemon }: Setup) -> Setup {
    daemon.signal("KILL");
    drop(daemon);
    let daemon = Daemon::with(&configuration);
    Setup { folder, configuration, daemon }
}

/// Stores by a request with the key `k`.
fn store(daemon: &Daemon, target: &str, body: &Value) -> Reply {
    let headers = [("Idempotency-Key", "k"), ASYNC];
    daemon.connect().request("POST", target, &headers, body.to_string().as_bytes())
}

fn assert_same_headers(first: &Reply, second: &Reply) {
    for name in ["location", "preference-applied"] {
        assert_eq!(first.header(name), second.header(name), "{name}");
    }
}

#[test]
fn a_stored_message_is_stored_once_over_a_restart_too() {
    let setup = Setup::new(free_port(), "");
    let body = json!({"topic": "a", "msg": 1, "qos": 1, "ttl": 600});
    let first = store(&setup.daemon, "/publish", &body);
    id(&first);
    let again = store(&setup.daemon, "/publish", &body);
    assert_repeated(&first, &again);
    assert_same_headers(&first, &again);
    let setup = kill(setup);
    let again = store(&setup.daemon, "/publish", &body);
    assert_repeated(&first, &again);
    assert_same_headers(&first, &again);
    assert_eq!(all(&setup.daemon).len(), 1);
    let other = json!({"topic": "a", "msg": 1, "qos": 1, "ttl": 601});
    assert_eq!(store(&setup.daemon, "/publish", &other).status, 422);
    let now = json!({"topic": "a", "msg": 1, "qos": 1});
    assert_eq!(store(&setup.daemon, "/publish", &now).status, 422);
}

#[test]
fn a_stored_bulk_is_stored_once() {
    let setup = Setup::new(free_port(), "");
    let body = json!([{"topic": "a", "msg": 1, "qos": 1}, {"topic": "b", "msg": 1, "qos": 2}]);
    let first = store(&setup.daemon, "/publish/bulk?ttl=600", &body);
    assert_eq!(first.status, 202, "{first:?}");
    let setup = kill(setup);
    let again = store(&setup.daemon, "/publish/bulk?ttl=600", &body);
    assert_repeated(&first, &again);
    assert_same_headers(&first, &again);
    assert_eq!(all(&setup.daemon).len(), 2);
}

#[test]
fn what_the_outbox_does_not_take_may_be_tried_again() {
    let setup = Setup::new(free_port(), "max-messages = 1");
    let body = json!({"topic": "a", "msg": 1, "qos": 1, "ttl": 600});
    let headers = [("Idempotency-Key", "other"), ASYNC];
    let first = setup.daemon.connect().request("POST", "/publish", &headers, body.to_string().as_bytes());
    let stored = id(&first);
    for _ in 0..2 {
        let full = store(&setup.daemon, "/publish", &body);
        assert!(full.status == 507 && !is_replayed(&full), "{full:?}");
    }
    assert_eq!(setup.delete(&stored).status, 200);
    id(&store(&setup.daemon, "/publish", &body));
}

#[test]
fn an_answer_is_kept_over_a_restart() {
    let broker = Mosquitto::start();
    let setup = Setup::new(broker.port(), "");
    let body = json!({"topic": "a", "msg": 1, "qos": 1}).to_string();
    let first = ask(&setup.daemon, "POST", "/publish", "k", &body);
    assert_eq!(first.status, 200);
    let setup = setup.restart();
    assert_repeated(&first, &ask(&setup.daemon, "POST", "/publish", "k", &body));
    assert_eq!(broker.log_with("Received PUBLISH").len(), 1);
}

#[test]
fn what_ran_when_the_process_was_killed_is_unknown_and_not_sent_again() {
    let broker = ScriptedBroker::withholding(&[]);
    let setup = Setup::new(broker.port(), "");
    let bulk = json!([{"topic": "b", "msg": 1, "qos": 1}, {"topic": "c", "msg": 1}]).to_string();
    let single = json!({"topic": "a", "msg": 1, "qos": 1}).to_string();
    let emqx = json!({"topic": "e", "payload": "1", "qos": 1}).to_string();
    let requests = [("/publish", "s", &single), ("/publish/bulk", "b", &bulk), ("/api/v5/publish", "e", &emqx)];
    let mut running = Vec::new();
    for (target, key, body) in requests {
        let mut connection = setup.daemon.connect();
        connection.send(&request("POST", target, &[("Idempotency-Key", key)], body));
        running.push(connection);
    }
    for _ in 0..4 {
        broker.wait_for(PUBLISH);
    }
    let setup = kill(setup);
    for (target, key, body) in requests {
        let reply = ask(&setup.daemon, "POST", target, key, body);
        assert!(is_replayed(&reply), "{reply:?}");
        let words = "sent, outcome unknown: no acknowledgement from the broker in time";
        let json = reply.json();
        match target {
            "/publish" => reply.assert_refused(504, 7, words),
            "/publish/bulk" => {
                let codes: Vec<_> = json["results"].as_array().unwrap().iter().map(|item| &item["code"]).collect();
                assert_eq!((reply.status, codes), (207, vec![&json!(7); 2]));
            }
            _ => assert_eq!((reply.status, &json["message"]), (504, &json!(words))),
        }
    }
    eventually("a connection", || setup.daemon.get("/readyz").status, |status| *status == 200);
    let others = broker.others();
    assert!(others.iter().all(|packet| packet.kind != PUBLISH || packet.connection == 0), "{others:?}");
}

#[test]
fn a_late_acknowledgement_is_kept_over_a_restart() {
    let broker = ScriptedBroker::withholding(&[]);
    let setup = Setup::new(broker.port(), "");
    let body = json!({"topic": "a", "msg": 1, "qos": 1, "timeout": 0.3}).to_string();
    assert_eq!(ask(&setup.daemon, "POST", "/publish", "k", &body).status, 504);
    let (packet, _) = broker.wait_for(PUBLISH);
    broker.send(&acknowledgement(PUBACK, packet.identifier()));
    let send = |daemon: &Daemon| ask(daemon, "POST", "/publish", "k", &body);
    eventually("the late answer", || send(&setup.daemon).status, |status| *status == 200);
    let setup = setup.restart();
    let reply = send(&setup.daemon);
    assert_eq!((reply.status, is_replayed(&reply)), (200, true));
}

#[test]
fn a_freed_key_is_free_after_a_restart_too() {
    let port = free_port();
    let setup = Setup::new(port, "");
    let body = json!({"topic": "a", "msg": 1, "qos": 1, "timeout": 0.2}).to_string();
    assert_eq!(ask(&setup.daemon, "POST", "/publish", "k", &body).status, 503);
    let setup = setup.restart();
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    eventually("a connection", || setup.daemon.get("/readyz").status, |status| *status == 200);
    let sent = ask(&setup.daemon, "POST", "/publish", "k", &body);
    assert!(sent.status == 200 && !is_replayed(&sent), "{sent:?}");
    drop(broker);
}
