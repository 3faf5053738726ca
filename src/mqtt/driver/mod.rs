//! The thread that drives the connection: connects, runs an [`Established`] connection to its end, and connects again.

mod established;

mod breaches;
mod log;
mod takeover;
mod threads;

use std::time::{Duration, Instant};

pub use self::threads::THREAD;

use self::breaches::Breaches;
use self::established::{Established, blame};
use self::takeover::{Takeover, Verdict};
use super::client::{self, Cause, Connection, Lost, Sender};
use super::inbound::{Inbound, Inbox, Unreleased};
use super::presence::Presence;
use super::publisher::Publisher;
use super::session::in_flight::Blame;
use super::session::subscriptions::Culprit;
use super::subscriber::Subscriber;
use crate::backoff::Backoff;
use crate::config::{Config, Mqtt, Session};

/// How many connections try to release the session of an earlier process: some brokers end the connection over a PUBREL
/// that they do not know, and some do not answer. After that the session is discarded.
const MAX_RELEASES: u32 = 2;

/// What the thread keeps from one connection to the next.
pub struct Driver {
    mqtt: Mqtt,
    publisher: Publisher,
    subscriber: Subscriber,
    presence: Presence,
    backoff: Backoff,
    takeover: Takeover,
    /// The configured one, or the one that the broker gave us.
    client_id: String,
    /// Where the broker is, and for which webhook the connection is, if it is for one.
    whom: String,
    /// Of a webhook.
    inbox: Option<Inbox>,
    /// The failures to connect that were recorded since the last connection: each is recorded once.
    logged: Vec<String>,
    /// When the last connection ended.
    lost_at: Option<Instant>,
    breaches: Breaches,
    /// From the last connection, for one that resumes its session.
    unreleased: Unreleased,
    /// The next connection must not resume the session.
    session_spoilt: bool,
    /// The broker may keep a session of an earlier process, about which nothing is known.
    session_unknown: bool,
    releases_failed: u32,
}

impl Driver {
    pub fn new(config: &Config, publisher: Publisher, subscriber: Subscriber, presence: Presence) -> Self {
        Self {
            mqtt: config.mqtt.clone(),
            publisher,
            subscriber,
            presence,
            backoff: Backoff::new(config.mqtt.reconnect_max),
            takeover: Takeover::new(config.mqtt.reconnect_max),
            client_id: config.mqtt.client_id.clone(),
            whom: config.mqtt.named(config.mqtt.address()),
            inbox: None,
            logged: Vec::new(),
            lost_at: None,
            breaches: Breaches::default(),
            unreleased: Unreleased::default(),
            session_spoilt: false,
            session_unknown: true,
            releases_failed: 0,
        }
    }

    /// Received messages go into the inbox of a webhook. Such a connection publishes nothing at QoS 2, so that an
    /// earlier process has left nothing to be released.
    pub fn consuming(self, inbox: Inbox) -> Self {
        Self { inbox: Some(inbox), session_unknown: false, ..self }
    }

    /// Returns at the end of a stop.
    pub fn run(mut self) {
        while !self.publisher.is_ending() {
            let Some(established) = self.connect() else { return };
            let Some(pause) = self.drive(established) else { return };
            if self.publisher.pause(pause) {
                return;
            }
        }
    }

    /// Tries to connect until it succeeds; `None` at the end of a stop.
    fn connect(&mut self) -> Option<Established> {
        let session = self.session();
        loop {
            let begun = Instant::now();
            self.publisher.announce(begun, client::connect_timeout(&self.mqtt));
            match client::connect(&self.mqtt, session) {
                Ok((sender, connection)) => return Some(self.connected(session, sender, connection)),
                Err(lost) => {
                    self.log_failure(&lost);
                    if self.publisher.pause(self.backoff.pause(begun.elapsed())) {
                        return None;
                    }
                }
            }
        }
    }

    fn connected(&mut self, session: Session, sender: Box<dyn Sender>, connection: Connection) -> Established {
        let connack = &connection.connack;
        self.logged.clear();
        self.log_connected(&connack.terms);
        let number = self.publisher.connected(sender, connack);
        let unreleased = std::mem::take(&mut self.unreleased);
        let unreleased = if connack.session_present { unreleased } else { Unreleased::default() };
        let (publisher, subscriber) = (&self.publisher, &self.subscriber);
        let is_kept = session != Session::Clean;
        if let Some(inbox) = &self.inbox {
            inbox.connected(connack.session_present);
        }
        let inbox = self.inbox.clone();
        let inbound = Inbound::new(publisher.clone(), subscriber.clone(), number, is_kept, unreleased, inbox);
        Established::new(publisher, subscriber, &self.presence, connection, inbound, self.breaches.probation())
    }

    /// Drives a connection to its end. Returns the pause before the next one, if there is to be one.
    fn drive(&mut self, established: Established) -> Option<Duration> {
        let since = Instant::now();
        let session_present = established.connection.connack.session_present;
        let ending = established.drive(session_present && self.session_unknown);
        self.unreleased = ending.unreleased;
        self.session_unknown &= !ending.is_released;
        self.releases_failed += u32::from(!ending.is_released);
        self.session_spoilt = ending.is_spoilt || self.releases_failed >= MAX_RELEASES;
        let culprit = if let Some(lost) = &ending.lost {
            self.find_culprit(lost, since.elapsed(), session_present)
        } else {
            self.log_disconnected();
            Culprit::Unknown
        };
        self.subscriber.disconnected();
        self.settle(ending.lost, &culprit, since.elapsed())
    }

    /// Settles what the connection left, and records its end.
    fn settle(&mut self, lost: Option<Lost>, culprit: &Culprit, lasted: Duration) -> Option<Duration> {
        let blame = match &lost {
            Some(lost) if *culprit == Culprit::Unknown => blame(lost),
            _ => Blame::Elsewhere,
        };
        let aftermath = self.publisher.lost(self.session() != Session::Clean, blame);
        // the broker's session may still use the packet identifier of a message that was given up
        self.session_spoilt |= aftermath.given_up;
        let lost = lost?;
        self.lost_at = Some(Instant::now());
        if lost.cause == Cause::Left && self.inbox.is_some() {
            self.log_left(&lost);
            // all that had found room is delivered, so that it is no loop without progress
            self.backoff.reset();
            return Some(self.backoff.pause(Duration::ZERO));
        }
        self.log_lost(&lost);
        if let Culprit::Filter(finding) = culprit {
            self.log_left_out(finding, &lost);
        }
        // some brokers end the connection over a message that we may not publish
        let is_explained = aftermath.given_up || aftermath.found;
        let cause = if is_explained { Cause::Other } else { lost.cause };
        match self.takeover.ended(cause, lasted) {
            Verdict::Stable => self.backoff.reset(),
            Verdict::Short => {}
            Verdict::Takeover => self.log_likely_takeover(),
        }
        Some(self.backoff.pause_after(aftermath.found || *culprit != Culprit::Unknown))
    }

    /// The session to ask for: not the kept one if its messages ended connections again and again. But that of a
    /// webhook has the messages that are not delivered, and is never left.
    fn session(&self) -> Session {
        if self.session_spoilt && self.inbox.is_none() { Session::Clean } else { self.mqtt.session }
    }
}
