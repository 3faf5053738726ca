//! Answers to stored requests where something is wrong: each is true, also for those who ask again.

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::disk::{Disk, DiskFolder};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::http::{Connection, Reply};
use crate::support::outbox::{ASYNC, LONG, Setup, all, ask, body, configuration};
use crate::support::request::request;
use crate::support::waiting::eventually;

const KEY: (&str, &str) = ("Idempotency-Key", "k");

/// Asks with a key, without waiting for the reply.
fn begin(daemon: &Daemon, body: String) -> Connection {
    let mut connection = daemon.connect();
    connection.send(&request("POST", "/publish", &[("Content-Type", "application/json"), ASYNC, KEY], body));
    connection
}

/// A short timeout, which does not make it another request.
fn impatient() -> String {
    json!({ "topic": "t", "msg": "t", "qos": 1, "ttl": LONG, "timeout": 0.2 }).to_string()
}

#[test]
fn a_repetition_learns_what_the_disk_did_late() {
    let disk = DiskFolder::new(free_port());
    let daemon = disk.start();
    disk.set(Disk::Hangs);
    let [first, again] = [(); 2].map(|()| begin(&daemon, impatient()).reply());
    assert_eq!((first.status, again.status), (504, 504), "{first:?} {again:?}");
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    disk.set(Disk::Works);
    let repeat = || begin(&daemon, body("t", LONG)).reply();
    let late = eventually("the repetition gets its 202", repeat, |reply: &Reply| reply.status == 202);
    assert_eq!(late.header("idempotency-replayed"), Some("true"));
    let stored = all(&daemon);
    assert_eq!((stored.len(), &stored[0]["id"]), (1, &late.json()["id"]));
}

/// One that the disk never took is free for the next.
#[test]
fn a_repetition_is_stored_if_the_first_was_not() {
    let disk = DiskFolder::new(free_port());
    let daemon = disk.start();
    disk.set(Disk::Hangs);
    let other = ask(&daemon, "/publish", r#"{"topic":"other","msg":1,"qos":1,"ttl":600,"timeout":0.2}"#);
    assert_eq!(other.status, 504, "it waits for the disk: {other:?}");
    assert_eq!(begin(&daemon, impatient()).reply().status, 504);
    disk.set(Disk::Works);
    let is_stored = |reply: &Reply| reply.status == 202;
    let stored = eventually("it is stored", || begin(&daemon, body("t", LONG)).reply(), is_stored);
    assert_eq!(stored.header("idempotency-replayed"), None);
    let topics: Vec<_> = all(&daemon).iter().map(|entry| entry["topic"].as_str().unwrap().to_owned()).collect();
    assert_eq!(topics, ["other", "t"]);
}

#[test]
fn who_waits_for_a_disk_that_hangs_is_told_so_by_a_stop() {
    let disk = DiskFolder::new(free_port());
    let mut daemon = disk.start();
    disk.set(Disk::Hangs);
    let patient = json!({ "topic": "t", "msg": "t", "qos": 1, "ttl": LONG, "timeout": 60 });
    let mut waiting = begin(&daemon, patient.to_string());
    // the thread hangs when it answers nobody else
    let is_unknown = |reply: &Reply| reply.status == 504;
    eventually("the disk hangs", || ask(&daemon, "/publish", &impatient()), is_unknown);
    daemon.signal("TERM");
    assert_eq!(waiting.reply().status, 504);
    daemon.wait_for_end();
    daemon.wait_for("the outbox was not closed in time");
}

#[test]
fn what_no_broker_can_get_is_refused_at_once() {
    let with_property = json!({ "topic": "t", "msg": "x", "qos": 1, "properties": { "content_type": "a" } });
    let old = Setup::speaking("3.1.1", free_port(), "");
    let mut one = with_property.clone();
    one["ttl"] = json!(LONG);
    let refused = ask(&old.daemon, "/publish", &one.to_string());
    assert_eq!(refused.status, 501, "{refused:?}");
    let items = json!([{ "topic": "t", "msg": "x", "qos": 1 }, with_property]);
    let refused = ask(&old.daemon, "/publish/bulk?ttl=9", &items.to_string());
    assert!(refused.status == 501 && refused.error().starts_with("item 1: "), "{refused:?}");
    assert_eq!(all(&old.daemon).len(), 0);
}

#[test]
fn what_is_over_the_configured_size_is_refused_at_once() {
    let folder = Folder::new();
    let daemon = Daemon::with(&configuration(free_port(), "max-packet-size = 1024", &folder, ""));
    let large = json!({ "topic": "t", "msg": "x".repeat(1100), "qos": 1, "ttl": LONG });
    let refused = ask(&daemon, "/publish", &large.to_string());
    assert_eq!((refused.status, all(&daemon).len()), (413, 0), "{refused:?}");
}
