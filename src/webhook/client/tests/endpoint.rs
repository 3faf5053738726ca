//! Endpoints that behave as a test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::config::{Url, Webhook, WebhookFormat};
use crate::message::Qos;
use crate::webhook::client::{Answer, Client};

/// Longer than any answer takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(30);

/// What serves one connection.
pub type Serve = dyn FnOnce(&mut BufReader<TcpStream>) + Send;

/// An endpoint, whose connections are served one after the other.
pub struct Endpoint {
    url: String,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// For as many connections as there are functions.
    pub fn new(serve: Vec<Box<Serve>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mqtt?key=secret", listener.local_addr().unwrap());
        let serve = move || {
            for serve in serve {
                serve(&mut BufReader::new(listener.accept().unwrap().0));
            }
        };
        Self { url, thread: Some(thread::spawn(serve)) }
    }

    /// For one connection.
    pub fn once(serve: impl FnOnce(&mut BufReader<TcpStream>) + Send + 'static) -> Self {
        Self::new(vec![Box::new(serve)])
    }

    pub fn client(&self, timeout: Duration) -> Client {
        client(&self.url, timeout)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // after a failure nobody connects any more
        if !thread::panicking() {
            self.thread.take().unwrap().join().unwrap();
        }
    }
}

pub fn client(url: &str, timeout: Duration) -> Client {
    Client::new(&Webhook {
        name: "orders".to_owned(),
        topic: "orders/#".to_owned().try_into().unwrap(),
        qos: Qos::AtLeastOnce,
        url: Url { text: url.to_owned(), is_https: false, host: String::new() },
        timeout,
        retry_for: LONG,
        dead_letter: None,
        in_flight: 1,
        format: WebhookFormat::Raw,
        keys: Vec::new(),
        headers: Vec::new(),
        tls: None,
        session_expiry: 0,
    })
}

pub fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[allow(clippy::unnecessary_wraps)]
pub fn status(status: u16) -> Result<Answer, String> {
    Ok(Answer { status, retry_after: None })
}

/// The head of a request, line by line, and its body.
pub fn read(from: &mut BufReader<TcpStream>) -> (Vec<String>, Vec<u8>) {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        if line.trim_end().is_empty() {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    from.read_exact(&mut body).unwrap();
    (head, body)
}

pub fn answer(to: &mut BufReader<TcpStream>, text: &str) {
    to.get_mut().write_all(text.as_bytes()).unwrap();
}
