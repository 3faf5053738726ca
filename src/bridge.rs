//! A running bridge: its parts, and how they start.

use std::io;
use std::time::Duration;

use crate::config::Config;
use crate::http::{self, Keys, Listener, Parts, Server, Tokens};
use crate::mqtt::{self, Presence, Publisher, Subscriber};
use crate::outbox::{Outbox, OutboxFile};
use crate::systemd::{self, Service, Vitals};
use crate::thread::Watch;
use crate::webhook::Webhooks;

/// A running bridge.
#[derive(Debug)]
pub struct Bridge {
    /// One for each socket.
    pub(crate) servers: Vec<Server>,
    pub(crate) publisher: Publisher,
    pub(crate) subscriber: Subscriber,
    pub(crate) presence: Presence,
    pub(crate) webhooks: Webhooks,
    pub(crate) outbox: Outbox,
    pub(crate) service: Service,
    /// `[publish] timeout`, which a stop may take too.
    pub(crate) timeout: Duration,
}

impl Bridge {
    /// Serves requests and connects to the broker; without a broker it starts all the same.
    /// `watch` is told of the end of each thread.
    ///
    /// # Errors
    /// If the system lacks something, in words that say what.
    pub fn start(
        config: &Config,
        listeners: Vec<Listener>,
        outbox: Option<OutboxFile>,
        watch: &Watch,
    ) -> io::Result<Self> {
        let (publisher, subscriber, presence) = mqtt::start(config, watch)?;
        let webhooks = Webhooks::start(config, watch)?;
        let outbox = Outbox::start(outbox, &config.outbox, &publisher, watch)?;
        let tokens = Tokens::new(config, publisher.memory());
        let keys = Keys::new(config, &outbox);
        let parts = Parts {
            publisher: publisher.clone(),
            subscriber: subscriber.clone(),
            webhooks: webhooks.clone(),
            outbox: outbox.clone(),
            keys,
        };
        let open = |listener| {
            let words = format!("listening on {listener}");
            let server = http::serve(listener, config, &tokens, &parts, watch)?;
            log::info!("{words}");
            Ok(server)
        };
        let servers = listeners.into_iter().map(open).collect::<io::Result<Vec<_>>>()?;
        let service = systemd::start(watch, vitals(servers.clone(), &publisher, &subscriber, &webhooks))?;
        let timeout = config.publish.timeout;
        Ok(Self { servers, publisher, subscriber, presence, webhooks, outbox, service, timeout })
    }

    /// Where requests go, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.servers.first().map(Server::to_string).unwrap_or_default()
    }
}

/// The bridge is alive while it answers requests on each of its sockets and no MQTT thread hangs.
fn vitals(servers: Vec<Server>, publisher: &Publisher, subscriber: &Subscriber, webhooks: &Webhooks) -> Vitals {
    let (subscriber, publisher, webhooks) = (subscriber.clone(), publisher.clone(), webhooks.clone());
    let check = move |deadline| {
        for server in &servers {
            server.probe(deadline).map_err(|error| format!("{server} does not answer: {error}"))?;
        }
        publisher.overdue().map_or(Ok(()), |_| Err("the MQTT thread hangs".to_owned()))?;
        webhooks.check()
    };
    Vitals { status: Box::new(move || subscriber.status().to_string()), check: Box::new(check) }
}
