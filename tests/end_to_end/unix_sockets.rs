//! HTTP on a Unix socket.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sockets::{BODY, curl, refused, start};
use crate::support::folder::Folder;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::request::post;
use crate::support::resources::Resources;
use crate::support::{PATIENCE, free_port};

#[test]
fn a_unix_socket_is_served_to_owner_and_group_and_removed_at_a_stop() {
    let broker = Mosquitto::start();
    let folder = Folder::new();
    let path = folder.path().join("bridge.sock");
    let config = format!("[mqtt]\nport = {}\n[http]\nlisten = \"unix:{}\"", broker.port(), path.display());
    let mut daemon = start(&folder, &config, &format!("unix:{}", path.display()));
    daemon.wait_for("connected to");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert!(curl(&path, BODY).starts_with(r#"{"code":0,"packet_id":"#));
    // a live socket is not taken from its owner
    let (code, second) = refused(&config);
    assert_eq!(code, Some(1), "{second}");
    assert!(second.contains(&format!("cannot listen on unix:{}: ", path.display())), "{second}");
    assert!(curl(&path, BODY).starts_with(r#"{"code":0,"#));
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_stale_socket_is_replaced_and_another_file_is_not() {
    let folder = Folder::new();
    let path = folder.path().join("bridge.sock");
    drop(UnixListener::bind(&path).unwrap());
    let config = format!("[mqtt]\nport = {}\n[http]\nlisten = \"unix:{}\"", free_port(), path.display());
    assert!(UnixStream::connect(&path).is_err(), "nobody answers");
    let daemon = start(&folder, &config, "unix:");
    assert!(UnixStream::connect(&path).is_ok());
    // killed, so that its socket stays behind
    drop(daemon);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    let (code, words) = refused(&config);
    assert_eq!(code, Some(78), "{words}");
    assert!(words.contains("what is there is no socket"), "{words}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn slow_clients_do_not_delay_a_burst() {
    let folder = Folder::new();
    let (_daemon, path) = on_unix_socket(&folder, free_port());
    let unfinished = b"POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{";
    let _slow: Vec<UnixStream> = (0..4).map(|_| send(&path, unfinished)).collect();
    let burst: Vec<UnixStream> = (0..64).map(|_| send(&path, GET)).collect();
    for mut socket in &burst {
        let mut status = [0; 12];
        socket.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 404");
    }
}

#[test]
fn pipelined_requests_on_a_unix_socket_are_answered_in_order() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let (daemon, path) = on_unix_socket(&folder, broker.port());
    daemon.wait_for("connected to");
    let request = |n: usize| post("/publish", format!(r#"{{"topic":"t","msg":"x","qos":{}}}"#, (n + 1) % 2));
    let mut pipelining = send(&path, &(0..12).flat_map(request).collect::<Vec<u8>>());
    let said = read_until(&mut pipelining, |said| said.matches("{\"code\":0").count() == 12);
    let acknowledged: Vec<bool> = said
        .matches("{\"code\":0")
        .zip(said.split("{\"code\":0").skip(1))
        .map(|(_, rest)| rest.starts_with(','))
        .collect();
    let expected: Vec<bool> = (0..12).map(|n| n % 2 == 0).collect();
    assert_eq!(acknowledged, expected, "{said}");
    assert!(curl(&path, BODY).starts_with(r#"{"code":0,"#));
}

#[test]
fn a_stream_on_a_unix_socket_delivers_messages_and_ends_with_the_daemon() {
    let (broker, folder) = (Mosquitto::start(), Folder::new());
    let (mut daemon, path) = on_unix_socket(&folder, broker.port());
    daemon.wait_for("connected to");
    let mut stream = send(&path, b"GET /messages?topic=t HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut await_words = |words: &str| read_until(&mut stream, |said| said.contains(words));
    await_words(": mqtt-bridge");
    assert!(curl(&path, BODY).starts_with(r#"{"code":0,"#));
    await_words(r#""payload":"x""#);
    daemon.signal("TERM");
    await_words("0\r\n\r\n");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
}

/// A daemon for the broker on this port that serves a Unix socket, and the socket's path.
fn on_unix_socket(folder: &Folder, port: u16) -> (Process, PathBuf) {
    let path = folder.path().join("bridge.sock");
    let config = format!("[mqtt]\nport = {port}\n[http]\nlisten = \"unix:{}\"", path.display());
    (start(folder, &config, "unix:"), path)
}

/// A connection to it on which these bytes were sent.
fn send(path: &Path, bytes: &[u8]) -> UnixStream {
    let mut socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(bytes).unwrap();
    socket
}

/// Reads until what was read meets the condition, and returns that.
#[track_caller]
fn read_until(socket: &mut UnixStream, is_enough: impl Fn(&str) -> bool) -> String {
    let (mut said, mut piece) = (String::new(), [0; 4096]);
    while !is_enough(&said) {
        let read = socket.read(&mut piece).unwrap();
        assert_ne!(read, 0, "the connection ended after {said:?}");
        said += std::str::from_utf8(&piece[..read]).unwrap();
    }
    said
}

const GET: &[u8] = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n";

#[track_caller]
fn assert_served(path: &Path) {
    let mut status = [0; 12];
    send(path, GET).read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 404");
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_arrives() {
    let folder = Folder::new();
    let (_daemon, path) = on_unix_socket(&folder, free_port());
    for lines in [
        "Content-Length: 2000000",
        "Expect: 100-continue\r\nContent-Length: 2000000",
        "Content-Length: 100000000000000",
    ] {
        let mut socket = send(&path, format!("POST /publish HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n").as_bytes());
        let said = read_until(&mut socket, |said| said.contains("\"code\":9"));
        let (interim, last) = said.split_once("\r\n\r\n").unwrap();
        assert!(interim.starts_with("HTTP/1.1 102 ") && last.starts_with("HTTP/1.1 413 "), "{said}");
        assert!(last.contains("Connection: close"), "{said}");
        assert_served(&path);
    }
    let output = Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", &" ".repeat(100_000)])
        .args(["-H", "Content-Length: 2000000", "http://localhost/publish", "--unix-socket"])
        .arg(&path)
        .output()
        .expect("curl is needed for this test");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "413");
}

#[test]
fn chunks_are_read_and_trailers_refused() {
    let folder = Folder::new();
    let (_daemon, path) = on_unix_socket(&folder, free_port());
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n";
    let is_read = "field `topic` is missing";
    for (lines, body, words) in [
        ("", "2\r\n{}\r\n0\r\n\r\n", is_read),
        (upgrade, "2\r\n{}\r\n0\r\n\r\n", is_read),
        (upgrade, "2\r\n{}\r\n0\r\nX: 1\r\n\r\n", is_read),
        // tiny_http cannot tell trailers from the end of a connection
        ("Trailer: X\r\n", "2\r\n{}\r\n0\r\nX: 1\r\n\r\n", "the body could not be read"),
        ("", "2\r\n{}\r\n0\r\nX: 1\r\n\r\n", "the body could not be read"),
    ] {
        let head = format!("POST /publish HTTP/1.1\r\nHost: x\r\n{lines}Transfer-Encoding: chunked\r\n\r\n");
        let mut socket = send(&path, (head + body).as_bytes());
        read_until(&mut socket, |said| said.contains(words));
        assert_served(&path);
    }
}

#[test]
fn a_client_that_does_not_read_is_disconnected_and_takes_little_memory() {
    let folder = Folder::new();
    let (daemon, path) = on_unix_socket(&folder, free_port());
    let mut greedy = UnixStream::connect(&path).unwrap();
    greedy.set_write_timeout(Some(PATIENCE)).unwrap();
    let (many, mut rounds) = (GET.repeat(1000), 0);
    while greedy.write_all(&many).is_ok() {
        rounds += 1;
        assert!(rounds < 2000, "all of it was taken");
    }
    assert_served(&path);
    let peak = Resources::of(daemon.id()).peak_kib;
    assert!(peak < 256 * 1024, "{peak} KiB");
}

#[test]
fn more_replies_than_writing_threads_may_wait_for_one_reply() {
    let folder = Folder::new();
    let path = folder.path().join("bridge.sock");
    let config = format!(
        "[mqtt]\nport = {}\n[http]\nlisten = \"unix:{}\"\nmax-connections = 3\nmax-listeners = 1",
        free_port(),
        path.display()
    );
    let _daemon = start(&folder, &config, "unix:");
    let body = r#"{"topic":"t","msg":"x","timeout":0.5}"#;
    let publish = post("/publish", body);
    // there is no broker: the later requests are answered first, and written last
    let mut client = send(&path, &[publish, GET.repeat(20)].concat());
    let said = read_until(&mut client, |said| said.matches("HTTP/1.1 404").count() == 20);
    assert!(said.starts_with("HTTP/1.1 503"), "{said}");
    drop(client);
    assert_served(&path);
}

#[test]
fn leaked_connections_are_counted() {
    let folder = Folder::new();
    let (mut daemon, path) = on_unix_socket(&folder, free_port());
    let leaks: Vec<UnixStream> = (0..230).map(|_| send(&path, b"GET / HTTP/2.0\r\n\r\n")).collect();
    assert_served(&path);
    drop(leaks);
    assert_eq!(daemon.wait_for_end().code(), Some(1));
    daemon.wait_for(" threads of connections cannot be freed");
}
