//! Two concurrent connections from the same address and port, to two addresses of this machine.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::support::daemon::program;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::http::Connection;
use crate::support::http_setup::chunks;
use crate::support::process::Process;
use crate::support::request::{head, post, raw};

const BODY: &str = r#"{"topic":"t","msg":"x","qos":1}"#;

/// A daemon that listens on all addresses, and whose replies to a publish take a while.
struct Everywhere {
    _daemon: Process,
    _folder: Folder,
    port: u16,
}

impl Everywhere {
    fn start() -> Self {
        let (folder, port) = (Folder::new(), free_port());
        let http = format!("[http]\nlisten = \"0.0.0.0:{port}\"\nallow-anonymous = true\nmax-body = 1000");
        let config = format!("[mqtt]\nport = {}\n[publish]\ntimeout = 0.2\n{http}\n", free_port());
        let daemon = Process::start(program().arg("--config").arg(folder.write("bridge.toml", &config)));
        daemon.wait_for("listening on http://");
        Self { _daemon: daemon, _folder: folder, port }
    }

    fn connect(&self, from: Option<SocketAddr>, to: &str) -> Connection {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&from.unwrap_or_else(|| "127.0.0.1:0".parse().unwrap()).into()).unwrap();
        let to: SocketAddr = format!("{to}:{}", self.port).parse().unwrap();
        socket.connect(&to.into()).unwrap();
        Connection::of(socket.into())
    }

    /// Both connections, in the order in which the daemon accepts them.
    fn connect_two(&self) -> [Connection; 2] {
        let first = self.connect(None, "127.0.0.1");
        let second = self.connect(Some(first.socket().local_addr().unwrap()), "127.0.0.2");
        [first, second]
    }

    /// Both connections after one reply each, so that the daemon knows them.
    fn connect_two_that_were_answered(&self) -> [Connection; 2] {
        let mut both = self.connect_two();
        for connection in &mut both {
            connection.send(&publish());
            assert_eq!(connection.reply().status, 503);
        }
        both
    }
}

fn publish() -> Vec<u8> {
    post("/publish", BODY)
}

fn publish_and_get(path: &str) -> Vec<u8> {
    [publish(), head("GET", path, "1.1", &[]).into_bytes()].concat()
}

#[track_caller]
fn assert_nothing_at(connection: &mut Connection, path: &str) {
    let reply = connection.reply();
    reply.assert_refused(404, 6, &format!("there is nothing at `{path}`: try `POST /publish`"));
}

#[test]
fn each_request_on_either_connection_gets_its_own_reply() {
    let daemon = Everywhere::start();
    for are_seen in [false, true, true] {
        let mut both = daemon.connect_two();
        for connection in both.iter_mut().filter(|_| are_seen) {
            connection.send(&publish());
            assert_eq!(connection.reply().status, 503);
        }
        for (connection, name) in both.iter_mut().zip(["a", "b"]) {
            for n in 0..3 {
                connection.send(&publish_and_get(&format!("/{name}{n}")));
            }
        }
        for (connection, name) in both.iter_mut().zip(["a", "b"]) {
            for n in 0..3 {
                assert_eq!(connection.reply().status, 503, "{name}{n}");
                assert_nothing_at(connection, &format!("/{name}{n}"));
            }
        }
        // the closed connection does not affect the other one
        let [first, second] = both;
        let (gone, mut left) = if are_seen { (first, second) } else { (second, first) };
        drop(gone);
        for n in 0..3 {
            left.send(&publish_and_get(&format!("/{n}")));
            assert_eq!(left.reply().status, 503, "{n}");
            assert_nothing_at(&mut left, &format!("/{n}"));
        }
    }
}

#[test]
fn a_refused_body_is_answered_on_its_connection_and_both_are_closed() {
    let daemon = Everywhere::start();
    for which in [0, 1] {
        let mut both = daemon.connect_two_that_were_answered();
        both[which].send(raw("POST /publish", "Expect: 100-continue\r\nContent-Length: 2000\r\n", "").as_bytes());
        let mut reply = both[which].reply_to_head();
        if reply.status == 102 {
            reply = both[which].reply();
        }
        assert_eq!(reply.status, 413, "{which}");
        both[1 - which].assert_ended();
    }
}

#[test]
fn chunks_are_read_on_either_connection() {
    let daemon = Everywhere::start();
    for which in [0, 1] {
        let mut both = daemon.connect_two_that_were_answered();
        both[which].send(raw("POST /publish", "Transfer-Encoding: chunked\r\n", &chunks(BODY)).as_bytes());
        assert_eq!(both[which].reply().status, 503);
        both.iter_mut().for_each(Connection::assert_ended);
    }
}
