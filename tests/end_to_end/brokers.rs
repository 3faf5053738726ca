//! Brokers other than mosquitto, each with the same examination; the table in docs/brokers.md shows the results.
//!
//! `tests/brokers/run` also runs the ignored ones, which take long to install or to start.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::SLACK;
use crate::support::brokers::{Broker, Make};
use crate::support::daemon::Daemon;
use crate::support::events::Listener;
use crate::support::mqtt_clients::{Client, Delivered};
use crate::support::scripted_broker::{CONNECT, PUBACK, PUBLISH, ScriptedBroker, acknowledgement};

/// Seconds.
const RECONNECT_MAX: f64 = 1.0;
/// Concurrent callers, and how many messages each publishes, one at each QoS.
const CALLERS: usize = 64;
const EACH: usize = 3;

/// The QoS that arrived, by the QoS that was sent.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// From the daemon to a subscriber at QoS 2.
    delivered: [u8; 3],
    /// From a publisher to the daemon, which subscribed at QoS 2.
    received: [u8; 3],
    /// From the daemon to a later subscriber.
    retained: u8,
}

/// As MQTT requires.
const ALL: Seen = Seen { delivered: [0, 1, 2], received: [0, 1, 2], retained: 2 };

/// Publishes through the broker and receives from it, with another client on the other side; then kills and restarts
/// it.
fn examine(make: Make, protocol: &'static str, client: Client) -> Seen {
    let mut broker = Broker::start(make, protocol);
    let daemon = Daemon::connected_with(&format!(
        "[mqtt]\nport = {}\nprotocol = \"{protocol}\"\nreconnect-max = {RECONNECT_MAX}\n\
         [[subscribe]]\ntopic = \"in/#\"\nqos = 2",
        broker.port()
    ));
    daemon.wait_for("subscribed to in/#");
    let publish = |topic: &str, msg: &str, qos: u8, retain: bool| {
        let reply = daemon.publish(&json!({"topic": topic, "msg": msg, "qos": qos, "retain": retain}).to_string());
        assert_eq!(reply.status, 200, "QoS {qos}: {reply:?}, {:?}", daemon.lines());
    };
    let subscribe = |broker: &Broker, topic: &str| client.subscribe(broker.port(), protocol, topic);

    let mut subscriber = subscribe(&broker, "out/#");
    let delivered = [0, 1, 2].map(|qos| {
        publish("out/a", &format!("Grüße bei {qos}"), qos, false);
        let Delivered { qos: delivered, retain, payload } = subscriber.next();
        assert_eq!((retain, payload), (false, format!("Grüße bei {qos}").into_bytes()));
        delivered
    });

    // many at a time
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let publish = &publish;
            scope.spawn(move || {
                (0..EACH)
                    .for_each(|n| publish("out/many", &(caller * EACH + n).to_string(), n.try_into().unwrap(), false));
            });
        }
    });
    let mut many: Vec<usize> = (0..CALLERS * EACH)
        .map(|_| String::from_utf8(subscriber.next().payload).unwrap().parse().expect("a number"))
        .collect();
    many.sort_unstable();
    assert_eq!(many, (0..CALLERS * EACH).collect::<Vec<_>>(), "each once");

    publish("kept/a", "kept", 2, true);
    // RabbitMQ sends retained messages only to subscriptions without wildcards; amqtt sends every new client, at QoS 0,
    // the retained messages of topics that others have subscribed to: here there are none
    let mut later = subscribe(&broker, "kept/a");
    let Delivered { qos: retained, retain, payload } = later.next();
    assert_eq!((retain, payload), (true, b"kept".to_vec()));
    publish("kept/a", "", 1, true);
    let mut latest = subscribe(&broker, "kept/a");
    publish("kept/a", "nothing before this", 1, false);
    assert_eq!(latest.next().payload, b"nothing before this", "what was retained is cleared");
    read_retained(&daemon, protocol);

    if protocol == "5" {
        let mut listener = Listener::open(&daemon, "own");
        let properties = json!({
            "payload_format_indicator": 1, "response_topic": "r", "correlation_data": "c", "content_type": "text/plain",
            "user_properties": [["a", "1"], ["a", "2"]]
        });
        let body = json!({"topic": "own", "msg": "with properties", "qos": 1, "properties": properties});
        assert_eq!(daemon.publish(&body.to_string()).status, 200);
        let mut received = listener.message()["properties"].clone();
        // rmqtt gives each message an expiry interval
        received.as_object_mut().unwrap().remove("message_expiry_interval");
        assert_eq!(received, properties);
    }

    let mut listener = Listener::open(&daemon, "in/#");
    let received = [0, 1, 2].map(|qos| {
        client.publish(broker.port(), protocol, "in/a", qos, &format!("zurück bei {qos}"));
        let message = listener.message();
        assert_eq!(message["payload"], format!("zurück bei {qos}"));
        u8::try_from(message["qos"].as_u64().unwrap()).unwrap()
    });

    broker.kill();
    daemon.wait_for("lost: ");
    broker.restart();
    let back = Instant::now();
    daemon.wait_for_nth(2, "connected to");
    let took = back.elapsed();
    assert!(took < Duration::from_secs_f64(RECONNECT_MAX) + SLACK, "{took:?}");
    daemon.wait_for_nth(2, "subscribed to in/#");
    publish("out/a", "again", 1, false);
    client.publish(broker.port(), protocol, "in/a", 1, "again");
    daemon.wait_for("Received message on topic: in/a with payload: again");
    let count = daemon.lines_with("Received message").len();
    assert_eq!(count, 4, "each once: {:?}", daemon.lines());

    println!(
        "{}, MQTT {protocol}, {client:?} on the other side: published at QoS 0, 1, 2, delivered at {delivered:?}, \
         retained at {retained}, received at {received:?}; connected again {} ms after it listened again",
        make.name(),
        took.as_millis()
    );
    Seen { delivered, received, retained }
}

/// Reads a retained message with its properties, and nothing where it is cleared.
fn read_retained(daemon: &Daemon, protocol: &str) {
    let properties = [
        ("Content-Type", "text/plain"),
        // [{"a":"1"},{"a":"2"}]
        ("x-amz-mqtt5-user-properties", "W3siYSI6IjEifSx7ImEiOiIyIn1d"),
        ("x-amz-mqtt5-correlation-data", "MTIz"),
        ("x-amz-mqtt5-payload-format-indicator", "UTF8_DATA"),
    ];
    let properties = if protocol == "5" { &properties[..] } else { &[] };
    let mut connection = daemon.connect();
    let mut request = |method: &str, path: &str| {
        let body: &[u8] = if method == "PUT" { "Grüße".as_bytes() } else { b"" };
        connection.request(method, path, if method == "PUT" { properties } else { &[] }, body)
    };
    assert_eq!(request("PUT", "/topics/value?retain=true&qos=1").status, 200);
    // the second one where the topic is subscribed to already
    for _ in 0..2 {
        let read = request("GET", "/topics/value?qos=1");
        assert_eq!((read.status, read.body.as_slice()), (200, "Grüße".as_bytes()), "{read:?}");
        assert_eq!(read.header("mqtt-retain"), Some("true"));
        for (name, value) in properties {
            assert_eq!(read.header(&name.to_ascii_lowercase()), Some(*value), "{name}: {read:?}");
        }
    }
    assert_eq!(request("DELETE", "/topics/value?qos=1").status, 200);
    assert_eq!(request("GET", "/topics/value").status, 404);
}

/// Checks what is logged about a broker without MQTT 5, and that callers wait no longer than their timeout.
fn refuses_mqtt_5(make: Make) {
    let broker = Broker::start(make, "5");
    let mut daemon = Daemon::start(broker.port());
    daemon.publish(r#"{"topic": "t", "msg": "x", "qos": 1, "timeout": 0.2}"#).assert_refused(
        503,
        4,
        "not sent: there was no connection to the broker within the timeout",
    );
    let line = daemon.wait_for("cannot connect");
    assert!(line.ends_with("set `protocol = \"3.1.1\"`; trying again"), "{line}");
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    println!("{}, MQTT 5: {line}", make.name());
}

#[test]
fn mosquitto_conforms_to_mqtt() {
    for protocol in ["5", "3.1.1"] {
        assert_eq!(examine(Make::Mosquitto, protocol, Client::PahoC), ALL);
    }
}

#[test]
fn rumqttd_delivers_at_the_qos_of_the_subscription() {
    for protocol in ["5", "3.1.1"] {
        let seen = examine(Make::Rumqttd, protocol, Client::PahoPython);
        assert_eq!(seen, Seen { delivered: [2, 2, 2], received: [2, 2, 2], retained: 2 });
    }
}

#[test]
fn aedes_conforms_to_mqtt_3_1_1() {
    assert_eq!(examine(Make::Aedes, "3.1.1", Client::Mosquitto), ALL);
}

#[test]
fn aedes_refuses_mqtt_5_and_the_log_says_what_to_set() {
    refuses_mqtt_5(Make::Aedes);
}

#[test]
fn amqtt_delivers_at_the_qos_of_the_subscription() {
    let seen = examine(Make::Amqtt, "3.1.1", Client::MqttJs);
    assert_eq!(seen, Seen { delivered: [2, 2, 2], received: [2, 2, 2], retained: 2 });
}

#[test]
fn amqtt_does_not_answer_mqtt_5_and_the_log_says_what_to_set() {
    refuses_mqtt_5(Make::Amqtt);
}

/// As `RabbitMQ` does.
#[test]
fn a_puback_at_qos_2_in_mqtt_3_1_1_completes_the_publish_once() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        CONNECT => Some(vec![0x20, 2, 0, 0]),
        PUBLISH => Some(acknowledgement(PUBACK, packet.identifier())),
        _ => Some(Vec::new()),
    });
    let daemon = Daemon::speaking("3.1.1", broker.port());
    for n in 1..=3 {
        let reply = daemon.publish(r#"{"topic": "t", "msg": "x", "qos": 2}"#);
        assert_eq!((reply.status, reply.json()), (200, json!({"code": 0, "packet_id": n})));
        assert_eq!(broker.wait_for(PUBLISH).0.qos(), 2);
    }
    assert_eq!(broker.others().len(), 0);
    assert_eq!(daemon.lines_with("lost").len(), 0);
}

#[test]
#[ignore = "rmqtt takes minutes to build: tests/brokers/run rmqtt"]
fn rmqtt_conforms_to_mqtt() {
    for protocol in ["5", "3.1.1"] {
        assert_eq!(examine(Make::Rmqtt, protocol, Client::Mosquitto), ALL);
    }
}

#[test]
#[ignore = "RabbitMQ is large and takes long to start: tests/brokers/run rabbitmq"]
fn rabbitmq_turns_qos_2_into_1() {
    let seen = examine(Make::RabbitMq, "3.1.1", Client::PahoC);
    assert_eq!(seen, Seen { delivered: [0, 1, 1], received: [0, 1, 1], retained: 1 });
}

#[test]
#[ignore = "RabbitMQ is large and takes long to start: tests/brokers/run rabbitmq"]
fn rabbitmq_closes_mqtt_5_connections_and_the_log_says_what_to_set() {
    refuses_mqtt_5(Make::RabbitMq);
}
