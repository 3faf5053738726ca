//! The order in which waiting messages are handed over: requests among themselves and messages of the outbox among
//! themselves in the order of acceptance, and one of each in turn, so that a request does not wait for a backlog.

use std::collections::BTreeSet;

use super::entry::Sequence;

/// The messages that wait.
#[derive(Default)]
pub struct Order {
    requests: BTreeSet<Sequence>,
    stored: BTreeSet<Sequence>,
    request_was_last: bool,
}

impl Order {
    /// Adds a message, of the outbox or of a request.
    pub fn insert(&mut self, sequence: Sequence, is_stored: bool) {
        if is_stored {
            self.stored.insert(sequence)
        } else {
            self.requests.insert(sequence)
        };
    }

    /// Removes a message that is not the next one, or need not be.
    pub fn remove(&mut self, sequence: Sequence) {
        let _ = self.requests.remove(&sequence) || self.stored.remove(&sequence);
    }

    /// The next one.
    pub fn first(&self) -> Option<Sequence> {
        let (request, stored) = (self.requests.first(), self.stored.first());
        if self.request_was_last { stored.or(request) } else { request.or(stored) }.copied()
    }

    /// The same, which does not wait any more.
    pub fn pop_first(&mut self) -> Option<Sequence> {
        let first = self.first()?;
        self.request_was_last = self.requests.remove(&first);
        self.stored.remove(&first);
        Some(first)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.requests.len() + self.stored.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_stored_messages_take_turns_each_in_their_order() {
        let mut order = Order::default();
        for (sequence, is_stored) in [(1, true), (2, true), (3, true), (4, false), (5, false), (6, true)] {
            order.insert(sequence, is_stored);
        }
        // one that comes back is in front of its kind
        assert_eq!(order.pop_first(), Some(4));
        order.insert(4, false);
        order.remove(2);
        let taken: Vec<_> = std::iter::from_fn(|| order.pop_first()).collect();
        assert_eq!((taken, order.len()), (vec![1, 4, 3, 5, 6], 0));
    }
}
