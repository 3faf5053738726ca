//! An HTTP endpoint that is scripted by the test: it records each request, and answers, hangs or misbehaves.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::waiting::{PATIENCE, pause};

/// Between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_millis(50);

/// An HTTP/1.1 server on a port of its own, until the end of the test.
pub struct Endpoint {
    port: u16,
    shared: Arc<Shared>,
    listener: Option<TcpListener>,
}

/// A request with its body.
#[derive(Debug, Clone)]
pub struct Request {
    /// From 0, in the order of arrival.
    pub number: usize,
    pub method: String,
    pub path: String,
    /// With names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// When it was there as a whole.
    pub at: Instant,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// This status without a body.
    Status(u16),
    /// This status with this line of the head.
    With(u16, String),
    /// The end of the connection.
    Close,
    /// Nothing, until [`Endpoint::release`] lets it be answered by 204.
    Hold,
    /// 200, byte by byte, and without an end.
    Drip,
    /// This status with a body of this many bytes.
    Large(u16, usize),
    /// These bytes, and the end of the connection.
    Raw(&'static [u8]),
}

type Script = dyn Fn(&Request) -> Answer + Send + Sync;

struct Shared {
    script: Box<Script>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    /// Those that may be answered now.
    released: Vec<usize>,
    /// Connections, so that a stop can end them.
    streams: Vec<TcpStream>,
    /// Requests that are read and not answered, now and at most.
    under_way: usize,
    most_under_way: usize,
    /// How many times it was stopped. What hangs since before then ends.
    stops: usize,
}

impl Endpoint {
    /// The script gets each request as soon as it is there as a whole; several may call it at once.
    pub fn start(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared { script: Box::new(script), state: Mutex::default(), changed: Condvar::new() });
        let mut endpoint = Self { port: super::free_port(), shared, listener: None };
        endpoint.resume();
        endpoint
    }

    /// An endpoint that takes everything.
    pub fn willing() -> Self {
        Self::start(|_| Answer::Status(204))
    }

    /// The first requests get these answers, one each, and all others 204.
    pub fn answering(first: Vec<Answer>) -> Self {
        Self::start(move |request| first.get(request.number).cloned().unwrap_or(Answer::Status(204)))
    }

    /// Holds each request until it is released.
    pub fn holding() -> Self {
        Self::start(|_| Answer::Hold)
    }

    /// Ends all connections and listens no more.
    pub fn stop(&mut self) {
        let Some(listener) = self.listener.take() else { return };
        // wakes the thread that accepts
        SockRef::from(&listener).shutdown(Shutdown::Both).unwrap();
        let mut state = self.shared.state.lock().unwrap();
        state.stops += 1;
        state.streams.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Listens again, on the same port.
    pub fn resume(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        let (accepting, shared) = (listener.try_clone().unwrap(), self.shared.clone());
        let stops = shared.state.lock().unwrap().stops;
        self.listener = Some(listener);
        thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let mut state = shared.state.lock().unwrap();
                if state.stops != stops {
                    return;
                }
                state.streams.extend(stream.try_clone());
                drop(state);
                let shared = shared.clone();
                thread::spawn(move || {
                    // an error or an answer without a next request ends the connection
                    drop(shared.serve(&stream, stops));
                    // `streams` has another handle, which would keep it open
                    drop(stream.shutdown(Shutdown::Both));
                });
            }
        });
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mqtt", self.port)
    }

    /// Waits until this many requests have come, and returns them all.
    #[track_caller]
    pub fn await_requests(&self, count: usize) -> Vec<Request> {
        self.await_requests_within(PATIENCE, count)
    }

    /// The same with another deadline.
    #[track_caller]
    pub fn await_requests_within(&self, patience: Duration, count: usize) -> Vec<Request> {
        let is_short = |state: &mut State| state.requests.len() < count;
        let state = self.shared.state.lock().unwrap();
        let (state, _) = self.shared.changed.wait_timeout_while(state, patience, is_short).unwrap();
        let requests = state.requests.clone();
        drop(state);
        assert!(requests.len() >= count, "{} requests of {count}: {:?}", requests.len(), texts(&requests));
        requests
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// Those from this number on.
    pub fn requests_from(&self, number: usize) -> Vec<Request> {
        self.shared.state.lock().unwrap().requests[number..].to_vec()
    }

    /// The bodies of the requests so far, as text.
    pub fn texts(&self) -> Vec<String> {
        texts(&self.requests())
    }

    /// Lets a held request be answered.
    pub fn release(&self, number: usize) {
        self.shared.state.lock().unwrap().released.push(number);
        self.shared.changed.notify_all();
    }

    /// How many requests were under way at the same time, at most.
    pub fn most_under_way(&self) -> usize {
        self.shared.state.lock().unwrap().most_under_way
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Serves a connection until it ends.
    fn serve(&self, stream: &TcpStream, stops: usize) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        loop {
            let mut request = read_request(&mut reader)?;
            let mut state = self.state.lock().unwrap();
            request.number = state.requests.len();
            request.at = Instant::now();
            state.requests.push(request.clone());
            state.under_way += 1;
            state.most_under_way = state.most_under_way.max(state.under_way);
            drop(state);
            self.changed.notify_all();
            let answer = (self.script)(&request);
            let may_answer = !matches!(answer, Answer::Hold) || self.await_release(request.number, stops);
            // before the answer is there: the sender may send the next request at once
            self.state.lock().unwrap().under_way -= 1;
            if !may_answer || !write(stream, &answer)? {
                return Ok(());
            }
        }
    }

    /// Whether the request was released before the endpoint was stopped.
    fn await_release(&self, number: usize, stops: usize) -> bool {
        let waits = |state: &mut State| state.stops == stops && !state.released.contains(&number);
        let state: MutexGuard<State> = self.changed.wait_while(self.state.lock().unwrap(), waits).unwrap();
        state.stops == stops
    }
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A header that must be there, once.
    #[track_caller]
    pub fn one(&self, name: &str) -> &str {
        let count = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count();
        assert_eq!(count, 1, "{name} in {:?}", self.headers);
        self.header(name).unwrap()
    }

    /// The identifier of the delivery.
    #[track_caller]
    pub fn id(&self) -> &str {
        self.one("webhook-id")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The bodies as text, long ones as their length.
pub fn texts(requests: &[Request]) -> Vec<String> {
    let text = |request: &Request| match request.body.len() {
        0..1000 => request.text(),
        length => format!("{length} bytes"),
    };
    requests.iter().map(text).collect()
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Request> {
    let line = read_line(reader)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header = |name: &str| headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    assert_eq!(header("transfer-encoding"), None, "the length of a message is known");
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { number: 0, method, path, headers, body, at: Instant::now() })
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

/// Whether the connection goes on.
fn write(mut stream: &TcpStream, answer: &Answer) -> io::Result<bool> {
    match answer {
        Answer::Close => return Ok(false),
        Answer::Raw(bytes) => {
            stream.write_all(bytes)?;
            return Ok(false);
        }
        Answer::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX-Drip: ")?;
            loop {
                stream.write_all(b"x")?;
                pause(DRIP);
            }
        }
        Answer::Large(status, length) => {
            stream.write_all(format!("HTTP/1.1 {status} .\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
            let piece = [b'x'; 10_000];
            (0..length / piece.len()).try_for_each(|_| stream.write_all(&piece))?;
        }
        Answer::Hold => stream.write_all(head(204, "").as_bytes())?,
        Answer::Status(status) => stream.write_all(head(*status, "").as_bytes())?,
        Answer::With(status, line) => stream.write_all(head(*status, &format!("{line}\r\n")).as_bytes())?,
    }
    Ok(true)
}

fn head(status: u16, lines: &str) -> String {
    // a 204 has no length (RFC 9110, 8.6)
    let length = if status == 204 { "" } else { "Content-Length: 0\r\n" };
    format!("HTTP/1.1 {status} .\r\n{length}{lines}\r\n")
}
