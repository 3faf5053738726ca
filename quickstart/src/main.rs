//! The bridge with an embedded broker: one command, then curl, and the message appears in the same window.

mod broker;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{io, thread};

use mqtt_bridge::config::{Config, Environment, Log, Source};
use mqtt_bridge::thread::{Event, Events, Watch, watch};
use mqtt_bridge::{Bridge, http, journal};
use rumqttd::Broker;

/// The bridge's default, and any free port if it is taken.
const HTTP_PORTS: [u16; 2] = [8000, 0];
/// How long the broker may take to listen.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last records may take to be written.
const LAST_RECORDS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let (watch, events) = watch();
    if let Err(error) = journal::start(&Log { time: false, ..Log::default() }, &watch) {
        eprintln!("cannot write records: {error}");
        return ExitCode::FAILURE;
    }
    let ended = run(&watch, &events);
    if let Err(error) = &ended {
        log::error!("{error}");
    }
    journal::flush(Instant::now() + LAST_RECORDS);
    if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(watch: &Watch, events: &Events) -> Result<(), String> {
    let signalled = watch.clone();
    ctrlc::set_handler(move || signalled.request_stop())
        .map_err(|error| format!("cannot wait for signals: {error}"))?;
    let port = start_broker(watch).map_err(|error| format!("cannot start the broker: {error}"))?;
    log::info!("a broker for this window alone listens on mqtt://127.0.0.1:{port} (MQTT 5)");
    let bridge = start_bridge(port, watch)?;
    log::info!("in another window, try this, and see the message arrive here:");
    log::info!("  curl -d '{{\"topic\": \"django/mqtt\", \"msg\": \"hello\"}}' {}/publish", bridge.url());
    match events.next() {
        Event::StopRequested | Event::RestartRequested(_) => {
            bridge.stop(events);
            Ok(())
        }
        Event::Ended(end) => Err(format!("thread {} ended unexpectedly: {:?}", end.thread, end.result)),
    }
}

/// Starts the broker on a free port, and returns the port when it accepts connections.
fn start_broker(watch: &Watch) -> io::Result<u16> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let mut broker = Broker::new(broker::config(address, None));
    watch.spawn("broker", move || broker.start().map_err(|error| error.to_string()))?;
    let deadline = Instant::now() + BROKER_TIMEOUT;
    loop {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(address.port()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn start_bridge(broker: u16, watch: &Watch) -> Result<Bridge, String> {
    let mut refused = String::new();
    for port in HTTP_PORTS {
        let toml = format!(
            "mqtt = {{ port = {broker} }}\nhttp = {{ listen = \"127.0.0.1:{port}\" }}\n\
             subscribe = [{{ topic = \"django/mqtt\", qos = 1 }}]"
        );
        let environment = Environment::from([]);
        let config = Config::parse(&toml, &Source::BuiltIn, &environment).map_err(|fault| fault.to_string())?;
        match http::listen(&config.http, false) {
            Ok(listeners) => {
                return Bridge::start(&config, listeners, None, watch)
                    .map_err(|error| format!("cannot start: {error}"));
            }
            Err(error) => refused = error.to_string(),
        }
    }
    Err(refused)
}
