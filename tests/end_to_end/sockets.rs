//! The listening sockets: TCP, Unix, and those that systemd passes.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::support::daemon::{program, traced};
use crate::support::folder::Folder;
use crate::support::http::Connection;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::{Process, signal, without_time};
use crate::support::token::Token;
use crate::support::{PATIENCE, free_port};

pub const BODY: &str = r#"{"topic":"t","msg":"x","qos":1}"#;

/// Starts the daemon with this configuration, and waits until it listens where `place` says.
pub fn start(folder: &Folder, config: &str, place: &str) -> Process {
    let path = folder.write("bridge.toml", config);
    let process = Process::start(program().arg("--config").arg(path));
    process.wait_for(&format!("listening on {place}"));
    process
}

/// The exit code and the log of a daemon that does not start with this configuration.
pub fn refused(config: &str) -> (Option<i32>, String) {
    let folder = Folder::new();
    let path = folder.write("bridge.toml", config);
    let output = program().arg("--config").arg(path).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let text = text.lines().map(|line| without_time(line).to_owned() + "\n").collect();
    (output.status.code(), text)
}

/// `curl` over a Unix socket.
pub fn curl(socket: &Path, body: &str) -> String {
    let output = Command::new("curl")
        .args(["-sS", "-d", body, "http://localhost/publish", "--unix-socket"])
        .arg(socket)
        .output()
        .expect("curl is needed for this test");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn allowed_hosts_apply_to_every_kind_of_socket() {
    let folder = Folder::new();
    let foreign = "the host must be an address of loopback or one of `allowed-hosts`, not `evil.example`";
    let (path, port) = (folder.path().join("socket"), free_port());
    let http = "allow-anonymous = true\nallowed-hosts = [\"bridge.example\", \"192.0.2.1\"]";
    for listen in [format!("0.0.0.0:{port}"), format!("unix:{}", path.display())] {
        let config = format!("[mqtt]\nport = {}\n[http]\nlisten = \"{listen}\"\n{http}", free_port());
        let _daemon = start(&folder, &config, "");
        let is_unix = listen.starts_with("unix:");
        let ask = |path_and_host: &str| {
            let request = format!("{path_and_host}\r\nConnection: close\r\n\r\n");
            let mut answer = String::new();
            if is_unix {
                let mut stream = UnixStream::connect(&path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.write_all(request.as_bytes()).unwrap();
                // half-closed after the request: on this socket tiny_http sees no other end
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                stream.read_to_string(&mut answer).unwrap();
            } else {
                let mut connection = Connection::open(&format!("127.0.0.1:{port}"));
                connection.send(request.as_bytes());
                connection.read_to_string(&mut answer).unwrap();
            }
            answer
        };
        for path in ["/", "/healthz", "/readyz", "/metrics", "/messages?topic=a", "/publish", "/openapi.json", "/x"] {
            for request in [
                format!("GET {path} HTTP/1.1\r\nHost: evil.example"),
                format!("GET http://evil.example{path} HTTP/1.1\r\nHost: localhost"),
                format!("GET {path} HTTP/1.0\r\nHost: evil.example"),
            ] {
                let answer = ask(&request);
                assert!(
                    answer.starts_with("HTTP/1.1 403 ") && answer.contains(foreign),
                    "{listen} {request}: {answer}"
                );
            }
        }
        for host in ["localhost", "127.0.0.1:80", "Bridge.Example:443", "192.0.2.1:8000"] {
            let answer = ask(&format!("GET /healthz HTTP/1.1\r\nHost: {host}"));
            assert!(answer.starts_with("HTTP/1.1 200 "), "{listen} {host}: {answer}");
        }
        assert!(ask("GET /healthz HTTP/1.0").starts_with("HTTP/1.1 200 "), "{listen}");
    }
}

#[test]
fn the_socket_has_its_options_before_the_first_connection_is_accepted() {
    let folder = Folder::new();
    let trace = folder.path().join("trace");
    let config =
        folder.write("bridge.toml", &format!("[mqtt]\nport = {}\n[http]\nlisten = \"127.0.0.1:0\"", free_port()));
    let arguments = ["-e", "trace=setsockopt,listen,accept4", "-o", trace.to_str().unwrap()];
    let daemon = Process::start(&mut traced(&arguments, &config));
    daemon.wait_for("listening on");
    let calls = fs::read_to_string(&trace).unwrap();
    let before = calls.split("accept4").next().unwrap();
    for option in [
        "TCP_NODELAY, [1]",
        "SO_KEEPALIVE, [1]",
        "TCP_KEEPIDLE, [60]",
        "TCP_KEEPINTVL, [10]",
        "TCP_KEEPCNT, [3]",
        "TCP_USER_TIMEOUT, [30000]",
        "SO_SNDTIMEO",
        "SO_SNDBUF, [262144]",
        "listen(",
    ] {
        assert!(before.contains(option), "{option}: {calls}");
    }
    let backlog = before.lines().filter(|line| line.contains("listen(")).all(|line| line.contains(", 4096)"));
    assert!(backlog, "{calls}");
}

#[test]
fn ipv6_is_served() {
    let broker = Mosquitto::start();
    let folder = Folder::new();
    let config = format!("[mqtt]\nport = {}\n[http]\nlisten = \"[::1]:0\"", broker.port());
    let daemon = start(&folder, &config, "http://[::1]:");
    daemon.wait_for("connected to");
    let line = daemon.wait_for("listening on http://");
    let mut burst: Vec<Connection> = (0..32).map(|_| Connection::open(line.split("//").nth(1).unwrap())).collect();
    for connection in &mut burst {
        connection.post("/publish", br#"{"topic":"t","msg":"x"}"#).assert_published();
    }
}

#[test]
fn beyond_loopback_a_token_or_allow_anonymous_is_required() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let http = format!("[mqtt]\nport = {}\n[http]\nlisten = \"{listen}\"", free_port());
        let (code, words) = refused(&http);
        assert_eq!(code, Some(78), "{words}");
        assert!(words.contains("can be reached from other machines: configure a [[token]]"), "{words}");
        drop(start(&Folder::new(), &format!("{http}\nallow-anonymous = true"), "http://"));
        let token = Token::new("any", "[\"#\"]");
        drop(start(&Folder::new(), &format!("{}\n{http}", token.table), "http://"));
    }
}

#[test]
fn passed_sockets_replace_listen_and_outlive_the_daemon() {
    let broker = Mosquitto::start();
    let folder = Folder::new();
    let (path, tcp) = (folder.path().join("passed.sock"), format!("127.0.0.1:{}", free_port()));
    let config = format!("[mqtt]\nport = {}\n[http]\nlisten = \"127.0.0.1:{}\"", broker.port(), free_port());
    let passer = pass(&folder, &config, 2, &[&format!("tcp:{tcp}"), &format!("unix:{}", path.display())]);
    passer.wait_for("connected to");
    passer.wait_for(&format!("listening on http://{tcp}"));
    passer.wait_for(&format!("listening on unix:{}", path.display()));
    assert_eq!(passer.lines_with("listening on").len(), 2, "and nowhere else");
    assert!(curl(&path, BODY).starts_with(r#"{"code":0,"#));
    let publish = |connection: &mut Connection| connection.post("/publish", BODY.as_bytes());
    let mut kept = Connection::open(&tcp);
    assert_eq!(publish(&mut kept).status, 200);
    // a stopping daemon leaves connections to its successor, and none is refused meanwhile
    let daemon: u32 = passer.wait_for("started ").rsplit(' ').next().unwrap().parse().unwrap();
    signal(daemon, "TERM");
    let (mut answered, deadline) = (0, Instant::now() + PATIENCE);
    while passer.lines_with("started ").len() < 2 || answered < 20 {
        assert!(Instant::now() < deadline, "no successor, {answered} answered");
        assert_eq!(publish(&mut Connection::open(&tcp)).status, 200, "{answered}");
        assert!(curl(&path, BODY).starts_with(r#"{"code":0,"#), "{answered}");
        answered += 1;
    }
    assert!(curl(&path, BODY).starts_with(r#"{"code":0,"#));
    passer.wait_for("ended 0");
    assert_eq!(passer.lines_with("cannot accept").len(), 0, "it is made to wait in accept");
    assert_eq!(passer.lines_with("cannot stop listening").len(), 0);
}

#[test]
fn a_passed_socket_beyond_loopback_needs_a_token() {
    let folder = Folder::new();
    let config = format!("[mqtt]\nport = {}", free_port());
    let passer = pass(&folder, &config, 1, &[&format!("tcp:0.0.0.0:{}", free_port())]);
    passer.wait_for("can be reached from other machines");
    passer.wait_for("ended 78");
}

/// Starts the daemon with these sockets, `starts` times in a row.
pub fn pass(folder: &Folder, config: &str, starts: usize, sockets: &[&str]) -> Process {
    let script = folder.write("pass_sockets.py", include_str!("support/pass_sockets.py"));
    let config = folder.write("bridge.toml", config);
    let mut command = Command::new("python3");
    command.arg(script).arg(starts.to_string()).args(sockets).arg("--");
    command.arg(program().get_program()).arg("--config").arg(config);
    Process::start(&mut command)
}
