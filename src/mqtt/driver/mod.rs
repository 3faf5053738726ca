//! The thread that drives the connection: connects, subscribes, hands on what comes in, and connects again.

mod backoff;
mod breaches;
mod closing;
mod life;
mod rival;
mod stages;
mod telling;

use std::time::{Duration, Instant};

use self::backoff::Backoff;
use self::breaches::Breaches;
use self::life::Life;
use self::rival::{Rival, Verdict};
use self::stages::Stage;
use super::client::connection::{Cause, Event, Limits, Lost, Next, Pipe, Terms, all_packet_identifiers};
use super::client::transport;
use super::client::version::Version;
use super::inbound::{Intake, Unreleased};
use super::presence::Presence;
use super::publisher::Publisher;
use super::session::in_flight::{Acknowledgement, Blame};
use super::session::subscriptions::Culprit;
use super::subscriber::Subscriber;
use crate::config::{Config, Mqtt, Session};
use crate::metrics;

/// So often the session of an earlier run is tried to be released: some brokers end the connection over a PUBREL that
/// they do not know, and some say nothing. Then it is left.
const MAX_RELEASES: u32 = 2;

/// Everything that the thread needs.
pub struct Driver {
    mqtt: Mqtt,
    version: Version,
    publisher: Publisher,
    subscriber: Subscriber,
    presence: Presence,
    backoff: Backoff,
    rival: Rival,
    /// Our name at the broker, which may have given it.
    client_id: String,
    /// The failures to connect that were told since the last connection: each is told once.
    told: Vec<String>,
    /// When the last connection ended.
    lost_at: Option<Instant>,
    breaches: Breaches,
    /// Of the last connection, for one that resumes its session.
    unreleased: Unreleased,
    /// The broker's session is not to be resumed next time.
    session_spoilt: bool,
    /// The broker may keep a session of an earlier run, of which we know nothing.
    session_unknown: bool,
    releases_failed: u32,
}

/// A connection that just came about.
struct Connected {
    pipe: Box<dyn Pipe>,
    limits: Limits,
    session_present: bool,
    intake: Intake,
}

/// One connection while it lasts.
struct Connection<'a> {
    driver: &'a Driver,
    pipe: Box<dyn Pipe>,
    limits: Limits,
    session_present: bool,
    intake: Intake,
    stage: Stage,
    last_event: Instant,
    life: Life,
    /// When a packet that brokers close over left us last.
    last_asked: Option<Instant>,
    /// The session cannot be resumed.
    spoilt: bool,
    /// A DISCONNECT is on its way, for another connection to take its place.
    leaving: bool,
}

impl Driver {
    pub fn new(config: &Config, publisher: Publisher, subscriber: Subscriber, presence: Presence) -> Self {
        Self {
            mqtt: config.mqtt.clone(),
            version: Version::of(&config.mqtt),
            publisher,
            subscriber,
            presence,
            backoff: Backoff::new(config.mqtt.reconnect_max),
            rival: Rival::new(config.mqtt.reconnect_max),
            client_id: config.mqtt.client_id.clone(),
            told: Vec::new(),
            lost_at: None,
            breaches: Breaches::default(),
            unreleased: Unreleased::default(),
            session_spoilt: false,
            session_unknown: true,
            releases_failed: 0,
        }
    }

    /// Returns when the connection is to end.
    pub fn run(mut self) {
        while !self.publisher.is_ending() {
            let Some(connected) = self.connect() else { return };
            let since = Instant::now();
            let (ended, culprit) = self.serve(connected);
            let kept = self.session() != Session::Clean;
            let blame = match (&ended, &culprit) {
                (Some(lost), Culprit::Unknown) => lost.blame(),
                _ => Blame::Elsewhere,
            };
            let aftermath = self.publisher.lost(kept, blame);
            // what was given up must not come back from the broker's session by its packet identifier
            self.session_spoilt |= aftermath.given_up;
            let Some(lost) = ended else { return };
            self.lost_at = Some(Instant::now());
            self.tell_lost(&lost);
            if let Culprit::Filter(finding) = &culprit {
                Self::tell_left_out(finding, &lost);
            }
            // some brokers end the connection over a message that we may not publish
            let is_explained = aftermath.given_up || aftermath.found;
            let cause = if is_explained { Cause::Other } else { lost.cause };
            match self.rival.ended(cause, since.elapsed()) {
                Verdict::Stable => self.backoff.reset(),
                Verdict::Short => {}
                Verdict::Rival => self.tell_of_a_rival(),
            }
            let pause = self.backoff.pause_after(aftermath.found || culprit != Culprit::Unknown);
            if self.publisher.pause(pause) {
                return;
            }
        }
    }

    /// Tries to connect, however often it takes; `None` if it is no longer wanted.
    ///
    /// Each connection has a client of its own: one that was connected keeps packet identifiers and requests of a
    /// session that the broker may no longer have (bytebeamio/rumqtt#1014, #1056).
    fn connect(&mut self) -> Option<Connected> {
        let session = self.session();
        loop {
            let (sender, mut pipe) = self.version.open(&self.mqtt, session);
            let begun = Instant::now();
            match self.first(pipe.as_mut(), begun) {
                Ok((session_present, limits, terms)) => {
                    self.told.clear();
                    self.tell_connected(&terms);
                    let number = self.publisher.connected(sender, limits, session_present, terms);
                    let is_kept = session != Session::Clean;
                    let mut unreleased = std::mem::take(&mut self.unreleased);
                    if session_present {
                        // the session may owe us any, of an earlier run too
                        pipe.expect_releases(&mut all_packet_identifiers());
                    } else {
                        unreleased = Unreleased::default();
                    }
                    let (publisher, subscriber) = (self.publisher.clone(), self.subscriber.clone());
                    let intake = Intake::new(publisher, subscriber, number, is_kept, unreleased);
                    return Some(Connected { pipe, limits, session_present, intake });
                }
                Err(lost) => {
                    self.tell_failure(&lost);
                    if self.publisher.pause(self.backoff.pause(begun.elapsed())) {
                        return None;
                    }
                }
            }
        }
    }

    /// Connects, and waits for what the broker says to that.
    fn first(&self, pipe: &mut dyn Pipe, begun: Instant) -> Result<(bool, Limits, Terms), Lost> {
        let patience = 2 * transport::patience(&self.mqtt);
        match self.next(pipe, begun, patience) {
            Next::Event(Event::Connected { session_present, limits, terms }) => Ok((session_present, limits, terms)),
            Next::Event(_) => Err(Lost::because(
                Cause::NoConnack,
                "the broker answered our CONNECT with something else than a CONNACK",
            )),
            Next::Nothing => Err(Lost::because(Cause::NoConnack, transport::silence(&self.mqtt))),
            Next::Lost(lost) => Err(lost),
        }
    }

    /// Waits for the next event, and says so before.
    fn next(&self, pipe: &mut dyn Pipe, now: Instant, timeout: Duration) -> Next {
        self.publisher.announce(now, timeout);
        let next = pipe.next(timeout);
        if let Next::Event(event) = &next {
            count(event);
        }
        next
    }

    /// Drives a connection to its end: no loss if we ended it; and what that shows about topic filters.
    fn serve(&mut self, connected: Connected) -> (Option<Lost>, Culprit) {
        let since = Instant::now();
        let Connected { pipe, limits, session_present, intake } = connected;
        let release = session_present && self.session_unknown;
        let mut connection = Connection {
            driver: self,
            pipe,
            limits,
            session_present,
            intake,
            stage: Stage::Resuming,
            last_event: Instant::now(),
            life: Life::new(Instant::now()),
            last_asked: None,
            spoilt: false,
            leaving: false,
        };
        let ended = connection.run(release);
        let released = !matches!(connection.stage, Stage::Releasing { .. });
        let spoilt = connection.spoilt;
        self.publisher.detach();
        self.subscriber.set_open(false);
        // what was read before the end counts; what was written may not have left
        for event in connection.pipe.left_over() {
            count(&event);
            connection.take_left_over(event);
        }
        let ended = ended.map_err(|lost| connection.explain(lost));
        self.unreleased = connection.intake.end();
        self.session_unknown &= !released;
        self.releases_failed += u32::from(!released);
        self.session_spoilt = spoilt || self.releases_failed >= MAX_RELEASES;
        let lost = ended.err();
        let look = |lost: &Lost| self.look_for_a_filter(lost, since.elapsed(), session_present);
        let culprit = lost.as_ref().map_or(Culprit::Unknown, look);
        self.subscriber.disconnected();
        (lost, culprit)
    }

    /// The session to ask for. A kept one is left where its messages end the connection again and again.
    fn session(&self) -> Session {
        if self.session_spoilt { Session::Clean } else { self.mqtt.session }
    }
}

/// What is counted, whenever it comes.
fn count(event: &Event) {
    if let Event::Received { .. } = event {
        metrics::received();
    }
}

impl Connection<'_> {
    /// Returns when we ended the connection; its loss is the error.
    fn run(&mut self, release: bool) -> Result<(), Lost> {
        if self.driver.publisher.give_up_owed(self.limits) {
            self.spoilt = true;
            return Err(Lost::new("the broker no longer takes what the session owes: it is left"));
        }
        self.driver.publisher.awaits("acknowledge what an earlier connection had sent");
        if release {
            self.release();
        }
        self.proceed()?;
        let mut now = Instant::now();
        loop {
            let patience = self.check_life(now)?;
            match self.driver.next(self.pipe.as_mut(), now, patience) {
                Next::Event(event) => {
                    let mut next = Some(event);
                    while let Some(event) = next {
                        self.life.heard(&event);
                        if event == Event::Disconnected {
                            return self.end();
                        }
                        self.take(event)?;
                        next = self.pipe.buffered().inspect(count);
                    }
                    now = Instant::now();
                    self.last_event = now;
                    self.look_for_life(now);
                    self.driver.publisher.send_acknowledgements();
                    self.proceed()?;
                }
                Next::Nothing => {
                    now = Instant::now();
                    // it may have been writing, and has to be set going again
                    if self.driver.publisher.interrupt() {
                        self.pipe.nudge();
                    }
                    self.look_for_life(now);
                }
                Next::Lost(lost) => return Err(lost),
            }
        }
    }

    /// A DISCONNECT is on its way.
    fn end(&self) -> Result<(), Lost> {
        if self.leaving {
            return Err(Lost::new("the journal takes messages again, and those that it did not take are asked for"));
        }
        if !self.driver.publisher.is_ending() {
            return Err(Lost::new("the broker sent what it must not, and the library gave up"));
        }
        log::info!(CLIENT_ID = self.driver.client_id; "disconnected from {}", self.driver.mqtt.address());
        Ok(())
    }

    fn take(&mut self, event: Event) -> Result<(), Lost> {
        let publisher = &self.driver.publisher;
        let violated = match event {
            Event::Written(packet_identifier) => {
                self.last_asked = Some(Instant::now());
                publisher.written(packet_identifier, true)
            }
            Event::Acknowledged(Acknowledgement::PubComp, packet_identifier, ..)
                if self.released(packet_identifier) =>
            {
                Ok(())
            }
            Event::Acknowledged(kind, packet_identifier, code, words) => {
                telling::tell_acknowledgement(packet_identifier, code, words.as_deref());
                publisher.acknowledged(kind, packet_identifier, code, words)
            }
            Event::Asked(packet_identifier) => {
                self.driver.subscriber.written(packet_identifier);
                Ok(())
            }
            Event::Subscribed(packet_identifier, answers, words) => {
                let reports = self.driver.subscriber.subscribed(packet_identifier, &answers);
                // whoever reads it finds us ready
                self.proceed()?;
                for report in reports {
                    report.log(words.as_deref());
                }
                Ok(())
            }
            Event::Unsubscribed(packet_identifier, failure) => {
                self.driver.subscriber.unsubscribed(packet_identifier, failure);
                Ok(())
            }
            Event::Received(message, packet_identifier) => {
                self.intake.take(&message, packet_identifier);
                Ok(())
            }
            Event::Released(packet_identifier) => {
                self.intake.released(packet_identifier);
                self.pipe.expect_releases(&mut [packet_identifier].into_iter());
                Ok(())
            }
            Event::Collision(packet_identifier) => {
                return Err(Lost::new(format!("packet identifier {packet_identifier} is in use")));
            }
            // with other limits than those that we keep to
            Event::Connected { .. } => return Err(Lost::new("the broker sent a second CONNACK")),
            Event::Disconnected | Event::Alive | Event::Other => Ok(()),
        };
        violated.map_err(|violation| Lost::new(violation.to_string()))
    }

    /// After the end nobody can be blamed for what does not fit, and nothing is known to have left.
    fn take_left_over(&mut self, event: Event) {
        let publisher = &self.driver.publisher;
        let fits = match event {
            Event::Written(packet_identifier) => publisher.written(packet_identifier, false),
            Event::Acknowledged(kind, packet_identifier, code, words) => {
                publisher.acknowledged(kind, packet_identifier, code, words)
            }
            Event::Received(message, packet_identifier) => {
                self.intake.take(&message, packet_identifier);
                Ok(())
            }
            Event::Released(packet_identifier) => {
                self.intake.released(packet_identifier);
                Ok(())
            }
            Event::Asked(packet_identifier) => {
                self.driver.subscriber.written(packet_identifier);
                Ok(())
            }
            Event::Subscribed(packet_identifier, answers, _) => {
                self.driver.subscriber.subscribed(packet_identifier, &answers);
                Ok(())
            }
            Event::Unsubscribed(packet_identifier, failure) => {
                self.driver.subscriber.unsubscribed(packet_identifier, failure);
                Ok(())
            }
            Event::Connected { .. } | Event::Disconnected | Event::Collision(_) | Event::Alive | Event::Other => Ok(()),
        };
        if let Err(violation) = fits {
            log::debug!("{violation}");
        }
    }
}
