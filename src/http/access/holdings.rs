//! What the bearers of tokens have of what all share: topic filters at run time, and streams of what comes for them.
//!
//! A filter may have several owners. Each of them has its own share of the places, and the broker is told when the last
//! one lets go. Those of the configuration are nobody's.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bearers::Bearer;
use crate::config::{Config, MAX_FILTER_BYTES, MAX_FILTERS, Sees};
use crate::http::reply::Reply;
use crate::message::{Qos, TopicFilter};

/// What each bearer has, by its number.
#[derive(Debug)]
pub struct Holdings {
    of_file: HashSet<TopicFilter>,
    owners: Mutex<Vec<Filters>>,
}

/// What one bearer has.
type Filters = HashMap<TopicFilter, Held>;

/// How one bearer has one filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// It is subscribed to.
    qos: Option<Qos>,
    /// It was, and the broker is asked to let it go.
    leaving: Option<Qos>,
    /// Subscriptions that the broker has not answered.
    claims: usize,
    pub listeners: usize,
    askers: usize,
}

/// What a filter is used for while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Listen,
    Ask,
}

/// A subscription that the broker has not answered.
#[derive(Debug)]
pub struct Claim {
    bearer: Arc<Bearer>,
    filter: TopicFilter,
    /// What is to be asked for: no less than the other owners have.
    pub qos: Qos,
    wanted: Qos,
    is_settled: bool,
}

/// How a bearer may let go of a filter.
#[derive(Debug)]
pub enum Leave {
    /// Others have it still: nobody need be asked.
    Shared,
    /// The broker is to be asked.
    Last(Leaving),
    /// Nobody has it.
    Nobody,
}

/// The last owner of a filter lets it go.
#[derive(Debug)]
pub struct Leaving {
    bearer: Arc<Bearer>,
    filter: TopicFilter,
}

/// A filter that is read, until it is dropped.
#[derive(Debug)]
pub struct Reading {
    bearer: Arc<Bearer>,
    filter: TopicFilter,
    by: Use,
}

impl Held {
    pub fn is_recorded(&self) -> bool {
        self.qos.is_some() || self.leaving.is_some() || self.claims > 0
    }

    fn is_read(&self) -> bool {
        self.listeners + self.askers > 0
    }

    fn count(&mut self, by: Use) -> &mut usize {
        match by {
            Use::Listen => &mut self.listeners,
            Use::Ask => &mut self.askers,
        }
    }
}

impl Holdings {
    pub fn new(config: &Config) -> Self {
        let of_file = config.subscribe.iter().map(|subscription| subscription.topic.clone()).collect();
        Self { of_file, owners: Mutex::new(vec![HashMap::new(); config.tokens.len()]) }
    }

    /// How a bearer has a filter, if it has it.
    pub fn of(&self, bearer: &Bearer, filter: &TopicFilter) -> Option<Held> {
        self.lock()[bearer.number].get(filter).copied()
    }

    /// Changes how a bearer has a filter, and forgets one that it does not have any more.
    fn change(&self, bearer: &Bearer, filter: &TopicFilter, change: impl FnOnce(&mut Held)) {
        let mut owners = self.lock();
        let own = &mut owners[bearer.number];
        let held = own.entry(filter.clone()).or_default();
        change(held);
        if !held.is_recorded() && !held.is_read() {
            own.remove(filter);
        }
    }

    /// A panic while the lock is held ends the process, so a poisoned state is never used for long.
    fn lock(&self) -> MutexGuard<'_, Vec<Filters>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the other owners of a filter have it.
fn others<'a>(owners: &'a [Filters], bearer: &Bearer, filter: &TopicFilter) -> impl Iterator<Item = &'a Held> {
    let others = owners.iter().enumerate().filter(|(number, _)| *number != bearer.number);
    others.filter_map(|(_, own)| own.get(filter)).filter(|held| held.is_recorded())
}

/// How many filters of one kind there are, and their bytes.
fn taken(own: &Filters, is_meant: fn(&Held) -> bool) -> (usize, usize) {
    let filters = own.iter().filter(|(_, held)| is_meant(held));
    filters.fold((0, 0), |(count, bytes), (filter, _)| (count + 1, bytes + filter.as_str().len()))
}

impl Bearer {
    /// A place for a filter that is to be subscribed to, be it at another quality of service than before; `None` for one
    /// that is nobody's.
    pub fn claim(self: &Arc<Self>, filter: &TopicFilter, wanted: Qos) -> Result<Option<Claim>, Reply> {
        if self.holdings.of_file.contains(filter) {
            return Ok(None);
        }
        let mut owners = self.holdings.lock();
        let own = &owners[self.number];
        if !own.get(filter).is_some_and(Held::is_recorded) {
            let (count, bytes) = taken(own, Held::is_recorded);
            let max = self.token.max_subscriptions;
            // as large a part of the bytes, and never less than half: a few filters may be long
            let max_bytes = (MAX_FILTER_BYTES / 2).max(MAX_FILTER_BYTES / MAX_FILTERS * max);
            if count >= max || bytes + filter.as_str().len() > max_bytes {
                return Err(self.share_taken("max-subscriptions", "topic filters"));
            }
        }
        let of_others = others(&owners, self, filter).filter_map(|held| held.qos);
        let qos = of_others.chain([wanted]).max().unwrap_or(wanted);
        owners[self.number].entry(filter.clone()).or_default().claims += 1;
        Ok(Some(Claim { bearer: self.clone(), filter: filter.clone(), qos, wanted, is_settled: false }))
    }

    /// Lets go of a filter, as far as that is this bearer's to say.
    pub fn leave(self: &Arc<Self>, filter: &TopicFilter) -> Result<Leave, Reply> {
        let mut owners = self.holdings.lock();
        let has_others = others(&owners, self, filter).next().is_some();
        let own = &mut owners[self.number];
        match own.get_mut(filter).filter(|held| held.is_recorded()) {
            // whoever sees its own alone is told of no others, and ends nothing of theirs
            None if has_others && self.token.sees == Sees::Own => return Ok(Leave::Shared),
            None if has_others => return Err(Reply::subscription_of_others(&self.token.name, filter)),
            None => return Ok(Leave::Nobody),
            Some(held) if has_others => (held.qos, held.leaving) = (None, None),
            Some(held) => {
                held.leaving = held.qos.take().or(held.leaving);
                let (bearer, filter) = (self.clone(), filter.clone());
                return Ok(Leave::Last(Leaving { bearer, filter }));
            }
        }
        drop(owners);
        self.holdings.change(self, filter, |_| ());
        Ok(Leave::Shared)
    }

    /// A place for a stream.
    pub fn listen(self: &Arc<Self>, filter: &TopicFilter) -> Result<Reading, Reply> {
        self.read(filter, Use::Listen)
    }

    /// A place for a response topic.
    pub fn ask(self: &Arc<Self>, filter: &TopicFilter) -> Result<Reading, Reply> {
        self.read(filter, Use::Ask)
    }

    fn read(self: &Arc<Self>, filter: &TopicFilter, by: Use) -> Result<Reading, Reply> {
        let mut owners = self.holdings.lock();
        let own = &mut owners[self.number];
        let streams: usize = own.values().map(|held| held.listeners).sum();
        if by == Use::Listen && streams >= self.token.max_listeners {
            return Err(self.share_taken("max-listeners", "listeners"));
        }
        let is_new = !own.get(filter).is_some_and(Held::is_read) && !self.holdings.of_file.contains(filter);
        let (count, bytes) = taken(own, Held::is_read);
        if is_new && (count >= MAX_FILTERS / 2 || bytes + filter.as_str().len() > MAX_FILTER_BYTES / 2) {
            return Err(Reply::reader_quota_reached(&self.token.name, MAX_FILTERS / 2, MAX_FILTER_BYTES / 2));
        }
        *own.entry(filter.clone()).or_default().count(by) += 1;
        Ok(Reading { bearer: self.clone(), filter: filter.clone(), by })
    }

    fn share_taken(&self, key: &str, what: &str) -> Reply {
        log::debug!(TOKEN = self.token.name; "token {} has as many {what} as its {key} allows", self.token.name);
        Reply::quota_reached(&self.token.name, key, what)
    }
}

impl Claim {
    /// The broker has answered; where it has not granted the filter, things are as before.
    pub fn settle(mut self, is_granted: bool) {
        self.end(is_granted);
    }

    fn end(&mut self, is_granted: bool) {
        self.is_settled = true;
        self.bearer.holdings.change(&self.bearer, &self.filter, |held| {
            held.claims = held.claims.saturating_sub(1);
            if is_granted {
                held.qos = Some(self.wanted);
            }
        });
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_settled {
            self.end(false);
        }
    }
}

impl Leaving {
    /// The broker has answered. Returns what somebody has begun to want meanwhile, and is to be subscribed to again.
    pub fn settle(self, has_left: bool) -> Option<Qos> {
        let Self { bearer, filter } = self;
        let restored = |held: &mut Held| {
            let before = held.leaving.take();
            held.qos = if has_left { held.qos } else { held.qos.or(before) };
        };
        bearer.holdings.change(&bearer, &filter, restored);
        let owners = bearer.holdings.lock();
        owners.iter().filter_map(|own| own.get(&filter)?.qos).max().filter(|_| has_left)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.bearer.holdings.change(&self.bearer, &self.filter, |held| {
            let count = held.count(self.by);
            *count = count.saturating_sub(1);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tokens;
    use super::*;
    use crate::config::{Environment, Source};
    use crate::memory::Memory;

    /// The bearers of two tokens.
    fn two() -> [Arc<Bearer>; 2] {
        let table = |name, digit: &str| format!("[[token]]\nname = \"{name}\"\nsha256 = \"{}\"\n", digit.repeat(64));
        let text = [table("a", "0"), table("b", "1")].concat();
        let config = Config::parse(&text, &Source::BuiltIn, &Environment::default()).unwrap();
        let bearers = Tokens::new(&config, &Memory::new(usize::MAX));
        [0, 1].map(|number| bearers.in_item(number))
    }

    fn filter() -> TopicFilter {
        TopicFilter::try_from("a/#".to_owned()).unwrap()
    }

    fn subscribe(bearer: &Arc<Bearer>, qos: Qos) -> Qos {
        let claim = bearer.claim(&filter(), qos).unwrap().unwrap();
        let asked = claim.qos;
        claim.settle(true);
        asked
    }

    fn last(bearer: &Arc<Bearer>) -> Leaving {
        match bearer.leave(&filter()) {
            Ok(Leave::Last(leaving)) => leaving,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_asked_for_is_never_less_than_the_other_owners_have() {
        let [a, b] = two();
        assert_eq!(subscribe(&a, Qos::AtLeastOnce), Qos::AtLeastOnce);
        assert_eq!(subscribe(&b, Qos::AtMostOnce), Qos::AtLeastOnce);
        assert!(matches!(a.leave(&filter()), Ok(Leave::Shared)));
        assert_eq!(subscribe(&b, Qos::AtMostOnce), Qos::AtMostOnce, "alone it has what it asks for");
    }

    #[test]
    fn who_begins_while_the_last_owner_leaves_is_subscribed_again() {
        let [a, b] = two();
        subscribe(&a, Qos::AtMostOnce);
        let leaving = last(&a);
        assert!(b.leave(&filter()).is_err(), "it is the other one's until the broker has answered");
        subscribe(&b, Qos::AtLeastOnce);
        assert_eq!(leaving.settle(true), Some(Qos::AtLeastOnce));
        assert_eq!(last(&b).settle(true), None);
        assert!(matches!(a.leave(&filter()), Ok(Leave::Nobody)), "nothing is left of it");
    }

    #[test]
    fn what_the_broker_did_not_do_changes_nothing() {
        let [a, b] = two();
        subscribe(&a, Qos::AtMostOnce);
        assert_eq!(last(&a).settle(false), None);
        b.claim(&filter(), Qos::AtLeastOnce).unwrap().unwrap().settle(false);
        drop(b.claim(&filter(), Qos::AtLeastOnce));
        assert!(b.leave(&filter()).is_err(), "it is still the first one's");
        assert_eq!(last(&a).settle(true), None);
    }
}
