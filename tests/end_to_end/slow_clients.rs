//! `slowhttptest`, the usual tool for slow HTTP attacks, in each of its modes.

use std::process::Command;

use crate::support::background_client::BackgroundClient;
use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::process::Process;

/// Runs `slowhttptest` with 200 connections for some seconds; no other client may notice.
fn run(arguments: &[&str], path: &str) {
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[http]\nrequest-timeout = 4", free_port()));
    let background = BackgroundClient::start(&daemon);
    let url = format!("http://{}{path}", daemon.address());
    let mut command = Command::new("slowhttptest");
    command.args(["-c", "200", "-r", "200", "-i", "1", "-p", "1", "-l", "10", "-u", &url]).args(arguments);
    let mut tool = Process::start(&mut command);
    assert!(tool.wait_for_end().success());
    let said = String::from_utf8_lossy(&tool.stdout()).into_owned();
    let states: Vec<&str> = said.lines().filter(|line| line.contains("service available")).collect();
    assert!(!states.is_empty() && states.iter().all(|line| line.contains("YES")), "{said}");
    background.assert_undisturbed();
}

#[test]
fn slow_heads_delay_no_other_client() {
    run(&["-H", "-t", "GET"], "/nothing");
}

#[test]
fn slow_bodies_delay_no_other_client() {
    run(&["-B", "-t", "POST", "-s", "8192"], "/publish");
}

#[test]
fn slow_readers_delay_no_other_client() {
    run(&["-X", "-t", "GET", "-w", "1", "-y", "2", "-n", "1", "-z", "1", "-k", "3"], "/nothing");
}
