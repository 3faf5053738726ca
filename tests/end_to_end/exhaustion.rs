//! Running out of descriptors or threads, and recovery.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, program, traced};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::http::Connection;
use crate::support::limits::{limit, limit_by};
use crate::support::resources::{Resources, descriptor_numbers};
use crate::support::stalls::Stalls;
use crate::support::waiting::pause;

/// How long new connections may wait after resources are free again.
const HEALED_WITHIN: Duration = Duration::from_secs(2);

fn start() -> Daemon {
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}", free_port()));
    daemon.wait_for("cannot connect");
    daemon
}

#[track_caller]
fn assert_served(connection: &mut Connection) {
    assert_eq!(connection.get("/nothing").status, 404);
}

/// The recovery took no longer than allowed, apart from stalls of the machine.
#[track_caller]
fn assert_healed(start: Instant, stalls: Stalls) {
    let (took, stalled) = (start.elapsed(), stalls.longest());
    assert!(took < HEALED_WITHIN + stalled, "{took:?}; the machine stalled for {stalled:?}");
}

/// Opens connections until the daemon logs that it cannot accept any more.
fn exhaust(daemon: &Daemon, nth: usize) -> Vec<Connection> {
    let mut opened = Vec::new();
    while daemon.lines_with("cannot accept connections").len() < nth {
        assert!(opened.len() < 2000, "it accepts everything");
        opened.push(daemon.connect());
        pause(Duration::from_millis(5));
    }
    opened
}

/// Limits the daemon to this many descriptors beyond the open ones.
fn leave_descriptors(daemon: &Daemon, left: usize) {
    let open = descriptor_numbers(daemon.id());
    let last = (0..).filter(|number| !open.contains(number)).nth(left - 1).unwrap();
    limit(daemon.id(), &format!("nofile={}:", last + 1));
}

#[test]
fn connections_are_accepted_within_2_s_after_descriptors_ran_out() {
    // an even and an odd number of free descriptors fail at different places in tiny_http
    for left in [40, 41] {
        let daemon = start();
        // by now tiny_http has started its initial threads
        drop(daemon.served_connection());
        let before = daemon.resources();
        let mut earlier = daemon.served_connection();
        leave_descriptors(&daemon, left);
        let opened = exhaust(&daemon, 1);
        assert_served(&mut earlier);
        let mut waiting = daemon.connect();
        waiting.send(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
        drop(opened);
        let (start, stalls) = (Instant::now(), Stalls::start());
        assert_eq!(waiting.reply().status, 404, "a waiting connection is served, {left} left");
        assert_served(&mut daemon.connect());
        assert_healed(start, stalls);
        assert_served(&mut earlier);
        daemon.wait_for("accepting connections on http://127.0.0.1:");
        assert_eq!(daemon.lines_with("cannot accept connections").len(), 1, "logged once");
        assert_eq!(daemon.lines_with("panicked").len(), 0);
        drop((earlier, waiting));
        // the failed acceptor is gone with its workers; sometimes tiny_http leaves one idle thread, which is allowed
        Resources { threads: before.threads + 1, ..before }.await_return(daemon.id(), 0);
    }
}

#[test]
fn connections_are_accepted_again_with_very_few_descriptors() {
    for left in [4, 5] {
        let daemon = start();
        let mut earlier = daemon.served_connection();
        leave_descriptors(&daemon, left);
        drop(exhaust(&daemon, 1));
        // an attempt that comes before all connections are closed fails, and resets the connection that it has accepted
        daemon.wait_for("accepting connections on http://127.0.0.1:");
        let mut later = daemon.connect();
        assert_eq!(later.get("/nothing").status, 404, "{left} left");
        assert_served(&mut earlier);
    }
}

#[test]
fn connections_are_accepted_within_2_s_after_threads_ran_out() {
    // thread limits apply to a user, but not to root: the test uses its own user, who can read the program
    let folder = Folder::new();
    let copy = folder.path().join("mqtt-bridge");
    std::fs::copy(program().get_program(), &copy).unwrap();
    let user = (50_000 + std::process::id() % 10_000).to_string();
    let config = format!("[mqtt]\nport = {}", free_port());
    let as_user = |program: &Path| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(program);
        command
    };
    let daemon = Daemon::run(&config, |config| {
        let mut command = as_user(&copy);
        command.arg("--config").arg(config);
        command
    });
    let limit_threads = |threads: usize| {
        limit_by(&mut as_user(Path::new("prlimit")), daemon.id(), &format!("nproc={threads}:"));
    };
    daemon.wait_for("cannot connect");
    let mut earlier = daemon.served_connection();
    limit_threads(daemon.resources().threads + 6);
    let opened = exhaust(&daemon, 1);
    assert_served(&mut earlier);
    drop(opened);
    // threads of closed connections stay for up to 5 s, so that the limit itself must be lifted
    limit_threads(10_000);
    let (start, stalls) = (Instant::now(), Stalls::start());
    assert_served(&mut daemon.connect());
    assert_healed(start, stalls);
    assert_served(&mut earlier);
    assert_eq!(daemon.lines_with("panicked").len(), 0);
}

#[test]
fn connections_are_accepted_again_after_any_other_error() {
    for error in ["ECONNABORTED", "ENOMEM", "EPERM"] {
        let config = format!("[mqtt]\nport = {}", free_port());
        let inject = format!("inject=accept4:error={error}:when=3");
        let arguments = ["--seccomp-bpf", "-o", "/dev/null", "-e", "trace=accept4", "-e", &inject];
        let daemon = Daemon::run(&config, |config| traced(&arguments, &config));
        let mut earlier: Vec<Connection> = (0..2).map(|_| daemon.served_connection()).collect();
        // the third one is accepted by the next acceptor
        assert_served(&mut daemon.connect());
        daemon.wait_for("cannot accept connections on http://127.0.0.1:");
        earlier.iter_mut().for_each(assert_served);
    }
}
