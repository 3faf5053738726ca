//! Connections of a real listener, in the place of tiny_http's.

mod reconnecting;
mod writing;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use socket2::SockRef;
use tiny_http::TestRequest;

use super::*;
use crate::config::{Config, Environment, Source};
use crate::http::server::sockets::SocketId;
use crate::thread::watch;

/// The connections of a listener, and both ends of one of them.
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
        let (server, _) = listener.accept().unwrap();
        send(&client, &server);
        let socket = SockRef::from(&listener);
        let sockets = Sockets::new(socket.cookie().unwrap(), socket.local_addr().unwrap()).unwrap();
        let writers = ThreadPool::new("write", watch().0, 1, 1);
        let http = Config::parse("", &Source::BuiltIn, &Environment::from([])).unwrap().http;
        let connections = Connections::new(sockets, writers, &http, Memory::new(usize::MAX));
        Self { connections, listener, client, server }
    }

    fn address(&self) -> SocketAddr {
        self.client.local_addr().unwrap()
    }

    fn register(&self, address: SocketAddr) -> ConnectionId {
        self.try_register(address).expect("to be served now")
    }

    /// `None` if the request is kept.
    fn try_register(&self, address: SocketAddr) -> Option<ConnectionId> {
        let ready = self.connections.register(TestRequest::new().with_remote_addr(address).into());
        ready.and_then(|ready| ready.connection)
    }

    /// Records that the request of a connection is answered, and no other follows.
    fn answer(&self, id: ConnectionId) {
        self.connections.count_answered();
        assert!(self.connections.next_request(Some(id)).is_none());
    }

    /// Does what the reaper does when it finds a socket.
    fn scan(&self, socket: SocketId) -> Vec<ReadyRequest> {
        let now = Instant::now();
        self.connections.lock().connection_of(socket, self.address(), now);
        self.connections.attribute(now)
    }

    /// Has the client reset the connection and connect once more from the same address. Returns the server's end.
    fn reconnect(&mut self) -> TcpStream {
        let address = self.address();
        self.reset();
        self.client = connect(&self.listener, address);
        loop {
            let (server, from) = self.listener.accept().unwrap();
            if from == address {
                send(&self.client, &server);
                return server;
            }
        }
    }

    fn reset(&mut self) {
        SockRef::from(&self.client).set_linger(Some(Duration::ZERO)).unwrap();
        self.client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
    }
}

/// Sends as many bytes as the requests of a test take, and reads them at the other end.
fn send(mut client: &TcpStream, mut server: &TcpStream) {
    client.write_all(&[0; 100]).unwrap();
    server.read_exact(&mut [0; 100]).unwrap();
}

/// Connects from an address that no other test uses: they all use 127.0.0.1.
fn connect(listener: &TcpListener, from: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&listener.local_addr().unwrap().into()).unwrap();
    socket.into()
}

fn socket_id(socket: &TcpStream) -> SocketId {
    SocketId::of(socket, SockRef::from(socket).cookie().unwrap())
}
