//! Streams and response topics that a token reads from.

use std::sync::Arc;

use super::Quota;
use super::holdings::{Holding, count};
use crate::config::{MAX_FILTER_BYTES, MAX_FILTERS};
use crate::http::reply::Reply;
use crate::message::TopicFilter;

/// The most topic filters that the readers of one token may have, and the most bytes of these.
const MAX_READ: usize = MAX_FILTERS / 2;
const MAX_READ_BYTES: usize = MAX_FILTER_BYTES / 2;

/// A stream or a request that reads from a filter, until it is dropped.
#[derive(Debug)]
pub struct Reader {
    quota: Arc<Quota>,
    filter: TopicFilter,
    kind: ReaderKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderKind {
    Stream,
    /// It awaits its response on a topic.
    Request,
}

impl ReaderKind {
    fn count(self, holding: &mut Holding) -> &mut usize {
        match self {
            Self::Stream => &mut holding.streams,
            Self::Request => &mut holding.requests,
        }
    }
}

impl Quota {
    /// Counts a stream or a request, if the quota allows it.
    pub fn read(self: &Arc<Self>, filter: &TopicFilter, kind: ReaderKind) -> Result<Reader, Reply> {
        let mut by_token = self.holdings.lock();
        let own = &mut by_token[self.index];
        let streams: usize = own.values().map(|holding| holding.streams).sum();
        if kind == ReaderKind::Stream && streams >= self.rules.max_listeners {
            return Err(self.reached("max-listeners", "listeners"));
        }
        let is_new = !own.get(filter).is_some_and(Holding::has_readers) && !self.holdings.configured.contains(filter);
        let (filters, bytes) = count(own, Holding::has_readers);
        if is_new && (filters >= MAX_READ || bytes + filter.as_str().len() > MAX_READ_BYTES) {
            return Err(Reply::reader_quota_reached(&self.rules.name, MAX_READ, MAX_READ_BYTES));
        }
        *kind.count(own.entry(filter.clone()).or_default()) += 1;
        Ok(Reader { quota: self.clone(), filter: filter.clone(), kind })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.quota.holdings.change(self.quota.index, &self.filter, |holding| *self.kind.count(holding) -= 1);
    }
}
