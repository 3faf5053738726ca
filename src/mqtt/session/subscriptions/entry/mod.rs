//! One topic filter: who wants it, and how it stands with the broker.

mod gap;
mod left_out;

use std::sync::Arc;
use std::time::Instant;

pub use self::left_out::LeftOut;

use super::Answer;
use super::waiter::Waiter;
use super::want::{Source, Standing, Want};
use crate::message::{Priority, Qos, TopicFilter};
use crate::mqtt::outcome::Refusal;
use crate::mqtt::session::topic_buffer::Channel;

/// A filter that nobody had before is given up after so many connections that ended before the broker answered.
const MAX_LOSSES: u8 = 2;
/// The reason code of a failure without any other (MQTT 5, 2.4).
const UNSPECIFIED: u8 = 128;

/// How a filter stands with the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtBroker {
    Absent,
    /// `before` is what was granted before it was asked again.
    Asked {
        qos: Qos,
        before: Option<u8>,
    },
    Granted {
        asked: Qos,
        granted: u8,
    },
    Refused(u8),
    /// The broker is not asked, as connections ended over it.
    LeftOut,
    Leaving,
}

impl AtBroker {
    /// Whether the broker has it, or may have it.
    pub fn is_there(self) -> bool {
        !matches!(self, Self::Absent | Self::Refused(_) | Self::LeftOut)
    }
}

pub struct Entry<R> {
    pub filter: TopicFilter,
    /// What the configuration says.
    pub file: Option<(Qos, Priority)>,
    /// What was asked for at run time.
    api: Option<Qos>,
    pub readers: usize,
    reader_qos: Qos,
    pub askers: usize,
    pub lingers_until: Option<Instant>,
    pub channel: Option<Arc<Channel>>,
    pub slot: u32,
    /// How often it was subscribed to.
    pub generation: u32,
    /// The last subscription by which what the broker keeps comes for everybody: the first on this connection, of what
    /// was wanted before. `None` if that is still to come.
    general: Option<u32>,
    /// The last that was meant for the journal.
    pub journal_generation: u32,
    /// Of all that the broker was asked, its last SUBSCRIBE was this one.
    pub asked_as: u64,
    pub state: AtBroker,
    /// It is to be subscribed to again, though the broker has it or has refused it.
    pub renew: bool,
    pub waiters: Vec<Waiter<R>>,
    /// What was asked for and granted last, be it on an earlier connection.
    last: Option<(Qos, u8)>,
    /// A kept session may have it.
    pub may_be_kept: bool,
    /// Connections in a row that ended between our question and the broker's answer.
    losses: u8,
    /// Its messages, or the answer to our question, ended a connection.
    pub left_out: Option<LeftOut>,
}

impl<R> Entry<R> {
    pub fn new(filter: TopicFilter, slot: u32) -> Self {
        Self {
            filter,
            file: None,
            api: None,
            readers: 0,
            reader_qos: Qos::AtMostOnce,
            askers: 0,
            lingers_until: None,
            channel: None,
            slot,
            generation: 0,
            general: Some(0),
            journal_generation: 0,
            asked_as: 0,
            state: AtBroker::Absent,
            renew: false,
            waiters: Vec::new(),
            last: None,
            may_be_kept: false,
            losses: 0,
            left_out: None,
        }
    }

    /// The highest quality of service that anybody wants; `None` if nobody wants it.
    pub fn wanted(&self) -> Option<Qos> {
        let is_read = self.readers > 0 || self.lingers_until.is_some();
        let waiting = self.waiters.iter().filter_map(|waiting| waiting.want.qos());
        [
            self.file.map(|(qos, _)| qos),
            self.api.filter(|_| !self.is_to_change()),
            is_read.then_some(self.reader_qos),
            (self.askers > 0).then_some(Qos::AtLeastOnce),
        ]
        .into_iter()
        .flatten()
        .chain(waiting)
        .max()
    }

    /// Whether somebody waits for what was asked for at run time to end, or to be at another quality of service.
    fn is_to_change(&self) -> bool {
        self.waiters.iter().any(|waiting| matches!(waiting.want, Want::Recorded(_) | Want::Unsubscribed))
    }

    /// Whether its messages go to the journal.
    pub fn is_recorded(&self) -> bool {
        let is_awaited = || self.waiters.iter().any(|waiting| matches!(waiting.want, Want::Recorded(_)));
        self.file.is_some() || self.api.is_some() || is_awaited()
    }

    /// Whether there are readers, or may be soon.
    pub fn is_read(&self) -> bool {
        let is_awaited = || self.waiters.iter().any(|waiting| matches!(waiting.want, Want::Read { .. }));
        self.readers > 0 || self.lingers_until.is_some() || is_awaited()
    }

    /// Whether its messages are answers, be they late ones.
    pub fn awaits_answers(&self) -> bool {
        self.askers > 0 || (self.lingers_until.is_some() && self.channel.is_none())
    }

    /// Whether it was last subscribed to for the journal's sake.
    pub fn is_asked_to_record(&self) -> bool {
        self.is_recorded() && self.records_retained(self.generation)
    }

    /// Whether what the broker kept, sent when this was subscribed to for that time, is for everybody.
    pub fn is_for_all(&self, generation: u32) -> bool {
        self.general.is_none_or(|general| generation <= general)
    }

    /// Whether a message that the broker kept, sent when this was subscribed to for that time, is for the journal.
    pub fn records_retained(&self, generation: u32) -> bool {
        self.is_for_all(generation) || generation == self.journal_generation
    }

    /// What the broker granted on this connection.
    pub fn granted(&self) -> Option<u8> {
        match self.state {
            AtBroker::Granted { granted, .. } | AtBroker::Asked { before: Some(granted), .. } => Some(granted),
            _ => None,
        }
    }

    /// What was asked for last.
    pub fn asked_qos(&self) -> Qos {
        match self.state {
            AtBroker::Asked { qos, .. } | AtBroker::Granted { asked: qos, .. } => qos,
            _ => self.wanted().unwrap_or(Qos::AtMostOnce),
        }
    }

    /// What whoever wants this can be told at once.
    pub fn satisfies(&self, want: Want) -> Option<u8> {
        let granted = self.granted();
        match want {
            Want::Recorded(qos) => {
                granted.filter(|_| self.api == Some(qos) || self.file.is_some_and(|(of_file, _)| of_file == qos))
            }
            // it may be read though the broker is away
            Want::Read { qos, .. } => self.last.filter(|(asked, _)| *asked >= qos).map(|(_, granted)| granted),
            Want::Answers => granted,
            Want::Unsubscribed => {
                let is_read = self.readers + self.askers > 0 || self.lingers_until.is_some();
                (self.api.is_none() || is_read).then_some(0)
            }
        }
    }

    /// From now on it is wanted so.
    pub fn take_on(&mut self, want: Want, may_renew: bool) {
        match want {
            Want::Recorded(qos) if self.file.is_none() => self.api = Some(qos),
            Want::Recorded(_) => {}
            Want::Unsubscribed => self.api = None,
            Want::Read { qos, retained } => {
                self.reader_qos = if self.readers == 0 { qos } else { self.reader_qos.max(qos) };
                self.readers += 1;
                self.lingers_until = None;
                self.renew |= may_renew && retained;
            }
            Want::Answers => {
                self.askers += 1;
                self.lingers_until = None;
            }
        }
    }

    /// A reader or an asker has gone; the last one is waited for until then. Returns whether it was that.
    pub fn leave(&mut self, want: Want, until: Instant) -> bool {
        match want {
            Want::Read { .. } => self.readers = self.readers.saturating_sub(1),
            Want::Answers => self.askers = self.askers.saturating_sub(1),
            Want::Recorded(_) | Want::Unsubscribed => {}
        }
        let is_last = self.readers + self.askers == 0;
        self.lingers_until = is_last.then_some(until).or(self.lingers_until);
        is_last
    }

    /// The broker is asked to take it at this quality of service, or to let it go; `asks` counts what it is asked.
    pub fn ask(&mut self, qos: Option<Qos>, asks: u64) {
        let before = self.granted();
        self.state = qos.map_or(AtBroker::Leaving, |qos| AtBroker::Asked { qos, before });
        for waiting in self.waiters.iter_mut().filter(|waiting| waiting.want.qos().is_some() == qos.is_some()) {
            (waiting.asked, waiting.ever_asked) = (true, true);
        }
        if qos.is_some() {
            self.asked_as = asks;
            self.generation += 1;
            self.renew = false;
            self.may_be_kept = true;
            self.general.get_or_insert(self.generation);
            if self.waiters.iter().any(|waiting| matches!(waiting.want, Want::Recorded(_))) {
                self.journal_generation = self.generation;
            }
        }
    }

    /// The broker has answered our SUBSCRIBE; a SUBACK without an answer is a refusal.
    pub fn subscribed(&mut self, answer: Option<Result<u8, u8>>) -> Vec<(R, Answer)> {
        let qos = self.asked_qos();
        match answer.unwrap_or(Err(UNSPECIFIED)) {
            Ok(granted) => {
                self.state = AtBroker::Granted { asked: qos, granted };
                self.last = Some((qos, granted));
                self.end_gap();
                self.resolve(|waiting| waiting.asked && waiting.want.qos().is_some(), Ok(granted))
            }
            Err(code) => {
                self.state = AtBroker::Refused(code);
                (self.last, self.may_be_kept) = (None, false);
                self.tell_readers(Refusal::Refused(code));
                self.resolve(|waiting| waiting.asked && waiting.want.qos().is_some(), Err(Refusal::Refused(code)))
            }
        }
    }

    /// It is no longer with the broker, if the broker does not say otherwise.
    pub fn unsubscribed(&mut self, failure: Option<u8>) -> Vec<(R, Answer)> {
        let ends = |waiting: &Waiter<R>| waiting.want == Want::Unsubscribed;
        let (Some(code), Some((asked, granted))) = (failure, self.last) else {
            self.set_absent();
            return self.resolve(ends, Ok(0));
        };
        let told = self.resolve(ends, Err(Refusal::Refused(code)));
        // where nobody wants it, there is no use in asking again
        if self.wanted().is_some() {
            self.state = AtBroker::Granted { asked, granted };
        } else {
            self.set_absent();
        }
        told
    }

    fn set_absent(&mut self) {
        self.state = self.at_rest();
        (self.last, self.may_be_kept) = (None, false);
    }

    /// Whether the broker was asked something about it and has not answered.
    pub fn is_asked(&self) -> bool {
        matches!(self.state, AtBroker::Asked { .. } | AtBroker::Leaving)
    }

    /// Tells those who want it recorded no longer: while it is read, the broker need not be told.
    pub fn end_beside_readers(&mut self) -> Vec<(R, Answer)> {
        if self.readers + self.askers == 0 {
            return Vec::new();
        }
        self.resolve(|waiting| waiting.want == Want::Unsubscribed, Ok(0))
    }

    /// Another subscription brings its messages.
    pub fn carried(&mut self, granted: u8) -> Vec<(R, Answer)> {
        self.last = self.wanted().map(|qos| (qos, granted));
        self.end_gap();
        self.resolve(|waiting| waiting.want.qos().is_some(), Ok(granted))
    }

    /// Tells those who are meant; what they are told of holds from now on.
    fn resolve(&mut self, is_meant: impl Fn(&Waiter<R>) -> bool, answer: Answer) -> Vec<(R, Answer)> {
        let meant: Vec<Waiter<R>> = self.waiters.extract_if(.., |waiting| is_meant(waiting)).collect();
        meant
            .into_iter()
            .map(|waiting| {
                if answer.is_ok() {
                    self.take_on(waiting.want, false);
                }
                (waiting.told, answer)
            })
            .collect()
    }

    /// Tells those whose deadline has come, and readers that they may begin.
    pub fn expire(&mut self, now: Instant, is_connected: bool) -> Vec<(R, Answer)> {
        if self.lingers_until.is_some_and(|until| until <= now) {
            self.lingers_until = None;
            self.channel = None;
        }
        let mut told = self.resolve(|waiting| waiting.begins(now, is_connected), Ok(0));
        let late: Vec<Waiter<R>> = self.waiters.extract_if(.., |waiting| waiting.deadline <= now).collect();
        told.extend(late.into_iter().map(|waiting| {
            if waiting.want == Want::Unsubscribed && waiting.ever_asked {
                // the broker has been told, whatever it answers
                self.api = None;
            }
            let refusal = match waiting.ever_asked {
                true => Refusal::Unknown,
                false if is_connected => Refusal::Busy,
                false => Refusal::NotConnected,
            };
            (waiting.told, Err(refusal))
        }));
        told
    }

    /// A connection came about.
    pub fn connected(&mut self, session_present: bool) {
        self.general = None;
        self.may_be_kept &= session_present;
    }

    /// The connection ended.
    pub fn disconnected(&mut self, is_kept: bool) -> Vec<(R, Answer)> {
        let was_asked = matches!(self.state, AtBroker::Asked { .. }) && self.last.is_none();
        self.state = self.at_rest();
        self.may_be_kept &= is_kept;
        self.waiters.iter_mut().for_each(|waiting| waiting.asked = false);
        self.losses = if was_asked { self.losses + 1 } else { 0 };
        // perhaps the broker ended the connection over it
        if self.losses < MAX_LOSSES {
            return Vec::new();
        }
        self.losses = 0;
        // nor may those who read already have the next connection end over it
        if self.readers > 0 && self.file.is_none() && self.api.is_none() {
            self.state = AtBroker::Refused(UNSPECIFIED);
            self.tell_readers(Refusal::Unknown);
        }
        self.resolve(|waiting| waiting.ever_asked, Err(Refusal::Unknown))
    }

    /// Whether nobody wants it, and the broker does not have it.
    pub fn is_absent(&self) -> bool {
        !self.state.is_there() && !self.may_be_kept && self.wanted().is_none()
    }

    /// Whether nothing is left to be done about it.
    pub fn is_forgettable(&self) -> bool {
        let is_wanted = self.wanted().is_some() || !self.waiters.is_empty();
        // what is left out is remembered, or the next one who wants it would end the connection
        !is_wanted && !self.state.is_there() && !self.may_be_kept && self.is_left_out().is_none()
    }

    /// What is known of it; `carrier` is the state of the one that brings its messages.
    pub fn standing(&self, carrier: Option<AtBroker>) -> Option<Standing> {
        let source = match () {
            () if self.file.is_some() => Source::File,
            () if self.api.is_some() => Source::Api,
            () if self.readers > 0 || (self.channel.is_some() && self.lingers_until.is_some()) => Source::Listener,
            () if self.askers > 0 || self.lingers_until.is_some() => Source::Request,
            () => return None,
        };
        let answer = match carrier.unwrap_or(self.state) {
            AtBroker::Granted { granted, .. } | AtBroker::Asked { before: Some(granted), .. } => Some(Ok(granted)),
            AtBroker::Refused(code) => Some(Err(code)),
            _ => None,
        };
        let qos = self.wanted().unwrap_or(Qos::AtMostOnce);
        let is_left_out = carrier.is_none() && self.state == AtBroker::LeftOut;
        Some(Standing { filter: self.filter.clone(), qos, answer, source, readers: self.readers, is_left_out })
    }
}
