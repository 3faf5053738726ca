//! The reaper: sees the connections that tiny_http hides, and ends those that would harm others.
//!
//! tiny_http keeps a thread and two descriptors for each connection, for as long as the client likes; it leaves some
//! of a burst of connections without a thread; and its accepting thread dies of a lack of either. From outside, with
//! its public interface alone, all of that can be seen and cured, but for two leaks, which are counted.

mod eviction;
mod shared_addresses;
mod tracked;

use std::collections::{HashMap, HashSet};
use std::mem;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use self::eviction::{Kind, Spare, select};
use self::tracked::{HELP_PAUSE, Verdict, Watched};
use crate::http::reply::Reply;
use crate::http::server::acceptor::Acceptor;
use crate::http::server::connections::{Connection, Connections, Cut, MAX_FOLLOWERS};
use crate::http::server::limits::Limits;
use crate::http::server::response::form::Form;
use crate::http::server::sockets::descriptors::{self, Cookie};
use crate::http::server::sockets::{Place, Whose, is_there};
use crate::http::server::workers::Workers;
use crate::metrics;

/// How often it looks while there are connections: what one may send until it is seen has to be held in memory.
const PAUSE: Duration = Duration::from_millis(10);
/// How often while there are none.
const LONG_PAUSE: Duration = Duration::from_millis(20);
/// While there are none it looks only at every so many-th time, unless it finds that something was opened.
const SKIPPED: u32 = 10;
/// Of its time it spends at most one part in so many, however many connections there are.
const SHARE: u32 = 25;
/// But it is never away for longer.
const MAX_PAUSE: Duration = Duration::from_millis(250);
/// Bytes of requests that tiny_http may have taken from all connections and not handed on.
const MAX_BACKLOGS: u64 = 1024 * 1024;
/// How many connections without a thread are helped at a time.
const MAX_KNOCKS: usize = 512;
/// How long after its end a connection may still be there before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// How long what an ended connection sent may still be in tiny_http's queue.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1);
/// How many may be stuck before the daemon is to be restarted: each holds a thread, and most of them two descriptors.
const MAX_STUCK: usize = 200;
/// How many descriptors there must be for another try to accept: the socket's and those of a handful of connections. One
/// that finds its backlog longer than its room dies at once, and may leave a thread behind.
const ROOM: usize = 32;
/// How many must do in the end: the socket's, one connection's two, and one to knock with.
const LEAST_ROOM: usize = 4;
/// The longest pause between two tries to accept again.
const MAX_BACKOFF: Duration = Duration::from_millis(800);
const MIN_BACKOFF: Duration = Duration::from_millis(50);
/// From which pause on the least room must do.
const LATE_BACKOFF: Duration = Duration::from_millis(400);

/// What it remembers from one look to the next.
pub struct Reaper {
    workers: Workers,
    limits: Limits,
    watched: HashMap<Cookie, Watched>,
    /// Sockets that are no connections of ours.
    others: HashMap<Cookie, u64>,
    /// How often it has looked.
    round: u64,
    /// Of all numbers the lowest that no descriptor had at the last look: the next one that is opened has it.
    lowest_free: RawFd,
    /// It has seen a socket since it last judged.
    has_new: bool,
    skipped: u32,
    accepting_again: Option<(Instant, Duration)>,
    /// When all that may wait for a thread were last helped.
    helped: Option<Instant>,
    /// How many accepting threads have died: now and then one leaves an idle thread behind, which was not told.
    deaths: usize,
    restarting: bool,
    /// Connections as last counted.
    open: i64,
}

impl Reaper {
    pub fn new(workers: Workers, limits: Limits) -> Self {
        let (watched, others) = (HashMap::new(), HashMap::new());
        let (round, lowest_free, skipped) = (0, 0, 0);
        Self {
            workers,
            limits,
            watched,
            others,
            round,
            lowest_free,
            has_new: false,
            skipped,
            accepting_again: None,
            helped: None,
            deaths: 0,
            restarting: false,
            open: 0,
        }
    }

    /// Looks again and again, as long as the process lives.
    pub fn run(&mut self) {
        loop {
            let (start, cpu) = (Instant::now(), cpu_time());
            self.renew(start);
            if self.is_quiet() {
                self.skipped += 1;
                sleep(LONG_PAUSE);
                continue;
            }
            self.skipped = 0;
            self.look(start);
            let helpless = self.judge(start);
            self.resume(start);
            self.help(helpless, start);
            self.see_off(start);
            self.retire();
            self.count_stuck(start);
            self.count_open();
            self.workers.connections().looked();
            let pause = if self.watched.is_empty() { LONG_PAUSE } else { PAUSE };
            sleep(pause.max((cpu_time().saturating_sub(cpu) * SHARE).min(MAX_PAUSE)));
        }
    }

    /// Whether there is nothing to see, as far as one number tells.
    fn is_quiet(&self) -> bool {
        let is_stopping = self.workers.is_stopped();
        self.watched.is_empty()
            && !is_stopping
            && self.skipped < SKIPPED
            && self.lowest_free > 0
            && !descriptors::is_open(self.lowest_free)
    }

    /// Accepts again where tiny_http's accepting thread is dead.
    fn renew(&mut self, now: Instant) {
        if self.workers.is_stopped() {
            return;
        }
        if self.workers.is_accepting() {
            if self.accepting_again.take_if(|(next, backoff)| now > *next + *backoff * 4).is_some() {
                log::info!("accepting connections on {} again", self.workers.listener());
            }
            if let Err(error) = self.workers.staff() {
                log::debug!("too few workers: {error}");
            }
            return;
        }
        let backoff = match self.accepting_again {
            Some((next, _)) if now < next => return,
            Some((_, backoff)) => (backoff * 2).min(MAX_BACKOFF),
            None => {
                log::warn!(
                    "cannot accept connections on {}: no descriptor or no thread is left; trying again",
                    self.workers.listener()
                );
                MIN_BACKOFF
            }
        };
        self.accepting_again = Some((now + backoff, backoff));
        let room = if backoff < LATE_BACKOFF { ROOM } else { LEAST_ROOM };
        if !self.workers.connections().sockets().has_room(room) {
            return;
        }
        // all that is there now came by the dead one
        self.look(now);
        match self.workers.accept() {
            Ok(()) => self.deaths += 1,
            Err(error) => log::debug!("cannot accept again: {error}"),
        }
    }

    /// Sees which sockets there are.
    fn look(&mut self, now: Instant) {
        self.round += 1;
        let workers = self.workers.clone();
        let sockets = workers.connections().sockets();
        self.lowest_free = 0;
        for number in sockets.numbers() {
            let Some(cookie) = descriptors::cookie(number) else {
                if self.lowest_free == 0 && !descriptors::is_open(number) {
                    self.lowest_free = number;
                }
                continue;
            };
            let place = Place { number, cookie };
            if let Some(watched) = self.watched.get_mut(&cookie) {
                (watched.place, watched.round) = (place, self.round);
            } else if let Some(round) = self.others.get_mut(&cookie) {
                *round = self.round;
            } else {
                let whose = sockets.whose(place);
                // or else it may have told of another
                if is_there(place) {
                    self.meet(whose, place, now);
                }
            }
        }
        self.watched.retain(|_, watched| watched.round == self.round);
        self.others.retain(|_, round| *round == self.round);
        for watched in self.watched.values_mut() {
            watched.measure();
        }
    }

    /// Remembers a socket that was not there before.
    fn meet(&mut self, whose: Option<Whose>, place: Place, now: Instant) {
        if let Some(whose) = whose {
            let watched = Watched::new(whose, self.workers.newest(), place, self.round, now);
            self.watched.insert(place.cookie, watched);
            self.has_new = true;
        } else {
            self.others.insert(place.cookie, self.round);
        }
    }

    /// Decides about each connection, and does it. Returns how many have no thread.
    fn judge(&mut self, now: Instant) -> usize {
        let connections = self.workers.connections();
        let (mut doomed, mut cut, mut spare, mut helpless) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut state = connections.lock();
        if mem::take(&mut self.has_new) {
            state.pairs = self.pairs();
        }
        let is_crowded = state.unanswered() > MAX_FOLLOWERS;
        for watched in self.watched.values_mut() {
            let Some(client) = watched.client else {
                match watched.judge_unix(is_crowded, now) {
                    Verdict::Help => helpless += usize::from(watched.is_helped(now)),
                    Verdict::End(_) => doomed.push((watched.place, None)),
                    _ => {}
                }
                continue;
            };
            if let Some(ended) = watched.ended {
                let is_it = |connection: &Connection| connection.place == Some(watched.place);
                // what it had sent is gone too, and its address may be another's by now
                if now > ended + FORGOTTEN_AFTER && state.table.get(&client).is_some_and(is_it) {
                    state.table.remove(&client);
                }
                continue;
            }
            let place = watched.place;
            let Some(connection) = state.meet(client, place, now) else { continue };
            match watched.judge(connection, &self.limits, now) {
                Verdict::Cut => cut.push(watched.place),
                Verdict::Help => helpless += usize::from(watched.is_helped(now)),
                Verdict::End(words) => {
                    connection.ended = true;
                    watched.ended = Some(now).filter(|_| !connection.running);
                    doomed.push((watched.place, words));
                }
                Verdict::Leave => {
                    spare.extend(connection.spare().map(|(kind, since)| Spare { since, client, place, kind }));
                }
            }
        }
        for (client, place) in self.heaviest() {
            let is_it = |connection: &&mut Connection| connection.place == Some(place);
            state.table.get_mut(&client).filter(is_it).into_iter().for_each(|connection| connection.ended = true);
            doomed.push((place, None));
        }
        let is_doomed: HashSet<Cookie> = doomed.iter().map(|(place, _)| place.cookie).collect();
        let stays = |watched: &&Watched| watched.ended.is_none() && !is_doomed.contains(&watched.place.cookie);
        let count = self.watched.values().filter(stays).count();
        let too_many = count.saturating_sub(self.limits.max_connections);
        // those who have their answer need it least
        let too_many = too_many - Connections::hurry(&mut state, too_many, now);
        for Spare { client, place, kind, .. } in select(spare, too_many, count, self.limits.max_connections, now) {
            let Some(connection) = state.table.get_mut(&client) else { continue };
            if let Some(body) = &mut connection.body {
                body.cut = Some(Cut::Evicted);
                cut.push(place);
            } else {
                connection.ended = true;
                doomed.push((place, (kind == Kind::Head).then(Reply::busy)));
            }
        }
        let is_there = |place: &Place| self.watched.contains_key(&place.cookie);
        state.table.retain(|_, connection| {
            !connection.is_done()
                || connection.place.as_ref().map_or(connection.created >= now, is_there)
                || (connection.ended && now < connection.quiet_since + FORGOTTEN_AFTER)
        });
        let shared = |client: &SocketAddr| state.table.get(client).is_some_and(|connection| connection.is_shared);
        let doomed_pairs = self.others_of(doomed.iter().map(|(place, _)| *place), shared);
        let cut_pairs = self.others_of(cut.iter().copied(), shared);
        for (client, place) in doomed_pairs {
            state.table.get_mut(&client).into_iter().for_each(|connection| connection.ended = true);
            doomed.push((place, None));
        }
        cut.extend(cut_pairs.into_iter().map(|(_, place)| place));
        drop(state);
        for (place, words) in doomed {
            let words = words.map(|reply| {
                metrics::replied(reply.status(), reply.code());
                Form::last().write(&reply)
            });
            let words = words.unwrap_or_default();
            connections.sockets().shut(place, &words);
        }
        for place in cut {
            connections.sockets().cut(place);
        }
        helpless
    }

    /// Has the requests served of which it is known by now whose they are.
    fn resume(&self, now: Instant) {
        let turns = self.workers.connections().tell(now);
        for (turn, acceptor) in turns.into_iter().zip(self.workers.newest().into_iter().cycle()) {
            acceptor.take(turn);
        }
    }

    /// Ends the refused connections that have had their time.
    fn see_off(&self, now: Instant) {
        let (over, newest) = (self.workers.connections().see_off(now), self.workers.newest());
        for (client, acceptor) in over.into_iter().zip(newest.into_iter().cycle()) {
            acceptor.pass_on(Some(client));
        }
    }

    /// Those with the most requests that nobody has seen yet, as long as all of them together have too many.
    fn heaviest(&self) -> Vec<(SocketAddr, Place)> {
        let backlogs = self.watched.values().filter(|watched| watched.backlog > 0 && watched.ended.is_none());
        let mut backlogs: Vec<_> = backlogs.collect();
        backlogs.sort_unstable_by_key(|watched| watched.backlog);
        let mut all: u64 = backlogs.iter().map(|watched| watched.backlog).sum();
        let mut heaviest = Vec::new();
        while let Some(watched) = backlogs.pop().filter(|_| all > MAX_BACKLOGS) {
            all -= watched.backlog;
            heaviest.extend(watched.client.map(|client| (client, watched.place)));
        }
        heaviest
    }

    /// Wakes a thread of `tiny_http` for each connection that may wait for one: a connection that comes while none is idle
    /// gets a new one, which takes the next of the queue when it is done. There one that is silent may be in front.
    fn help(&mut self, helpless: usize, now: Instant) {
        // nobody would accept it
        if helpless == 0 || !self.workers.is_accepting() {
            return;
        }
        let helps_all = self.helped.is_none_or(|helped| now >= helped + HELP_PAUSE);
        let all = || self.watched.values().filter(|watched| watched.may_lack_thread()).count();
        let count = if helps_all { all() } else { helpless };
        self.helped = if helps_all { Some(now) } else { self.helped };
        for _ in 0..count.min(MAX_KNOCKS) {
            if let Err(error) = self.workers.listener().knock() {
                log::debug!("cannot connect to ourselves: {error}");
            }
        }
    }

    fn retire(&self) {
        self.workers.retire(|acceptor| {
            let came_by = |other: &Arc<Acceptor>| Arc::ptr_eq(other, acceptor);
            self.watched.values().any(|watched| watched.acceptor.as_ref().is_some_and(came_by))
        });
    }

    fn count_open(&mut self) {
        let open = self.watched.values().filter(|watched| watched.ended.is_none()).count();
        let open = i64::try_from(open).unwrap_or(i64::MAX);
        metrics::http_connections_changed(open - self.open);
        self.open = open;
    }

    /// Counts the connections that nothing frees, and has the daemon restarted before they are too many.
    fn count_stuck(&mut self, now: Instant) {
        let newest = self.workers.newest();
        let is_stuck = |watched: &&Watched| {
            watched.ended.is_some_and(|ended| now > ended + STUCK_AFTER) && watched.has_thread(newest.as_ref())
        };
        // a client may well have gone while its request waits for the broker
        let state = self.workers.connections().lock();
        let waiting = if self.workers.connections().sockets().is_unix() {
            state.unanswered()
        } else {
            state.table.values().filter(|connection| connection.running && connection.place.is_none()).count()
        };
        drop(state);
        let stuck = self.watched.values().filter(is_stuck).count().saturating_sub(waiting) + self.deaths;
        if stuck >= MAX_STUCK && !self.restarting {
            self.restarting = true;
            self.workers.request_restart(format!("{stuck} threads of connections cannot be freed"));
        }
    }
}

/// What this thread has computed so far: on a busy machine it is not the reaper that takes the time.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
