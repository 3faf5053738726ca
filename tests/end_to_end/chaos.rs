//! Kills the broker or cuts the connection during many publishes: each reply is about its own message, and every
//! acknowledged message is at the broker. The reference is the broker's own log.
//!
//! `CHAOS_PUBLISHES` and `CHAOS_KILLS` make it longer, as `bench/chaos` does; each test prints a row of figures.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::broker_log::{BrokerLog, Outcome};
use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::http::Connection;
use crate::support::process::Process;
use crate::support::proxy::{Loss, Proxy};
use crate::support::waiting::{eventually, eventually_within, pause};
use crate::support::{PATIENCE, free_port};

const CONNECTIONS: usize = 16;
/// Seconds; far longer than a restart, so that every publish at QoS 1 and 2 should succeed.
const TIMEOUT: u32 = 30;
const CLIENT: &str = "chaos";

/// One run.
struct Chaos {
    protocol: &'static str,
    clean_session: bool,
    trouble: Trouble,
}

#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    /// Kills mosquitto with SIGKILL and starts it again.
    Kill,
    /// A proxy loses bytes and cuts the connection.
    Cut,
}

#[test]
fn kills_mqtt_5_clean_session() {
    Chaos { protocol: "5", clean_session: true, trouble: Trouble::Kill }.run();
}

#[test]
fn kills_mqtt_5_kept_session() {
    Chaos { protocol: "5", clean_session: false, trouble: Trouble::Kill }.run();
}

#[test]
fn kills_mqtt_3_1_1_clean_session() {
    Chaos { protocol: "3.1.1", clean_session: true, trouble: Trouble::Kill }.run();
}

#[test]
fn kills_mqtt_3_1_1_kept_session() {
    Chaos { protocol: "3.1.1", clean_session: false, trouble: Trouble::Kill }.run();
}

#[test]
fn cuts_mqtt_5_clean_session() {
    Chaos { protocol: "5", clean_session: true, trouble: Trouble::Cut }.run();
}

#[test]
fn cuts_mqtt_5_kept_session() {
    Chaos { protocol: "5", clean_session: false, trouble: Trouble::Cut }.run();
}

#[test]
fn cuts_mqtt_3_1_1_clean_session() {
    Chaos { protocol: "3.1.1", clean_session: true, trouble: Trouble::Cut }.run();
}

#[test]
fn cuts_mqtt_3_1_1_kept_session() {
    Chaos { protocol: "3.1.1", clean_session: false, trouble: Trouble::Cut }.run();
}

fn from_environment(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

impl Chaos {
    fn run(&self) {
        let publishes = from_environment("CHAOS_PUBLISHES", 20_000);
        let troubles = from_environment("CHAOS_KILLS", 6);
        let mut broker = Broker::start();
        let proxy = Proxy::start(broker.port, Duration::ZERO);
        let port = if self.trouble == Trouble::Cut { proxy.port() } else { broker.port };
        let daemon = Arc::new(Daemon::connected_with(&format!(
            "[mqtt]\nport = {port}\nclient-id = \"{CLIENT}\"\nprotocol = \"{}\"\nclean-session = {}\n\
             reconnect-max = 0.2\n[publish]\ntimeout = {TIMEOUT}",
            self.protocol, self.clean_session
        )));
        let subscriber = (self.trouble == Trouble::Cut).then(|| broker.subscribe());
        let begun = Instant::now();
        let done = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|client| {
                let connection = daemon.served_connection();
                let done = done.clone();
                thread::spawn(move || publish(connection, client, publishes / CONNECTIONS, &done))
            })
            .collect();
        for trouble in 1..=troubles {
            await_count(&done, publishes * trouble / (troubles + 1));
            match self.trouble {
                Trouble::Kill => broker.kill_and_restart(trouble),
                Trouble::Cut => proxy.cut(
                    [Loss::ToBroker, Loss::ToClient, Loss::Both][trouble % 3],
                    Duration::from_millis(trouble as u64 * 7 % 20),
                ),
            }
        }
        let outcomes: Vec<Outcome> =
            clients.into_iter().flat_map(|client| client.join().expect("an answer each")).collect();
        let took = begun.elapsed();
        let broker_log = broker.broker_log(subscriber.is_some().then(|| last_of(&outcomes)));
        self.judge(&outcomes, &broker_log, troubles, took);
    }

    fn judge(&self, outcomes: &[Outcome], broker_log: &BrokerLog, troubles: usize, took: Duration) {
        let acknowledged = || outcomes.iter().filter(|outcome| outcome.status == 200 && outcome.qos > 0);
        let has = |outcome: &&Outcome| broker_log.has(outcome);
        let not_received = acknowledged().filter(|outcome| !has(outcome)).count();
        let of_another = acknowledged().filter(|outcome| !broker_log.acknowledges(outcome)).count();
        let refused = outcomes.iter().filter(|outcome| outcome.qos > 0 && outcome.status != 200).count();
        let qos_0_unknown = outcomes.iter().filter(|outcome| outcome.qos == 0 && outcome.status != 200).count();
        let qos_0_lost = outcomes
            .iter()
            .filter(|outcome| outcome.qos == 0 && outcome.status == 200)
            .filter(|outcome| !has(outcome))
            .count();
        let not_sent_but_received = outcomes.iter().filter(|outcome| outcome.status == 503).filter(has).count();
        let again = acknowledged()
            .filter(|outcome| broker_log.received.get(&outcome.id).is_some_and(|count| *count > 1))
            .count();
        let delivered_twice =
            outcomes.iter().filter(|outcome| outcome.qos == 2).filter(|t| broker_log.delivered.get(&t.id) > Some(&1));
        let (name, twice) = (self.name(), delivered_twice.count());
        println!(
            "{name:28} {:8} publishes {troubles:3} times in {:5.1} s | answered for another {of_another} | acknowledged \
             and not received {not_received} | QoS 1 and 2 not acknowledged {refused} | received again {again} | QoS 2 \
             delivered twice {twice} | QoS 0 unknown {qos_0_unknown}, lost {qos_0_lost}",
            outcomes.len(),
            took.as_secs_f64(),
        );
        assert_eq!((of_another, not_received, refused, not_sent_but_received), (0, 0, 0, 0), "{name}");
        // a QoS 0 message is answered at its hand-over to the connection, and may be lost with the connection after that
        assert!(qos_0_lost + qos_0_unknown <= troubles * 2 * CONNECTIONS, "{name}: {qos_0_lost} {qos_0_unknown}");
        if !self.clean_session && self.trouble == Trouble::Cut {
            assert_eq!(twice, 0, "{name}: exactly once, the session being kept");
            let missing = outcomes
                .iter()
                .filter(|outcome| outcome.qos == 2)
                .filter(|t| !broker_log.delivered.contains_key(&t.id));
            assert_eq!(missing.count(), 0, "{name}");
        }
    }

    fn name(&self) -> String {
        let trouble = if self.trouble == Trouble::Kill { "killed" } else { "cut" };
        let session = if self.clean_session { "clean" } else { "kept" };
        format!("{trouble}, MQTT {}, {session}", self.protocol)
    }
}

/// Publishes messages of mixed QoS one after another; each must be answered.
fn publish(mut connection: Connection, client: usize, count: usize, done: &AtomicUsize) -> Vec<Outcome> {
    connection.set_patience(Duration::from_secs(u64::from(TIMEOUT) * 2));
    (0..count)
        .map(|n| {
            let id = client * 10_000_000 + n;
            let qos = u8::try_from((n + client) % 3).unwrap();
            let outcome = Outcome::publish(&mut connection, id, qos, &json!(id));
            done.fetch_add(1, Ordering::Relaxed);
            outcome
        })
        .collect()
}

pub fn await_count(done: &AtomicUsize, count: usize) {
    let answered = || done.load(Ordering::Relaxed);
    eventually_within(PATIENCE * 10, &format!("{count} answers"), answered, |answered| *answered >= count);
}

/// The last message that the subscriber must get.
fn last_of(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| outcome.qos > 0).map(|outcome| outcome.id).max().unwrap()
}

/// mosquitto with a log file that all its runs append to.
pub struct Broker {
    port: u16,
    folder: Folder,
    process: Child,
}

impl Broker {
    pub fn start() -> Self {
        let (port, folder) = (free_port(), Folder::new());
        let configuration = format!(
            "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nlog_dest stderr\nlog_type all\n\
             max_queued_messages 0\n"
        );
        folder.write("mosquitto.conf", &configuration);
        let process = Self::spawn(&folder);
        Self { port, folder, process }
    }

    fn spawn(folder: &Folder) -> Child {
        let log = OpenOptions::new().create(true).append(true).open(folder.path().join("log")).unwrap();
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(folder.path().join("mosquitto.conf")).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log).spawn().expect("mosquitto is needed for this test")
    }

    pub fn kill_and_restart(&mut self, times: usize) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        pause(Duration::from_millis(times as u64 * 53 % 250));
        self.process = Self::spawn(&self.folder);
    }

    /// A subscriber at QoS 2 whose connection is never cut.
    fn subscribe(&self) -> Process {
        let port = self.port.to_string();
        let arguments = ["-p", &port, "-i", "watcher", "-t", "t/+", "-q", "2", "-F", "", "-N"];
        let subscriber = Process::start(Command::new("mosquitto_sub").args(arguments));
        self.await_log("Sending SUBACK to watcher");
        subscriber
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn await_log(&self, text: &str) {
        let log = || std::fs::read_to_string(self.log()).unwrap();
        eventually(&format!("{text:?} in the broker's log"), log, |log| log.contains(text));
    }

    /// Reads the log; with a subscriber, only after the last message was delivered.
    fn broker_log(&self, last: Option<usize>) -> BrokerLog {
        if let Some(id) = last {
            self.await_delivery(id);
        }
        self.read_log()
    }

    fn read_log(&self) -> BrokerLog {
        BrokerLog::of(CLIENT, self.lines())
    }

    /// The lines of its log, of all its runs.
    pub fn lines(&self) -> Vec<String> {
        let lines = BufReader::new(File::open(self.log()).unwrap()).split(b'\n');
        lines.map(|line| String::from_utf8_lossy(&line.unwrap()).into_owned()).collect()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    fn await_delivery(&self, id: usize) {
        let delivered = || self.read_log().delivered.contains_key(&id);
        eventually(&format!("the delivery of message {id}"), delivered, |delivered| *delivered);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
