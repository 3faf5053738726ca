//! The broker keeps what a webhook has not delivered: over restarts, kills, and lost connections.

use std::time::Duration;

use crate::support::PATIENCE;
use crate::support::daemon::Daemon;
use crate::support::endpoint::{Endpoint, Request, texts};
use crate::support::mosquitto::Mosquitto;
use crate::support::proxy::{Loss, Proxy};
use crate::support::waiting::eventually;
use crate::support::webhook::{await_connection, client_id, configuration, orders, publish, subscribed, table};

const PROTOCOLS: [&str; 2] = ["protocol = \"5\"", "protocol = \"3.1.1\""];

/// The table of the webhook `orders`.
fn table_of(endpoint: &Endpoint, lines: &str) -> String {
    table("orders", "orders/#", &endpoint.url(), lines)
}

/// A daemon that may find a session of its webhook, whose connection is its `n`th at this broker.
fn start_again(broker: &Mosquitto, n: usize, mqtt: &str, tables: &str) -> Daemon {
    let daemon = Daemon::connected_with(&configuration(broker.port(), mqtt, tables));
    await_connection(broker, n, "orders");
    daemon
}

#[test]
fn messages_of_the_time_without_a_bridge_are_delivered() {
    for protocol in PROTOCOLS {
        for signal in ["KILL", "TERM"] {
            let (broker, endpoint) = (Mosquitto::start(), Endpoint::willing());
            let table = table_of(&endpoint, "");
            let mut daemon = subscribed(&broker, protocol, &["orders"], &table);
            publish(&broker, "orders/1", 0..3);
            endpoint.await_requests(3);
            // the acknowledgement of the last one, without which it comes again
            broker.wait_for_nth(3, &format!("Received PUBACK from {}", client_id("orders")));
            daemon.signal(signal);
            daemon.wait_for_end();
            publish(&broker, "orders/1", 3..6);
            let _daemon = start_again(&broker, 2, protocol, &table);
            publish(&broker, "orders/1", 6..8);
            let requests = endpoint.await_requests(8);
            assert_eq!(texts(&requests), ["0", "1", "2", "3", "4", "5", "6", "7"], "{protocol} {signal}");
        }
    }
}

#[test]
fn what_was_under_way_when_the_bridge_was_killed_comes_again() {
    for protocol in PROTOCOLS {
        let (broker, endpoint) = (Mosquitto::start(), Endpoint::holding());
        let table = table_of(&endpoint, "");
        let mut daemon = subscribed(&broker, protocol, &["orders"], &table);
        publish(&broker, "orders/1", ["tea", "milk"]);
        endpoint.await_requests(1);
        daemon.signal("KILL");
        daemon.wait_for_end();
        let _daemon = start_again(&broker, 2, protocol, &table);
        (0..3).for_each(|number| endpoint.release(number));
        let requests = endpoint.await_requests(3);
        assert_eq!(texts(&requests), ["tea", "tea", "milk"], "{protocol}");
        assert_eq!((requests[0].one("MQTT-Dup"), requests[1].one("MQTT-Dup")), ("false", "true"));
    }
}

#[test]
fn a_message_that_the_broker_sends_again_is_not_posted_twice() {
    for protocol in PROTOCOLS {
        let (broker, endpoint) = (Mosquitto::start(), Endpoint::holding());
        let proxy = Proxy::start(broker.port(), Duration::ZERO);
        let configuration = configuration(proxy.port(), protocol, &table_of(&endpoint, "in-flight = 4"));
        let _daemon = Daemon::connected_with(&configuration);
        broker.wait_for(&format!("Sending SUBACK to {}", client_id("orders")));
        publish(&broker, "orders/1", ["0", "1"]);
        endpoint.await_requests(2);
        proxy.cut_all(Loss::Both, Duration::ZERO);
        await_connection(&broker, 2, "orders");
        broker.wait_for_nth(2, &format!("Sending PUBLISH to {} (d1, q1", client_id("orders")));
        publish(&broker, "orders/1", ["2"]);
        let requests = endpoint.await_requests(3);
        (0..3).for_each(|number| endpoint.release(number));
        assert_eq!(texts(&requests[2..]), ["2"], "{protocol}");
        publish(&broker, "orders/1", ["3"]);
        let requests = endpoint.await_requests(4);
        endpoint.release(3);
        assert_eq!(texts(&requests[3..]), ["3"], "{protocol}");
    }
}

#[test]
fn a_retained_message_is_posted_once_however_often_the_bridge_connects() {
    let retained = Retained::start("protocol = \"5\"");
    retained.cut_twice();
    let Retained { broker, endpoint, configuration, mut daemon, .. } = retained;
    daemon.signal("TERM");
    daemon.wait_for_end();
    let _daemon = Daemon::connected_with(&configuration);
    await_connection(&broker, 4, "orders");
    publish(&broker, "orders/1", [3]);
    endpoint.await_requests(4);
    assert_eq!(endpoint.texts(), ["retained", "1", "2", "3"]);
}

#[test]
fn in_mqtt_3_1_1_a_retained_message_comes_at_each_connection_and_says_so() {
    let Retained { broker, proxy, endpoint, .. } = &Retained::start("protocol = \"3.1.1\"");
    for cut in 1..=2 {
        proxy.cut_all(Loss::Both, Duration::ZERO);
        broker.wait_for_nth(1 + cut, &format!("Sending SUBACK to {}", client_id("orders")));
        let requests = endpoint.await_requests(1 + cut);
        assert_eq!((&*requests[cut].text(), requests[cut].one("MQTT-Retain")), ("retained", "true"));
        assert_ne!(requests[cut].id(), requests[cut - 1].id());
        broker.wait_for_nth(1 + cut, &format!("Received PUBACK from {}", client_id("orders")));
    }
}

/// A webhook that has got a retained message.
struct Retained {
    broker: Mosquitto,
    proxy: Proxy,
    endpoint: Endpoint,
    configuration: String,
    daemon: Daemon,
}

impl Retained {
    fn start(protocol: &str) -> Self {
        let (broker, endpoint) = (Mosquitto::start(), Endpoint::willing());
        broker.publish(&["-q", "1", "-r", "-t", "orders/kept", "-m", "retained"]);
        let proxy = Proxy::start(broker.port(), Duration::ZERO);
        let configuration = configuration(proxy.port(), protocol, &table_of(&endpoint, ""));
        let daemon = Daemon::connected_with(&configuration);
        let first = endpoint.await_requests(1);
        assert_eq!((&*first[0].text(), first[0].one("MQTT-Retain")), ("retained", "true"));
        let retained = Self { broker, proxy, endpoint, configuration, daemon };
        retained.await_acknowledged(1);
        retained
    }

    /// Waits until the broker has this many acknowledgements.
    fn await_acknowledged(&self, count: usize) {
        self.broker.wait_for_nth(count, &format!("Received PUBACK from {}", client_id("orders")));
    }

    /// Cuts the connections twice, each time with a message after it that is not retained.
    fn cut_twice(&self) {
        for cut in 1..=2 {
            self.proxy.cut_all(Loss::Both, Duration::ZERO);
            await_connection(&self.broker, 1 + cut, "orders");
            publish(&self.broker, "orders/1", [cut]);
            self.endpoint.await_requests(1 + cut);
            self.await_acknowledged(1 + cut);
        }
        assert_eq!(self.endpoint.texts(), ["retained", "1", "2"]);
    }
}

#[test]
fn another_topic_filter_in_the_file_replaces_that_of_the_kept_session() {
    for protocol in PROTOCOLS {
        let (broker, endpoint) = (Mosquitto::start(), Endpoint::willing());
        let mut daemon = subscribed(&broker, protocol, &["orders"], &table("orders", "old/#", &endpoint.url(), ""));
        daemon.signal("TERM");
        daemon.wait_for_end();
        // it waits in the session, whose old filter remains
        publish(&broker, "old/1", ["milk"]);
        // a dead letter that the old filter matches would come again for ever
        let table = table("orders", "new/#", &endpoint.url(), "dead-letter = \"old/dead\"");
        let daemon = start_again(&broker, 2, protocol, &table);
        broker.wait_for_nth(2, &format!("Sending SUBACK to {}", client_id("orders")));
        publish(&broker, "new/1", ["tea"]);
        assert_eq!(texts(&endpoint.await_requests(1)), ["tea"], "{protocol}");
        let record = daemon.wait_for("`topic` does not match it any more");
        assert!(record.contains(" on old/1 is given up: ") && record.contains("and lost"), "{record}");
        broker.wait_for_nth(2, &format!("Received PUBACK from {}", client_id("orders")));
        assert_eq!(broker.log_with("'old/dead'"), [""; 0], "{protocol}");
    }
}

#[test]
fn bridges_of_one_group_divide_the_messages() {
    const COUNT: usize = 60;
    for protocol in PROTOCOLS {
        let (broker, endpoints) = (Mosquitto::start(), [Endpoint::willing(), Endpoint::willing()]);
        let mut daemons: Vec<Daemon> = endpoints
            .iter()
            .zip(["one", "two"])
            .map(|(endpoint, id)| {
                let table = table("orders", "$share/group/orders/#", &endpoint.url(), "");
                let mqtt = format!("[mqtt]\nport = {}\nclient-id = \"{id}\"\n{protocol}\n", broker.port());
                let daemon = Daemon::connected_with(&format!("{mqtt}{table}"));
                broker.wait_for(&format!("Sending SUBACK to {id}-hook-orders"));
                daemon
            })
            .collect();
        publish(&broker, "orders/1", 0..COUNT);
        let count = || endpoints.iter().map(|endpoint| endpoint.requests().len()).sum::<usize>();
        eventually("all messages", count, |count| *count >= COUNT);
        let mut all: Vec<usize> =
            endpoints.iter().flat_map(Endpoint::texts).map(|text| text.parse().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..COUNT).collect::<Vec<_>>(), "{protocol}");
        assert!(endpoints.iter().all(|endpoint| !endpoint.requests().is_empty()), "both have their part");
        // one of them is away: none of its messages is lost when it comes back, wherever the broker queues them
        daemons.pop();
        publish(&broker, "orders/1", COUNT..COUNT + 20);
        let table = table("orders", "$share/group/orders/#", &endpoints[1].url(), "");
        let mqtt = format!("[mqtt]\nport = {}\nclient-id = \"two\"\n{protocol}\n", broker.port());
        daemons.push(Daemon::connected_with(&format!("{mqtt}{table}")));
        eventually("all messages", count, |count| *count >= COUNT + 20);
    }
}

#[test]
fn a_request_that_a_stop_left_comes_again_at_the_next_start() {
    for protocol in PROTOCOLS {
        let (broker, endpoint) = (Mosquitto::start(), Endpoint::holding());
        let table = table_of(&endpoint, "timeout = 60\n[publish]\ntimeout = 1");
        let mut daemon = subscribed(&broker, protocol, &["orders"], &table);
        publish(&broker, "orders/1", ["tea"]);
        endpoint.await_requests(1);
        daemon.signal("TERM");
        assert_eq!(daemon.wait_for_end().code(), Some(0));
        let _daemon = start_again(&broker, 2, protocol, &table);
        assert_eq!(texts(&endpoint.await_requests(2)), ["tea", "tea"], "{protocol}");
        endpoint.release(1);
        broker.wait_for(&format!("Received PUBACK from {}", client_id("orders")));
    }
}

#[test]
fn a_restart_of_a_broker_with_persistence_loses_nothing() {
    for protocol in PROTOCOLS {
        let (mut broker, mut endpoint) = (Mosquitto::persistent(""), Endpoint::willing());
        let _daemon = subscribed(&broker, protocol, &["orders"], &table_of(&endpoint, ""));
        endpoint.stop();
        publish(&broker, "orders/1", 0..10);
        broker.save();
        broker.kill();
        broker.restart();
        endpoint.resume();
        let requests = endpoint.await_requests_within(PATIENCE * 2, 10);
        let mut texts: Vec<String> = requests.iter().map(Request::text).collect();
        texts.dedup();
        assert_eq!(texts, (0..10).map(|n| n.to_string()).collect::<Vec<_>>(), "{protocol}");
    }
}

#[test]
fn a_broker_that_forgot_the_session_is_subscribed_to_again() {
    for protocol in PROTOCOLS {
        let (mut broker, endpoint) = (Mosquitto::start(), Endpoint::willing());
        let _daemon = subscribed(&broker, protocol, &["orders"], &table_of(&endpoint, ""));
        broker.kill();
        broker.restart();
        broker.wait_for(&format!("Sending SUBACK to {}", client_id("orders")));
        publish(&broker, "orders/1", ["tea"]);
        assert_eq!(texts(&endpoint.await_requests(1)), ["tea"], "{protocol}");
    }
}

#[test]
fn an_endpoint_that_is_restarted_gets_each_message() {
    const COUNT: usize = 40;
    let (broker, mut endpoint) = (Mosquitto::start(), Endpoint::willing());
    let _daemon = orders(&broker, &endpoint.url(), "");
    for n in 0..COUNT {
        if n % 10 == 5 {
            endpoint.stop();
        }
        publish(&broker, "orders/1", [n]);
        if n % 10 == 5 {
            endpoint.resume();
        }
    }
    let has_all = |texts: &Vec<String>| (0..COUNT).all(|n| texts.contains(&n.to_string()));
    let mut texts = eventually("all messages", || endpoint.texts(), has_all);
    texts.dedup();
    assert_eq!(texts, (0..COUNT).map(|n| n.to_string()).collect::<Vec<_>>());
}
