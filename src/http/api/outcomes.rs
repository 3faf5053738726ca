//! Collects the outcomes of messages that are published together, until the last one is there.

use std::sync::{Arc, Mutex, PoisonError};

use crate::mqtt::{Caller, Failure, Outcome};

struct Outcomes<D> {
    all: Vec<Outcome>,
    missing: usize,
    /// Gets all outcomes when none is missing.
    done: Option<D>,
}

/// One caller per message. The last one that gets its outcome calls `done` with all, in the order of the messages.
pub fn callers<D: FnOnce(Vec<Outcome>) + Send + 'static>(count: usize, done: D) -> impl Iterator<Item = Caller> {
    // placeholders, each of which is replaced
    let all = vec![Err(Failure::Unknown); count];
    let outcomes = Arc::new(Mutex::new(Outcomes { all, missing: count, done: Some(done) }));
    (0..count).map(move |position| -> Caller {
        let outcomes = outcomes.clone();
        Box::new(move |outcome| {
            let last = outcomes.lock().unwrap_or_else(PoisonError::into_inner).set(position, outcome);
            if let Some((done, all)) = last {
                done(all);
            }
        })
    })
}

impl<D> Outcomes<D> {
    fn set(&mut self, position: usize, outcome: Outcome) -> Option<(D, Vec<Outcome>)> {
        self.all[position] = outcome;
        self.missing -= 1;
        let done = if self.missing == 0 { self.done.take() } else { None };
        done.map(|done| (done, std::mem::take(&mut self.all)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::mqtt::Published;

    #[test]
    fn the_last_outcome_completes_the_list_in_the_order_of_the_messages() {
        let (sender, receiver) = mpsc::channel();
        let mut callers: Vec<Caller> = callers(3, move |all| sender.send(all).unwrap()).collect();
        let outcomes = [Ok(Published::HandedOver), Err(Failure::Busy), Err(Failure::Stopping)];
        for position in [2, 0, 1] {
            assert!(receiver.try_recv().is_err(), "an outcome is missing");
            let caller = std::mem::replace(&mut callers[position], Box::new(|_| {}));
            caller(outcomes[position].clone());
        }
        assert_eq!(receiver.try_recv(), Ok(outcomes.to_vec()));
    }
}
