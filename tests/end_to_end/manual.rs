//! The man pages and the shell completions: complete and well-formed. `configuration.rs` has bridge.toml(5), which is made
//! from docs/configuration.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::daemon::program;
use crate::support::process::Process;

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

/// The text of a man page, with plain hyphens.
fn page(name: &str) -> String {
    fs::read_to_string(packaging(name)).unwrap().replace("\\-", "-")
}

/// The output of a command that must succeed without messages.
fn output(command: &mut Command) -> String {
    let mut process = Process::start(command);
    let status = process.wait_for_end();
    assert!(status.success() && process.lines().is_empty(), "{:?}", process.lines());
    String::from_utf8(process.stdout()).unwrap()
}

/// The long options of `--help`.
fn options() -> Vec<String> {
    let help = output(program().arg("--help"));
    let lines = help.lines().filter_map(|line| line.strip_prefix("  --"));
    let options: Vec<String> = lines.map(|line| format!("--{}", line.split(' ').next().unwrap())).collect();
    assert!(options.len() >= 5, "{help}");
    options
}

#[test]
fn the_manual_of_the_daemon_has_every_option_exit_code_and_variable() {
    let page = page("mqtt-bridge.8");
    let entry = |name: &str| {
        let lines = page.lines().filter(|line| line.starts_with(".B"));
        assert!(lines.flat_map(|line| line.split([' ', ','])).any(|word| word == name), "{name} is in mqtt-bridge(8)");
    };
    for option in options() {
        entry(&option);
    }
    for name in ["0", "1", "2", "78", "SIGTERM", "SIGINT", "SIGHUP"] {
        entry(name);
    }
    for name in ["MQTT_SERVER", "MQTT_PORT", "MQTT_KEEPALIVE", "MQTT_USER", "MQTT_PASSWORD"] {
        entry(name);
    }
}

#[test]
fn the_pages_are_well_formed() {
    for name in ["mqtt-bridge.8", "bridge.toml.5"] {
        output(Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(packaging(name)));
    }
}

#[test]
fn the_shells_complete_every_option() {
    let source = packaging("mqtt-bridge.bash");
    let script =
        "source \"$0\"; COMP_WORDS=(mqtt-bridge --); COMP_CWORD=1; _mqtt_bridge; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let bash = output(Command::new("bash").args(["-c", script]).arg(source));
    let source = packaging("mqtt-bridge.fish");
    let fish = output(
        Command::new("fish").args(["--no-config", "-c", "source $argv[1]; complete -C 'mqtt-bridge --'"]).arg(source),
    );
    let source = packaging("mqtt-bridge.zsh");
    // the zsh completion needs a terminal: only its syntax and its words are checked
    output(Command::new("zsh").args(["-f", "-n"]).arg(&source));
    let zsh = fs::read_to_string(source).unwrap();
    for option in options() {
        for (shell, words) in [("bash", &bash), ("fish", &fish), ("zsh", &zsh)] {
            let mut words = words.split(|letter: char| !letter.is_alphanumeric() && letter != '-');
            assert!(words.any(|word| word == option), "{shell} completes {option}");
        }
    }
}
