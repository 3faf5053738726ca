//! The order in which packet identifiers are given, and which of them are in use.

use super::{InFlight, Sequence};

impl<R> InFlight<R> {
    /// Whether the next packet identifier is free, where they begin again after so many.
    pub fn has_turn(&self, cycle: u16) -> bool {
        let oldest = self.turns.keys().next().into_iter().chain(self.reserved.first()).min();
        self.next_turn - oldest.unwrap_or(&self.next_turn) < u64::from(cycle)
    }

    /// A packet that is none of ours was handed over, and takes the next packet identifier until [`Self::release`].
    pub fn reserve(&mut self) -> u64 {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.reserved.insert(turn);
        turn
    }

    /// Its packet identifier is free again.
    pub fn release(&mut self, turn: u64) {
        self.reserved.remove(&turn);
    }

    pub(super) fn take_turn(&mut self, sequence: Sequence) {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.turns.insert(turn, sequence);
        self.change(sequence, |entry| entry.turn = Some(turn));
    }
}
