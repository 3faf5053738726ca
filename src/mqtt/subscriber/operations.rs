//! Topic filters at run time, and the SUBSCRIBE and UNSUBSCRIBE packets that follow.

use std::time::{Duration, Instant};

use super::{State, Subscriber};
use crate::message::{Qos, TopicFilter};
use crate::mqtt::outcome::Refusal;
use crate::mqtt::session::lifecycle::Lifecycle;
use crate::mqtt::session::subscriptions::{Caller, Interest};

impl Subscriber {
    /// Subscribes to a filter, whose messages go to the journal. The caller gets the broker's answer, or a refusal
    /// after `timeout`. Without a success nothing changes.
    pub fn subscribe(&self, filter: &TopicFilter, qos: Qos, timeout: Duration, caller: Caller) {
        self.with_state(|state| state.register(filter, Interest::Record(qos), timeout, caller));
    }

    /// Ends what [`Self::subscribe`] began. A filter that is not subscribed to is a success.
    pub fn unsubscribe(&self, filter: &TopicFilter, timeout: Duration, caller: Caller) {
        self.with_state(|state| state.register(filter, Interest::Unsubscribe, timeout, caller));
    }

    /// Returns whether an operation had been left, and none is any more.
    pub(super) fn hand_over(&self, state: &mut State) -> bool {
        let was_left = std::mem::replace(&mut state.is_left, true);
        while let Some(operation) = state.table.next() {
            // the queue has room again when the connection has made its next step
            let Some(ordinal) = self.0.publisher.hand_over(&operation) else { return false };
            state.table.hand_over(&operation, ordinal, Instant::now());
        }
        state.is_left = false;
        was_left
    }
}

impl State {
    pub(super) fn register(&mut self, filter: &TopicFilter, interest: Interest, timeout: Duration, caller: Caller) {
        if self.lifecycle != Lifecycle::Running {
            return self.table.reject(caller, Refusal::Stopping);
        }
        let now = Instant::now();
        self.table.register(filter, interest, (now, now + timeout), caller);
    }
}
