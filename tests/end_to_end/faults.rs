//! Network faults during publishes: each reply stays true, and the daemon reconnects soon after the repair. The
//! reference is the log of the broker on the other side of the link.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::broker_log::{BrokerLog, Outcome};
use crate::support::daemon::{Daemon, program};
use crate::support::folder::Folder;
use crate::support::http::Connection;
use crate::support::network::{BROKER, Fault, Network};
use crate::support::process::{Process, signal};
use crate::support::scripted_broker::{CONNECT, ScriptedBroker, connack};
use crate::support::waiting::{eventually, eventually_within};
use crate::support::{SLACK, free_port};

/// Callers of each daemon; each publishes one message after another.
const CALLERS: usize = 4;
/// Seconds: short enough that a dead peer is noticed within 10 s.
const KEEPALIVE: u64 = 5;
const RECONNECT_MAX: Duration = Duration::from_secs(2);

/// A broker and a subscriber on one side of a link, and daemons of both MQTT versions on the other.
struct Setup {
    network: Network,
    broker: Process,
    bridges: [Bridge; 2],
    _watcher: Process,
    _folder: Folder,
}

/// A daemon, and its callers on the same side.
struct Bridge {
    name: &'static str,
    keeps_session: bool,
    /// Passes the listening socket, so that callers can run outside the network namespace.
    passer: Process,
    address: String,
    callers: Callers,
}

struct Callers {
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    done: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// The messages that are sent over the link.
struct Traffic {
    /// Of each message.
    bytes: usize,
    /// Timeout of a caller in seconds.
    timeout: u32,
    /// The daemon with a kept session.
    kept: Kept,
}

#[derive(Clone, Copy, PartialEq)]
enum Kept {
    Mqtt5,
    Mqtt311,
}

impl Setup {
    /// Connects everything and starts the callers.
    fn start(traffic: &Traffic) -> Self {
        let (network, folder) = (Network::new(), Folder::new());
        let lines = format!(
            "user root\nlistener 1883 {BROKER}\nallow_anonymous true\nlog_dest stderr\nlog_type all\n\
             max_queued_messages 0\nmax_inflight_messages 1000\nset_tcp_nodelay true\n"
        );
        let mut command = network.beside_broker("mosquitto");
        let broker = Process::start(command.arg("-c").arg(folder.write("mosquitto.conf", &lines)));
        broker.wait_for(" running");
        let arguments = ["-h", BROKER, "-i", "watcher", "-t", "t/+", "-q", "2", "-F", "", "-N"];
        let watcher = Process::start(network.beside_broker("mosquitto_sub").args(arguments));
        broker.wait_for("Sending SUBACK to watcher");
        let bridges = ["5", "3.1.1"].map(|protocol| Bridge::start(&network, &folder, protocol, traffic));
        Self { network, broker, bridges, _watcher: watcher, _folder: folder }
    }

    /// Checks that each reply was true, and stops everything. Returns the replies.
    fn judge(mut self, fault: Fault) -> [Vec<Outcome>; 2] {
        let answers = self.bridges.each_mut().map(Bridge::stop);
        for (bridge, outcomes) in self.bridges.iter().zip(&answers) {
            self.broker.wait_for(&format!("Received DISCONNECT from {}", bridge.name));
            let log = || BrokerLog::of(bridge.name, self.broker.lines());
            let seen = log();
            let of_status = |status| outcomes.iter().filter(move |outcome| outcome.status == status);
            let settled = [200, 503, 504].map(|status| of_status(status).count());
            println!("{fault:?}, {}: {} answers, 200, 503 and 504: {settled:?}", bridge.name, outcomes.len());
            assert_eq!(settled.iter().sum::<usize>(), outcomes.len(), "no other answer");
            let unfounded = of_status(200).filter(|outcome| outcome.qos > 0 && !seen.acknowledges(outcome));
            assert_eq!(unfounded.count(), 0, "200 without the acknowledgement");
            assert_eq!(of_status(503).filter(|outcome| seen.has(outcome)).count(), 0, "503, and sent");
            if bridge.keeps_session {
                let at_qos_2: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.qos == 2).collect();
                let delivered =
                    |log: &BrokerLog, outcome: &Outcome| log.delivered.get(&outcome.id).copied().unwrap_or_default();
                let all = |log: &BrokerLog| {
                    at_qos_2.iter().all(|outcome| outcome.status != 200 || delivered(log, outcome) > 0)
                };
                eventually("everything acknowledged is delivered", || all(&log()), |all| *all);
                let log = log();
                assert_eq!(at_qos_2.iter().filter(|outcome| delivered(&log, outcome) > 1).count(), 0, "exactly once");
            }
        }
        answers
    }
}

impl Bridge {
    fn start(network: &Network, folder: &Folder, protocol: &str, traffic: &Traffic) -> Self {
        // the callers of both daemons use different message numbers
        let (name, first_caller) = if protocol == "5" { ("bridge-5", 0) } else { ("bridge-3", CALLERS) };
        let keeps_session = (protocol == "5") == (traffic.kept == Kept::Mqtt5);
        let config = format!(
            "[mqtt]\nserver = \"{BROKER}\"\nclient-id = \"{name}\"\nprotocol = \"{protocol}\"\nkeepalive = {KEEPALIVE}\n\
             clean-session = {}\nreconnect-max = {}\n[[subscribe]]\ntopic = \"in\"\n[publish]\ntimeout = {}\n",
            !keeps_session,
            RECONNECT_MAX.as_secs(),
            traffic.timeout
        );
        let config = folder.write(&format!("{name}.toml"), &config);
        let script = folder.write("pass_sockets.py", include_str!("support/pass_sockets.py"));
        let address = format!("127.0.0.1:{}", free_port());
        let daemon = network.beside_daemon(&program().get_program().to_string_lossy());
        let mut command = Command::new("python3");
        command.arg(script).args(["1", &format!("tcp:{address}"), "--"]);
        command.arg(daemon.get_program()).args(daemon.get_args()).arg("--config").arg(config);
        let passer = Process::start(&mut command);
        passer.wait_for("subscribed to in");
        let callers = Callers::start(&address, first_caller, traffic);
        Self { name, keeps_session, passer, address, callers }
    }

    /// Whether the daemon reports itself as ready.
    fn is_ready(&self) -> bool {
        Connection::open(&self.address).get("/readyz").status == 200
    }

    /// Waits for this many more replies with this status.
    fn await_answers(&self, status: u16, more: usize) {
        let count = || self.callers.outcomes.lock().unwrap().iter().filter(|outcome| outcome.status == status).count();
        let before = count();
        eventually(&format!("{}: {more} more answers {status}", self.name), count, |count| *count >= before + more);
    }

    /// Waits for the last replies and stops the daemon; returns all replies.
    fn stop(&mut self) -> Vec<Outcome> {
        self.callers.done.store(true, Ordering::SeqCst);
        self.callers.threads.drain(..).for_each(|thread| thread.join().expect("one answer each"));
        let daemon = self.passer.wait_for("started ").rsplit(' ').next().unwrap().parse().unwrap();
        signal(daemon, "TERM");
        self.passer.wait_for("ended 0");
        std::mem::take(&mut *self.callers.outcomes.lock().unwrap())
    }
}

impl Callers {
    fn start(address: &str, first: usize, traffic: &Traffic) -> Self {
        let (outcomes, done) = (Arc::<Mutex<Vec<Outcome>>>::default(), Arc::<AtomicBool>::default());
        let threads = (first..first + CALLERS)
            .map(|caller| {
                let (outcomes, done) = (outcomes.clone(), done.clone());
                let (mut connection, msg) = (Connection::open(address), json!("x".repeat(traffic.bytes)));
                thread::spawn(move || {
                    for n in (0..).take_while(|_| !done.load(Ordering::SeqCst)) {
                        let (id, qos) = (caller * 10_000_000 + n, u8::try_from((n + caller) % 3).unwrap());
                        let answer = Outcome::publish(&mut connection, id, qos, &msg);
                        outcomes.lock().unwrap().push(answer);
                    }
                    // no second reply was sent on the connection
                    assert_eq!(connection.get("/nothing").status, 404);
                })
            })
            .collect();
        Self { outcomes, done, threads }
    }
}

/// Breaks the link until each daemon has noticed. Returns the replies.
fn holds_through(fault: Fault, traffic: &Traffic, seen: impl Fn(&Bridge)) -> [Vec<Outcome>; 2] {
    let setup = Setup::start(traffic);
    setup.bridges.iter().for_each(|bridge| bridge.await_answers(200, 20));
    setup.network.fail(fault);
    setup.bridges.iter().for_each(&seen);
    setup.network.repair(fault);
    let repaired = Instant::now();
    for bridge in &setup.bridges {
        let left = (RECONNECT_MAX + SLACK).saturating_sub(repaired.elapsed());
        eventually_within(
            left,
            &format!("{} is connected again", bridge.name),
            || bridge.is_ready(),
            |is_ready| *is_ready,
        );
    }
    println!("{fault:?}: connected {} ms after the repair at the latest", repaired.elapsed().as_millis());
    setup.bridges.iter().for_each(|bridge| bridge.await_answers(200, 20));
    setup.judge(fault)
}

/// The daemon has noticed the loss, and replies 503.
fn is_lost(bridge: &Bridge) {
    let noticed_within = Duration::from_secs(2 * KEEPALIVE + 5) + SLACK;
    bridge.passer.wait_for_within(noticed_within, "lost: ");
    bridge.await_answers(503, 2 * CALLERS);
}

#[test]
fn a_loss_of_30_percent_breaks_no_promise() {
    let traffic = Traffic { bytes: 10, timeout: 1, kept: Kept::Mqtt5 };
    holds_through(Fault::Loss, &traffic, |bridge| bridge.await_answers(200, 100));
}

#[test]
fn a_black_hole_breaks_no_promise() {
    holds_through(Fault::BlackHole, &Traffic { bytes: 10, timeout: 1, kept: Kept::Mqtt5 }, is_lost);
}

#[test]
fn resets_are_not_noticed_by_callers_with_a_long_timeout() {
    let traffic = Traffic { bytes: 10, timeout: 10, kept: Kept::Mqtt311 };
    let refused = |bridge: &Bridge| drop(bridge.passer.wait_for("cannot connect"));
    for outcome in holds_through(Fault::Reset, &traffic, refused).iter().flatten() {
        // a message at QoS 0 may be lost on the way without a trace
        assert!(outcome.status == 200 || outcome.qos == 0, "{} at QoS {}", outcome.status, outcome.qos);
    }
}

#[test]
fn a_link_that_goes_down_and_up_breaks_no_promise() {
    holds_through(Fault::LinkDown, &Traffic { bytes: 10, timeout: 1, kept: Kept::Mqtt311 }, is_lost);
}

#[test]
fn a_link_of_64_kbit_per_second_breaks_no_promise() {
    let traffic = Traffic { bytes: 500, timeout: 1, kept: Kept::Mqtt5 };
    holds_through(Fault::Slow, &traffic, |bridge| bridge.await_answers(200, 15));
}

#[test]
fn a_connect_timeout_counts_towards_the_reconnect_pause() {
    let (sender, times) = channel();
    // refused until the pause is 2.5 to 5 s, and then without any answer
    let broker = ScriptedBroker::start(move |n, _| {
        sender.send(Instant::now()).unwrap();
        if n < 7 { Some(connack(137, &[])) } else { Some(Vec::new()) }
    });
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\nreconnect-max = 5", broker.port()));
    (0..8).for_each(|_| drop(broker.wait_for(CONNECT)));
    daemon.wait_for("no answer within 5 s");
    (8..10).for_each(|_| drop(broker.wait_for(CONNECT)));
    let times: Vec<Instant> = times.try_iter().collect();
    // the two timeouts take 10 s, and two full pauses would come on top
    let took = times[9] - times[7];
    assert!(took < Duration::from_millis(14_900), "{took:?}");
}
