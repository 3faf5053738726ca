//! What the daemon notifies systemd of: readiness, status, watchdog and stop.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::support::daemon::{Daemon, program};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::supervisor::Supervisor;
use crate::support::token::Token;

/// The watchdog interval.
const WATCHDOG: Duration = Duration::from_secs(3);
const WATCHDOG_USEC: u32 = 3_000_000;
const FED: &str = "WATCHDOG=1";

fn without_broker() -> String {
    format!("[mqtt]\nport = {}\nreconnect-max = 0.1", free_port())
}

/// The identifiers of the process's threads with this name.
fn threads(daemon: &Daemon, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap();
    let tasks = tasks.map(|task| task.unwrap().path());
    let named = tasks.filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name));
    named.map(|task| task.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// Blocks threads in their call number `first` of this kind and in each later one, until it is dropped.
fn hang(threads: &[String], call: &str, first: u32) -> Process {
    let mut command = Command::new("strace");
    for thread in threads {
        command.args(["-p", thread]);
    }
    command.args(["-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:delay_enter=60000000:when={first}+")]);
    Process::start(&mut command)
}

/// Waits until the daemon logs why the watchdog is not fed, and checks that it is not.
#[track_caller]
fn assert_not_fed(daemon: &Daemon, supervisor: &Supervisor, why: &str) {
    daemon.wait_for(&format!("warning: the watchdog is not fed: {why}"));
    supervisor.wait_until(why, |line| line.starts_with(&format!("STATUS={why}; ")));
    supervisor.forget();
    let told = supervisor.messages_within(WATCHDOG * 2);
    assert!(!told.iter().any(|line| line == FED), "{told:?}");
}

#[track_caller]
fn assert_fed_again(daemon: &Daemon, supervisor: &Supervisor) {
    daemon.wait_for("the watchdog is fed again");
    supervisor.wait_for(FED);
}

#[test]
fn readiness_is_notified_when_http_is_served_and_the_status_is_kept_current() {
    let (supervisor, port) = (Supervisor::new(), free_port());
    let subscriptions = "[[subscribe]]\ntopic = \"a\"\n[[subscribe]]\ntopic = \"b\"";
    let daemon = supervisor.start(&format!("[mqtt]\nport = {port}\nreconnect-max = 0.1\n{subscriptions}"), None);
    supervisor.wait_for("READY=1");
    daemon.get("/healthz").assert_published();
    let lost = format!("STATUS=not connected to 127.0.0.1:{port}: Connection refused (os error 111), 0/2 subscribed, ");
    supervisor.wait_for(&format!("{lost}0 waiting"));
    let mut waiting = daemon.begin("/publish", r#"{"topic":"t","msg":"x","qos":1,"timeout":60}"#);
    supervisor.wait_for(&format!("{lost}1 waiting"));
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    supervisor.wait_for(&format!("STATUS=connected to 127.0.0.1:{port}, 2/2 subscribed, 0 waiting"));
    assert_eq!(waiting.reply().status, 200);
    // the status is sent only when it changes; there is no watchdog
    assert_eq!(supervisor.messages_within(Duration::from_millis(1200)), Vec::<String>::new());
    drop(broker);
    supervisor.wait_until("loss", |line| line.starts_with(&format!("STATUS=not connected to 127.0.0.1:{port}: ")));
}

#[test]
fn a_stop_extends_the_timeout_and_feeds_the_watchdog_to_the_end() {
    let supervisor = Supervisor::new();
    let config = format!("{}\n[publish]\ntimeout = 5", without_broker());
    let mut daemon = supervisor.start(&config, Some(WATCHDOG_USEC));
    let mut waiting = daemon.begin("/publish", r#"{"topic":"t","msg":"x","timeout":60}"#);
    supervisor.wait_until("a publish that waits", |line| line.ends_with(", 1 waiting"));
    daemon.signal("TERM");
    supervisor.wait_for("STOPPING=1\nEXTEND_TIMEOUT_USEC=11000000");
    supervisor.wait_until("the status of a stop", |line| {
        line.starts_with("STATUS=stopping, not connected to") && line.ends_with(", 1 waiting")
    });
    for _ in 0..2 {
        supervisor.wait_for(FED);
    }
    waiting.reply().assert_refused(503, 4, "not sent: the bridge is stopping");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert_eq!(daemon.lines_with("watchdog"), Vec::<String>::new());
}

#[test]
fn without_a_supervisor_there_is_no_notifying_thread() {
    let daemon = Daemon::with(&without_broker());
    assert_eq!(threads(&daemon, "systemd"), Vec::<String>::new());
    let daemon = Daemon::run(&without_broker(), |config| {
        let mut command = program();
        command.arg("--config").arg(config).env("WATCHDOG_USEC", "1000");
        command
    });
    assert_eq!(threads(&daemon, "systemd"), Vec::<String>::new());
    assert_eq!(threads(&daemon, "mqtt").len(), 1);
}

#[test]
fn a_vanished_supervisor_is_logged_once_and_blocks_nothing() {
    let supervisor = Supervisor::new();
    let mut daemon = supervisor.start(&without_broker(), Some(300_000));
    supervisor.wait_for(FED);
    drop(supervisor);
    daemon.wait_for("warning: cannot notify systemd: ");
    daemon.get("/healthz").assert_published();
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert_eq!(daemon.lines_with("cannot notify").len(), 1);
}

#[test]
fn the_watchdog_is_fed_three_times_per_interval_while_every_socket_answers() {
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.path().join("bridge.sock").display());
    std::thread::scope(|scope| {
        for listen in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0", &unix] {
            let listen = listen.to_owned();
            scope.spawn(move || assert_fed_in_thirds(&listen));
        }
    });
}

fn assert_fed_in_thirds(listen: &str) {
    let (supervisor, folder, token) = (Supervisor::new(), Folder::new(), Token::new("any", "[]"));
    let config = format!("{}\n{}\n[http]\nlisten = \"{listen}\"", without_broker(), token.table);
    let config = folder.write("bridge.toml", &config);
    let daemon = Process::start(&mut supervisor.command(&config, Some(WATCHDOG_USEC)));
    supervisor.wait_for(FED);
    let told = supervisor.messages_within(WATCHDOG * 2);
    let fed = told.iter().filter(|message| *message == FED).count();
    assert!((5..=7).contains(&fed), "{listen}: {fed} times");
    assert_eq!(daemon.lines_with("watchdog"), Vec::<String>::new(), "{listen}");
}

#[test]
fn the_watchdog_of_another_process_is_ignored() {
    let supervisor = Supervisor::new();
    let _daemon = Daemon::run(&without_broker(), |config| {
        let mut command = program();
        command.arg("--config").arg(config).env("NOTIFY_SOCKET", supervisor.socket());
        command.env("WATCHDOG_USEC", "300000").env("WATCHDOG_PID", "1");
        command
    });
    supervisor.wait_for("READY=1");
    let told = supervisor.messages_within(Duration::from_secs(1));
    assert!(!told.iter().any(|line| line == FED), "{told:?}");
}

#[test]
fn the_watchdog_is_not_fed_while_the_http_server_hangs() {
    let supervisor = Supervisor::new();
    let daemon = supervisor.start(&without_broker(), Some(WATCHDOG_USEC));
    supervisor.wait_for(FED);
    // whichever thread accepts is blocked; the reaper and other processes still see the socket
    let all = fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap();
    let all: Vec<String> = all.map(|task| task.unwrap().file_name().to_string_lossy().into_owned()).collect();
    let hanging = hang(&all, "accept4", 1);
    assert_not_fed(&daemon, &supervisor, &format!("http://{} does not answer: no answer in time", daemon.address()));
    drop(hanging);
    assert_fed_again(&daemon, &supervisor);
}

#[test]
fn the_watchdog_is_not_fed_while_the_mqtt_thread_hangs() {
    let supervisor = Supervisor::new();
    let daemon = supervisor.start(&without_broker(), Some(WATCHDOG_USEC));
    supervisor.wait_for(FED);
    // each attempt to connect, which may take long, ends with one call; the next one is the pause before another attempt,
    // for which the thread announces a wait of a tenth of a second
    let hanging = hang(&threads(&daemon, "mqtt"), "futex", 2);
    daemon.get("/healthz").assert_published();
    assert_not_fed(&daemon, &supervisor, "the MQTT thread hangs");
    daemon.get("/healthz").assert_published();
    drop(hanging);
    assert_fed_again(&daemon, &supervisor);
}

#[test]
fn a_silent_mqtt_connection_is_not_taken_for_a_hang() {
    let (broker, supervisor) = (Mosquitto::start(), Supervisor::new());
    let config = format!("[mqtt]\nport = {}\nkeepalive = 60", broker.port());
    let daemon = supervisor.start(&config, Some(WATCHDOG_USEC));
    daemon.wait_for("connected to");
    // longer than the slack that is added to the announced wait of a thread
    let told = supervisor.messages_within(Duration::from_secs(7));
    let fed = told.iter().filter(|line| *line == FED).count();
    assert!((5..=8).contains(&fed), "{fed} times");
    assert_eq!(daemon.lines_with("watchdog"), Vec::<String>::new());
}
