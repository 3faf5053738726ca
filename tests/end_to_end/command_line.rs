//! Arguments, configuration and exit codes.

use crate::support::daemon::program;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::process::Process;

/// Runs the program in a folder to its end: exit code, standard output, standard error.
fn run(folder: &Folder, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut process = Process::start(program().current_dir(folder.path()).args(arguments));
    let code = process.wait_for_end().code();
    (code, String::from_utf8(process.stdout()).unwrap(), process.lines().join("\n"))
}

#[test]
fn version_and_help_are_printed() {
    let folder = Folder::new();
    let (code, version, _) = run(&folder, &["--version"]);
    assert_eq!((code, version.as_str()), (Some(0), concat!("mqtt-bridge ", env!("CARGO_PKG_VERSION"), "\n")));
    let (code, help, _) = run(&folder, &["--help"]);
    assert_eq!(code, Some(0));
    for option in ["--config PATH", "--check", "--new-token NAME", "--new-hook NAME", "--version", "--help"] {
        assert!(help.contains(option), "{help}");
    }
}

#[test]
fn wrong_usage_exits_2_with_one_line() {
    let folder = Folder::new();
    for arguments in [
        &["--prot"][..],
        &["--config"],
        &["x"],
        &["--check=yes"],
        &["--new-token"],
        &["--new-token", "a b"],
        &["--new-hook"],
        &["--new-hook", "a b"],
    ] {
        let (code, out, error) = run(&folder, arguments);
        assert_eq!((code, out.as_str(), error.lines().count()), (Some(2), "", 1), "{arguments:?}: {error}");
        assert!(error.starts_with("mqtt-bridge: ") && error.ends_with("; try --help"), "{error}");
    }
}

#[test]
fn check_prints_ok_or_the_first_error() {
    let folder = Folder::new();
    folder.write("good.toml", "[mqtt]\nport = 1884\n");
    folder.write("bad.toml", "[mqtt]\nport = 1884\nkeepalive = \"long\"\n");
    let (code, out, error) = run(&folder, &["--config", "good.toml", "--check"]);
    assert_eq!((code, out.as_str(), error.as_str()), (Some(0), "good.toml: ok\n", ""));
    let (code, out, error) = run(&folder, &["--check", "--config", "bad.toml"]);
    let fault = "mqtt-bridge: bad.toml:3: `keepalive` must be a whole number from 5 to 65535, not \"long\" (seconds)";
    assert_eq!((code, out.as_str(), error.as_str()), (Some(78), "", fault));
}

#[test]
fn new_token_prints_a_secret_and_a_valid_table() {
    let folder = Folder::new();
    let (code, out, error) = run(&folder, &["--new-token", "kitchen"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let (secret, table) = out.split_once('\n').unwrap();
    let secret = secret.strip_prefix("secret, shown only now: ").expect(secret);
    assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()), "{secret}");
    assert!(!table.contains(secret), "the table must not contain the secret");
    folder.write("bridge.toml", &format!("{}{table}", include_str!("../../bridge.toml")));
    let (code, out, error) = run(&folder, &["--check"]);
    assert_eq!((code, out.as_str(), error.as_str()), (Some(0), "bridge.toml: ok\n", ""));
}

#[test]
fn new_hook_prints_a_path_and_a_valid_table() {
    let folder = Folder::new();
    let (code, out, error) = run(&folder, &["--new-hook", "door"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let (path, table) = out.split_once('\n').unwrap();
    let secret = path.strip_prefix("path, shown only now: /hooks/door/").expect(path);
    assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()), "{secret}");
    assert!(!table.contains(secret), "the table must not contain the secret");
    folder.write("bridge.toml", &format!("{}{table}", include_str!("../../bridge.toml")));
    let (code, out, error) = run(&folder, &["--check"]);
    assert_eq!((code, out.as_str(), error.as_str()), (Some(0), "bridge.toml: ok\n", ""));
}

#[test]
fn an_invalid_configuration_exits_78_with_one_line() {
    let folder = Folder::new();
    folder.write("bridge.toml", "[mqtt]\nserver = \"localhost\"\nprot = 1\n");
    let (code, out, error) = run(&folder, &[]);
    assert_eq!((code, out.as_str(), error.lines().count()), (Some(78), "", 1));
    assert!(error.starts_with("mqtt-bridge: bridge.toml:3: unknown field `prot`, expected one of `server`"), "{error}");
    let (code, _, error) = run(&folder, &["--config", "missing.toml"]);
    assert_eq!(code, Some(78));
    assert_eq!(error, "mqtt-bridge: missing.toml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn without_a_file_the_defaults_are_used_and_logged() {
    let folder = Folder::new();
    let (code, out, _) = run(&folder, &["--check"]);
    assert_eq!((code, out.as_str()), (Some(0), "built-in defaults: ok\n"));
    let process = Process::start(program().current_dir(folder.path()).env("MQTT_PORT", free_port().to_string()));
    let line = process.wait_for("built-in defaults");
    assert!(
        line.ends_with("with built-in defaults: there is no bridge.toml and no /etc/mqtt-bridge/bridge.toml"),
        "{line}"
    );
}

#[test]
fn a_file_in_the_current_folder_is_found() {
    let folder = Folder::new();
    folder.write("bridge.toml", "");
    let (code, out, _) = run(&folder, &["--check"]);
    assert_eq!((code, out.as_str()), (Some(0), "bridge.toml: ok\n"));
}

#[test]
fn a_configuration_error_suggests_the_likely_key_or_value() {
    let folder = Folder::new();
    for (text, fault) in [
        ("[http]\nlisten = 127.0.0.1:8000", "2: invalid float, expected nothing; QUOTES: listen = \"…\""),
        ("[http]\nlisten = [::1]:8000", "2: unexpected key or value, expected newline, `#`; QUOTES: listen = \"…\""),
        (
            "[mqtt]\nserver = broker.local",
            "2: string values must be quoted, expected literal string; QUOTES: server = \"…\"",
        ),
        (
            "[mqtt]\npassword = hunter2 # ours",
            "2: string values must be quoted, expected literal string; QUOTES: password = \"…\"",
        ),
        ("[mqtt]\nport = 1883\nport = 1884", "3: duplicate key: `port` is there before"),
        ("[mqtt]\nport = 1883\n[mqtt]", "3: duplicate key: `mqtt` is there before"),
        ("[mqt]\nport = 1883", "1: unknown field `mqt`, expected one of NAMES; did you mean `mqtt`?"),
        ("[mqtt]\nprot = 1883", "2: unknown field `prot`, expected one of NAMES; did you mean `port`?"),
        (
            "[mqtt]\nclean_session = true",
            "2: unknown field `clean_session`, expected one of NAMES; did you mean `clean-session`?",
        ),
        ("[mqtt]\ncolour = 1", "2: unknown field `colour`, expected one of NAMES"),
    ] {
        folder.write("bridge.toml", text);
        let (code, _, error) = run(&folder, &["--check"]);
        let fault = fault.replace("QUOTES", "a value that is text needs quotes");
        let (begin, end) = fault.split_once("NAMES").unwrap_or((fault.as_str(), ""));
        assert_eq!(code, Some(78));
        let is_it = error.starts_with(&format!("mqtt-bridge: bridge.toml:{begin}")) && error.ends_with(end);
        assert!(is_it && (!end.is_empty() || !error.contains("mean")), "{text}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn invisible_characters_at_the_ends_of_a_password_are_an_error() {
    let folder = Folder::new();
    folder.write("bridge.toml", "[mqtt]\nuser = \"a\"\npassword-file = \"secret\"");
    let mark = "the password must not begin with a byte order mark (U+FEFF), which some editors write and nobody sees";
    let end = "the password must not end with a line end, as `echo` writes one";
    let alone = "`secret` must be the password alone, with one line end behind it at most";
    for (in_file, in_environment, fault) in [
        ("hunter2\n", "", None),
        ("hunter2\r\n", "", None),
        ("hunter2\n\n", "", Some(("bridge.toml:3", alone))),
        ("hunter2\nuser\n", "", Some(("bridge.toml:3", alone))),
        ("\u{feff}hunter2\n", "", Some(("bridge.toml:3", mark))),
        ("", "hunter2\n", Some(("MQTT_PASSWORD", end))),
        ("", "\u{feff}hunter2", Some(("MQTT_PASSWORD", mark))),
    ] {
        folder.write("secret", in_file);
        let mut process =
            Process::start(program().arg("--check").current_dir(folder.path()).env("MQTT_PASSWORD", in_environment));
        let code = process.wait_for_end().code();
        let expected: Vec<_> = fault.iter().map(|(place, what)| format!("mqtt-bridge: {place}: {what}")).collect();
        assert_eq!((code, process.lines()), (Some(if fault.is_some() { 78 } else { 0 }), expected), "{in_file:?}");
    }
}

#[test]
fn a_line_end_in_mqtt_user_exits_78_with_one_line() {
    let folder = Folder::new();
    for arguments in [&["--check"][..], &[]] {
        let command = &mut program();
        command.args(arguments).current_dir(folder.path()).env("MQTT_USER", "bridge\n");
        let mut process = Process::start(command);
        assert_eq!(process.wait_for_end().code(), Some(78));
        let fault = "mqtt-bridge: MQTT_USER: must not end with a line end, as `echo` writes one";
        assert_eq!(process.lines(), [fault]);
    }
}
