//! The webhooks of a running bridge: their connections, their threads, and how they stop.

mod giving_up;
mod outage;
mod request;
mod retry;
mod worker;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use self::outage::Outage;
use self::retry::Pace;
use self::worker::Worker;
use super::client::Client;
use super::status::WebhookStatus;
use crate::config::{Config, Mqtt, Session, Subscription, Webhook};
use crate::message::Priority;
use crate::metrics::{self, WebhookMetrics};
use crate::mqtt::Consumer;
use crate::thread::Watch;

/// Bytes that the received messages of a webhook may take, and those of all webhooks: each has an equal part.
const MAX_BYTES: usize = 16 * 1024 * 1024;
const MAX_BYTES_OF_ALL: usize = 64 * 1024 * 1024;

/// Messages that an MQTT 5 broker sends before their acknowledgement. The others wait with the broker, where they can
/// expire, and where others of a shared subscription get them.
const RECEIVE_MAXIMUM: u16 = 100;

/// The webhooks. Clones share them.
#[derive(Debug, Clone)]
pub struct Webhooks(Arc<[Arc<Running>]>);

/// What the threads of a webhook share.
#[derive(Debug)]
struct Running {
    webhook: Webhook,
    consumer: Consumer,
    client: Client,
    outage: Outage,
    pace: Pace,
    metrics: WebhookMetrics,
}

impl Webhooks {
    /// Starts the connections and the threads.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub fn start(config: &Config, watch: &Watch) -> io::Result<Self> {
        let start = |(index, webhook)| Running::start(config, webhook, index + 1, watch);
        config.webhooks.iter().enumerate().map(start).collect::<io::Result<Vec<_>>>().map(|all| Self(all.into()))
    }

    /// The state of each, in the order of the configuration.
    #[must_use]
    pub fn statuses(&self) -> Vec<WebhookStatus> {
        self.0.iter().map(|running| running.status()).collect()
    }

    /// Whether all MQTT threads run.
    ///
    /// # Errors
    /// Which one hangs.
    pub fn check(&self) -> Result<(), String> {
        let hanging = self.0.iter().find(|running| running.consumer.overdue().is_some());
        hanging.map_or(Ok(()), |running| Err(format!("the MQTT thread of webhook {} hangs", running.webhook.name)))
    }

    /// At a stop: begins no further delivery. Attempts that are under way go on.
    pub fn stop_accepting(&self) {
        self.0.iter().for_each(|running| running.consumer.stop_accepting());
    }

    /// Waits for attempts that are under way, until the deadline. What is not delivered by then is left to the next
    /// process.
    pub fn drain(&self, deadline: Instant) {
        for running in &*self.0 {
            let left = running.consumer.inbox.drain(deadline);
            if left > 0 {
                let name = &running.webhook.name;
                log::warn!(
                    "webhook {name}: the stop did not wait for {left} of its requests: their messages will be sent again"
                );
            }
            running.consumer.drain(deadline);
        }
    }

    /// Ends the connections by DISCONNECT. Returns how many there are: their MQTT threads end after that.
    #[must_use]
    pub fn disconnect(&self) -> usize {
        let disconnecting = self.0.iter().filter(|running| running.consumer.disconnect()).count();
        self.0.iter().for_each(|running| running.consumer.end());
        disconnecting
    }
}

impl Running {
    fn start(config: &Config, webhook: &Webhook, number: usize, watch: &Watch) -> io::Result<Arc<Self>> {
        let max_bytes = MAX_BYTES.min(MAX_BYTES_OF_ALL / config.webhooks.len());
        let source = (webhook.topic.clone(), max_bytes);
        let consumer = Consumer::start(&connection(config, webhook), source, number, watch)?;
        let running = Arc::new(Self {
            consumer,
            client: Client::new(webhook),
            outage: Outage::default(),
            pace: Pace::default(),
            metrics: metrics::webhook(&webhook.name),
            webhook: webhook.clone(),
        });
        for thread in 1..=webhook.in_flight {
            let worker = Worker::new(running.clone());
            watch.spawn(&format!("webhook-{number}-{thread}"), move || {
                worker.run();
                Ok(())
            })?;
        }
        Ok(running)
    }

    fn status(&self) -> WebhookStatus {
        let (status, backlog) = (self.consumer.status(), self.consumer.inbox.backlog());
        WebhookStatus {
            name: self.webhook.name.clone(),
            topic: self.webhook.topic.as_str().to_owned(),
            missing: status.missing_subscription(),
            waiting: backlog.messages,
            oldest_waiting: backlog.oldest.map(|since| since.elapsed()).unwrap_or_default(),
            dropped: backlog.dropped,
            failing_since: self.outage.since(),
            last_error: self.outage.last_error(),
        }
    }
}

/// The configuration of the connection of a webhook: a session of its own, and one topic filter.
fn connection(config: &Config, webhook: &Webhook) -> Config {
    let mqtt = Mqtt {
        client_id: format!("{}-hook-{}", config.mqtt.client_id, webhook.name),
        session: Session::Kept { expiry: webhook.session_expiry },
        will: None,
        webhook: Some(webhook.name.clone()),
        receive_maximum: RECEIVE_MAXIMUM.max(2 * webhook.in_flight),
        retained_once: true,
        ..config.mqtt.clone()
    };
    let subscription = Subscription { topic: webhook.topic.clone(), qos: webhook.qos, priority: Priority::default() };
    Config {
        mqtt,
        subscribe: vec![subscription],
        tokens: Vec::new(),
        hooks: Vec::new(),
        webhooks: Vec::new(),
        warnings: Vec::new(),
        ..config.clone()
    }
}
