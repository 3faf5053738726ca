//! Which entries are of which kind, so that what concerns many of them is known without a look at each.

use super::Key;
use super::entry::{AtBroker, Entry};
use super::keys::Keys;
use crate::message::Qos;

/// Sets of keys by what their entries are. Each set says of an entry what that itself says.
#[derive(Default)]
pub struct Kinds {
    pub shared: Keys,
    /// Of the configuration.
    pub of_file: Keys,
    /// For the journal.
    pub recorded: Keys,
    /// For readers, or for those who await answers.
    pub read: Keys,
    /// By the quality of service that is wanted at least.
    pub wanted: [Keys; 3],
    /// The same of what was granted on this connection.
    pub granted: [Keys; 3],
    pub absent: Keys,
    pub asked: Keys,
    /// Granted, and nothing was asked since.
    pub there: Keys,
    /// Or left out.
    pub refused: Keys,
}

impl Kinds {
    /// An entry is as it is now; it is none where there is no entry any more.
    pub fn note<R>(&mut self, key: Key, entry: Option<&Entry<R>>) {
        let is = |is_so: &dyn Fn(&Entry<R>) -> bool| entry.is_some_and(is_so);
        self.shared.set(key, is(&|entry| entry.filter.is_shared()));
        self.of_file.set(key, is(&|entry| entry.file.is_some()));
        self.recorded.set(key, is(&Entry::is_recorded));
        self.read.set(key, is(&|entry| entry.channel.is_some() || entry.awaits_answers()));
        let (wanted, granted) = (entry.and_then(Entry::wanted), entry.and_then(Entry::granted));
        for (qos, (of_wanted, of_granted)) in (0..).zip(self.wanted.iter_mut().zip(&mut self.granted)) {
            of_wanted.set(key, wanted.is_some_and(|wanted| wanted as u8 >= qos));
            of_granted.set(key, granted.is_some_and(|granted| granted >= qos));
        }
        self.absent.set(key, is(&|entry| entry.state == AtBroker::Absent));
        self.asked.set(key, is(&|entry| matches!(entry.state, AtBroker::Asked { .. })));
        self.there.set(key, is(&|entry| matches!(entry.state, AtBroker::Granted { .. })));
        self.refused.set(key, is(&|entry| matches!(entry.state, AtBroker::Refused(_) | AtBroker::LeftOut)));
    }

    /// The highest quality of service at which one of these is wanted.
    pub fn highest_wanted(&self, of: &Keys) -> Option<Qos> {
        let levels = [Qos::ExactlyOnce, Qos::AtLeastOnce, Qos::AtMostOnce];
        levels.into_iter().find(|qos| of.first_in(&self.wanted[*qos as usize]).is_some())
    }

    /// The first of these that has the best quality of service; any where none is granted.
    pub fn best_granted(&self, of: &Keys) -> Option<Key> {
        self.granted.iter().rev().find_map(|granted| of.first_in(granted)).or_else(|| of.iter().next())
    }
}
