//! A thousand clients repeat their requests with time-outs, each with its own keys, while the broker is killed.

use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::chaos::{Broker, await_count};
use crate::support::PATIENCE;
use crate::support::daemon::Daemon;
use crate::support::http::Connection;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::proxy::Proxy;
use crate::support::waiting::{eventually_within, pause};

const CLIENTS: usize = 1000;
/// Requests of each client, one after another.
const EACH: usize = 3;
/// Not more: a message that was sent on three connections that ended is given up, and its session is left.
const KILLS: usize = 2;
/// Seconds that the broker may take before a client asks again.
const TIMEOUT: f64 = 0.5;
/// What mosquitto logs for each message that it passes on for the first time. It repeats some after it was killed, as its
/// file may be older than the acknowledgements of the subscriber; these have DUP.
const PASSED_ON: &str = "Sending PUBLISH to watcher (d0, q2, r0, ";
/// How often a client asks for what nobody knows, and with a kept session, which makes nearly all of it known.
const MOST_TRIES: usize = 30;
const TRIES_WITH_SESSION: usize = 200;

/// What a client was told in the end.
struct Told {
    id: usize,
    /// Of the first reply.
    first: u16,
    /// Of the last reply.
    last: u16,
    packet_id: Option<u64>,
}

/// Starts the clients. A client asks until it is told that the broker has its message, or for so many times.
fn clients(daemon: &Daemon, qos: u8, tries: usize, done: &Arc<AtomicUsize>) -> Vec<thread::JoinHandle<Vec<Told>>> {
    let client = |client: usize| {
        let (mut connection, done) = (daemon.connect(), done.clone());
        connection.set_patience(PATIENCE * 4);
        thread::spawn(move || {
            let each = (0..EACH).map(|n| {
                let told = ask(&mut connection, client * EACH + n, qos, tries);
                done.fetch_add(1, Ordering::Relaxed);
                told
            });
            each.collect()
        })
    };
    (0..CLIENTS).map(client).collect()
}

fn ask(connection: &mut Connection, id: usize, qos: u8, tries: usize) -> Told {
    let body = json!({"topic": format!("t/{id}"), "msg": id, "qos": qos, "timeout": TIMEOUT}).to_string();
    let mut first = None;
    for attempt in 1.. {
        let key = format!("key-{id}");
        let reply = connection.request("POST", "/publish", &[("Idempotency-Key", &key)], body.as_bytes());
        assert!(matches!(reply.status, 200 | 503 | 504), "{reply:?}");
        let first = *first.get_or_insert(reply.status);
        if reply.status == 200 || attempt == tries {
            let packet_id = reply.json().get("packet_id").and_then(Value::as_u64);
            return Told { id, first, last: reply.status, packet_id };
        }
        pause(Duration::from_millis(100));
    }
    unreachable!("it asks until it returns")
}

fn join(clients: Vec<thread::JoinHandle<Vec<Told>>>) -> Vec<Told> {
    clients.into_iter().flat_map(|client| client.join().expect("an answer each")).collect()
}

fn daemon(port: u16, lines: &str) -> Daemon {
    let mqtt = format!("[mqtt]\nport = {port}\nclient-id = \"chaos\"\nreconnect-max = 0.2\n{lines}");
    let waiting = 2 * CLIENTS;
    Daemon::connected_with(&format!("{mqtt}\n[publish]\nmax-waiting = {waiting}\n[http]\nmax-connections = {waiting}"))
}

/// The bridge loses its connection first, so that mosquitto saves what it has acknowledged. Of the one message that may
/// be between the bridge and the socket when a connection ends nobody can know whether it left: such a key may stay at
/// 504, and its message comes at most once.
#[test]
fn at_qos_2_with_a_kept_session_every_message_arrives_exactly_once() {
    let mut broker = Mosquitto::persistent("max_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true");
    let proxy = Proxy::start(broker.port(), Duration::ZERO);
    let watcher = Watcher::start(&broker);
    let daemon = daemon(proxy.port(), "clean-session = false");
    let (done, mut passed_on) = (Arc::new(AtomicUsize::new(0)), Vec::new());
    let clients = clients(&daemon, 2, TRIES_WITH_SESSION, &done);
    for kill in 1..=KILLS {
        await_count(&done, CLIENTS * EACH * kill / (KILLS + 2));
        proxy.set_away(true);
        // it reads what it has of the connection one packet after the other, beside those of others
        let ended = |lines: &Vec<String>| {
            let has = |line: &String| ["Client chaos", "client chaos"].iter().any(|client| line.contains(client));
            lines.iter().any(has)
        };
        eventually_within(PATIENCE, "the end of the connection", || broker.log_with("chaos"), ended);
        watcher.catch_up(&broker, kill);
        broker.save();
        passed_on.extend(broker.log_with(PASSED_ON));
        broker.kill();
        pause(Duration::from_millis(kill as u64 * 400));
        broker.restart();
        proxy.set_away(false);
    }
    let told = join(clients);
    let unknown = told.iter().filter(|told| told.last == 504).count();
    watcher.await_all(&told);
    passed_on.extend(broker.log_with(PASSED_ON));
    let mut counts = HashMap::<usize, usize>::new();
    for line in passed_on.iter().filter(|line| line.contains("'t/")) {
        *counts.entry(number(line, "'t/")).or_default() += 1;
    }
    let twice = counts.values().filter(|count| **count > 1).count();
    let unknown_at_first = told.iter().filter(|told| told.first == 504).count();
    println!(
        "QoS 2, kept session: {} keys, {unknown_at_first} unknown at first, {unknown} never | twice {twice}",
        told.len()
    );
    assert!(unknown <= KILLS && unknown_at_first > unknown, "{unknown} of {unknown_at_first}");
    assert!(told.iter().all(|told| matches!(told.last, 200 | 504)));
    assert_eq!(twice, 0);
}

/// Without a session the outcome of a message may never be known. Once it is, nothing is sent any more.
#[test]
fn what_was_acknowledged_is_never_sent_again() {
    let mut broker = Broker::start();
    let daemon = daemon(broker.port(), "clean-session = true");
    let done = Arc::new(AtomicUsize::new(0));
    let clients = clients(&daemon, 1, MOST_TRIES, &done);
    for kill in 1..=KILLS {
        await_count(&done, CLIENTS * EACH * kill / (KILLS + 2));
        broker.kill_and_restart(kill * 5);
    }
    let told = join(clients);
    let log = broker.lines();
    let (mut received, mut acknowledged) = (HashMap::<usize, Vec<usize>>::new(), HashMap::<u64, Vec<usize>>::new());
    for (position, line) in log.iter().enumerate() {
        if line.contains("Received PUBLISH from chaos") {
            received.entry(number(line, "'t/")).or_default().push(position);
        } else if line.contains("Sending PUBACK to chaos") {
            acknowledged.entry(number(line, "(m") as u64).or_default().push(position);
        }
    }
    let mut sent_again = 0;
    for told in told.iter().filter(|told| told.last == 200) {
        let receipts = &received[&told.id];
        // the acknowledgement that the client was told of is one of those behind the last receipt
        let acknowledgements = &acknowledged[&told.packet_id.unwrap()];
        sent_again += usize::from(acknowledgements.iter().all(|position| position < receipts.last().unwrap()));
    }
    let unknown = told.iter().filter(|told| told.last != 200).count();
    let at_first = told.iter().filter(|told| told.first == 200).count();
    println!(
        "QoS 1, clean session: {} keys, {at_first} known at first, {unknown} never | sent again {sent_again}",
        told.len()
    );
    assert_eq!(sent_again, 0);
    let once = told.iter().filter(|told| told.last == 504 && told.first == 504);
    assert!(once.clone().all(|told| received.get(&told.id).is_none_or(|all| all.len() <= KILLS + 1)));
}

fn number(line: &str, before: &str) -> usize {
    let rest = line.split(before).nth(1).unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// A subscriber at QoS 2 that keeps its session, and prints the topic of each message.
struct Watcher(Process);

impl Watcher {
    fn start(broker: &Mosquitto) -> Self {
        let port = broker.port().to_string();
        let arguments = ["-p", &port, "-i", "watcher", "-c", "-q", "2", "-t", "t/+", "-t", "marker/+", "-F", "%t"];
        let watcher = Process::start(Command::new("mosquitto_sub").args(arguments));
        broker.wait_for("Sending SUBACK to watcher");
        Self(watcher)
    }

    /// Waits until it has what the broker has.
    fn catch_up(&self, broker: &Mosquitto, number: usize) {
        let topic = format!("marker/{number}");
        broker.publish(&["-q", "2", "-t", &topic, "-m", "x"]);
        self.0.wait_for_output(&format!("{topic}\n"));
    }

    /// Waits for all messages that are with the broker.
    fn await_all(&self, told: &[Told]) {
        let expected = told.iter().filter(|told| told.last == 200).map(|told| format!("t/{}", told.id));
        let expected: Vec<String> = expected.collect();
        let look = || {
            let output = String::from_utf8(self.0.stdout()).unwrap();
            output.lines().map(str::to_owned).collect::<HashSet<_>>()
        };
        eventually_within(PATIENCE, "all messages", look, |came: &HashSet<String>| {
            expected.iter().all(|topic| came.contains(topic))
        });
    }
}
