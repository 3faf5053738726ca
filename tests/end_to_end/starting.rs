//! What prevents a start: `--check` reports it, and a start waits for temporary causes.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::{fs, thread};

use crate::support::daemon::{clean, program};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::process::Process;

/// An address that no machine has (RFC 5737).
const NOBODYS_ADDRESS: &str = "192.0.2.1:8000";
/// `nobody` of Debian, for tests that run as root.
const NOBODY: [&str; 4] = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];

/// Runs the program with this configuration to its end: exit code, standard output, and log.
fn run(folder: &Folder, configuration: &str, arguments: &[&str]) -> (Option<i32>, String, Vec<String>) {
    let config = folder.write("bridge.toml", configuration);
    end(program().arg("--config").arg(config).args(arguments))
}

fn end(command: &mut Command) -> (Option<i32>, String, Vec<String>) {
    let mut process = Process::start(command);
    let code = process.wait_for_end().code();
    (code, String::from_utf8(process.stdout()).unwrap(), process.lines())
}

#[test]
fn check_reports_the_same_permanent_errors_as_a_start() {
    let folder = Folder::new();
    let path = folder.path().display().to_string();
    folder.write("file", "");
    fs::create_dir(folder.path().join("folder")).unwrap();
    let open = "can be reached from other machines: configure a [[token]], or set `allow-anonymous = true` in [http] to serve everybody";
    let unix = |path: &str, why: &str| {
        (format!("[http]\nlisten = \"unix:{path}\""), format!("cannot listen on unix:{path}: {why}"))
    };
    for (configuration, words) in [
        ("[http]\nlisten = \"0.0.0.0:8000\"".to_owned(), format!("http://0.0.0.0:8000 {open}")),
        ("[http]\nlisten = \"[::]:0\"".to_owned(), format!("http://[::]:0 {open}")),
        (format!("[http]\nlisten = \"{NOBODYS_ADDRESS}\""), format!("http://{NOBODYS_ADDRESS} {open}")),
        unix(&format!("{path}/file/a.sock"), "not a directory"),
        unix(&format!("{path}/file"), "what is there is no socket"),
        unix(&format!("{path}/folder"), "what is there is no socket"),
        (
            "[mqtt]\nuser = \"a\"\npassword-file = \"folder\"".to_owned(),
            format!("{path}/bridge.toml:3: `{path}/folder` cannot be read: Is a directory (os error 21)"),
        ),
        (
            "[mqtt.tls]\nenabled = true\nca-file = \"file\"".to_owned(),
            format!(
                "{path}/bridge.toml:3: `ca-file` {path}/file has no certificate in it: PEM is expected, \
                 -----BEGIN CERTIFICATE-----"
            ),
        ),
        (
            "[mqtt]\nclean-session = false\nclient-id = \"\"".to_owned(),
            format!(
                "{path}/bridge.toml:3: `client-id` must not be empty where `clean-session` is false: what is kept needs \
                 a name"
            ),
        ),
    ] {
        for arguments in [&["--check"][..], &[]] {
            let (code, out, lines) = run(&folder, &configuration, arguments);
            let told = lines.last().map(String::as_str).unwrap_or_default();
            assert_eq!((code, out.as_str(), told), (Some(78), "", &*format!("mqtt-bridge: {words}")), "{arguments:?}");
        }
    }
}

#[test]
fn check_reports_missing_permissions_like_a_start() {
    let folder = Folder::new();
    let path = folder.path().display().to_string();
    fs::create_dir(folder.path().join("closed")).unwrap();
    fs::set_permissions(folder.path().join("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    for listen in [format!("unix:{path}/closed/a.sock"), "127.0.0.1:80".to_owned()] {
        let config = folder.write("bridge.toml", &format!("[http]\nlisten = \"{listen}\""));
        for arguments in [&["--check"][..], &[]] {
            let mut command = if is_root {
                let mut command = clean(Command::new("setpriv"));
                command.args(NOBODY).arg(env!("CARGO_BIN_EXE_mqtt-bridge"));
                command
            } else {
                program()
            };
            // in a container ports below 1024 may be unprivileged
            if listen.ends_with(":80") && unprivileged_ports_begin_at() <= 80 {
                continue;
            }
            let (code, _, lines) = end(command.arg("--config").arg(&config).args(arguments));
            let words = format!("mqtt-bridge: cannot listen on {listen}: Permission denied (os error 13)");
            assert_eq!((code, lines), (Some(78), vec![words]), "{arguments:?}");
        }
    }
}

#[test]
fn check_binds_no_socket_and_leaves_no_file() {
    let folder = Folder::new();
    let (path, port) = (folder.path().display().to_string(), free_port());
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let ok = format!("{path}/bridge.toml: ok\n");
    for listen in [format!("127.0.0.1:{port}"), format!("unix:{path}/a.sock")] {
        let (code, out, lines) = run(&folder, &format!("[http]\nlisten = \"{listen}\""), &["--check"]);
        assert_eq!((code, out, lines), (Some(0), ok.clone(), vec![]), "{listen}");
    }
    assert!(!folder.path().join("a.sock").exists());
    drop(taken);
    // temporary causes are reported
    let later = format!("[http]\nallow-anonymous = true\nlisten = \"{NOBODYS_ADDRESS}\"");
    let (code, out, lines) = run(&folder, &later, &["--check"]);
    let words = format!(
        "mqtt-bridge: cannot listen on {NOBODYS_ADDRESS}: Cannot assign requested address (os error 99); a start would \
         wait for that"
    );
    assert_eq!((code, out, lines), (Some(0), ok, vec![words]));
}

#[test]
fn check_says_that_the_outbox_cannot_be_written_and_makes_none() {
    let folder = Folder::new();
    let path = folder.path().display().to_string();
    for (outbox, words) in [
        (
            "gone/o.redb",
            Some("`PATH/gone/o.redb` cannot be written in its folder: No such file or directory (os error 2)"),
        ),
        ("bridge.toml/o.redb", Some("`PATH/bridge.toml/o.redb` cannot be written in its folder: not a directory")),
        (".", Some("`PATH/.` cannot be written: is a directory")),
        ("o.redb", None),
    ] {
        let (code, out, lines) = run(&folder, &format!("[outbox]\npath = \"{outbox}\""), &["--check"]);
        let expected = words.map(|words| format!("mqtt-bridge: the outbox {}", words.replace("PATH", &path)));
        assert_eq!((code, out), (Some(0), format!("{path}/bridge.toml: ok\n")));
        assert_eq!(lines, expected.into_iter().collect::<Vec<_>>());
    }
    assert!(!folder.path().join("o.redb").exists());
}

#[test]
fn temporary_errors_exit_1_after_5_s() {
    let folder = Folder::new();
    let path = folder.path().display().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let cases = [
        (
            format!("[http]\nlisten = \"{address}\""),
            format!("cannot listen on {address}: Address already in use (os error 98)"),
        ),
        (
            format!("[http]\nallow-anonymous = true\nlisten = \"{NOBODYS_ADDRESS}\""),
            format!("cannot listen on {NOBODYS_ADDRESS}: Cannot assign requested address (os error 99)"),
        ),
        (
            format!("[http]\nlisten = \"unix:{path}/later/a.sock\""),
            format!("cannot listen on unix:{path}/later/a.sock: No such file or directory (os error 2)"),
        ),
        (
            "[mqtt]\nuser = \"a\"\npassword-file = \"later\"".to_owned(),
            format!("{path}/0.toml:3: `{path}/later` cannot be read: No such file or directory (os error 2)"),
        ),
        (
            "[mqtt.tls]\nenabled = true\nca-file = \"later\"".to_owned(),
            format!("{path}/0.toml:3: `ca-file` {path}/later cannot be read: No such file or directory (os error 2)"),
        ),
    ];
    thread::scope(|scope| {
        for (number, (configuration, words)) in cases.into_iter().enumerate() {
            let words = words.replace("0.toml", &format!("{number}.toml"));
            let config = folder.write(&format!("{number}.toml"), &configuration);
            scope.spawn(move || {
                let (code, _, lines) = end(program().arg("--config").arg(config));
                let [first, last] = &lines[..] else { panic!("two lines: {lines:?}") };
                assert_eq!(*first, format!("mqtt-bridge: {words}; trying again for 5 s"));
                assert_eq!((code, last), (Some(1), &format!("mqtt-bridge: {words}")));
            });
        }
    });
}

#[test]
fn a_start_waits_for_a_taken_port_and_a_missing_file() {
    let folder = Folder::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).unwrap();
    let address = taken.local_addr().unwrap();
    let config = folder.write(
        "bridge.toml",
        &format!("[mqtt]\nuser = \"a\"\npassword-file = \"later\"\n[http]\nlisten = \"{address}\""),
    );
    let process = Process::start(program().arg("--config").arg(config));
    process.wait_for("/later` cannot be read: No such file or directory (os error 2); trying again for 5 s");
    folder.write("later", "secret\n");
    drop(taken);
    process.wait_for(&format!("listening on http://{address}"));
}

#[test]
fn a_missing_device_is_named_at_the_start() {
    let folder = Folder::new();
    let config = folder.write("bridge.toml", "[http]\nlisten = \"127.0.0.1:0\"");
    let hidden = "mount -t tmpfs none /dev && exec \"$0\" --config \"$1\"";
    let mut command = clean(Command::new("unshare"));
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", hidden]);
    let (code, _, lines) = end(command.arg(env!("CARGO_BIN_EXE_mqtt-bridge")).arg(config));
    let words = "mqtt-bridge: cannot start: /dev/null cannot be opened: No such file or directory (os error 2)";
    assert_eq!((code, lines.last().map(String::as_str)), (Some(1), Some(words)), "{lines:?}");
}

/// The first unprivileged port (ip(7)).
fn unprivileged_ports_begin_at() -> u32 {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    text.trim().parse().unwrap()
}
