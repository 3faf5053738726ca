//! Notifications for systemd (`sd_notify(3)`): ready, status, watchdog, stopping.
//!
//! There are none where `NOTIFY_SOCKET` is not set. A thread of its own sends them, since systemd may take any time to
//! receive them.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use std::{env, io};

use sd_notify::NotifyState;

use crate::printable::one_line;
use crate::thread::Watch;

/// The name of the thread.
const THREAD: &str = "systemd";
/// How often the status is checked for changes.
const TICK: Duration = Duration::from_millis(500);
/// The watchdog is fed this many times within its timeout.
const WATCHDOG_PARTS: u32 = 3;
/// The longest time for a check, if that period is longer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// What a stop may take beyond its timeout.
const STOP_SLACK: Duration = Duration::from_secs(1);

/// Where the notifier gets its contents from.
pub struct Vitals {
    /// The status, in one line.
    pub status: Box<dyn Fn() -> String + Send>,
    /// Checks until the deadline whether every part of the daemon works; an error names the part that does not.
    pub check: Box<dyn Fn(Instant) -> Result<(), String> + Send>,
}

/// The thread that notifies systemd, if there is one. It ends when this is dropped.
#[derive(Debug)]
pub struct Service(Option<SyncSender<Duration>>);

/// Notifies systemd that the daemon is ready, and from now on of its status.
///
/// # Errors
/// If the system has no thread to give.
pub fn start(watch: &Watch, vitals: Vitals) -> io::Result<Service> {
    if env::var_os("NOTIFY_SOCKET").is_none() {
        return Ok(Service(None));
    }
    let (sender, stops) = sync_channel(1);
    let watchdog = sd_notify::watchdog_enabled().filter(|timeout| !timeout.is_zero());
    let mut notifier = Notifier {
        vitals,
        feeding: watchdog.map(|timeout| timeout / WATCHDOG_PARTS),
        next_feed: Instant::now(),
        failure: None,
        is_stopping: false,
        told: String::new(),
        is_unheard: false,
    };
    watch.spawn(THREAD, move || {
        notifier.run(&stops);
        Ok(())
    })?;
    Ok(Service(Some(sender)))
}

impl Service {
    /// Notifies that the daemon stops within `timeout`. Never waits.
    pub fn stopping(&self, timeout: Duration) {
        if let Some(sender) = &self.0 {
            // a second one would change nothing
            let _ = sender.try_send(timeout);
        }
    }
}

struct Notifier {
    vitals: Vitals,
    /// How often the watchdog is fed, if there is one.
    feeding: Option<Duration>,
    /// When it is fed next.
    next_feed: Instant,
    /// What the last check found.
    failure: Option<String>,
    /// While stopping, nothing is checked: main ends a stop that takes too long.
    is_stopping: bool,
    /// The last status that was sent.
    told: String,
    /// The last notification failed.
    is_unheard: bool,
}

impl Notifier {
    fn run(&mut self, stops: &Receiver<Duration>) {
        self.notify(&[NotifyState::Ready]);
        loop {
            self.feed();
            self.tell_status();
            match stops.recv_timeout(self.pause(Instant::now())) {
                Ok(timeout) => self.stop(timeout),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// How long to wait for a stop before the next round.
    fn pause(&self, now: Instant) -> Duration {
        match self.feeding {
            // check again soon: the failure may have been short
            Some(period) if self.failure.is_some() => TICK.min(period),
            Some(_) => TICK.min(self.next_feed.saturating_duration_since(now)),
            None => TICK,
        }
    }

    /// Feeds the watchdog when it is due, and only if the check succeeds.
    fn feed(&mut self) {
        let now = Instant::now();
        let Some(period) = self.feeding.filter(|_| now >= self.next_feed) else { return };
        let check = || (self.vitals.check)(now + period.min(CHECK_TIMEOUT)).err();
        let failure = if self.is_stopping { None } else { check() };
        match (&self.failure, &failure) {
            (None, Some(why)) => log::warn!("the watchdog is not fed: {why}"),
            (Some(_), None) => log::info!("the watchdog is fed again"),
            _ => {}
        }
        if failure.is_none() {
            self.next_feed = now + period;
            self.notify(&[NotifyState::Watchdog]);
        }
        self.failure = failure;
    }

    fn tell_status(&mut self) {
        let status = (self.vitals.status)();
        let status = match &self.failure {
            Some(why) => one_line(&format!("{why}; {status}")),
            None => one_line(&status),
        };
        if status != self.told {
            self.notify(&[NotifyState::Status(&status)]);
            self.told = status;
        }
    }

    fn stop(&mut self, timeout: Duration) {
        self.is_stopping = true;
        let microseconds = u32::try_from((timeout + STOP_SLACK).as_micros()).unwrap_or(u32::MAX);
        self.notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(microseconds)]);
    }

    /// Records a failure once, until a notification succeeds again.
    fn notify(&mut self, state: &[NotifyState]) {
        let notified = sd_notify::notify(state);
        if let (Err(error), false) = (&notified, self.is_unheard) {
            log::warn!("cannot notify systemd: {error}");
        }
        self.is_unheard = notified.is_err();
    }
}
