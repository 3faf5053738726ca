//! A TCP proxy that delays bytes, loses bytes and cuts connections.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::waiting::pause;

/// The listening side. It ends with the process of the test.
pub struct Proxy {
    port: u16,
    latest: Arc<Mutex<Option<Link>>>,
    /// All that were made.
    all: Arc<Mutex<Vec<Link>>>,
    is_away: Arc<AtomicBool>,
    /// Kept open towards the broker.
    stranded: Mutex<Vec<Link>>,
}

/// One proxied connection.
#[derive(Clone)]
struct Link {
    client: Arc<TcpStream>,
    broker: Arc<TcpStream>,
    loses_upwards: Arc<AtomicBool>,
    loses_downwards: Arc<AtomicBool>,
    is_stranded: Arc<AtomicBool>,
}

/// Which bytes a cut loses before it closes the connection.
#[derive(Debug, Clone, Copy)]
pub enum Loss {
    ToBroker,
    ToClient,
    Both,
}

impl Proxy {
    /// Forwards to the broker on this port, with this delay in each direction.
    pub fn start(broker: u16, delay: Duration) -> Self {
        Self::with(broker, delay, None)
    }

    /// The same without delay, but with at most this many bytes per second towards the client.
    pub fn slow(broker: u16, rate: usize) -> Self {
        Self::with(broker, Duration::ZERO, Some(rate))
    }

    fn with(broker: u16, delay: Duration, rate: Option<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let latest = Arc::new(Mutex::new(None));
        let all = Arc::new(Mutex::new(Vec::new()));
        let is_away = Arc::new(AtomicBool::new(false));
        let (current, every, away) = (latest.clone(), all.clone(), is_away.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                if away.load(Ordering::SeqCst) {
                    continue;
                }
                // while the broker is down the connection ends at once
                let (Ok(client), Ok(broker)) = (client, TcpStream::connect(("127.0.0.1", broker))) else { continue };
                let link = Link::start(client, broker, delay, rate);
                every.lock().unwrap().push(link.clone());
                *current.lock().unwrap() = Some(link);
            }
        });
        Self { port, latest, all, is_away, stranded: Mutex::default() }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Loses bytes in transit for a moment, and then cuts the latest connection.
    pub fn cut(&self, loss: Loss, moment: Duration) {
        let link = self.latest.lock().unwrap().take();
        cut(link.as_slice(), loss, moment);
    }

    /// The same with all connections.
    pub fn cut_all(&self, loss: Loss, moment: Duration) {
        let links = std::mem::take(&mut *self.all.lock().unwrap());
        cut(&links, loss, moment);
    }

    /// Ends all connections, and new ones at once, until the broker is to be there again.
    pub fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
        if is_away {
            self.cut_all(Loss::Both, Duration::ZERO);
        }
    }

    /// Cuts the connection towards the client only, so that the broker keeps its end.
    pub fn strand(&self) {
        let Some(link) = self.latest.lock().unwrap().take() else { return };
        link.is_stranded.store(true, Ordering::SeqCst);
        link.close();
        self.stranded.lock().unwrap().push(link);
    }
}

fn cut(links: &[Link], loss: Loss, moment: Duration) {
    for link in links {
        link.loses_upwards.store(!matches!(loss, Loss::ToClient), Ordering::SeqCst);
        link.loses_downwards.store(!matches!(loss, Loss::ToBroker), Ordering::SeqCst);
    }
    pause(moment);
    links.iter().for_each(Link::close);
}

impl Link {
    fn start(client: TcpStream, broker: TcpStream, delay: Duration, rate: Option<usize>) -> Self {
        client.set_nodelay(true).unwrap();
        broker.set_nodelay(true).unwrap();
        let (client, broker) = (Arc::new(client), Arc::new(broker));
        let (loses_upwards, loses_downwards) = (Arc::default(), Arc::default());
        let link = Self { client, broker, loses_upwards, loses_downwards, is_stranded: Arc::default() };
        let (up, down) = (link.clone(), link.clone());
        thread::spawn(move || up.pump(&up.client, &up.broker, &up.loses_upwards, delay, None));
        thread::spawn(move || down.pump(&down.broker, &down.client, &down.loses_downwards, delay, rate));
        link
    }

    fn pump(
        &self,
        from: &TcpStream,
        to: &Arc<TcpStream>,
        loses: &Arc<AtomicBool>,
        delay: Duration,
        rate: Option<usize>,
    ) {
        let (sender, receiver) = channel();
        let (writer, lost) = (to.clone(), loses.clone());
        let writing = thread::spawn(move || write(&receiver, &writer, &lost, rate));
        let mut buffer = vec![0; 16_384];
        let mut reader = from;
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            if sender.send((Instant::now() + delay, buffer[..read].to_vec())).is_err() {
                break;
            }
        }
        drop(sender);
        drop(writing.join());
        self.close();
    }

    fn close(&self) {
        drop(self.client.shutdown(Shutdown::Both));
        if !self.is_stranded.load(Ordering::SeqCst) {
            drop(self.broker.shutdown(Shutdown::Both));
        }
    }
}

fn write(pieces: &Receiver<(Instant, Vec<u8>)>, to: &TcpStream, loses: &AtomicBool, rate: Option<usize>) {
    for (due, bytes) in pieces {
        pause(due.saturating_duration_since(Instant::now()));
        if !loses.load(Ordering::SeqCst) && write_at(rate, &bytes, to).is_err() {
            break;
        }
    }
}

/// How many pieces a slow transfer is divided into, per second.
pub const PIECES: usize = 20;

fn write_at(rate: Option<usize>, bytes: &[u8], mut to: &TcpStream) -> io::Result<()> {
    let Some(rate) = rate else { return to.write_all(bytes) };
    for piece in bytes.chunks((rate / PIECES).max(1)) {
        to.write_all(piece)?;
        pause(time_of(piece.len(), rate));
    }
    Ok(())
}

/// The time for this many bytes at this rate.
pub fn time_of(bytes: usize, rate: usize) -> Duration {
    Duration::from_micros((bytes * 1_000_000 / rate).try_into().unwrap())
}
