//! Connections that may go when there are too many, and who goes first.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::http::server::connections::Connection;
use crate::http::server::sockets::Place;

/// How long a connection stays in any case: a client far away needs a moment for its first request.
const GRACE: Duration = Duration::from_secs(1);
/// Unless there are so many times more of them than there may be.
const MANY_TIMES: usize = 2;
/// A connection that may go if there are too many.
pub struct Spare {
    /// When it began to be what it is.
    pub since: Instant,
    pub client: SocketAddr,
    pub place: Place,
    pub kind: Kind,
}

/// What it is, those that lose the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It has no request.
    Idle,
    /// The head of its request is half there.
    Head,
    /// The body is.
    Body,
}

impl Connection {
    /// Whether it may go if there are too many.
    pub fn spare(&self) -> Option<(Kind, Instant)> {
        match (&self.body, self.running || self.ended) {
            (Some(body), _) => body.cut.is_none().then_some((Kind::Body, body.since)),
            (None, true) => None,
            (None, false) => Some(self.first_byte.map_or((Kind::Idle, self.quiet_since), |since| (Kind::Head, since))),
        }
    }
}

/// Those of the spare ones that go when `too_many` of all `count` connections are.
pub fn select(
    spare: Vec<Spare>,
    too_many: usize,
    count: usize,
    max_connections: usize,
    now: Instant,
) -> impl Iterator<Item = Spare> {
    let (mut young, mut old): (Vec<_>, Vec<_>) = spare.into_iter().partition(|spare| now < spare.since + GRACE);
    // of those who had time enough the idle lose the least
    old.sort_unstable_by_key(|spare| (spare.kind, spare.since));
    old.truncate(too_many);
    // and of the others those with a body have had the most
    young.sort_unstable_by_key(|spare| (Reverse(spare.kind), spare.since));
    young.truncate(count.saturating_sub(old.len() + MANY_TIMES * max_connections));
    old.into_iter().chain(young)
}
