//! Runs the bridge: prepares it, starts it, waits for a signal or for the first thread that ends, and stops it.

use std::sync::mpsc::sync_channel;
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use mqtt_bridge::config::{Config, DEFAULT_PATHS, Environment, Source};
use mqtt_bridge::message::Priority;
use mqtt_bridge::thread::{self, Event, Events, Watch};
use mqtt_bridge::{Bridge, Prepared, StartError, journal};

use crate::output::fail;
use crate::status::Status;

/// How long a start waits for what may come, such as an address or a file, and how often it tries.
const START_PATIENCE: Duration = Duration::from_secs(5);
const START_PAUSE: Duration = Duration::from_millis(100);
/// What a stop may take beyond its timeout.
const STOP_SLACK: Duration = Duration::from_millis(500);
/// How long the last records may take to be written.
const LAST_RECORDS: Duration = Duration::from_secs(1);

pub fn run(source: &Source) -> Status {
    let prepared = match prepare(source) {
        Ok(prepared) => prepared,
        Err(error) => {
            journal::say_alone(&error.to_string(), Priority::ERROR, &error.log);
            return if error.may_pass { Status::Failed } else { Status::Configuration };
        }
    };
    let (watch, events) = thread::watch();
    if let Err(error) = journal::start(&prepared.config.log, &watch) {
        return fail(Status::Failed, &format!("cannot write records: {error}"));
    }
    let served = serve(source, prepared, &watch, events);
    let deadline = Instant::now() + LAST_RECORDS;
    match served {
        Ok(()) => {
            let _ = journal::flush(deadline);
            Status::Stopped
        }
        Err(why) => {
            journal::last_words(&why, deadline);
            Status::Failed
        }
    }
}

/// Tries again for a while if that may help: systemd then need not start the daemon many times a second.
fn prepare(source: &Source) -> Result<Prepared, StartError> {
    let deadline = Instant::now() + START_PATIENCE;
    let mut is_told = false;
    loop {
        match mqtt_bridge::prepare(source, &Environment::of_this_process()) {
            Err(error) if error.may_pass && Instant::now() < deadline => {
                if !std::mem::replace(&mut is_told, true) {
                    let words = format!("{error}; trying again for {} s", START_PATIENCE.as_secs());
                    journal::say_alone(&words, Priority::WARNING, &error.log);
                }
                sleep(START_PAUSE);
            }
            prepared => return prepared,
        }
    }
}

/// Runs the bridge to its end; an error says why it failed.
fn serve(source: &Source, prepared: Prepared, watch: &Watch, events: Events) -> Result<(), String> {
    let Prepared { config, listeners, outbox } = prepared;
    greet(source, &config);
    let signalled = watch.clone();
    ctrlc::set_handler(move || signalled.request_stop())
        .map_err(|error| format!("cannot wait for signals: {error}"))?;
    let bridge = Bridge::start(&config, listeners, outbox, watch).map_err(|error| format!("cannot start: {error}"))?;
    match events.next() {
        Event::StopRequested => {
            stop(bridge, events);
            Ok(())
        }
        Event::RestartRequested(why) => {
            log::warn!("a restart is needed: {why}");
            stop(bridge, events);
            Err(why)
        }
        Event::Ended(end) => {
            let cause = end.result.err().unwrap_or_else(|| "it returned".to_owned());
            Err(format!("thread {} ended unexpectedly: {cause}", end.thread))
        }
    }
}

fn greet(source: &Source, config: &Config) {
    let version = env!("CARGO_PKG_VERSION");
    match source {
        Source::File(_) | Source::Credential { .. } => log::info!("mqtt-bridge {version} with {source}"),
        Source::BuiltIn => {
            let paths = DEFAULT_PATHS.join(" and no ");
            log::info!("mqtt-bridge {version} with built-in defaults: there is no {paths}");
        }
    }
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
}

/// Stops in a thread of its own, so that nothing that blocks, such as standard error, delays the end for ever.
fn stop(bridge: Bridge, events: Events) {
    let timeout = bridge.stop_timeout() + STOP_SLACK;
    let (done, stopped) = sync_channel(1);
    let stopping = move || {
        bridge.stop(&events);
        log::info!("stopped");
        let _ = done.send(());
    };
    match Builder::new().name("stop".to_owned()).spawn(stopping) {
        // nothing can be done about a stop that takes too long
        Ok(_) => drop(stopped.recv_timeout(timeout)),
        Err(error) => log::warn!("stopping at once, for want of a thread: {error}"),
    }
}
