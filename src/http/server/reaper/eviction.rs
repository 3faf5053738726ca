//! Which connections are evicted when there are too many.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::http::server::connections::Connection;
use crate::http::server::sockets::SocketId;

/// How long a new connection is spared: a client far away needs a moment for its first request.
const GRACE: Duration = Duration::from_secs(1);
/// New connections are evicted too where there are this many times `max_connections`.
const MANY_TIMES: usize = 2;

/// A connection that may be evicted.
pub struct Candidate {
    pub client: SocketAddr,
    pub socket: SocketId,
    pub progress: Progress,
    /// When it came to this progress.
    pub since: Instant,
}

/// How far the next request has come, in the order in which connections are evicted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// There is none.
    Idle,
    /// A part of its head has come.
    Head,
    /// A part of its body has come.
    Body,
}

/// How far the next request of a connection has come, and since when; `None` if the connection must not be evicted.
pub fn progress(connection: &Connection) -> Option<(Progress, Instant)> {
    match (&connection.body, connection.running || connection.ended) {
        (Some(body), _) => body.cut.is_none().then_some((Progress::Body, body.since)),
        (None, true) => None,
        (None, false) => {
            let idle = (Progress::Idle, connection.idle_since);
            Some(connection.first_byte.map_or(idle, |since| (Progress::Head, since)))
        }
    }
}

/// The candidates that are evicted when `too_many` of all `count` connections must go.
pub fn select(
    candidates: Vec<Candidate>,
    too_many: usize,
    count: usize,
    max_connections: usize,
    now: Instant,
) -> impl Iterator<Item = Candidate> {
    let (mut new, mut old): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|candidate| now < candidate.since + GRACE);
    // idle ones first: their clients lose the least
    old.sort_unstable_by_key(|candidate| (candidate.progress, candidate.since));
    old.truncate(too_many);
    // those with a body first: they have been open for the longest time
    new.sort_unstable_by_key(|candidate| (Reverse(candidate.progress), candidate.since));
    new.truncate(count.saturating_sub(old.len() + MANY_TIMES * max_connections));
    old.into_iter().chain(new)
}
