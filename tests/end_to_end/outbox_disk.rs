//! The disk of the outbox: one that fails, is full, hangs, or loses what it did not write; and files that are not used.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::daemon::{Daemon, program};
use crate::support::disk::{Disk, DiskFolder};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::http::{Connection, Reply};
use crate::support::mosquitto::Mosquitto;
use crate::support::outbox::{ASYNC, LONG, all, ask, await_state, body, configuration, entry, id, store};
use crate::support::process::Process;
use crate::support::request::request;
use crate::support::waiting::eventually;

/// Asks until the outbox takes a message again.
fn store_again(daemon: &Daemon, topic: &str) -> String {
    let look = || ask(daemon, "/publish", &body(topic, LONG));
    id(&eventually("the outbox takes messages again", look, |reply: &Reply| reply.status == 202))
}

/// Asks without waiting for the reply.
fn begin(daemon: &Daemon, topic: &str) -> Connection {
    let mut connection = daemon.connect();
    connection.send(&request("POST", "/publish", &[ASYNC], body(topic, LONG)));
    connection
}

fn readiness(daemon: &Daemon) -> (u16, String) {
    let reply = daemon.get("/readyz");
    (reply.status, reply.json()["error"].as_str().unwrap_or_default().to_owned())
}

fn topics(daemon: &Daemon) -> Vec<String> {
    all(daemon).iter().map(|entry| entry["topic"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_failing_disk_takes_nothing_new_and_loses_nothing() {
    for (fault, words) in
        [(Disk::FailsToSync, "Input/output error"), (Disk::IsFull, "no space is left: No space left on device")]
    {
        let broker = Mosquitto::start();
        let mut subscriber = broker.subscribe("#", 4, "%t ");
        let disk = DiskFolder::new(broker.port());
        let mut daemon = disk.start();
        daemon.wait_for("connected to 127.0.0.1:");
        let first = store(&daemon, "a", LONG);
        await_state(&daemon, &first, "acknowledged");
        disk.set(fault);
        // whether it is on disk cannot be found out, either
        let unknown = ask(&daemon, "/publish", &body("b", LONG));
        assert_eq!((unknown.status, unknown.code()), (504, 7), "{unknown:?}");
        assert!(unknown.error().starts_with("outcome unknown: the outbox cannot be used: "), "{unknown:?}");
        let refused = ask(&daemon, "/publish/bulk?ttl=9", r#"[{"topic":"b","msg":1,"qos":1}]"#);
        assert_eq!((refused.status, refused.code()), (507, 15), "{refused:?}");
        assert!(refused.error().starts_with("not stored: ") && refused.error().contains(words), "{refused:?}");
        let (status, error) = readiness(&daemon);
        assert!(status == 503 && error.starts_with("the outbox cannot be used: ") && error.contains(words), "{error}");
        daemon.wait_for("the outbox cannot be used: ");
        disk.set(Disk::Works);
        store_again(&daemon, "c");
        daemon.wait_for("the outbox is written again");
        assert_eq!(readiness(&daemon), (200, String::new()));
        assert_eq!(topics(&daemon), ["a", "c"]);
        daemon.signal("TERM");
        assert_eq!(daemon.wait_for_end().code(), Some(0));
        let daemon = Daemon::with(&disk.configuration_for(broker.port()));
        store(&daemon, "d", LONG);
        store(&daemon, "e", LONG);
        subscriber.wait_for_end();
        assert_eq!(String::from_utf8(subscriber.stdout()).unwrap(), "a c d e ");
    }
}

/// Outcomes that cannot be written are known all the same, and are written later.
#[test]
fn a_failing_disk_keeps_no_outcome_from_those_who_ask() {
    for fault in [Disk::FailsToSync, Disk::IsFull] {
        let mut broker = Mosquitto::start();
        let disk = DiskFolder::new(broker.port());
        let mut daemon = disk.start();
        daemon.wait_for("connected to 127.0.0.1:");
        broker.signal("STOP");
        let ids: Vec<String> = (0..20).map(|number| store(&daemon, &format!("t/{number}"), LONG)).collect();
        disk.set(fault);
        broker.signal("CONT");
        daemon.wait_for("the outbox cannot be used: ");
        disk.set(Disk::Works);
        store_again(&daemon, "u");
        for id in &ids {
            await_state(&daemon, id, "acknowledged");
        }
        daemon.signal("TERM");
        assert_eq!(daemon.wait_for_end().code(), Some(0));
        broker.kill();
        let daemon = disk.start();
        for id in &ids {
            assert_eq!(entry(&daemon, id)["state"], "acknowledged");
        }
    }
}

/// Linux takes for written what an fsync could not write. Then the power fails.
#[test]
fn nothing_is_lost_with_the_power_after_a_failed_fsync() {
    let disk = DiskFolder::new(free_port());
    let mut daemon = disk.start();
    let items: Vec<_> =
        (0..400).map(|number| json!({ "topic": format!("t/{number}"), "msg": "x", "qos": 1 })).collect();
    let stored = ask(&daemon, "/publish/bulk?ttl=600", &json!(items).to_string());
    let first = stored.json()["ids"][0].as_str().unwrap().to_owned();
    disk.set(Disk::FailsToSync);
    // changes a page far from that of the last message
    let refused = daemon.connect().request("DELETE", &format!("/outbox/{first}"), &[], b"");
    assert!(refused.status >= 500, "{refused:?}");
    disk.set(Disk::Works);
    store_again(&daemon, "late");
    disk.set(Disk::LosesPower);
    let _unanswered = begin(&daemon, "lost");
    daemon.wait_for_end();
    disk.set(Disk::Works);
    let topics = topics(&disk.start());
    // nobody knows whether the first one was taken back
    let expected = (1..400).map(|number| format!("t/{number}")).chain(["late".to_owned()]);
    assert!(topics.iter().filter(|topic| *topic != "t/0").eq(expected.collect::<Vec<_>>().iter()), "{topics:?}");
}

#[test]
fn a_torn_write_loses_no_stored_message() {
    let broker = Mosquitto::start();
    let mut subscriber = broker.subscribe("#", 31, "%t ");
    let disk = DiskFolder::new(free_port());
    for number in 0..30 {
        let mut daemon = disk.start();
        store(&daemon, &format!("t/{number}"), LONG);
        disk.set(Disk::Tears);
        let _unanswered = begin(&daemon, "torn");
        daemon.wait_for_end();
        disk.set(Disk::Works);
    }
    let daemon = Daemon::with(&disk.configuration_for(broker.port()));
    store(&daemon, "end", LONG);
    subscriber.wait_for_end();
    let got = String::from_utf8(subscriber.stdout()).unwrap();
    let stored: Vec<_> = got.split_whitespace().filter(|topic| topic.starts_with("t/")).map(str::to_owned).collect();
    assert_eq!(stored, (0..30).map(|number| format!("t/{number}")).collect::<Vec<_>>());
}

#[test]
fn a_disk_that_hangs_holds_up_only_what_is_to_be_stored() {
    let broker = Mosquitto::start();
    let disk = DiskFolder::new(broker.port());
    let daemon = disk.start();
    daemon.wait_for("connected to 127.0.0.1:");
    disk.set(Disk::Hangs);
    let began = Instant::now();
    let late = ask(&daemon, "/publish", r#"{"topic":"t","msg":1,"qos":1,"ttl":600,"timeout":0.5}"#);
    assert_eq!(late.status, 504, "{late:?}");
    assert!(late.error().starts_with("outcome unknown: "), "{late:?}");
    assert!(began.elapsed() >= Duration::from_millis(500));
    for qos in 0..3 {
        let reply = daemon.publish(&format!(r#"{{"topic":"plain","msg":1,"qos":{qos}}}"#));
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let waits = |(status, error): &(u16, String)| *status == 503 && error.contains("the disk has not answered for");
    eventually("it is not ready", || readiness(&daemon), waits);
    disk.set(Disk::Works);
    let is_ready = |(status, _): &(u16, String)| *status == 200;
    eventually("it is ready", || readiness(&daemon), is_ready);
    let next = store(&daemon, "next", LONG);
    await_state(&daemon, &next, "acknowledged");
}

/// A stop does not wait for ever.
#[test]
fn a_disk_that_hangs_does_not_hold_up_a_stop() {
    let disk = DiskFolder::new(free_port());
    let mut daemon = disk.start();
    disk.set(Disk::Hangs);
    assert_eq!(ask(&daemon, "/publish", r#"{"topic":"t","msg":1,"qos":1,"ttl":600,"timeout":0.1}"#).status, 504);
    daemon.signal("TERM");
    let status = daemon.wait_for_end();
    assert!(status.code().is_some(), "{status}");
    daemon.wait_for("the outbox was not closed in time");
}

/// What is there goes to the broker although there is no room for anything.
#[test]
fn a_full_file_system_refuses_and_goes_on() {
    const SCRIPT: &str = "mount -t tmpfs -o size=1m tmpfs \"$1\"; shift; exec \"$@\"";
    let folder = Folder::new();
    let port = free_port();
    let daemon = Daemon::run(&configuration(port, "", &folder, ""), |config| {
        let mut command = Command::new("unshare");
        // the configuration is elsewhere
        command.args(["-m", "--propagation", "private", "sh", "-euc", SCRIPT, "sh"]).arg(folder.path());
        command.arg(program().get_program()).arg("--config").arg(config);
        command
    });
    let mut stored = vec![];
    let refused = loop {
        let topic = format!("t/{}", stored.len());
        let large = json!({ "topic": topic, "msg": "x".repeat(5000), "qos": 1, "ttl": 600 });
        let reply = ask(&daemon, "/publish", &large.to_string());
        if reply.status != 202 {
            break reply;
        }
        stored.push(id(&reply));
    };
    assert_eq!((refused.status, refused.code()), (507, 15), "{refused:?}");
    assert!(refused.error().contains("no space is left"), "{refused:?}");
    assert!(stored.len() > 20, "{}", stored.len());
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    for id in &stored {
        await_state(&daemon, id, "acknowledged");
    }
    // there may be no room for the outcomes of all of them
    let mut command = Command::new("nsenter");
    command.args(["-t", &daemon.id().to_string(), "-m", "mount", "-o", "remount,size=16m"]).arg(folder.path());
    assert!(Process::start(&mut command).wait_for_end().success());
    let last = store_again(&daemon, "last");
    await_state(&daemon, &last, "acknowledged");
    assert_eq!(broker.log_with("Received PUBLISH").len(), stored.len() + 1, "none twice");
}

#[test]
fn a_file_that_cannot_be_used_is_an_error_and_stays() {
    let folder = Folder::new();
    let file = folder.path().join("outbox");
    let config = folder.write(
        "bridge.toml",
        &format!("{}[http]\nlisten = \"127.0.0.1:0\"\n", configuration(free_port(), "", &folder, "")),
    );
    let good = include_bytes!("../fixtures/outbox-1.redb");
    let mut newer = good.to_vec();
    (newer[64], newer[192]) = (4, 4);
    let mut flipped = good.to_vec();
    // in a page of messages
    let at = flipped.windows(3).position(|bytes| bytes == b"a/3").unwrap();
    flipped[at] ^= 1;
    for (bytes, words) in [
        (b"".to_vec(), "the file is damaged (it is empty): "),
        (b"hello".to_vec(), "it is no outbox ("),
        (good[..50_000].to_vec(), "the file is damaged ("),
        (flipped, "the file is damaged ("),
        (newer, "which this version of the bridge cannot read"),
    ] {
        std::fs::write(&file, &bytes).unwrap();
        let mut daemon = Process::start(program().arg("--config").arg(&config));
        assert_eq!(daemon.wait_for_end().code(), Some(78), "{words}");
        let line = daemon.wait_for(&format!("outbox {}: ", file.display()));
        assert!(line.contains(words) && line.contains("move"), "{line}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "{line}");
    }
}

#[test]
fn two_daemons_do_not_share_a_file() {
    let folder = Folder::new();
    let configuration = configuration(free_port(), "", &folder, "");
    let _first = Daemon::with(&configuration);
    let config = folder.write("bridge.toml", &format!("{configuration}[http]\nlisten = \"127.0.0.1:0\"\n"));
    let mut second = Process::start(program().arg("--config").arg(&config));
    assert_eq!(second.wait_for_end().code(), Some(1));
    second.wait_for("another process uses it: each bridge needs an outbox of its own");
}
