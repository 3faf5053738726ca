//! Who may write the answer to whom.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use tiny_http::TestRequest;

use super::*;
use crate::thread::watch;

/// A listener's connections, and one of them: both of its ends.
struct Fixture {
    connections: Connections,
    client: TcpStream,
    server: TcpStream,
}

impl Fixture {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        // as much as the requests that come would take
        (&client).write_all(&[0; 100]).unwrap();
        server.read_exact(&mut [0; 100]).unwrap();
        let socket = socket2::SockRef::from(&listener);
        let sockets = Sockets::new(socket.cookie().unwrap(), socket.local_addr().unwrap()).unwrap();
        let writers = Errands::new("write", watch().0, 1, 1);
        Self { connections: Connections::new(sockets, writers, Duration::from_secs(10), 1), client, server }
    }

    fn address(&self) -> SocketAddr {
        self.client.local_addr().unwrap()
    }

    fn arrive(&self, client: SocketAddr) {
        assert!(self.connections.arrive(TestRequest::new().with_remote_addr(client).into()).is_some());
    }

    fn answer(&self, client: SocketAddr) {
        self.connections.settle();
        assert!(self.connections.pass_on(Some(client)).is_none());
    }

    fn is_only_and_has_room(&self) -> bool {
        self.connections.is_only_and_has_room(self.address())
    }
}

#[test]
fn nobody_but_the_thread_for_it_writes_while_there_are_other_requests() {
    let fixture = Fixture::new();
    let other = "127.0.0.1:1".parse().unwrap();
    fixture.arrive(fixture.address());
    assert!(fixture.is_only_and_has_room());
    fixture.arrive(other);
    assert!(!fixture.is_only_and_has_room());
    fixture.answer(other);
    assert!(fixture.is_only_and_has_room());
}

#[test]
fn an_answer_that_goes_on_keeps_nobody_from_writing_others() {
    let fixture = Fixture::new();
    fixture.arrive("127.0.0.1:1".parse().unwrap());
    fixture.connections.streams_changed(1);
    assert!(!fixture.is_only_and_has_room(), "the only one is the stream");
    fixture.arrive(fixture.address());
    assert!(fixture.is_only_and_has_room());
    fixture.connections.streams_changed(-1);
    assert!(!fixture.is_only_and_has_room());
}

#[test]
fn nobody_waits_to_find_out_whether_to_write() {
    let fixture = Fixture::new();
    fixture.arrive(fixture.address());
    let guard = fixture.connections.lock();
    assert!(!fixture.is_only_and_has_room());
    drop(guard);
    assert!(fixture.is_only_and_has_room());
}

#[test]
fn nobody_but_the_thread_for_it_ends_connections() {
    let fixture = Fixture::new();
    fixture.arrive(fixture.address());
    fixture.connections.close();
    assert!(!fixture.is_only_and_has_room());
    assert!(fixture.connections.has_room(fixture.address()));
}

#[test]
fn nobody_but_the_thread_for_it_writes_to_a_client_that_leaves_answers_unread() {
    let mut fixture = Fixture::new();
    fixture.arrive(fixture.address());
    fixture.answer(fixture.address());
    fixture.arrive(fixture.address());
    assert!(!fixture.is_only_and_has_room(), "nobody knows where its socket is");
    assert!(fixture.connections.find(fixture.address()).is_some());
    assert!(fixture.is_only_and_has_room());
    fixture.server.set_nonblocking(true).unwrap();
    let full = loop {
        if let Err(error) = fixture.server.write(&[0; 8192]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    assert!(!fixture.is_only_and_has_room());
}
