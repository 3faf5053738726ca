//! Kills the bridge and the broker, restarts the endpoint and cuts the connections, while messages go to a webhook: none is
//! lost, and with one request at a time the messages of a topic arrive in their order.
//!
//! `CHAOS_MESSAGES` and `CHAOS_TIMES` make it longer, as `bench/chaos` does; each test prints a row of figures.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::support::daemon::Daemon;
use crate::support::endpoint::{Answer, Endpoint, Request};
use crate::support::mosquitto::Mosquitto;
use crate::support::proxy::{Loss, Proxy};
use crate::support::publisher::Publisher;
use crate::support::waiting::{eventually, pause};
use crate::support::webhook::{client_id, configuration, table};

const TOPICS: usize = 5;
/// The most messages that are published and have not come, so that mosquitto 2.0.11 sends all of them at once. From a
/// session that it has read from its file, it sends those beyond its window out of order.
const BACKLOG: usize = 50;
/// How long the endpoint takes, so that messages wait in the bridge when something is interrupted.
const ANSWER: Duration = Duration::from_millis(3);
const TROUBLES: [Trouble; 4] = [Trouble::Bridge, Trouble::Broker, Trouble::Endpoint, Trouble::Links];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
    /// SIGKILL to the bridge, and another start.
    Bridge,
    /// SIGKILL to mosquitto, and another start with what it has written to its file.
    Broker,
    /// The endpoint ends its connections and does not listen for a moment.
    Endpoint,
    /// A proxy between bridge and broker loses bytes and cuts the connections.
    Links,
}

/// All that takes part in a run.
struct Chaos {
    broker: Mosquitto,
    proxy: Proxy,
    endpoint: Endpoint,
    configuration: String,
    bridge: Option<Daemon>,
    publisher: Publisher,
    /// The messages that came, and how many requests that took.
    seen: BTreeSet<usize>,
    requests: usize,
}

#[test]
fn mqtt_5_one_at_a_time() {
    run("5", 1);
}

#[test]
fn mqtt_5_sixteen_at_a_time() {
    run("5", 16);
}

#[test]
fn mqtt_3_1_1_one_at_a_time() {
    run("3.1.1", 1);
}

#[test]
fn mqtt_3_1_1_sixteen_at_a_time() {
    run("3.1.1", 16);
}

fn run(protocol: &str, in_flight: usize) {
    let number = |name: &str, default: usize| {
        std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let (messages, times) = (number("CHAOS_MESSAGES", 500), number("CHAOS_TIMES", 3));
    let mut chaos = Chaos::start(protocol, in_flight);
    let begun = Instant::now();
    let mut troubles = (0..times).flat_map(|_| TROUBLES).enumerate();
    let between = (messages / (times * TROUBLES.len() + 1)).max(1);
    for n in 0..messages {
        chaos.await_distinct((n + 1).saturating_sub(BACKLOG));
        chaos.publisher.publish(&format!("chaos/{}", n % TOPICS), &n.to_string());
        if n % between == between - 1
            && let Some((number, trouble)) = troubles.next()
        {
            chaos.make(trouble, number);
        }
    }
    assert_eq!(troubles.next(), None, "more messages than troubles");
    chaos.await_distinct(messages);
    let requests = chaos.endpoint.requests();
    judge(&format!("MQTT {protocol}, {in_flight} at a time"), &requests, messages, times, in_flight, begun.elapsed());
}

impl Chaos {
    fn start(protocol: &str, in_flight: usize) -> Self {
        let broker = Mosquitto::persistent("max_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true");
        let endpoint = Endpoint::start(|_| {
            pause(ANSWER);
            Answer::Status(204)
        });
        let proxy = Proxy::start(broker.port(), Duration::ZERO);
        let table = table("chaos", "chaos/#", &endpoint.url(), &format!("in-flight = {in_flight}\ntimeout = 5"));
        let configuration = configuration(proxy.port(), &format!("protocol = \"{protocol}\""), &table);
        let bridge = Some(Daemon::with(&configuration));
        broker.wait_for(&format!("Sending SUBACK to {}", client_id("chaos")));
        let publisher = Publisher::new(broker.port());
        Self { broker, proxy, endpoint, configuration, bridge, publisher, seen: BTreeSet::new(), requests: 0 }
    }

    /// Interrupts something for a moment, another one each time.
    fn make(&mut self, trouble: Trouble, number: usize) {
        let moment = Duration::from_millis(number as u64 * 53 % 250);
        match trouble {
            Trouble::Bridge => {
                // SIGKILL
                self.bridge = None;
                pause(moment);
                self.bridge = Some(Daemon::with(&self.configuration));
            }
            Trouble::Broker => {
                // without that, mosquitto loses messages that it has acknowledged to the publisher
                self.broker.save();
                self.broker.kill();
                pause(moment);
                self.broker.restart();
            }
            Trouble::Endpoint => {
                self.endpoint.stop();
                pause(moment);
                self.endpoint.resume();
            }
            Trouble::Links => {
                let loss = [Loss::ToBroker, Loss::ToClient, Loss::Both][number % 3];
                self.proxy.cut_all(loss, moment / 10);
            }
        }
    }

    /// Waits until this many different messages have come.
    fn await_distinct(&mut self, count: usize) {
        let Self { endpoint, seen, requests, .. } = self;
        let look = || {
            let new = endpoint.requests_from(*requests);
            *requests += new.len();
            seen.extend(new.iter().map(number));
            seen.len()
        };
        eventually(&format!("{count} messages"), look, |distinct| *distinct >= count);
    }
}

/// The number of a message.
fn number(request: &Request) -> usize {
    request.text().parse().unwrap()
}

fn judge(name: &str, requests: &[Request], messages: usize, times: usize, in_flight: usize, took: Duration) {
    let mut seen = BTreeSet::new();
    // first deliveries only: a message may come again, after others too
    let mut last_of_topic = BTreeMap::new();
    let mut out_of_order = 0;
    for request in requests {
        let number = number(request);
        assert_eq!(request.one("MQTT-Topic"), format!("chaos/{}", number % TOPICS));
        if seen.insert(number) {
            let last = last_of_topic.insert(number % TOPICS, number);
            out_of_order += usize::from(last.is_some_and(|last| last > number));
        }
    }
    let lost = messages - seen.len();
    println!(
        "{name:28} {messages:8} messages, interrupted {times} times each by {TROUBLES:?} in {:5.1} s | lost {lost} | out of \
         order {out_of_order} | delivered again {}",
        took.as_secs_f64(),
        requests.len() - seen.len()
    );
    assert_eq!((lost, seen.len()), (0, messages), "{name}");
    if in_flight == 1 {
        assert_eq!(out_of_order, 0, "{name}");
    }
}
