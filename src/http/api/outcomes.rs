//! Collects the outcomes of messages that are published together, until the last one is there.

use std::sync::{Arc, Mutex, PoisonError};

use crate::mqtt::{Failure, Outcome};

/// One function per message, which takes its outcome. The last one that is called calls `done` with all outcomes, in
/// the order of the messages.
pub fn callers<D>(count: usize, done: D) -> Vec<impl FnOnce(Outcome) + Send + 'static>
where
    D: FnOnce(Vec<Outcome>) + Send + 'static,
{
    // placeholders, each of which is replaced
    let outcomes = Arc::new(Mutex::new((vec![Err(Failure::Unknown); count], done)));
    let caller = |position: usize| {
        let outcomes = outcomes.clone();
        move |outcome| {
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).0[position] = outcome;
            // only the last one has it alone
            if let Some(outcomes) = Arc::into_inner(outcomes) {
                let (all, done) = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
                done(all);
            }
        }
    };
    (0..count).map(caller).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::mqtt::Published;

    #[test]
    fn the_last_outcome_completes_the_list_in_the_order_of_the_messages() {
        let (sender, receiver) = mpsc::channel();
        let mut callers = callers(3, move |all| sender.send(all).unwrap());
        let outcomes = [Ok(Published::HandedOver), Err(Failure::Busy), Err(Failure::Stopping)];
        for (index, position) in [(2, 2), (0, 0), (0, 1)] {
            assert!(receiver.try_recv().is_err(), "an outcome is missing");
            callers.remove(index)(outcomes[position].clone());
        }
        assert_eq!(receiver.try_recv(), Ok(outcomes.to_vec()));
    }
}
