//! The window of one connection: how many publishes it takes at a time, less the slots that rumqttc has leaked.

use crate::mqtt::protocol::{Limits, PACKET_IDENTIFIERS, Window};

/// The slots for unacknowledged publishes at QoS 1 and 2.
pub struct Slots {
    /// What the broker allows.
    receive_maximum: u16,
    /// The same of those at QoS 2.
    exactly_once: u16,
    /// What the configuration allows.
    max_inflight: u16,
    /// What rumqttc counts as unacknowledged for good.
    leaked: u16,
}

impl Slots {
    pub fn new(limits: Limits, max_inflight: u16) -> Self {
        let Limits { receive_maximum, exactly_once, .. } = limits;
        Self { receive_maximum, exactly_once, max_inflight, leaked: 0 }
    }

    /// rumqttc leaked one.
    pub fn leak(&mut self) {
        self.leaked += 1;
    }

    /// It has them all again.
    pub fn recovered(&mut self) {
        self.leaked = 0;
    }

    /// Whether half of the window is lost.
    pub fn needs_recovery(&self) -> bool {
        self.leaked > self.size() / 2
    }

    /// What is left.
    pub fn window(&self) -> Window {
        let left = self.receive_maximum.min(PACKET_IDENTIFIERS).saturating_sub(self.leaked).max(1);
        Window {
            size: self.size().min(left),
            exactly_once: self.exactly_once,
            cycle: self.receive_maximum.clamp(1, PACKET_IDENTIFIERS),
        }
    }

    /// The size without leaks: one less than the broker allows, where that is possible, as rumqttc takes no DISCONNECT
    /// from its queue while the window is full.
    fn size(&self) -> u16 {
        self.receive_maximum.saturating_sub(1).clamp(1, self.max_inflight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(receive_maximum: u16, max_inflight: u16) -> Slots {
        Slots::new(Limits { receive_maximum, exactly_once: 7, ..Limits::default() }, max_inflight)
    }

    #[test]
    fn the_window_shrinks_with_each_leak_until_half_of_it_is_lost() {
        let mut slots = slots(20, 100);
        assert_eq!(slots.window(), Window { size: 19, exactly_once: 7, cycle: 20 });
        for (leaked, size, due) in [(1, 19, false), (2, 18, false), (9, 11, false), (10, 10, true), (30, 1, true)] {
            slots.recovered();
            (0..leaked).for_each(|_| slots.leak());
            assert_eq!((slots.window().size, slots.needs_recovery()), (size, due), "{leaked} leaked");
        }
        slots.recovered();
        assert_eq!(slots.window().size, 19);
    }

    #[test]
    fn the_window_is_never_empty_and_never_over_what_is_configured() {
        for (receive_maximum, max_inflight, size, cycle) in
            [(1, 100, 1, 1), (2, 100, 1, 2), (u16::MAX, 100, 100, PACKET_IDENTIFIERS), (50, 100, 49, 50)]
        {
            assert_eq!(slots(receive_maximum, max_inflight).window(), Window { size, exactly_once: 7, cycle });
        }
    }
}
