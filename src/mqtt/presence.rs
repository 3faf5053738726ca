//! Whether the bridge is there, told by a retained message on the topic of its last will.
//!
//! While there is a connection it says `online`, and else what the will says: the broker publishes that when it loses us,
//! and we do before a DISCONNECT, which lets the broker forget the will.

use std::fmt;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::outcome::{Failure, Outcome};
use super::publisher::{Phase, Publisher};
use crate::config::Config;
use crate::message::Message;
use crate::printable::Printable;

/// How much of topic and payload is shown, in bytes.
const SHOWN: usize = 200;

/// Says nothing where the configuration has no `online`.
#[derive(Clone)]
pub struct Presence(Option<Arc<Shared>>);

struct Shared {
    publisher: Publisher,
    online: Message,
    offline: Message,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The outcome of an `online` is awaited: there is one at a time, and the table sends it again on a new connection. On
    /// one that resumes a session it is settled before [`Presence::connected`].
    is_announcing: bool,
    /// The broker ended the connection over it again and again: the next one goes without.
    is_deadly: bool,
}

impl Presence {
    /// Nothing is said before [`Self::connected`].
    pub(super) fn new(config: &Config, publisher: Publisher) -> Self {
        let will = config.mqtt.will.as_ref();
        Self(will.and_then(|will| will.online.as_ref().map(|online| (will, online))).map(|(will, online)| {
            let (online, offline) = (online.clone(), will.message.clone());
            Shared { publisher, online, offline, timeout: config.publish.timeout, state: Mutex::default() }.into()
        }))
    }

    /// A connection takes messages from now on.
    pub(super) fn connected(&self) {
        let Some(shared) = &self.0 else { return };
        let is_deadly = std::mem::take(&mut shared.lock().is_deadly);
        if !is_deadly {
            shared.announce();
        }
    }

    /// Says at a clean stop what the will says, and waits until the broker has it. Returns false if that is not known by
    /// the deadline: then the connection is to end without a DISCONNECT, so that the broker publishes the will.
    #[must_use]
    pub fn leave(&self, deadline: Instant) -> bool {
        let Some(shared) = self.0.as_ref().filter(|shared| shared.publisher.is_connected()) else { return true };
        let (sender, outcome) = sync_channel(1);
        let told = Box::new(move |outcome| _ = sender.try_send(outcome));
        let left = || deadline.saturating_duration_since(Instant::now());
        shared.publisher.publish_own(shared.offline.clone(), left(), Phase::Stopping, told);
        match outcome.recv_timeout(left()).unwrap_or(Err(Failure::Unknown)) {
            Ok(_) => true,
            Err(failure) => {
                warn(&shared.offline, &failure);
                false
            }
        }
    }
}

impl Shared {
    fn announce(self: &Arc<Self>) {
        if std::mem::replace(&mut self.lock().is_announcing, true) {
            return;
        }
        let shared = self.clone();
        let told = Box::new(move |outcome| shared.announced(outcome));
        self.publisher.publish_own(self.online.clone(), self.timeout, Phase::Running, told);
    }

    fn announced(self: &Arc<Self>, outcome: Outcome) {
        let mut state = self.lock();
        state.is_announcing = false;
        state.is_deadly = outcome == Err(Failure::GivenUp);
        drop(state);
        match outcome {
            Ok(_) | Err(Failure::Stopping | Failure::NotConnected) => {}
            Err(Failure::Busy) => self.announce(),
            // the next connection tells
            Err(Failure::Unknown) if !self.publisher.is_connected() => {}
            Err(failure) => warn(&self.online, &failure),
        }
    }

    /// A panic while the lock is held ends the process, so a poisoned state is never used for long.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn(message: &Message, failure: &Failure) {
    let (topic, payload) = (message.topic.as_str(), &message.payload);
    let (topic, payload) = (Printable::new(topic, SHOWN), Printable::new(payload, SHOWN));
    log::warn!("the topic of [mqtt.will], {topic}, may not say \"{payload}\": {failure}");
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").finish_non_exhaustive()
    }
}
