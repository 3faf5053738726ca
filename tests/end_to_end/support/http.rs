//! A client that sends exactly the bytes of the test, and reads one reply after another.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::request::request;
use super::waiting::{PATIENCE, eventually};

#[derive(Debug)]
pub struct Connection(BufReader<TcpStream>);

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Connection {
    pub fn open(address: &str) -> Self {
        Self::try_open(address).expect("a connection")
    }

    /// The same, where the connection may fail.
    pub fn try_open(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        Some(Self(BufReader::new(stream)))
    }

    /// The same on a socket of the test.
    pub fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// The same with a receive buffer of this many bytes.
    pub fn with_receive_buffer(address: &str, bytes: usize) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        socket.connect(&address.parse::<SocketAddr>().unwrap().into()).unwrap();
        Self(BufReader::new(socket.into()))
    }

    /// Sets how long a read may take.
    pub fn set_patience(&self, patience: Duration) {
        self.0.get_ref().set_read_timeout(Some(patience)).unwrap();
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Half-closes the connection.
    pub fn end_sending(&self) {
        self.0.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// Waits until the daemon closes the connection; fails if anything precedes that.
    #[track_caller]
    pub fn assert_ended(&mut self) {
        let mut rest = Vec::new();
        let end = self.0.read_to_end(&mut rest);
        assert!(end.is_ok(), "instead of an end: {end:?}, after {:?}", String::from_utf8_lossy(&rest));
        assert_eq!(String::from_utf8_lossy(&rest), "", "before the end");
    }

    /// Waits until the daemon has read everything that was sent.
    pub fn await_read(&self) {
        let is_read = |end: &Option<[String; 2]>| end.as_ref().is_none_or(|[_, queues]| queues.ends_with(":00000000"));
        eventually("the daemon has read everything", || self.daemons_end(), is_read);
    }

    /// Whether the daemon has not closed the connection; reads nothing.
    pub fn is_established(&self) -> bool {
        self.daemons_end().is_some_and(|[state, _]| state == "01")
    }

    /// State and queues of the daemon's end of the connection (proc(5), `/proc/net/tcp`).
    fn daemons_end(&self) -> Option<[String; 2]> {
        let (ours, theirs) = (self.0.get_ref().local_addr().unwrap(), self.0.get_ref().peer_addr().ok()?);
        let end = |port: u16| format!(":{port:04X}");
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().skip(1).find_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let is_it = columns[1].ends_with(&end(theirs.port())) && columns[2].ends_with(&end(ours.port()));
            is_it.then(|| [columns[3].to_owned(), columns[4].to_owned()])
        })
    }

    pub fn get(&mut self, path: &str) -> Reply {
        self.request("GET", path, &[], b"")
    }

    pub fn post(&mut self, path: &str, body: &[u8]) -> Reply {
        self.request("POST", path, &[("Content-Type", "application/json")], body)
    }

    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.send(&request(method, path, headers, body));
        self.reply()
    }

    /// The same, where the daemon may end meanwhile.
    pub fn try_request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Reply> {
        self.0.get_mut().write_all(&request(method, path, headers, body)).ok()?;
        // a whole head, or an end
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if self.0.read_until(b'\n', &mut head).ok()? == 0 {
                return None;
            }
        }
        let mut reply = Self::head(&mut head.lines().map_while(Result::ok));
        reply.body = vec![0; reply.header("content-length").unwrap_or("0").parse().unwrap()];
        self.0.read_exact(&mut reply.body).ok()?;
        Some(reply)
    }

    /// Reads one reply.
    pub fn reply(&mut self) -> Reply {
        let mut reply = self.reply_to_head();
        let length = reply.header("content-length").unwrap_or("0");
        reply.body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut reply.body).unwrap();
        reply
    }

    /// Reads one reply without a body, whatever its `Content-Length`.
    pub fn reply_to_head(&mut self) -> Reply {
        Self::head(&mut std::iter::repeat_with(|| self.line()))
    }

    /// The reply with these lines, up to the empty one.
    fn head(lines: &mut impl Iterator<Item = String>) -> Reply {
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status in {status_line:?}"));
        let mut headers = Vec::new();
        while let Some((name, value)) = lines.next().as_deref().and_then(|line| line.split_once(": ")) {
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Reply { status, headers, body: Vec::new() }
    }

    /// Reads until the daemon closes the connection, and returns what was received.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest).map_err(|error| assert_eq!(error.kind(), ErrorKind::ConnectionReset));
        rest
    }

    /// Reads until the daemon closes the connection, or the timeout.
    pub fn try_rest(&mut self) {
        drop(self.0.read_to_end(&mut Vec::new()));
    }

    /// Sends as much as the daemon accepts; returns whether that was all.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.0.get_mut().write_all(bytes).is_ok()
    }

    pub fn socket(&self) -> &TcpStream {
        self.0.get_ref()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn code(&self) -> u64 {
        self.json()["code"].as_u64().unwrap()
    }

    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn assert_published(&self) {
        assert_eq!((self.status, self.body.as_slice()), (200, br#"{"code":0}"#.as_slice()), "{self:?}");
    }

    #[track_caller]
    pub fn assert_refused(&self, status: u16, code: u64, error: &str) {
        assert_eq!((self.status, self.code(), self.error().as_str()), (status, code, error));
        assert_eq!(self.header("content-type"), Some("application/json"));
    }
}
