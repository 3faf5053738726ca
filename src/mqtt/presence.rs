//! Presence: a retained message on the topic of the last will says whether the bridge is connected.
//!
//! At each connection the bridge publishes `online` there. When the connection is lost the broker publishes the will.
//! Before a DISCONNECT, over which the broker discards the will, the bridge publishes what the will says.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::outcome::{Failure, Outcome};
use super::publisher::Publisher;
use super::session::lifecycle::Lifecycle;
use crate::config::Config;
use crate::message::Message;
use crate::printable::Printable;

/// How much of topic and payload is shown, in bytes.
const SHOWN: usize = 200;

/// `None` if the configuration has no `online`: then nothing is published.
#[derive(Debug, Clone)]
pub struct Presence(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    publisher: Publisher,
    online: Message,
    offline: Message,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// An `online` has no outcome yet. There is one at a time, and the publisher sends it again on a new connection; on
    /// one that resumes a session its outcome comes before [`Presence::connected`].
    is_announcing: bool,
    /// It was given up, as connections ended over it: on the next connection it is not published.
    was_given_up: bool,
}

impl Presence {
    /// Nothing is published before [`Self::connected`].
    pub(super) fn new(config: &Config, publisher: Publisher) -> Self {
        Self(config.mqtt.will.as_ref().and_then(|will| {
            let (online, offline) = (will.online.clone()?, will.message.clone());
            let (timeout, state) = (config.publish.timeout, Mutex::default());
            Some(Shared { publisher, online, offline, timeout, state }.into())
        }))
    }

    /// A connection takes messages from now on.
    pub(super) fn connected(&self) {
        let Some(shared) = &self.0 else { return };
        let was_given_up = std::mem::take(&mut shared.lock().was_given_up);
        if !was_given_up {
            shared.announce();
        }
    }

    /// At a clean stop: publishes what the will says, and waits for the acknowledgement. Returns false if there is none
    /// by the deadline: then the connection has to end without a DISCONNECT, so that the broker publishes the will.
    #[must_use]
    pub fn leave(&self, deadline: Instant) -> bool {
        let Some(shared) = self.0.as_ref().filter(|shared| shared.publisher.is_connected()) else { return true };
        let (sender, outcome) = sync_channel(1);
        let caller = Box::new(move |outcome| _ = sender.try_send(outcome));
        let left = || deadline.saturating_duration_since(Instant::now());
        shared.publisher.publish_own(shared.offline.clone(), left(), Lifecycle::Draining, caller);
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
        let caller = Box::new(move |outcome| shared.announced(outcome));
        self.publisher.publish_own(self.online.clone(), self.timeout, Lifecycle::Running, caller);
    }

    fn announced(self: &Arc<Self>, outcome: Outcome) {
        let mut state = self.lock();
        state.is_announcing = false;
        state.was_given_up = outcome == Err(Failure::GivenUp);
        drop(state);
        match outcome {
            Ok(_) | Err(Failure::Stopping | Failure::NotConnected) => {}
            Err(Failure::Busy) => self.announce(),
            // it is sent again on the next connection
            Err(Failure::Unknown) if !self.publisher.is_connected() => {}
            Err(failure) => warn(&self.online, &failure),
        }
    }

    /// Uses a poisoned state as it is. A panic ends the process, except in the handler of a request, where it is
    /// caught.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn(message: &Message, failure: &Failure) {
    let (topic, payload) = (message.topic.as_str(), &message.payload);
    let (topic, payload) = (Printable::new(topic, SHOWN), Printable::new(payload, SHOWN));
    log::warn!("the topic of [mqtt.will], {topic}, may not say \"{payload}\": {failure}");
}
