//! Webhooks with brokers other than mosquitto: delivery in order, and what the session keeps while the bridge is away.

use crate::support::brokers::{Broker, Make};
use crate::support::daemon::Daemon;
use crate::support::endpoint::Endpoint;
use crate::support::mqtt_clients::Client;
use crate::support::waiting::eventually;
use crate::support::webhook::{configuration, table};

/// The messages that arrived, each where it came first.
fn first_of_each(endpoint: &Endpoint) -> Vec<String> {
    let mut first: Vec<String> = Vec::new();
    for text in endpoint.texts() {
        if !first.contains(&text) {
            first.push(text);
        }
    }
    first
}

/// Kills the bridge between messages. Whether the broker keeps what comes meanwhile.
fn delivers(make: Make, protocol: &'static str, client: Client, is_kept: bool) {
    let (broker, endpoint) = (Broker::start(make, protocol), Endpoint::willing());
    let table = table("orders", "orders/#", &endpoint.url(), "");
    let configuration = configuration(broker.port(), &format!("protocol = \"{protocol}\""), &table);
    let start = || {
        let daemon = Daemon::connected_with(&configuration);
        daemon.wait_for("subscribed to orders/#");
        daemon
    };
    let publish = |from: usize| {
        for n in from..from + 3 {
            client.publish(broker.port(), protocol, "orders/1", 1, &n.to_string());
        }
    };
    let await_messages = |expected: &[usize]| {
        let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        eventually("the messages in their order", || first_of_each(&endpoint), |first| *first == expected);
    };
    let mut daemon = start();
    publish(0);
    await_messages(&[0, 1, 2]);
    daemon.signal("KILL");
    daemon.wait_for_end();
    publish(3);
    let _daemon = start();
    publish(6);
    await_messages(if is_kept { &[0, 1, 2, 3, 4, 5, 6, 7, 8] } else { &[0, 1, 2, 6, 7, 8] });
    println!("{}, MQTT {protocol}: {:?}", make.name(), endpoint.texts());
}

#[test]
fn rumqttd_keeps_the_messages_of_a_webhook() {
    for protocol in ["5", "3.1.1"] {
        delivers(Make::Rumqttd, protocol, Client::PahoPython, true);
    }
}

#[test]
fn aedes_keeps_the_messages_of_a_webhook() {
    delivers(Make::Aedes, "3.1.1", Client::Mosquitto, true);
}

#[test]
fn amqtt_loses_what_comes_while_the_bridge_is_away() {
    delivers(Make::Amqtt, "3.1.1", Client::MqttJs, false);
}
