//! How a bridge stops: phases one after another, each with a deadline.

use std::time::{Duration, Instant};

use crate::bridge::Bridge;
use crate::http::{self, Server};
use crate::thread::Events;
use crate::{journal, mqtt};

/// The longest wait for the first requests of accepted connections.
const MAX_FIRST_REQUESTS: Duration = Duration::from_millis(300);
/// The longest part of the timeout that is left for what comes after the publishes.
const MAX_RESERVE: Duration = Duration::from_secs(1);
/// How long a stop may take beyond its timeout to write replies that are known.
const WRITING_REPLIES: Duration = Duration::from_secs(5);

/// When each phase ends at the latest. A phase that needs less leaves the rest to the next ones.
///
/// Requests are answered with what is known by the end of the timeout. Its last quarter, one second at most, is the
/// reserve: publishes do not get it, so that the broker and the workers have time left however long publishes take.
#[derive(Debug)]
struct Deadlines {
    /// First requests of connections that were accepted before the stop: a tenth of the timeout, 300 ms at most.
    first_requests: Instant,
    /// Outcomes of accepted publishes, answers to requests, messages of the groups that are left: until the reserve.
    settled: Instant,
    /// Acknowledgement of what is recorded, and UNSUBSCRIBE of filters of run time: an eighth of the reserve.
    forgotten: Instant,
    /// How long the journal may take to write what it has: half of the reserve, but no later than `forgotten`.
    flush: Duration,
    /// The publish of the will's message: a quarter of the reserve.
    left: Instant,
    /// The end of the connection by DISCONNECT: half of the reserve.
    disconnected: Instant,
    /// Refusals of requests that are pipelined behind those that were under way: three quarters of the reserve.
    answered: Instant,
    /// The end of the workers: the timeout.
    ended: Instant,
    /// Writing of replies that are known: five seconds more.
    written: Instant,
}

impl Deadlines {
    fn new(start: Instant, timeout: Duration) -> Self {
        let reserve = (timeout / 4).min(MAX_RESERVE);
        let settled = start + timeout.saturating_sub(reserve);
        Self {
            first_requests: start + (timeout / 10).min(MAX_FIRST_REQUESTS),
            settled,
            forgotten: settled + reserve / 8,
            flush: reserve / 2,
            left: settled + reserve / 4,
            disconnected: settled + reserve / 2,
            answered: settled + reserve * 3 / 4,
            ended: start + timeout,
            written: start + timeout + WRITING_REPLIES,
        }
    }
}

impl Bridge {
    /// How long [`Self::stop`] may take.
    #[must_use]
    pub fn stop_timeout(&self) -> Duration {
        self.timeout + WRITING_REPLIES
    }

    /// Refuses new requests, waits for the outcome of what was accepted, and ends the connection with a DISCONNECT; all
    /// that within the timeout of a publish. Replies that are known by then are written, however many they are.
    pub fn stop(self, events: &Events) {
        let deadlines = Deadlines::new(Instant::now(), self.timeout);
        self.service.stopping(self.stop_timeout());
        self.refuse_new_requests(&deadlines);
        log::info!("stopping");
        self.settle(&deadlines);
        self.leave_broker(&deadlines, events);
        self.end_servers(&deadlines, events);
    }

    /// Connections that were accepted before still get a first request served.
    fn refuse_new_requests(&self, deadlines: &Deadlines) {
        self.servers.iter().for_each(Server::stop_accepting);
        self.servers.iter().for_each(|server| server.await_first_requests(deadlines.first_requests));
        self.outbox.stop_accepting();
        self.publisher.stop_accepting();
        self.subscriber.stop_accepting();
        self.webhooks.stop_accepting();
    }

    fn settle(&self, deadlines: &Deadlines) {
        self.publisher.drain(deadlines.settled);
        self.subscriber.drain(deadlines.settled);
        // what follows does not wait for the disk
        self.outbox.begin_close();
        self.webhooks.drain(deadlines.settled);
        self.subscriber.leave_groups(deadlines.settled);
        // a message that is recorded now is acknowledged before the end: the broker does not deliver it again
        let _ = journal::flush((Instant::now() + deadlines.flush).min(deadlines.forgotten));
        self.subscriber.forget_run_time(deadlines.forgotten);
        self.outbox.close(deadlines.forgotten);
    }

    fn leave_broker(&self, deadlines: &Deadlines, events: &Events) {
        // without an acknowledgement there is no DISCONNECT: then the broker publishes the will
        let is_disconnecting = self.presence.leave(deadlines.left) && self.publisher.disconnect();
        self.publisher.end();
        let disconnecting = usize::from(is_disconnecting) + self.webhooks.disconnect();
        if events.await_ends(mqtt::THREAD, disconnecting, deadlines.disconnected) > 0 {
            log::warn!("the broker did not take our DISCONNECT in time");
        }
    }

    fn end_servers(&self, deadlines: &Deadlines, events: &Events) {
        for server in &self.servers {
            let _ = server.await_idle(deadlines.answered);
        }
        self.servers.iter().for_each(|server| server.end(deadlines.ended));
        self.servers.iter().for_each(Server::end_replies);
        let _ = events.await_ends(http::REPLY_THREAD, self.servers.len(), deadlines.written);
        let running: usize = self.servers.iter().map(|server| server.await_idle(Instant::now())).sum();
        if running > 0 {
            let timeout = self.timeout.as_secs_f64();
            log::warn!("{running} requests were not complete after {timeout} s: they get no answer");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_end_one_after_another_within_the_timeout() {
        let start = Instant::now();
        for (timeout, settled) in [(10_000, 9_000), (2000, 1500), (1, 0)] {
            let timeout = Duration::from_millis(timeout);
            let deadlines = Deadlines::new(start, timeout);
            assert_eq!((deadlines.settled - start).as_millis(), settled);
            assert_eq!((deadlines.ended - start, deadlines.written - start), (timeout, timeout + WRITING_REPLIES));
            let Deadlines { first_requests, settled, forgotten, left, disconnected, answered, ended, .. } = deadlines;
            assert!([start, first_requests, settled, forgotten, left, disconnected, answered, ended].is_sorted());
        }
    }
}
