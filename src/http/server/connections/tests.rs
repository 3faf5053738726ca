//! Who may write the answer to whom.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use tiny_http::TestRequest;

use super::*;
use crate::thread::watch;

/// A listener's connections, and one of them: both of its ends.
struct Fixture {
    connections: Connections,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

impl Fixture {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = connect(&listener, ([127, 0, 0, 9], 0).into());
        let (mut server, _) = listener.accept().unwrap();
        // as much as the requests that come would take
        (&client).write_all(&[0; 100]).unwrap();
        server.read_exact(&mut [0; 100]).unwrap();
        let socket = socket2::SockRef::from(&listener);
        let sockets = Sockets::new(socket.cookie().unwrap(), socket.local_addr().unwrap()).unwrap();
        let writers = ThreadPool::new("write", watch().0, 1, 1);
        let connections = Connections::new(sockets, writers, Duration::from_secs(10), 1, Memory::new(usize::MAX));
        Self { connections, listener, client, server }
    }

    fn address(&self) -> SocketAddr {
        self.client.local_addr().unwrap()
    }

    fn arrive(&self, address: SocketAddr) -> Client {
        self.try_arrive(address).expect("its turn")
    }

    /// `None` if it is not its turn.
    fn try_arrive(&self, address: SocketAddr) -> Option<Client> {
        let turn = self.connections.arrive(TestRequest::new().with_remote_addr(address).into());
        turn.and_then(|turn| turn.client)
    }

    fn answer(&self, client: Client) {
        self.connections.settle();
        assert!(self.connections.pass_on(Some(client)).is_none());
    }

    /// What the reaper does at its look.
    fn look(&self, place: Place) -> Vec<Turn> {
        let now = Instant::now();
        self.connections.lock().meet(self.address(), place, now);
        self.connections.tell(now)
    }

    /// The client resets the connection, and connects once more from the same address.
    fn reconnect(&mut self) -> TcpStream {
        let address = self.address();
        self.reset();
        self.client = connect(&self.listener, address);
        loop {
            let (mut server, from) = self.listener.accept().unwrap();
            if from == address {
                self.client.write_all(&[0; 100]).unwrap();
                server.read_exact(&mut [0; 100]).unwrap();
                return server;
            }
        }
    }

    fn reset(&mut self) {
        socket2::SockRef::from(&self.client).set_linger(Some(Duration::ZERO)).unwrap();
        self.client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
    }
}

/// A connection from an address, which no other test's is: they all have 127.0.0.1.
fn connect(listener: &TcpListener, from: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&listener.local_addr().unwrap().into()).unwrap();
    socket.into()
}

fn place(socket: &TcpStream) -> Place {
    let cookie = socket2::SockRef::from(socket).cookie().unwrap();
    Place { number: descriptors::number(socket), cookie }
}

#[test]
fn nobody_but_the_thread_for_it_writes_while_there_are_other_requests() {
    let fixture = Fixture::new();
    let client = fixture.arrive(fixture.address());
    assert!(fixture.connections.is_only_and_has_room(client));
    let other = fixture.arrive("127.0.0.1:1".parse().unwrap());
    assert!(!fixture.connections.is_only_and_has_room(client));
    fixture.answer(other);
    assert!(fixture.connections.is_only_and_has_room(client));
}

#[test]
fn an_answer_that_goes_on_keeps_nobody_from_writing_others() {
    let fixture = Fixture::new();
    fixture.arrive("127.0.0.1:1".parse().unwrap());
    fixture.connections.streams_changed(1);
    let client = fixture.arrive(fixture.address());
    assert!(fixture.connections.is_only_and_has_room(client));
    fixture.connections.streams_changed(-1);
    assert!(!fixture.connections.is_only_and_has_room(client));
}

#[test]
fn nobody_waits_to_find_out_whether_to_write() {
    let fixture = Fixture::new();
    let client = fixture.arrive(fixture.address());
    let reaper = fixture.connections.lock();
    assert!(!fixture.connections.is_only_and_has_room(client));
    drop(reaper);
    assert!(fixture.connections.is_only_and_has_room(client));
}

#[test]
fn nobody_but_the_thread_for_it_ends_connections() {
    let fixture = Fixture::new();
    let client = fixture.arrive(fixture.address());
    fixture.connections.close();
    assert!(!fixture.connections.is_only_and_has_room(client));
    assert!(fixture.connections.has_room(client));
}

#[test]
fn nobody_but_the_thread_for_it_writes_to_a_client_that_leaves_answers_unread() {
    let mut fixture = Fixture::new();
    let client = fixture.arrive(fixture.address());
    fixture.answer(client);
    fixture.arrive(fixture.address());
    assert!(!fixture.connections.is_only_and_has_room(client), "nobody knows where its socket is");
    assert!(fixture.connections.find(client).is_some());
    assert!(fixture.connections.is_only_and_has_room(client));
    fixture.server.set_nonblocking(true).unwrap();
    let full = loop {
        if let Err(error) = fixture.server.write(&[0; 8192]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    assert!(!fixture.connections.is_only_and_has_room(client));
}

#[test]
fn a_connection_with_the_address_of_one_that_was_reset_waits_for_nothing_of_that() {
    // what the one before was doing: its request was with us, was refused, or was answered
    for state in ["running", "refused", "ended", "answered"] {
        let mut fixture = Fixture::new();
        let before = fixture.arrive(fixture.address());
        assert!(fixture.look(place(&fixture.server)).is_empty());
        match state {
            "refused" => fixture.connections.lock().of_mut(before).unwrap().end = End::Refused,
            "ended" | "answered" => fixture.answer(before),
            _ => {}
        }
        if state == "refused" || state == "ended" {
            fixture.connections.end(before);
        }
        // what it has left behind is still there
        let next = fixture.reconnect();
        let came = fixture.try_arrive(fixture.address());
        let told = fixture.look(place(&next));
        let turn = came.or(told.first().and_then(|turn| turn.client)).expect(state);
        assert!(fixture.look(place(&fixture.server)).is_empty(), "{state}: that is over");
        let turns = {
            let locked = fixture.connections.lock();
            let connection = locked.of(turn).expect(state);
            assert!(connection.running && !connection.ended, "{state}");
            assert_eq!(connection.place, Some(place(&next)), "{state}");
            connection.turns
        };
        if state == "running" || state == "refused" {
            fixture.answer(before);
            fixture.connections.shut(before, b"");
            let locked = fixture.connections.lock();
            let connection = locked.of(turn).expect(state);
            assert!(connection.running && !connection.ended && connection.turns == turns, "{state}: of the other");
        }
    }
}

#[test]
fn what_was_sent_before_a_reset_stays_in_its_order() {
    let mut fixture = Fixture::new();
    let client = fixture.arrive(fixture.address());
    assert!(fixture.look(place(&fixture.server)).is_empty());
    let address = fixture.address();
    fixture.reset();
    // the one that is being served came before
    assert!(fixture.try_arrive(address).is_none());
    assert!(fixture.connections.tell(Instant::now() + Duration::from_secs(1)).is_empty());
    fixture.connections.settle();
    assert!(fixture.connections.pass_on(Some(client)).is_some_and(|turn| turn.client == Some(client)));
}

#[test]
fn a_connection_that_sends_more_than_is_kept_until_it_is_known_is_ended() {
    let mut fixture = Fixture::new();
    let before = fixture.arrive(fixture.address());
    assert!(fixture.look(place(&fixture.server)).is_empty());
    let next = fixture.reconnect();
    for _ in 0..=MAX_FOLLOWERS {
        assert!(fixture.try_arrive(fixture.address()).is_none());
    }
    fixture.client.set_nonblocking(true).unwrap();
    let still_open = fixture.client.read(&mut [0]).unwrap_err();
    assert_eq!(still_open.kind(), ErrorKind::WouldBlock);
    fixture.client.set_nonblocking(false).unwrap();
    fixture.client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // one more, and another that was sent before the end
    for _ in 0..2 {
        assert!(fixture.try_arrive(fixture.address()).is_none());
        assert_eq!(fixture.client.read(&mut [0]).unwrap(), 0, "it is ended");
    }
    assert!(fixture.look(place(&next)).is_empty(), "none of its requests is served");
    assert!(fixture.try_arrive(fixture.address()).is_none());
    assert_eq!(fixture.connections.lock().unanswered, 1);
    fixture.answer(before);
    assert_eq!(fixture.connections.lock().unanswered, 0);
    // whoever has the address after that is served
    drop(next);
    let last = fixture.reconnect();
    let came = fixture.try_arrive(fixture.address());
    let told = fixture.look(place(&last));
    assert!(came.or(told.first().and_then(|turn| turn.client)).is_some());
}
