//! The usual tool for holding up web servers, in each of its modes.

use std::process::Command;

use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::onlooker::Onlooker;
use crate::support::process::Process;

/// Runs `slowhttptest` with 200 connections for some seconds. Nobody else may notice.
fn run(arguments: &[&str], path: &str) {
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[http]\nrequest-timeout = 4", free_port()));
    let onlooker = Onlooker::start(&daemon);
    let url = format!("http://{}{path}", daemon.address());
    let mut command = Command::new("slowhttptest");
    command.args(["-c", "200", "-r", "200", "-i", "1", "-p", "1", "-l", "10", "-u", &url]).args(arguments);
    let mut tool = Process::start(&mut command);
    assert!(tool.wait_for_end().success());
    let said = String::from_utf8_lossy(&tool.stdout()).into_owned();
    let states: Vec<&str> = said.lines().filter(|line| line.contains("service available")).collect();
    assert!(!states.is_empty() && states.iter().all(|line| line.contains("YES")), "{said}");
    onlooker.assert_undisturbed();
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
