//! Limits of a process.

use std::process::Command;

/// Changes a limit with prlimit(1), for example `nofile=8192:`.
pub fn limit(process: u32, resource: &str) {
    limit_by(&mut Command::new("prlimit"), process, resource);
}

/// The same with a command that runs prlimit, for limits that depend on the user.
pub fn limit_by(prlimit: &mut Command, process: u32, resource: &str) {
    let limited = prlimit.args(["--pid", &process.to_string(), &format!("--{resource}")]).status();
    assert!(limited.expect("prlimit is needed for this test").success(), "{resource} of process {process}");
}
