//! A thread of a webhook: it delivers one message at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::Running;
use super::request::Request;
use super::retry::{LONGEST_PAUSE, Verdict, retry_after, verdict};
use crate::backoff::Backoff;
use crate::instance_id::instance_id;
use crate::metrics::WebhookResult;
use crate::mqtt::Delivery;
use crate::webhook::client::Answer;

/// The thread.
pub struct Worker {
    pub running: Arc<Running>,
}

/// Why an attempt failed.
pub struct Failure {
    /// Printable.
    pub words: String,
    /// Another attempt does not help.
    pub is_final: bool,
    /// The pause that the endpoint asks for.
    retry_after: Option<Duration>,
}

impl Worker {
    pub fn new(running: Arc<Running>) -> Self {
        Self { running }
    }

    /// Returns at a stop.
    pub fn run(&self) {
        while let Some(delivery) = self.running.consumer.inbox.next() {
            self.deliver(delivery);
        }
    }

    /// Tries until the message is delivered or given up. At a stop it is left unacknowledged.
    fn deliver(&self, delivery: Delivery) {
        let Running { webhook, consumer, pace, metrics, .. } = &*self.running;
        let (id, message) = (new_id(), delivery.message.clone());
        if !consumer.inbox.wants(&message) {
            // no dead letter: the old topic filter that brought it may match that too
            return self.lose(delivery, &id, "is given up: `topic` does not match it any more");
        }
        let request = Request::new(webhook, &id, &message, SystemTime::now() - delivery.since.elapsed());
        let mut backoff = Backoff::new(LONGEST_PAUSE);
        let deadline = delivery.since + webhook.retry_for;
        let mut attempts = 0;
        loop {
            if consumer.inbox.pause(pace.wait(Instant::now())) {
                return;
            }
            attempts += 1;
            let Err(failure) = self.attempt(&request) else { return self.delivered(delivery, &id) };
            metrics.failed();
            let now = Instant::now();
            let is_last = now >= deadline;
            if failure.is_final {
                return self.give_up(delivery, &id, &failure, attempts);
            }
            self.failed(&id, &failure, is_last);
            if let Some(pause) = failure.retry_after {
                pace.hold_until(now + pause);
            }
            if is_last {
                return self.give_up(delivery, &id, &failure, attempts);
            }
            let pause = if failure.retry_after.is_none() { backoff.pause(Duration::ZERO) } else { Duration::ZERO };
            if consumer.inbox.pause(pause.min(deadline - now)) {
                return;
            }
        }
    }

    /// Sends the request once.
    fn attempt(&self, request: &Request) -> Result<(), Failure> {
        let begun = Instant::now();
        let answered = self.running.client.post(&request.headers(SystemTime::now()), &request.body);
        self.running.metrics.attempted(begun.elapsed());
        let Answer { status, retry_after: wanted } = answered.map_err(|words| Failure::of_transfer(&words))?;
        match verdict(status) {
            Verdict::Delivered => Ok(()),
            verdict => Err(Failure {
                words: format!("the endpoint answered with {status}"),
                is_final: verdict == Verdict::Hopeless,
                retry_after: wanted.and_then(|value| retry_after(&value, SystemTime::now())),
            }),
        }
    }

    /// An attempt failed, which may succeed later. If it `is_last`, the record of the message that is given up
    /// tells it.
    fn failed(&self, id: &str, failure: &Failure, is_last: bool) {
        let Running { webhook, outage, .. } = &*self.running;
        let begins = outage.failed(id, &failure.words, SystemTime::now());
        if begins && !is_last {
            log::warn!(WEBHOOK = webhook.name; "webhook {}: {}; trying again", webhook.name, failure.words);
        }
    }

    fn delivered(&self, delivery: Delivery, id: &str) {
        let Running { webhook, outage, .. } = &*self.running;
        if let Some(ended) = outage.delivered(id, SystemTime::now()) {
            let (name, failures, seconds) = (&webhook.name, ended.failures, ended.lasted.as_secs_f64());
            let attempts = if failures == 1 { "attempt" } else { "attempts" };
            log::info!(
                WEBHOOK = name;
                "webhook {name}: the outage is over after {failures} failed {attempts} in {seconds:.1} s"
            );
        }
        self.settle(delivery, WebhookResult::Delivered);
    }

    /// The message is acknowledged to the broker, after all before it.
    pub fn settle(&self, delivery: Delivery, result: WebhookResult) {
        self.running.metrics.settled(result);
        delivery.settle();
    }
}

impl Failure {
    /// There was no answer.
    fn of_transfer(words: &str) -> Self {
        Self { words: words.to_owned(), is_final: false, retry_after: None }
    }
}

/// An identifier that no other delivery has (Standard Webhooks, "Unique Identifier").
fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("msg_{:016x}{:08x}", instance_id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
