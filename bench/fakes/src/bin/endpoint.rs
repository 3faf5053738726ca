//! An HTTP endpoint for bench/webhook.py: a thread for each connection answers 200, and notes the number in each body.
//!
//! usage: endpoint PORT. `GET /count` returns how many different numbers came, `GET /log` a line for each request with
//! its number and its time in microseconds. A request for `/stuck` is noted, but gets no answer.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

struct Log {
    start: Instant,
    requests: Vec<(u32, u128)>,
    numbers: HashSet<u32>,
}

fn main() {
    let port = std::env::args().nth(1).expect("usage: endpoint PORT");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    let log = Log { start: Instant::now(), requests: Vec::new(), numbers: HashSet::new() };
    let log = Arc::new(Mutex::new(log));
    for stream in listener.incoming().flatten() {
        let log = Arc::clone(&log);
        // a client may disconnect at any time
        thread::spawn(move || drop(serve(stream, &log)));
    }
}

/// Until the client closes. A client waits for each answer.
fn serve(mut stream: TcpStream, log: &Mutex<Log>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 65_536];
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let Some((head, body)) = whole(&buffer[..filled]) else { continue };
        if head.starts_with(b"GET /count ") {
            let count = log.lock().expect("no thread fails").numbers.len();
            stream.write_all(&answer(&count.to_string()))?;
        } else if head.starts_with(b"GET /log ") {
            let lines = lines(&log.lock().expect("no thread fails"));
            stream.write_all(&answer(&lines))?;
        } else {
            note(number(body), log);
            if !head.starts_with(b"POST /stuck ") {
                stream.write_all(ANSWER)?;
            }
        }
        filled = 0;
    }
}

fn note(number: u32, log: &Mutex<Log>) {
    let mut log = log.lock().expect("no thread fails");
    let at = log.start.elapsed().as_micros();
    log.requests.push((number, at));
    log.numbers.insert(number);
}

fn lines(log: &Log) -> String {
    log.requests.iter().fold(String::new(), |mut lines, (number, at)| {
        writeln!(lines, "{number} {at}").expect("a string takes everything");
        lines
    })
}

fn answer(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Head and body of a request that has arrived as a whole.
fn whole(request: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (&request[..end], &request[end + 4..]);
    let length = head.split(|&byte| byte == b'\n').find_map(length).unwrap_or(0);
    (body.len() >= length).then_some((head, body))
}

fn length(field: &[u8]) -> Option<usize> {
    let (name, value) = field.split_at_checked("content-length:".len())?;
    name.eq_ignore_ascii_case(b"content-length:").then(|| str::from_utf8(value).ok()?.trim().parse().ok())?
}

/// The digits that a body begins with; 0 without any.
fn number(body: &[u8]) -> u32 {
    let digits = body.iter().take_while(|byte| byte.is_ascii_digit()).take(9);
    digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}
