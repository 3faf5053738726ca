//! Calls that were seen before: each is published once, and a repetition is answered as the first call was.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::signature::TOLERANCE;
use crate::http::reply::Told;

/// How long a call is remembered: its timestamp may be this far ahead, and is accepted until it is as far behind.
const REMEMBERED: Duration = Duration::from_secs(2 * TOLERANCE.as_secs());
/// The most settled calls that are remembered; above this number the oldest are forgotten.
const MAX_CALLS: usize = 10_000;

/// The recent calls by their identifiers. `W` waits for the outcome of a call that it repeats.
pub struct Replays<W>(Arc<Mutex<State<W>>>);

struct State<W> {
    calls: HashMap<String, Call<W>>,
    /// The identifiers of settled calls with the time of each, the oldest first.
    settled: VecDeque<(Instant, String)>,
}

enum Call<W> {
    Running(Vec<W>),
    Settled(Told),
}

/// What a call is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Begun<W> {
    /// Publish: it is the first with its identifier.
    First(W),
    /// Nothing: the first call has no outcome yet. Its outcome answers this call too.
    Waits,
    /// Answer as the first call, whose message was published, or perhaps was.
    Repeats(W, Told),
}

impl<W> Replays<W> {
    /// Whether a call with this identifier would be a repetition.
    pub fn is_repetition(&self, id: &str, now: Instant) -> bool {
        let mut state = self.lock();
        state.forget(now);
        state.calls.contains_key(id)
    }

    /// A call with this identifier begins. If it is the first, it must [`Self::end`].
    pub fn begin(&self, id: &str, who: W, now: Instant) -> Begun<W> {
        let mut state = self.lock();
        state.forget(now);
        match state.calls.get_mut(id) {
            Some(Call::Settled(told)) => Begun::Repeats(who, told.clone()),
            Some(Call::Running(waiting)) => {
                waiting.push(who);
                Begun::Waits
            }
            None => {
                state.calls.insert(id.to_owned(), Call::Running(Vec::new()));
                Begun::First(who)
            }
        }
    }

    /// The first call is settled. Returns those that wait for the same result. It is remembered if the call `is_done`.
    pub fn end(&self, id: &str, told: &Told, is_done: bool, now: Instant) -> Vec<W> {
        let mut state = self.lock();
        let ended = if is_done {
            state.settled.push_back((now, id.to_owned()));
            state.calls.insert(id.to_owned(), Call::Settled(told.clone()))
        } else {
            state.calls.remove(id)
        };
        if let Some(Call::Running(waiting)) = ended { waiting } else { Vec::new() }
    }

    /// More is known of a settled call: if it is not done, the next one with its identifier is the first.
    pub fn correct(&self, id: &str, told: &Told, is_done: bool) {
        let mut state = self.lock();
        let Some(Call::Settled(kept)) = state.calls.get_mut(id) else { return };
        if is_done {
            *kept = told.clone();
        } else {
            state.calls.remove(id);
            state.settled.retain(|(_, other)| other != id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W> State<W> {
    fn forget(&mut self, now: Instant) {
        let is_over = |(since, _): &(Instant, String), len| *since + REMEMBERED <= now || len > MAX_CALLS;
        while self.settled.front().is_some_and(|oldest| is_over(oldest, self.settled.len())) {
            let Some((_, id)) = self.settled.pop_front() else { return };
            self.calls.remove(&id);
        }
    }
}

impl<W> Default for Replays<W> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { calls: HashMap::new(), settled: VecDeque::new() })))
    }
}

impl<W> Clone for Replays<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W> fmt::Debug for Replays<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replays").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::{Failure, Published};

    const DONE: Told = Told::Published(Ok(Published::Acknowledged { packet_identifier: 7, reason_code: Some(0) }));
    const UNKNOWN: Told = Told::Published(Err(Failure::Unknown));

    #[test]
    fn a_repetition_waits_for_the_outcome_of_the_first_call_or_has_it() {
        let (replays, now) = (Replays::default(), Instant::now());
        assert!(!replays.is_repetition("a", now));
        assert_eq!(replays.begin("a", 1, now), Begun::First(1));
        assert!(replays.is_repetition("a", now));
        assert_eq!(replays.begin("a", 2, now), Begun::Waits);
        assert_eq!(replays.begin("b", 3, now), Begun::First(3));
        assert_eq!(replays.end("a", &DONE, true, now), [2]);
        assert_eq!(replays.begin("a", 4, now), Begun::Repeats(4, DONE));
    }

    #[test]
    fn a_call_that_failed_may_be_tried_again() {
        let (replays, now) = (Replays::default(), Instant::now());
        assert_eq!(replays.begin("a", 1, now), Begun::First(1));
        assert_eq!(replays.begin("a", 2, now), Begun::Waits);
        assert_eq!(replays.end("a", &Told::Published(Err(Failure::NotConnected)), false, now), [2]);
        assert!(!replays.is_repetition("a", now));
        assert_eq!(replays.begin("a", 3, now), Begun::First(3));
        // the message may be with a subscriber
        assert_eq!(replays.end("a", &UNKNOWN, true, now), [0; 0]);
        assert_eq!(replays.begin("a", 4, now), Begun::Repeats(4, UNKNOWN));
    }

    #[test]
    fn a_call_of_which_more_is_known_is_answered_so_or_may_be_tried_again() {
        let (replays, now) = (Replays::default(), Instant::now());
        replays.begin("a", 1, now);
        replays.correct("a", &DONE, true);
        assert_eq!(replays.begin("a", 2, now), Begun::Waits, "it is not settled yet");
        replays.end("a", &UNKNOWN, true, now);
        replays.correct("a", &DONE, true);
        assert_eq!(replays.begin("a", 3, now), Begun::Repeats(3, DONE));
        replays.correct("a", &UNKNOWN, false);
        assert_eq!(replays.begin("a", 4, now), Begun::First(4));
        // the new call does not end with the time of the old one
        assert!(replays.is_repetition("a", now + REMEMBERED));
    }

    #[test]
    fn published_calls_are_remembered_while_their_timestamps_are_accepted_up_to_a_number() {
        let (replays, now) = (Replays::default(), Instant::now());
        replays.begin("running", 0, now);
        replays.begin("a", 1, now);
        replays.end("a", &DONE, true, now);
        let just_before = now + REMEMBERED.saturating_sub(Duration::from_millis(1));
        assert_eq!(replays.begin("a", 2, just_before), Begun::Repeats(2, DONE));
        let later = now + REMEMBERED;
        assert_eq!(replays.begin("a", 3, later), Begun::First(3));
        for number in 0..2 * MAX_CALLS {
            replays.begin(&number.to_string(), 0, later);
            replays.end(&number.to_string(), &DONE, true, later);
        }
        assert!(!replays.is_repetition("0", later), "the oldest is forgotten");
        assert!(replays.is_repetition(&MAX_CALLS.to_string(), later));
        assert!(replays.lock().calls.len() <= MAX_CALLS + 2 && replays.lock().settled.len() <= MAX_CALLS);
        assert_eq!(replays.begin("running", 4, later), Begun::Waits, "however long it takes");
    }
}
