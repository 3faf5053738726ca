//! A child process whose output is collected, awaited line by line, and shown when the test fails.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio, read};
use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
}

struct Output {
    state: Mutex<State>,
    changed: Condvar,
    /// The read end of standard error, non-blocking.
    stderr: OwnedFd,
}

#[derive(Default)]
struct State {
    /// Standard error, line by line.
    lines: Vec<String>,
    /// The beginning of the next line.
    rest: Vec<u8>,
    /// Standard output as bytes.
    bytes: Vec<u8>,
    /// Both streams end when the process ends.
    ended_streams: usize,
}

impl Process {
    /// Starts a program; the test fails with its name if it is not installed.
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} is needed for this test: {error}"));
        let (stdout, stderr) = (child.stdout.take().unwrap(), OwnedFd::from(child.stderr.take().unwrap()));
        ioctl_fionbio(&stderr, true).unwrap();
        let output = Arc::new(Output { state: Mutex::default(), changed: Condvar::new(), stderr });
        let (of_stdout, of_stderr) = (output.clone(), output.clone());
        thread::spawn(move || of_stdout.collect_bytes(stdout));
        thread::spawn(move || of_stderr.collect_lines());
        Self { name, child, output }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on standard error that contains `text`.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_for_nth(1, text)
    }

    /// The same with another deadline.
    pub fn wait_for_within(&self, patience: Duration, text: &str) -> String {
        let find = |state: &State| state.lines.iter().find(|line| line.contains(text)).cloned();
        self.wait(patience, &format!("a line with {text:?}"), find)
    }

    /// Waits for the `n`th line on standard error that contains `text`.
    pub fn wait_for_nth(&self, n: usize, text: &str) -> String {
        let find = |state: &State| state.lines.iter().filter(|line| line.contains(text)).nth(n - 1).cloned();
        self.wait(PATIENCE, &format!("line {n} with {text:?}"), find)
    }

    /// Waits for some text on standard output.
    pub fn wait_for_output(&self, text: &str) {
        let is_there = |state: &State| String::from_utf8_lossy(&state.bytes).contains(text).then_some(());
        self.wait(PATIENCE, &format!("{text:?} on standard output"), is_there);
    }

    /// Waits for the process to end by itself.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        self.wait_for_end_within(PATIENCE)
    }

    /// The same with another deadline.
    pub fn wait_for_end_within(&mut self, patience: Duration) -> ExitStatus {
        self.wait(patience, "its end", |state| (state.ended_streams == 2).then_some(()));
        self.child.wait().unwrap()
    }

    /// The lines of standard error so far, with all that was written before this call.
    pub fn lines(&self) -> Vec<String> {
        let mut state = self.output.state.lock().unwrap();
        self.output.take_lines(&mut state);
        state.lines.clone()
    }

    /// The lines of standard error so far that contain `text`.
    pub fn lines_with(&self, text: &str) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.contains(text)).collect()
    }

    /// Standard output so far.
    pub fn stdout(&self) -> Vec<u8> {
        self.output.state.lock().unwrap().bytes.clone()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn wait<T>(&self, patience: Duration, what: &str, find: impl Fn(&State) -> Option<T>) -> T {
        let deadline = Instant::now() + patience;
        let mut state = self.output.state.lock().unwrap();
        loop {
            if let Some(found) = find(&state) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // released before the panic, so that `drop` can show the lines
            if left.is_zero() {
                drop(state);
                panic!("{} did not bring {what}", self.name);
            }
            state = self.output.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

/// A log line of the daemon without its time, which `records.rs` tests.
pub fn without_time(line: &str) -> &str {
    let is_time = |word: &str| {
        let form = word.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
        form.eq("0000-00-00T00:00:00.000Z".bytes())
    };
    line.split_once(' ').filter(|(word, _)| is_time(word)).map_or(line, |(_, rest)| rest)
}

/// Sends a signal by name to a process.
pub fn signal(process: u32, name: &str) {
    let signal = match name {
        "CONT" => Signal::CONT,
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "KILL" => Signal::KILL,
        "STOP" => Signal::STOP,
        "TERM" => Signal::TERM,
        "USR1" => Signal::USR1,
        _ => panic!("{name} is not among the signals that tests send"),
    };
    let process = Pid::from_raw(process.try_into().unwrap()).unwrap();
    kill_process(process, signal).unwrap_or_else(|error| panic!("SIG{name} to {process:?}: {error}"));
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            eprintln!("--- {} (process {}) wrote to standard error:", self.name, self.id());
            let state = self.output.state.lock().unwrap();
            state.lines.iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

impl Output {
    fn collect_lines(&self) {
        let mut has_ended = false;
        while !has_ended {
            // an error also shows at the next read
            let _ = poll(&mut [PollFd::new(&self.stderr, PollFlags::IN)], None);
            self.change(|state| has_ended = self.take_lines(state));
        }
        self.change(|state| state.ended_streams += 1);
    }

    /// Takes the available lines; returns whether the stream has ended.
    fn take_lines(&self, state: &mut State) -> bool {
        let mut buffer = [0; 4096];
        let has_ended = loop {
            match read(&self.stderr, &mut buffer) {
                Ok(count @ 1..) => state.rest.extend_from_slice(&buffer[..count]),
                Err(Errno::INTR) => {}
                other => break other != Err(Errno::AGAIN),
            }
        };
        if has_ended && state.rest.last().is_some_and(|byte| *byte != b'\n') {
            state.rest.push(b'\n');
        }
        if let Some(end) = state.rest.iter().rposition(|byte| *byte == b'\n') {
            let rest = state.rest.split_off(end + 1);
            let lines = state.rest[..end].split(|byte| *byte == b'\n');
            state.lines.extend(lines.map(|line| without_time(&String::from_utf8_lossy(line)).to_owned()));
            state.rest = rest;
        }
        has_ended
    }

    fn collect_bytes(&self, mut stream: impl Read) {
        let mut buffer = vec![0; 65_536];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            self.change(|state| state.bytes.extend_from_slice(&buffer[..read]));
        }
        self.change(|state| state.ended_streams += 1);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }
}
