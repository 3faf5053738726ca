//! A full outbox: the bridge starts with it, and the broker gets all of it in its order.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::outbox::{ask, configuration, count};
use crate::support::stalls::Stalls;
use crate::support::waiting::{PATIENCE, SLACK, eventually_within};

const MESSAGES: usize = 100_000;
const BULK: usize = 1000;
/// How much longer a start with all messages may take. `bench/outbox.py` measures it.
const MORE: Duration = Duration::from_secs(2);

#[test]
fn a_hundred_thousand_messages_are_there_soon_after_a_start_and_all_arrive_in_order() {
    let (port, folder) = (free_port(), Folder::new());
    let configuration = configuration(port, "", &folder, "");
    let (daemon, empty) = started(&configuration);
    for first in (0..MESSAGES).step_by(BULK) {
        let items: Value =
            (first..first + BULK).map(|n| json!({"topic": format!("n/{n}"), "msg": n, "qos": 1})).collect();
        let reply = ask(&daemon, "/publish/bulk?ttl=600", &items.to_string());
        assert_eq!((reply.status, reply.code()), (202, 0), "{reply:?}");
    }
    // SIGKILL: the file is not closed
    drop(daemon);
    let stalls = Stalls::start();
    let (daemon, full) = started(&configuration);
    let most = empty + MORE + SLACK + stalls.longest();
    assert!(full < most, "{full:?}, and {empty:?} with an empty outbox");
    assert_eq!(count(&daemon, "queued"), MESSAGES as u64);
    let broker = Mosquitto::on_port(port, "allow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true");
    eventually_within(
        PATIENCE * 3,
        "all are acknowledged",
        || count(&daemon, "acknowledged"),
        |acknowledged| *acknowledged == MESSAGES as u64,
    );
    println!("start with {MESSAGES} messages: {full:?}, with none {empty:?}");
    let received = broker.log_with("Received PUBLISH");
    let topics = received.iter().map(|line| line.split('\'').nth(1).unwrap());
    assert!(topics.eq((0..MESSAGES).map(|n| format!("n/{n}"))), "each once, in their order: {}", received.len());
}

/// A daemon, and the time until it serves HTTP.
fn started(configuration: &str) -> (Daemon, Duration) {
    let begun = Instant::now();
    let daemon = Daemon::with(configuration);
    assert_eq!(daemon.get("/healthz").status, 200);
    (daemon, begun.elapsed())
}
