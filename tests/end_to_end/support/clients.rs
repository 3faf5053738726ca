//! Third-party clients and brokers in Python and JavaScript; their scripts are in `tests/clients`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A script that uses the packages of `requirements.txt`.
pub fn python(script: &str, arguments: &[&str]) -> Command {
    let mut command = installed(&["venv", "bin", "python"]);
    command.arg(folder().join("scripts").join(script)).args(arguments);
    command
}

/// A program of one of these packages.
pub fn python_program(name: &str) -> Command {
    installed(&["venv", "bin", name])
}

/// A script that uses the packages of `package.json`.
pub fn node(script: &str, arguments: &[&str]) -> Command {
    assert_installed(&folder().join("node_modules"));
    let mut command = Command::new("node");
    // packages are searched beside the given path, not beside the target of its link
    command.args(["--preserve-symlinks", "--preserve-symlinks-main"]);
    command.arg(folder().join("scripts").join(script)).args(arguments);
    command
}

fn installed(path: &[&str]) -> Command {
    let program = folder().join(path.iter().collect::<PathBuf>());
    assert_installed(&program);
    Command::new(program)
}

#[track_caller]
fn assert_installed(path: &Path) {
    assert!(path.exists(), "{} is needed for this test: scripts/clients installs it", path.display());
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients")
}

#[test]
fn the_pinned_versions_are_installed() {
    let installed = |mut command: Command| {
        let output = command.output().expect("node and Python are needed for this test");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let found = installed(python(
        "versions.py",
        &[
            "amqtt",
            "codespell",
            "openapi-python-client",
            "requests",
            "paho-mqtt",
            "schemathesis",
            "standardwebhooks",
            "stripe",
        ],
    ));
    let named = include_str!("../../clients/requirements.txt");
    assert_eq!(found.lines().count(), 8);
    assert!(found.lines().all(|version| named.lines().any(|line| line == version)), "{found}");
    let named: serde_json::Value = serde_json::from_str(include_str!("../../clients/package.json")).unwrap();
    let found: serde_json::Value = serde_json::from_str(&installed(node("versions.mjs", &[]))).unwrap();
    assert_eq!(found, named["dependencies"]);
    let mut schemathesis = python_program("schemathesis");
    schemathesis.arg("--version");
    assert!(installed(schemathesis).contains("chemathesis"));
}
