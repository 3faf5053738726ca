//! The daemon: reads its arguments and its configuration, starts the bridge, and waits for the first of its threads to end.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use lexopt::prelude::{Long, Short, ValueExt};
use mqtt_bridge::config::{Config, DEFAULT_PATHS, Environment, NewTokenError, Source, new_token};
use mqtt_bridge::http::Listener;
use mqtt_bridge::message::Priority;
use mqtt_bridge::printable::one_line;
use mqtt_bridge::standard::Stream;
use mqtt_bridge::thread::{self, Event, Events, Watch};
use mqtt_bridge::{Bridge, StartError, journal};

/// Stopped by a signal.
const STOPPED: u8 = 0;
/// Something failed while running.
const FAILED: u8 = 1;
/// Called the wrong way.
const USAGE: u8 = 2;
/// What a stop may take beyond its timeout.
const STOP_SLACK: Duration = Duration::from_millis(500);
/// How long the last records may take to be written.
const LAST_RECORDS: Duration = Duration::from_secs(1);
/// How long a start waits for what may come, such as an address or a file, and how often it looks.
const START_PATIENCE: Duration = Duration::from_secs(5);
const START_PAUSE: Duration = Duration::from_millis(100);
/// Configured in a way that does not get better by trying again (sysexits.h, `EX_CONFIG`).
const CONFIGURATION: u8 = 78;

const HELP: &str = "\
An HTTP-to-MQTT bridge: POST /publish puts a message on a broker, and what the broker sends goes to the journal.

Usage: mqtt-bridge [--config PATH] [--check] [--new-token NAME] [--version] [--help]

  --config PATH     the configuration; without it ./bridge.toml, else /etc/mqtt-bridge/bridge.toml, else the defaults
  --check           say whether the configuration is good, and end
  --new-token NAME  print a new secret and the table that lets its bearer in, and end
  --version         print the version, and end
  --help            print this, and end

Exit status: 0 stopped by SIGTERM, SIGINT or SIGHUP, 1 failed while running, 2 wrong usage, 78 wrong configuration.
";

fn main() -> ExitCode {
    ExitCode::from(match arguments() {
        Err(error) => fail(USAGE, &format!("{error}; try --help")),
        Ok(Command::Help) => say(HELP),
        Ok(Command::Version) => say(concat!("mqtt-bridge ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::NewToken(name)) => match new_token(&name) {
            Ok(token) => hand_over(&token),
            Err(error @ NewTokenError::Name) => fail(USAGE, &format!("{error}; try --help")),
            Err(error) => fail(FAILED, &error.to_string()),
        },
        Ok(Command::Check(source)) => match mqtt_bridge::check(&source, &Environment::of_this_process()) {
            Ok(told) => {
                for words in told {
                    tell(&words);
                }
                say(&format!("{source}: ok\n"))
            }
            Err(refusal) => fail(CONFIGURATION, &refusal.to_string()),
        },
        Ok(Command::Run(source)) => match prepare(&source) {
            Ok((config, listeners)) => run(&source, &config, listeners),
            Err(error) => {
                journal::say_alone(&error.to_string(), Priority::ERROR, &error.log());
                if error.may_pass() { FAILED } else { CONFIGURATION }
            }
        },
    })
}

/// What the command line asks for.
enum Command {
    Run(Source),
    Check(Source),
    NewToken(String),
    Version,
    Help,
}

fn arguments() -> Result<Command, lexopt::Error> {
    let (mut path, mut check, mut new_token) = (None, false, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("config") => path = Some(arguments.value()?.parse::<PathBuf>()?),
            Long("check") => check = true,
            Long("new-token") => new_token = Some(arguments.value()?.parse::<String>()?),
            Short('V') | Long("version") => return Ok(Command::Version),
            Short('h') | Long("help") => return Ok(Command::Help),
            _ => return Err(argument.unexpected()),
        }
    }
    let source = Source::find(path, &Environment::of_this_process());
    Ok(match new_token {
        Some(name) => Command::NewToken(name),
        None if check => Command::Check(source),
        None => Command::Run(source),
    })
}

/// Tries for a while what may succeed later, so that whoever starts us again need not do so many times a second.
fn prepare(source: &Source) -> Result<(Config, Vec<Listener>), StartError> {
    let deadline = Instant::now() + START_PATIENCE;
    let mut is_told = false;
    loop {
        match mqtt_bridge::prepare(source, &Environment::of_this_process()) {
            Err(refusal) if refusal.may_pass() && Instant::now() < deadline => {
                if !std::mem::replace(&mut is_told, true) {
                    let words = format!("{refusal}; trying again for {} s", START_PATIENCE.as_secs());
                    journal::say_alone(&words, Priority::WARNING, &refusal.log());
                }
                sleep(START_PAUSE);
            }
            prepared => return prepared,
        }
    }
}

fn run(source: &Source, config: &Config, listeners: Vec<Listener>) -> u8 {
    let (watch, events) = thread::watch();
    if let Err(error) = journal::start(&config.log, &watch) {
        return fail(FAILED, &format!("cannot write records: {error}"));
    }
    let (status, words) = serve(source, (config, listeners), &watch, events);
    let deadline = Instant::now() + LAST_RECORDS;
    match words {
        Some(words) => journal::last_words(&words, deadline),
        None => drop(journal::flush(deadline)),
    }
    status
}

/// Runs the bridge to its end; returns the exit status, and why it failed.
fn serve(
    source: &Source,
    (config, listeners): (&Config, Vec<Listener>),
    watch: &Watch,
    events: Events,
) -> (u8, Option<String>) {
    match source {
        Source::File(_) | Source::Credential { .. } => {
            log::info!("mqtt-bridge {} with {source}", env!("CARGO_PKG_VERSION"));
        }
        Source::BuiltIn => {
            log::info!(
                "mqtt-bridge {} with built-in defaults: there is no {}",
                env!("CARGO_PKG_VERSION"),
                DEFAULT_PATHS.join(" and no ")
            );
        }
    }
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    let signalled = watch.clone();
    if let Err(error) = ctrlc::set_handler(move || signalled.request_stop()) {
        return (FAILED, Some(format!("cannot wait for signals: {error}")));
    }
    let bridge = match Bridge::start(config, listeners, watch) {
        Ok(bridge) => bridge,
        Err(error) => return (FAILED, Some(format!("cannot start: {error}"))),
    };
    match events.next() {
        Event::StopRequested => {
            stop(bridge, events);
            (STOPPED, None)
        }
        Event::RestartRequested(why) => {
            log::warn!("a restart is needed: {why}");
            stop(bridge, events);
            (FAILED, Some(why))
        }
        Event::Ended(end) => {
            let cause = end.result.err().unwrap_or_else(|| "it returned".to_owned());
            (FAILED, Some(format!("thread {} ended unexpectedly: {cause}", end.thread)))
        }
    }
}

/// Stops in a thread of its own, which nothing that stands still, standard error included, can hold up for ever.
fn stop(bridge: Bridge, events: Events) {
    let timeout = bridge.stop_timeout() + STOP_SLACK;
    let (done, stopped) = sync_channel(1);
    let stopping = move || {
        bridge.stop(&events);
        log::info!("stopped");
        let _ = done.send(());
    };
    match Builder::new().name("stop".to_owned()).spawn(stopping) {
        // there is nothing to be done about a stop that did not come to its end
        Ok(_) => drop(stopped.recv_timeout(timeout)),
        Err(error) => log::warn!("stopping at once, for want of a thread: {error}"),
    }
}

/// Prints to standard output what may go unread: whoever has seen enough may go.
fn say(text: &str) -> u8 {
    match print(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => unprinted(&error),
        _ => STOPPED,
    }
}

/// The same for what is shown only now, and so not to a /dev/null that stands for nothing at all.
fn hand_over(text: &str) -> u8 {
    if Stream::Output.may_have_been_closed() {
        return unprinted(&io::Error::from_raw_os_error(libc::EBADF));
    }
    print(text).map_or_else(|error| unprinted(&error), |()| STOPPED)
}

fn print(text: &str) -> io::Result<()> {
    Stream::Output.write(text.as_bytes()).map_err(|unwritten| unwritten.error)
}

fn unprinted(error: &io::Error) -> u8 {
    fail(FAILED, &format!("cannot print to standard output: {error}"))
}

/// Prints the one line that says why.
fn fail(status: u8, error: &str) -> u8 {
    tell(error);
    status
}

fn tell(words: &str) {
    // where that cannot be written, the exit status says enough
    let _ = Stream::Error.write(format!("mqtt-bridge: {}\n", one_line(words)).as_bytes());
}
