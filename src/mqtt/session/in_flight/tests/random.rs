//! Random events against a model of the MQTT client and a broker.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::proptests;

const EXACTLY_ONCE: u16 = 2;

/// One step of a random test; numbers choose among what is possible.
#[derive(Debug, Clone)]
enum Step {
    Accept { qos: u8, stored: bool, timeout: u64 },
    Withdraw { which: u32 },
    HandOver,
    Write,
    Acknowledge { which: usize, refuse: bool },
    Lose { session_kept: bool, flushed: bool, blame: Blame },
    Reconnect { session_present: bool, size: u16, spare: u16 },
    Wait(u64),
}

fn blame() -> impl Strategy<Value = Blame> {
    let message = any::<bool>().prop_map(|is_certain| Blame::Message { code: 149, is_certain });
    prop_oneof![Just(Blame::Unknown), Just(Blame::Elsewhere), message]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..3, prop::bool::weighted(0.3), 1u64..200)
            .prop_map(|(qos, stored, timeout)| Step::Accept { qos, stored: stored && qos > 0, timeout }),
        1 => any::<u32>().prop_map(|which| Step::Withdraw { which }),
        4 => Just(Step::HandOver),
        4 => Just(Step::Write),
        4 => (any::<usize>(), prop::bool::weighted(0.1))
            .prop_map(|(which, refuse)| Step::Acknowledge { which, refuse }),
        1 => (any::<bool>(), any::<bool>(), blame())
            .prop_map(|(session_kept, flushed, blame)| Step::Lose { session_kept, flushed, blame }),
        2 => (any::<bool>(), 1u16..5, 0u16..3)
            .prop_map(|(session_present, size, spare)| Step::Reconnect { session_present, size, spare }),
        1 => (1u64..50).prop_map(Step::Wait),
    ]
}

/// The MQTT client and a broker as the table sees them.
struct World {
    table: Table,
    start: Time,
    now: u64,
    connected: bool,
    window: Window,
    last_identifier: u16,
    /// The caller of the message that is handed over and not written.
    handed_over: Option<u32>,
    /// What the broker has: the caller, and whether the PUBREC was sent.
    with_broker: HashMap<u16, (u32, bool)>,
    session_kept: bool,
    next_caller: u32,
    levels: HashMap<u32, u8>,
    stored: HashSet<u32>,
    withdrawn: HashSet<u32>,
    ever_handed_over: HashSet<u32>,
    deadlines: HashMap<u32, u64>,
    outcomes: HashMap<u32, Outcome>,
    late: HashMap<u32, Outcome>,
    ever_written: HashSet<u32>,
    acknowledged: HashSet<u32>,
}

impl World {
    fn new() -> Self {
        Self {
            table: Table::new(8),
            start: super::start(),
            now: 0,
            connected: false,
            window: Window { size: 1, exactly_once: EXACTLY_ONCE, cycle: 1 },
            last_identifier: 0,
            handed_over: None,
            with_broker: HashMap::new(),
            session_kept: false,
            next_caller: 0,
            levels: HashMap::new(),
            stored: HashSet::new(),
            withdrawn: HashSet::new(),
            ever_handed_over: HashSet::new(),
            deadlines: HashMap::new(),
            outcomes: HashMap::new(),
            late: HashMap::new(),
            ever_written: HashSet::new(),
            acknowledged: HashSet::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Accept { qos, stored, timeout } => self.accept(qos, stored, timeout),
            Step::Withdraw { which } => self.withdraw(which),
            Step::HandOver => self.hand_over(),
            Step::Write => self.write(),
            Step::Acknowledge { which, refuse } => self.acknowledge(which, refuse),
            Step::Lose { session_kept, flushed, blame } => self.lose(session_kept, flushed, blame),
            Step::Reconnect { session_present, size, spare } => {
                self.reconnect(session_present, Window { size, exactly_once: EXACTLY_ONCE, cycle: size + spare });
            }
            Step::Wait(time) => self.now += time,
        }
        self.table.expire(self.start.at(self.now));
        self.collect();
    }

    fn accept(&mut self, qos: u8, stored: bool, timeout: u64) {
        let caller = self.next_caller;
        self.next_caller += 1;
        // the payload names the caller
        let message = Message { payload: caller.to_string().into(), ..message(qos) };
        self.levels.insert(caller, qos);
        self.deadlines.insert(caller, self.now + timeout);
        if stored {
            self.stored.insert(caller);
            return self.table.accept_stored(message, self.start.at(self.now + timeout), caller);
        }
        self.table.accept_free(message, self.start.at(self.now + timeout), caller);
    }

    fn withdraw(&mut self, which: u32) {
        let caller = which % self.next_caller.max(1);
        let is_there = self.stored.contains(&caller)
            && !self.withdrawn.contains(&caller)
            && !self.ever_handed_over.contains(&caller)
            && !self.outcomes.contains_key(&caller);
        assert_eq!(self.table.withdraw(u64::from(caller)), is_there, "{caller}");
        self.withdrawn.extend(is_there.then_some(caller));
    }

    /// Nothing of the outbox is sent after its deadline, or for longer than is left.
    fn check_stored(&self, caller: u32, message: &Message) {
        if self.stored.contains(&caller) {
            assert!(self.deadlines[&caller] > self.now, "{caller} goes out after its deadline");
            let left = self.deadlines[&caller] - self.now;
            assert_eq!(message.properties.message_expiry_interval.map(u64::from), Some(left.div_ceil(1000)));
        }
    }

    fn hand_over(&mut self) {
        let Some(message) = self.table.in_flight.next(self.start.at(self.now)).cloned() else { return };
        assert!(self.connected && self.handed_over.is_none());
        let caller: u32 = std::str::from_utf8(&message.payload).unwrap().parse().unwrap();
        assert!(!self.withdrawn.contains(&caller), "{caller} was taken back");
        self.check_stored(caller, &message);
        let is_told = self.outcomes.get(&caller) == Some(&Ok(Published::HandedOver));
        assert!(is_told || !self.outcomes.contains_key(&caller), "{caller} no longer waits");
        assert!(self.deadlines[&caller] > self.now, "{caller} goes out after its deadline");
        self.table.hand_over(self.start.at(self.now), caller.is_multiple_of(2));
        self.ever_handed_over.insert(caller);
        self.handed_over = Some(caller);
        self.collect();
        assert_eq!(self.outcomes.contains_key(&caller), self.levels[&caller] == 0 && caller % 2 == 1, "{caller}");
    }

    fn write(&mut self) {
        let Some(caller) = self.handed_over.take() else { return };
        let identifier = self.identifier_for(caller);
        self.table.written(identifier, true, self.start.at(self.now)).unwrap();
    }

    /// As the MQTT client gives them: in a cycle, without a look whether one is free.
    fn identifier_for(&mut self, caller: u32) -> u16 {
        self.ever_written.insert(caller);
        if self.levels[&caller] == 0 {
            return 0;
        }
        self.last_identifier = self.last_identifier % self.window.cycle + 1;
        let before = self.with_broker.insert(self.last_identifier, (caller, false));
        assert_eq!(before, None, "packet identifier {} is in use", self.last_identifier);
        assert!(self.with_broker.len() <= usize::from(self.window.size), "over Receive Maximum");
        let exactly_once = self.with_broker.values().filter(|(caller, _)| self.levels[caller] == 2).count();
        assert!(exactly_once <= usize::from(EXACTLY_ONCE), "too many at QoS 2");
        self.last_identifier
    }

    fn acknowledge(&mut self, which: usize, refuse: bool) {
        let mut identifiers: Vec<u16> = self.with_broker.keys().copied().collect();
        identifiers.sort_unstable();
        if identifiers.is_empty() || !self.connected {
            return;
        }
        let identifier = identifiers[which % identifiers.len()];
        let (caller, received) = self.with_broker[&identifier];
        let (kind, last) = match (self.levels[&caller], received) {
            (1, _) => (PubAck, true),
            (_, false) => (PubRec, refuse),
            (_, true) => (PubComp, true),
        };
        let refused = refuse && kind != PubComp;
        if last {
            self.with_broker.remove(&identifier);
            self.acknowledged.extend((!refused).then_some(caller));
        } else {
            self.with_broker.insert(identifier, (caller, true));
        }
        let code = if refused { 135 } else { 0 };
        let was_told = self.outcomes.contains_key(&caller);
        // an identifier that is owed, but not sent again yet, is not acknowledged by a sane broker
        self.table.acknowledged(kind, identifier, Some(code), None).unwrap();
        self.collect();
        if last {
            let expected = if refused { Err(Failure::Refused(135)) } else { acknowledged(identifier, 0) };
            let told = if was_told { &self.late } else { &self.outcomes };
            assert_eq!(told.get(&caller), Some(&expected), "{caller}");
        }
    }

    fn lose(&mut self, session_kept: bool, flushed: bool, blame: Blame) {
        if !self.connected {
            return;
        }
        self.connected = false;
        self.session_kept = session_kept;
        if let Some(caller) = self.handed_over.take().filter(|_| flushed) {
            // the MQTT client wrote it, and the connection ended before it reported that
            let identifier = self.identifier_for(caller);
            self.table.written(identifier, false, self.start.at(self.now)).unwrap();
        }
        let aftermath = self.table.lost(session_kept, blame);
        if let Some(refused) = aftermath.refused {
            let caller: u32 = std::str::from_utf8(&refused.payload).unwrap().parse().unwrap();
            self.with_broker.retain(|_, (other, _)| *other != caller);
        }
    }

    fn reconnect(&mut self, session_present: bool, window: Window) {
        if self.connected {
            return;
        }
        self.connected = true;
        let session_present = session_present && self.session_kept;
        self.window = window;
        let size = window.size;
        self.last_identifier = 0;
        self.table.connected(session_present);
        if !session_present {
            self.with_broker.clear();
        }
        // retransmissions are sent within the window and acknowledged, before anything new
        let mut sent_again = 0;
        while self.table.unacknowledged() > 0 {
            let retransmissions = self.table.in_flight.retransmissions(size, self.start.at(self.now));
            let Some(retransmissions) = retransmissions else { return self.leave_session() };
            let is_over = retransmissions.is_empty() && self.table.unacknowledged() > 0;
            assert!(!is_over && retransmissions.len() <= usize::from(size));
            for retransmission in retransmissions {
                sent_again += 1;
                self.settle_retransmission(retransmission);
            }
        }
        assert!(sent_again <= 8 + 5, "at most what was unacknowledged");
        self.with_broker.clear();
        self.table.ready(self.window);
    }

    /// The session cannot be resumed.
    fn leave_session(&mut self) {
        let is_overdue = |(caller, received): &(u32, bool)| {
            self.stored.contains(caller) && !received && self.levels[caller] == 2 && self.deadlines[caller] <= self.now
        };
        assert!(self.with_broker.values().any(is_overdue), "all may be sent again");
        self.with_broker.clear();
        (self.connected, self.session_kept) = (false, false);
        self.table.lost(false, Blame::Elsewhere);
    }

    fn settle_retransmission(&mut self, retransmission: Retransmission) {
        let identifier = match retransmission {
            Retransmission::Publish(identifier, message) => {
                let (caller, received) = self.with_broker[&identifier];
                assert_eq!(message.payload, caller.to_string(), "the message of this identifier");
                assert!(!received);
                self.check_stored(caller, &message);
                self.table.written(identifier, true, self.start.at(self.now)).unwrap();
                if self.levels[&caller] == 1 {
                    self.acknowledged.insert(caller);
                    return self.table.acknowledged(PubAck, identifier, Some(0), None).unwrap();
                }
                self.table.acknowledged(PubRec, identifier, Some(0), None).unwrap();
                identifier
            }
            Retransmission::PubRel(identifier) => identifier,
        };
        self.acknowledged.insert(self.with_broker[&identifier].0);
        self.table.acknowledged(PubComp, identifier, Some(0), None).unwrap();
    }

    /// Every caller gets one outcome, and it is true. Who got "unknown" may get another one.
    fn collect(&mut self) {
        for (caller, outcome) in self.table.take_settled() {
            let handed_over = self.ever_handed_over.contains(&caller);
            match outcome {
                Ok(Published::HandedOver) => assert!(self.levels[&caller] == 0 && handed_over),
                Ok(Published::Acknowledged { .. }) => {
                    assert!(self.acknowledged.contains(&caller), "{caller} was not acknowledged");
                }
                Err(Failure::NotConnected | Failure::Busy | Failure::TooManyWaiting) => assert!(!handed_over),
                Err(Failure::Unknown | Failure::Refused(_) | Failure::GivenUp) => assert!(handed_over),
                Err(other) => panic!("{caller}: {other:?}"),
            }
            assert!(!self.withdrawn.contains(&caller), "{caller} was taken back");
            let before = self.outcomes.insert(caller, outcome);
            assert_eq!(before, None, "{caller} got two outcomes");
        }
        for (caller, outcome) in self.table.take_late() {
            match outcome {
                Ok(Published::Acknowledged { .. }) => assert!(self.acknowledged.contains(&caller), "{caller}"),
                Ok(Published::HandedOver) => assert!(self.levels[&caller] == 0 && self.ever_written.contains(&caller)),
                Err(Failure::NotConnected) => assert!(!self.ever_written.contains(&caller), "{caller} was written"),
                Err(Failure::Refused(_)) => assert!(self.ever_written.contains(&caller), "{caller}"),
                other => panic!("{caller}: {other:?}"),
            }
            assert_eq!(self.outcomes.get(&caller), Some(&Err(Failure::Unknown)), "{caller}");
            assert_eq!(self.late.insert(caller, outcome), None, "{caller} got two late outcomes");
        }
        assert!(self.table.unsettled() <= 8 + 1, "those who wait, and one with an outcome that has not left");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..proptests::config() })]

    #[test]
    fn every_caller_gets_one_true_outcome(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.now += 1000;
        world.table.expire(world.start.at(world.now));
        world.collect();
        let told = world.outcomes.len() + world.withdrawn.len();
        prop_assert_eq!(told, usize::try_from(world.next_caller).unwrap());
        prop_assert_eq!(world.table.unsettled(), 0);
        prop_assert_eq!(world.table.next_deadline(), None);
    }
}
