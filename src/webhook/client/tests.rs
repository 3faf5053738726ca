//! Posts to endpoints that behave in all ways.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Answer, Client};
use crate::config::{Url, Webhook, WebhookFormat};
use crate::message::Qos;

/// Longer than any answer takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);
/// A timeout that is waited for.
const SHORT: Duration = Duration::from_millis(500);
/// What such a wait may take in addition on a busy machine.
const SLACK: Duration = Duration::from_secs(10);

/// An endpoint: a function serves the connections one after the other.
struct Endpoint {
    url: String,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Each connection is served by one of the functions, and there are no more connections than those.
    fn new(serve: Vec<fn(&mut BufReader<TcpStream>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mqtt?key=secret", listener.local_addr().unwrap());
        let serve = move || {
            for serve in serve {
                serve(&mut BufReader::new(listener.accept().unwrap().0));
            }
        };
        Self { url, thread: Some(thread::spawn(serve)) }
    }

    fn client(&self, timeout: Duration) -> Client {
        client(&self.url, timeout)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let result = self.thread.take().unwrap().join();
        assert!(thread::panicking() || result.is_ok());
    }
}

fn client(url: &str, timeout: Duration) -> Client {
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

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[allow(clippy::unnecessary_wraps)]
fn status(status: u16) -> Result<Answer, String> {
    Ok(Answer { status, retry_after: None })
}

/// The head of a request, line by line, and its body.
fn read(from: &mut BufReader<TcpStream>) -> (Vec<String>, Vec<u8>) {
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

fn answer(to: &mut BufReader<TcpStream>, text: &str) {
    to.get_mut().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_request_has_what_http_needs_and_no_more() {
    let endpoint = Endpoint::new(vec![|from| {
        let (mut head, body) = read(from);
        let port = from.get_ref().local_addr().unwrap().port();
        assert_eq!(head.remove(0), "POST /mqtt?key=secret HTTP/1.1");
        head.sort();
        let agent = format!("user-agent: mqtt-bridge/{}", env!("CARGO_PKG_VERSION"));
        let host = format!("host: 127.0.0.1:{port}");
        assert_eq!(head, ["accept: */*", "content-length: 3", &host, &agent, "webhook-id: 1", "x: \u{fc}"]);
        assert_eq!(body, [0, 255, 7]);
        answer(from, "HTTP/1.1 204 No Content\r\n\r\n");
    }]);
    let headers = [header("webhook-id", "1"), header("X", "\u{fc}")];
    assert_eq!(endpoint.client(LONG).post(&headers, &[0, 255, 7]), status(204));
}
