//! Records that cannot be written: not acknowledged, or counted and logged; and output that cannot be printed.

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::support::daemon::{clean, program};
use crate::support::endpoint::{Answer, Endpoint};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::http::Connection;
use crate::support::limits::limit;
use crate::support::metrics::await_figure;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::{Process, without_time};
use crate::support::waiting::eventually;
use crate::support::webhook::table;

/// The daemon with a redirected standard error.
struct Bridge {
    process: Process,
    address: String,
    folder: Folder,
}

/// Standard error on a full disk, closed, and a pipe without a reader.
const UNWRITABLE: [&str; 3] = ["2>/dev/full", "2>&-", "3<>\"$2\" 2>\"$2\" 3<&-"];

impl Bridge {
    /// Starts it with a shell redirection in which `$2` is a named pipe, and waits until it is subscribed.
    fn start(broker: &Mosquitto, session: &str, qos: u8, redirection: &str) -> Self {
        Self::by_shell(broker, session, qos, &format!("exec \"$0\" --config \"$1\" {redirection}"))
    }

    fn by_shell(broker: &Mosquitto, session: &str, qos: u8, script: &str) -> Self {
        let (folder, address) = (Folder::new(), format!("127.0.0.1:{}", free_port()));
        let configuration = format!(
            "[mqtt]\nport = {}\nclient-id = \"me\"\n{session}\n[[subscribe]]\ntopic = \"t\"\nqos = {qos}\n\
             [http]\nlisten = \"{address}\"",
            broker.port()
        );
        let (config, pipe) = (folder.write("bridge.toml", &configuration), folder.path().join("pipe"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let subscribed = broker.log_with("Sending SUBACK to me").len();
        let mut command = clean(Command::new("sh"));
        command.arg("-c").arg(script).arg(program().get_program()).arg(config).arg(pipe);
        let process = Process::start(&mut command);
        broker.wait_for_nth(subscribed + 1, "Sending SUBACK to me");
        Self { process, address, folder }
    }

    /// Waits until a counter has a value.
    fn await_metric(&self, line: &str) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        await_figure(&self.address, name, value);
    }

    /// Waits until `/readyz` gives this reason, which takes a while.
    fn await_unready(&self, words: &str) {
        let ask = || Connection::open(&self.address).get("/readyz");
        let reply = eventually(words, ask, |reply| reply.status == 503 && reply.error() == words);
        reply.assert_refused(503, 4, words);
    }

    fn publish(&self) {
        let body = br#"{"topic":"other","msg":"x","qos":1}"#;
        assert_eq!(Connection::open(&self.address).post("/publish", body).status, 200);
    }

    /// Starts to read the pipe, and prints its content.
    fn read_pipe(&self) -> Process {
        Process::start(Command::new("sh").args(["-c", "exec cat \"$0\" >&2"]).arg(self.folder.path().join("pipe")))
    }

    /// The CPU time that it has used, in seconds.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let of_name = stat.rfind(')').unwrap();
        let ticks: Vec<u32> = stat[of_name..].split(' ').skip(12).take(2).map(|ticks| ticks.parse().unwrap()).collect();
        f64::from(ticks.iter().sum::<u32>()) / 100.0
    }
}

fn publish(broker: &Mosquitto, qos: &str, payloads: impl Iterator<Item = usize>) {
    for payload in payloads {
        broker.publish(&["-q", qos, "-t", "t", "-m", &format!("payload {payload}.")]);
    }
}

const KEPT: &str = "clean-session = false";

#[test]
fn unrecorded_messages_of_a_kept_session_are_delivered_again() {
    for redirection in UNWRITABLE {
        let broker = Mosquitto::start();
        let bridge = Bridge::start(&broker, KEPT, 1, redirection);
        publish(&broker, "1", 0..5);
        bridge.await_metric("mqtt_bridge_received_messages_total 5");
        // this acknowledgement comes after those of the received messages, if there are any
        bridge.publish();
        bridge.process.signal("TERM");
        let mut process = bridge.process;
        assert_eq!(process.wait_for_end().code(), Some(0), "{redirection}: the stop is clean");
        assert_eq!(broker.log_with("Received PUBACK from me"), [""; 0], "{redirection}");
        let restarted = Bridge::start(&broker, KEPT, 1, "");
        for payload in 0..5 {
            restarted.process.wait_for(&format!("topic: t with payload: payload {payload}."));
        }
        broker.wait_for_nth(5, "Received PUBACK from me");
    }
}

#[test]
fn a_message_that_a_webhook_gives_up_is_acknowledged_when_its_record_is_written() {
    let (broker, endpoint) = (Mosquitto::start(), Endpoint::start(|_| Answer::Status(410)));
    let table = table("orders", "orders/#", &endpoint.url(), "");
    let bridge = Bridge::start(&broker, &format!("\n{table}"), 1, UNWRITABLE[2]);
    broker.wait_for("Sending SUBACK to me-hook-orders");
    broker.publish(&["-q", "1", "-t", "orders/1", "-m", "tea"]);
    endpoint.await_requests(1);
    bridge.await_metric("mqtt_bridge_webhook_failed_attempts_total{webhook=\"orders\"} 1");
    // a while later, by the clock of the broker
    (0..20).for_each(|_| bridge.publish());
    assert_eq!(broker.log_with("Received PUBACK from me-hook-orders"), [""; 0]);
    let reader = bridge.read_pipe();
    reader.wait_for("on orders/1 is given up at attempt 1: the endpoint answered with 410");
    broker.wait_for("Received PUBACK from me-hook-orders");
}

#[test]
fn lost_messages_are_counted_and_publishing_continues() {
    for redirection in UNWRITABLE {
        for (qos, acknowledgement) in [("0", ""), ("1", "PUBACK"), ("2", "PUBCOMP")] {
            let broker = Mosquitto::start();
            let bridge = Bridge::start(&broker, "", 2, redirection);
            let (start, before) = (Instant::now(), bridge.cpu());
            // more than the broker sends without an acknowledgement
            publish(&broker, qos, 0..25);
            bridge.await_metric("mqtt_bridge_journal_dropped_total 25");
            if !acknowledgement.is_empty() {
                broker.wait_for_nth(25, &format!("{acknowledgement} from me"));
            }
            bridge.publish();
            let (used, elapsed) = (bridge.cpu() - before, start.elapsed().as_secs_f64());
            assert!(used < elapsed / 2.0, "{redirection}: {used} s of the processor in {elapsed} s");
        }
    }
}

#[test]
fn lost_messages_are_logged_when_writing_works_again() {
    let broker = Mosquitto::start();
    let bridge = Bridge::start(&broker, "", 1, UNWRITABLE[2]);
    publish(&broker, "1", 0..2);
    publish(&broker, "0", 2..3);
    bridge.await_metric("mqtt_bridge_journal_dropped_total 3");
    let reader = bridge.read_pipe();
    reader.wait_for("warning: 3 received messages were not recorded: ");
    reader.wait_for("warning: standard error took nothing for ");
    reader.wait_for("subscribed to t");
    publish(&broker, "1", 3..4);
    reader.wait_for("payload 3.");
    assert_eq!(reader.lines_with("payload 0."), [""; 0]);
}

#[test]
fn waiting_messages_of_a_kept_session_are_recorded_when_writing_works_again() {
    let broker = Mosquitto::start();
    let bridge = Bridge::start(&broker, KEPT, 1, UNWRITABLE[2]);
    publish(&broker, "1", 0..5);
    bridge.await_metric("mqtt_bridge_received_messages_total 5");
    let reader = bridge.read_pipe();
    broker.wait_for_nth(5, "Received PUBACK from me");
    reader.wait_for("payload: payload 4.");
    let payloads = reader.lines_with("payload: ");
    assert_eq!(payloads.len(), 5, "each once: {payloads:?}");
    bridge.await_metric("mqtt_bridge_journal_dropped_total 0");
}

#[test]
fn a_partly_written_line_is_not_joined_with_the_next() {
    let broker = Mosquitto::start();
    // like a full disk, the limit accepts a part of one write, and nothing afterwards
    let script = "trap '' XFSZ; ulimit -S -f 2; exec \"$0\" --config \"$1\" 2>>\"$2.log\"";
    let bridge = Bridge::by_shell(&broker, KEPT, 1, script);
    let log = || String::from_utf8(fs::read(bridge.folder.path().join("pipe.log")).unwrap()).unwrap();
    let payloads: Vec<String> = (0..10).map(|number| format!("<{number}{}>", "x".repeat(197))).collect();
    for payload in &payloads {
        broker.publish(&["-q", "1", "-t", "t", "-m", payload]);
    }
    bridge.await_metric("mqtt_bridge_received_messages_total 10");
    bridge.publish();
    let torn = log();
    assert!(torn.contains("<0") && !torn.ends_with('\n'), "it is not full: {torn}");
    limit(bridge.process.id(), "fsize=unlimited");
    broker.wait_for_nth(10, "Received PUBACK from me");
    let (text, start) = (log(), "Received message on topic: t with payload: ");
    for payload in &payloads {
        let line = format!("{start}{payload}");
        assert!(text.lines().any(|found| without_time(found) == line), "{payload} has no line: {text}");
    }
    let joined: Vec<&str> = text.lines().filter(|line| line.matches("Received message").count() > 1).collect();
    assert_eq!(joined, [""; 0]);
}

#[test]
fn records_to_a_null_device_count_as_written() {
    let broker = Mosquitto::start();
    let bridge = Bridge::start(&broker, KEPT, 1, "2>/dev/null");
    publish(&broker, "1", 0..3);
    broker.wait_for_nth(3, "Received PUBACK from me");
    bridge.await_metric("mqtt_bridge_journal_dropped_total 0");
}

#[test]
fn separately_opened_null_devices_count_as_written() {
    let (both, all) = ("1<>/dev/null 2<>/dev/null", "0<>/dev/null 1<>/dev/null 2<>/dev/null");
    for redirections in [both, all, "0<>/dev/null 1<>/dev/null 2>&1"] {
        let broker = Mosquitto::start();
        let bridge = Bridge::start(&broker, KEPT, 1, redirections);
        publish(&broker, "1", 0..3);
        broker.wait_for_nth(3, "Received PUBACK from me");
        bridge.await_metric("mqtt_bridge_journal_dropped_total 0");
        Connection::open(&bridge.address).get("/readyz").assert_published();
    }
}

#[test]
fn a_possibly_closed_standard_error_makes_the_daemon_unready() {
    for session in [KEPT, ""] {
        for redirections in ["2>&-", "2<>/dev/null", "0<>/dev/null 1>&0 2>&0"] {
            let broker = Mosquitto::start();
            let bridge = Bridge::start(&broker, session, 1, redirections);
            let words = "received messages are not recorded: standard error takes nothing: it is closed, or a /dev/null \
                         that is open for reading too";
            bridge.await_unready(words);
        }
    }
}

#[test]
fn closed_standard_streams_are_replaced_by_the_null_device() {
    let broker = Mosquitto::start();
    let bridge = Bridge::start(&broker, "", 1, "<&- >&- 2>&-");
    for descriptor in 0..3 {
        let link = fs::read_link(format!("/proc/{}/fd/{descriptor}", bridge.process.id())).unwrap();
        assert_eq!(link.to_str(), Some("/dev/null"));
    }
    publish(&broker, "1", 0..1);
    bridge.await_metric("mqtt_bridge_journal_dropped_total 1");
}

/// Runs the program with a shell to its end: exit code and standard error.
fn run(script: &str) -> (Option<i32>, String) {
    let mut process = Process::start(clean(Command::new("sh")).arg("-c").arg(script).arg(program().get_program()));
    let code = process.wait_for_end().code();
    (code, process.lines().join("\n"))
}

#[test]
fn a_failed_print_exits_1() {
    for arguments in ["--help", "--version", "--new-token kitchen", "--config /dev/null --check"] {
        let no_space = "mqtt-bridge: cannot print to standard output: No space left on device (os error 28)";
        assert_eq!(run(&format!("\"$0\" {arguments} >/dev/full")), (Some(1), no_space.to_owned()), "{arguments}");
        let closed = "mqtt-bridge: cannot print to standard output: Bad file descriptor (os error 9)";
        let is_secret = arguments.contains("token");
        let expected = if is_secret { (Some(1), closed.to_owned()) } else { (Some(0), String::new()) };
        assert_eq!(run(&format!("\"$0\" {arguments} >&-")), expected, "{arguments}");
        // opened like this it cannot be told from a closed one
        assert_eq!(run(&format!("\"$0\" {arguments} 1<>/dev/null")), expected, "{arguments}");
        assert_eq!(run(&format!("\"$0\" {arguments} >/dev/null")), (Some(0), String::new()), "{arguments}");
        // a reader that has closed the pipe
        let pipe = "mkdir \"$D\"; mkfifo \"$D/p\"; exec 3<>\"$D/p\"; exec 4>\"$D/p\" 3<&-; rm -r \"$D\"";
        let folder = Folder::new();
        let pipe = pipe.replace("$D", &format!("{}/pipe", folder.path().display()));
        let (code, words) = run(&format!("{pipe}; exec \"$0\" {arguments} >&4"));
        let gone = "mqtt-bridge: cannot print to standard output: Broken pipe (os error 32)";
        let expected = if is_secret { (Some(1), gone) } else { (Some(0), "") };
        assert_eq!((code, words.as_str()), expected, "{arguments}");
    }
}
