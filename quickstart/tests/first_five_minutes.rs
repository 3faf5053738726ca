//! The promise of the quickstart: the printed command works, and the message appears in the same window.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Ends the process with the test.
struct Quickstart(Child);

impl Drop for Quickstart {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The lines that the process prints, in any order.
struct Lines {
    coming: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn wait_for(&mut self, text: &str) -> String {
        loop {
            if let Some(line) = self.seen.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            match self.coming.recv_timeout(Duration::from_secs(20)) {
                Ok(line) => self.seen.push(line),
                Err(error) => panic!("no line with {text:?} ({error}), only {:#?}", self.seen),
            }
        }
    }
}

#[test]
fn the_printed_curl_line_makes_the_message_appear_in_the_same_window() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    let mut child = Quickstart(command.stderr(Stdio::piped()).spawn().unwrap());
    let stderr = BufReader::new(child.0.stderr.take().unwrap());
    let (sender, coming) = channel();
    let mut lines = Lines { coming, seen: Vec::new() };
    thread::spawn(move || stderr.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));

    let page = include_str!("../../docs/tutorial.md").split_once("-p quickstart").unwrap().1;
    let shown = page.split("```").nth(2).unwrap();
    assert_eq!(shown.lines().skip(1).count(), 6, "{shown}");
    for line in shown.lines().skip(1) {
        // the ports may be others
        lines.wait_for(line.split("127.0.0.1:").next().unwrap());
    }
    let curl = lines.wait_for("curl -d ");
    lines.wait_for("subscribed to django/mqtt at QoS 1");
    let output = Command::new("sh").args(["-c", &format!("{curl} -sS")]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), r#"{"code":0}"#, "{output:?}");
    assert_eq!(lines.wait_for("Received"), "Received message on topic: django/mqtt with payload: hello");

    assert!(Command::new("kill").arg(child.0.id().to_string()).status().unwrap().success());
    assert!(child.0.wait().unwrap().success(), "it ends cleanly");
}
