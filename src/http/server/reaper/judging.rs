//! Decides about all connections after a scan, under the lock of their state, and then does it without the lock.

use std::collections::HashSet;
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use super::Reaper;
use super::eviction::{Candidate, Progress, progress, select};
use super::tracked::Tracked;
use super::verdict::Verdict;
use crate::http::reply::Reply;
use crate::http::server::connections::{Connection, Cut, MAX_PIPELINED, State};
use crate::http::server::response::serializer::Serializer;
use crate::http::server::sockets::{SocketId, Sockets};
use crate::metrics;
use crate::socket::Cookie;

/// Bytes of requests that tiny_http may have read from all connections and not returned.
const MAX_BACKLOGS: u64 = 1024 * 1024;
/// How long requests of an ended connection may still be in tiny_http's queue.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Default)]
struct Decisions {
    /// Sockets to close, perhaps with a last reply.
    close: Vec<(SocketId, Option<Reply>)>,
    /// Sockets whose bodies are cut short.
    cut: Vec<SocketId>,
    /// Connections that may be evicted.
    candidates: Vec<Candidate>,
    /// Connections for which a thread of tiny_http's is to be woken.
    without_thread: usize,
}

impl Reaper {
    /// Decides about each connection, and does it. Returns for how many a thread is to be woken.
    pub(super) fn judge(&mut self, now: Instant) -> usize {
        let server = self.server.clone();
        let connections = server.connections();
        let mut state = connections.lock();
        if mem::take(&mut self.has_new) {
            state.shared_addresses = self.shared_addresses();
        }
        let mut decisions = self.judge_each(&mut state, now);
        self.close_heaviest(&mut state, &mut decisions);
        self.evict(&mut state, &mut decisions, now);
        self.forget_closed(&mut state, now);
        self.add_shared(&mut state, &mut decisions);
        drop(state);
        decisions.carry_out(&connections.sockets)
    }

    /// Decides about each connection for itself.
    fn judge_each(&mut self, state: &mut State, now: Instant) -> Decisions {
        let mut decisions = Decisions::default();
        let is_crowded = state.unanswered > MAX_PIPELINED;
        for tracked in self.tracked.values_mut() {
            let socket = tracked.socket;
            let Some(client) = tracked.client else {
                match tracked.judge_unix(is_crowded, now) {
                    Verdict::WakeThread => decisions.without_thread += usize::from(tracked.is_due_to_wake(now)),
                    Verdict::Close(_) => decisions.close.push((socket, None)),
                    _ => {}
                }
                continue;
            };
            if let Some(ended) = tracked.ended {
                let is_it = |connection: &Connection| connection.socket == Some(socket);
                // none of its requests is still to come, and its address may be another connection's
                if now > ended + FORGOTTEN_AFTER && state.table.get(&client).is_some_and(is_it) {
                    state.table.remove(&client);
                }
                continue;
            }
            let Some(connection) = state.connection_of(socket, client, now) else { continue };
            match tracked.judge(connection, &self.limits, now) {
                Verdict::Cut => decisions.cut.push(socket),
                Verdict::WakeThread => decisions.without_thread += usize::from(tracked.is_due_to_wake(now)),
                Verdict::Close(reply) => {
                    connection.ended = true;
                    tracked.ended = Some(now).filter(|_| !connection.running);
                    decisions.close.push((socket, reply));
                }
                Verdict::Leave => {
                    let candidate = |(progress, since)| Candidate { client, socket, progress, since };
                    decisions.candidates.extend(progress(connection).map(candidate));
                }
            }
        }
        decisions
    }

    /// Closes the connections with the largest backlogs, as long as the sum of all is too large.
    fn close_heaviest(&self, state: &mut State, decisions: &mut Decisions) {
        let backlogs = self.tracked.values().filter(|tracked| tracked.backlog > 0 && tracked.ended.is_none());
        let mut backlogs: Vec<&Tracked> = backlogs.collect();
        backlogs.sort_unstable_by_key(|tracked| tracked.backlog);
        let mut sum: u64 = backlogs.iter().map(|tracked| tracked.backlog).sum();
        while let Some(tracked) = backlogs.pop().filter(|_| sum > MAX_BACKLOGS) {
            sum -= tracked.backlog;
            let (Some(client), socket) = (tracked.client, tracked.socket) else { continue };
            let is_it = |connection: &&mut Connection| connection.socket == Some(socket);
            if let Some(connection) = state.table.get_mut(&client).filter(is_it) {
                connection.ended = true;
            }
            decisions.close.push((socket, None));
        }
    }

    /// Closes connections where there are more than `max_connections`.
    fn evict(&self, state: &mut State, decisions: &mut Decisions, now: Instant) {
        let closed: HashSet<Cookie> = decisions.close.iter().map(|(socket, _)| socket.cookie).collect();
        let stays = |tracked: &&Tracked| tracked.ended.is_none() && !closed.contains(&tracked.socket.cookie);
        let count = self.tracked.values().filter(stays).count();
        let max_connections = self.limits.max_connections;
        let too_many = count.saturating_sub(max_connections);
        // those whose request was refused first: they have their reply
        let too_many = too_many - state.expire_lingering(too_many, now);
        let candidates = mem::take(&mut decisions.candidates);
        for Candidate { client, socket, progress, .. } in select(candidates, too_many, count, max_connections, now) {
            let Some(connection) = state.table.get_mut(&client) else { continue };
            if let Some(body) = &mut connection.body {
                body.cut = Some(Cut::Evicted);
                decisions.cut.push(socket);
            } else {
                connection.ended = true;
                decisions.close.push((socket, (progress == Progress::Head).then(Reply::busy)));
            }
        }
    }

    /// Removes the state of connections whose sockets are closed.
    fn forget_closed(&self, state: &mut State, now: Instant) {
        let is_open = |socket: &SocketId| self.tracked.contains_key(&socket.cookie);
        state.table.retain(|_, connection| {
            !connection.is_done()
                || connection.socket.as_ref().map_or(connection.created >= now, is_open)
                || (connection.ended && now < connection.idle_since + FORGOTTEN_AFTER)
        });
    }

    /// Does the same to connections that cannot be told from the ones that are closed or cut short.
    fn add_shared(&self, state: &mut State, decisions: &mut Decisions) {
        let is_shared = |client: &SocketAddr| state.table.get(client).is_some_and(|connection| connection.is_shared);
        let closed = self.sharing_with(decisions.close.iter().map(|(socket, _)| *socket), is_shared);
        let cut = self.sharing_with(decisions.cut.iter().copied(), is_shared);
        for (client, socket) in closed {
            if let Some(connection) = state.table.get_mut(&client) {
                connection.ended = true;
            }
            decisions.close.push((socket, None));
        }
        decisions.cut.extend(cut.into_iter().map(|(_, socket)| socket));
    }
}

impl Decisions {
    /// Closes and cuts short. Returns for how many connections a thread is to be woken.
    fn carry_out(self, sockets: &Sockets) -> usize {
        for (socket, reply) in self.close {
            let reply = reply.map(|reply| {
                metrics::replied(reply.status(), reply.code());
                Serializer::without_request().serialize(&reply)
            });
            sockets.close(socket, Shutdown::Both, &reply.unwrap_or_default());
        }
        for socket in self.cut {
            sockets.close(socket, Shutdown::Read, &[]);
        }
        self.without_thread
    }
}
