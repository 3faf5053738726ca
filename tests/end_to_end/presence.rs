//! The will, and the retained message that says whether the daemon is online.

use std::sync::mpsc::channel;
use std::time::Duration;

use crate::support::brokers::{Broker, Make};
use crate::support::daemon::Daemon;
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::mqtt_clients::Client;
use crate::support::process::Process;
use crate::support::proxy::{Loss, Proxy};
use crate::support::scripted_broker::{
    CONNECT, DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, ScriptedBroker, acknowledgement,
    acknowledgement_with, behave, connack, connack_resuming,
};
use crate::support::waiting::eventually;

const TOPIC: &str = "bridges/me";
/// Both versions, with and without a kept session.
const WAYS: [&str; 4] = [
    "protocol = \"5\"",
    "protocol = \"5\"\nclean-session = false",
    "protocol = \"3.1.1\"",
    "protocol = \"3.1.1\"\nclean-session = false",
];

/// A configuration with presence, and with these lines in `[mqtt]` and `[mqtt.will]`.
fn presence(port: u16, mqtt: &str, will: &str) -> String {
    format!(
        "[mqtt]\nport = {port}\nclient-id = \"me\"\n{mqtt}\n\
         [mqtt.will]\ntopic = \"{TOPIC}\"\npayload = \"offline\"\nonline = \"online\"\n{will}\n"
    )
}

/// Prints messages on the presence topic as `retained:payload`, and ends after `count` messages.
fn watch(broker: &Mosquitto, count: usize) -> Process {
    broker.subscribe(TOPIC, count, "%r:%p ")
}

/// All messages that were printed.
fn said(mut watcher: Process) -> String {
    assert!(watcher.wait_for_end().success());
    String::from_utf8(watcher.stdout()).unwrap()
}

/// The message that a new subscriber receives.
fn retained(broker: &Mosquitto) -> String {
    said(watch(broker, 1))
}

#[test]
fn the_broker_publishes_the_will_of_a_killed_daemon() {
    for way in WAYS {
        let broker = Mosquitto::start();
        let watcher = broker.subscribe("gone", 1, "%r:%q:%p");
        let will = "[mqtt.will]\ntopic = \"gone\"\npayload = \"it ended\"\nqos = 2";
        let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{way}\n{will}\n", broker.port()));
        assert_eq!(daemon.publish(r#"{"topic":"t","msg":"x","qos":1}"#).status, 200);
        daemon.signal("KILL");
        assert_eq!(said(watcher), "0:2:it ended", "{way}");
        assert!(broker.log_with("Received PUBLISH").iter().all(|line| !line.contains("'gone'")), "{way}");
    }
}

#[test]
fn online_is_retained_while_connected_and_then_the_will() {
    for way in WAYS {
        let broker = Mosquitto::start();
        let watcher = watch(&broker, 2);
        let daemon = Daemon::connected_with(&presence(broker.port(), way, ""));
        broker.wait_for("Sending PUBACK to me");
        assert_eq!(retained(&broker), "1:online ", "{way}");
        daemon.signal("KILL");
        assert_eq!(said(watcher), "0:online 0:offline ", "{way}");
        assert_eq!(retained(&broker), "1:offline ", "{way}");
    }
}

#[test]
fn a_clean_stop_publishes_offline_before_the_disconnect() {
    for (way, qos) in WAYS.into_iter().flat_map(|way| [0, 1, 2].map(|qos| (way, qos))) {
        let broker = Mosquitto::start();
        let watcher = watch(&broker, 3);
        let config = presence(broker.port(), way, &format!("qos = {qos}"));
        let mut daemon = Daemon::connected_with(&config);
        assert_eq!(daemon.publish(r#"{"topic":"t","msg":"x","qos":1}"#).status, 200);
        daemon.signal("TERM");
        assert_eq!(daemon.wait_for_end().code(), Some(0));
        broker.wait_for("Received DISCONNECT from me");
        let log = broker.log_with(" me ");
        let log: Vec<String> =
            log.into_iter().chain(broker.log_with("from me")).chain(broker.log_with("to me")).collect();
        let at = |text: &str| log.iter().rposition(|line| line.contains(text));
        let (end, acknowledged) = (at("Received DISCONNECT"), at(["x", "Sending PUBACK", "Sending PUBCOMP"][qos]));
        assert!(end.is_some() && (qos == 0 || acknowledged.is_some()), "{way}: {log:?}");
        assert_eq!(retained(&broker), "1:offline ", "{way} at QoS {qos}");
        // then the next instance starts
        let _next = Daemon::connected_with(&config);
        assert_eq!(
            said(watcher),
            "0:online 0:offline 0:online ",
            "{way} at QoS {qos}: the will itself is not published"
        );
    }
}

#[test]
fn online_is_published_again_after_a_lost_connection() {
    for way in WAYS {
        let broker = Mosquitto::start();
        let proxy = Proxy::start(broker.port(), Duration::ZERO);
        let watcher = watch(&broker, 3);
        let daemon = Daemon::connected_with(&presence(proxy.port(), way, ""));
        broker.wait_for("Sending PUBACK to me");
        proxy.cut(Loss::Both, Duration::ZERO);
        daemon.wait_for_nth(2, "connected to");
        assert_eq!(said(watcher), "0:online 0:offline 0:online ", "{way}");
        assert_eq!(retained(&broker), "1:online ", "{way}");
    }
}

#[test]
fn a_stopped_daemon_is_offline_until_it_continues() {
    let broker = Mosquitto::start();
    let watcher = watch(&broker, 2);
    let daemon = Daemon::connected_with(&presence(broker.port(), "keepalive = 5", ""));
    broker.wait_for("Sending PUBACK to me");
    let again = watch(&broker, 3);
    daemon.signal("STOP");
    // after one and a half times the keep alive
    assert_eq!(said(watcher), "0:online 0:offline ");
    daemon.signal("CONT");
    assert_eq!(said(again), "1:online 0:offline 0:online ");
}

#[test]
fn a_stop_leaves_online_to_a_successor_with_the_same_client_identifier() {
    for way in WAYS {
        let broker = Mosquitto::start();
        let config = presence(broker.port(), way, "");
        let mut old = Daemon::connected_with(&config);
        broker.wait_for("Sending PUBACK to me");
        let _successor = Daemon::connected_with(&config);
        // otherwise it would reconnect
        old.wait_for("lost: ");
        old.signal("TERM");
        assert_eq!(old.wait_for_end().code(), Some(0));
        eventually(way, || retained(&broker), |said| said == "1:online ");
    }
}

#[test]
fn online_stays_retained_when_the_broker_still_holds_the_old_connection() {
    for way in WAYS {
        let broker = Mosquitto::start();
        let proxy = Proxy::start(broker.port(), Duration::ZERO);
        let daemon = Daemon::connected_with(&presence(proxy.port(), way, ""));
        broker.wait_for("Sending PUBACK to me");
        for n in 2..5 {
            proxy.strand();
            daemon.wait_for_nth(n, "connected to");
            // after the presence of this connection
            assert_eq!(daemon.publish(r#"{"topic":"t","msg":"x","qos":1}"#).status, 200);
            assert_eq!(retained(&broker), "1:online ", "{way}");
        }
        assert_eq!(broker.log_with("already connected, closing old connection").len(), 3, "{way}");
    }
}

#[test]
fn presence_is_published_again_after_a_resumed_exchange() {
    // the broker has published it, and the will afterwards; a resumed session only completes the exchange
    let broker = ScriptedBroker::start(|n, packet| match (n, packet.kind) {
        (0, PUBREL) => None,
        (_, CONNECT) => Some(connack_resuming(n > 0, &[])),
        _ => Some(behave(packet, &[])),
    });
    let _daemon = Daemon::with(&presence(broker.port(), "clean-session = false", "qos = 2"));
    let first = broker.wait_for(PUBLISH).0;
    let (second, between) = broker.wait_for(PUBLISH);
    assert_eq!((first.connection, second.connection, second.is_duplicate()), (0, 1, false));
    assert!(between.iter().any(|packet| (packet.connection, packet.kind) == (1, PUBREL)), "{between:?}");
    assert_eq!((second.topic(), second.flags & 1, second.qos()), (TOPIC, 1, 2));
}

#[test]
fn without_an_acknowledged_offline_the_broker_publishes_the_will() {
    for answer in [None, Some(135)] {
        let mut published = 0;
        let broker = ScriptedBroker::start(move |_, packet| {
            published += u32::from(packet.kind == PUBLISH);
            match (packet.kind, answer) {
                (PUBLISH, Some(code)) if published == 2 => {
                    Some(acknowledgement_with(PUBACK, packet.identifier(), code))
                }
                (PUBLISH, None) if published == 2 => Some(Vec::new()),
                _ => Some(behave(packet, &[])),
            }
        });
        let mut daemon = Daemon::with(&(presence(broker.port(), "", "") + "[publish]\ntimeout = 0.5"));
        broker.wait_for(PUBLISH);
        daemon.signal("TERM");
        assert_eq!(daemon.wait_for_end().code(), Some(0));
        let (offline, _) = broker.wait_for(PUBLISH);
        assert!(offline.body.ends_with(b"offline"));
        assert!(broker.others().iter().all(|packet| packet.kind != DISCONNECT));
        daemon.wait_for("the topic of [mqtt.will], bridges/me, may not say \"offline\": ");
    }
}

#[test]
fn a_refused_presence_is_logged_once() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        PUBLISH if packet.topic() == TOPIC => Some(acknowledgement_with(PUBACK, packet.identifier(), 135)),
        _ => Some(behave(packet, &[])),
    });
    let daemon = Daemon::with(&presence(broker.port(), "", ""));
    let words = "may not say \"online\": refused by the broker: not authorized (reason code 135)";
    assert_eq!(daemon.wait_for("[mqtt.will]"), format!("warning: the topic of [mqtt.will], bridges/me, {words}"));
    assert_eq!(daemon.publish(r#"{"topic":"t","msg":"x","qos":1}"#).status, 200);
    assert_eq!(daemon.lines_with("[mqtt.will]").len(), 1);
}

#[test]
fn presence_is_given_up_when_the_broker_closes_connections_over_it() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        PUBLISH if packet.topic() == TOPIC => None,
        _ => Some(behave(packet, &[])),
    });
    let daemon = Daemon::with(&presence(broker.port(), "", ""));
    daemon.wait_for("may not say \"online\": given up");
    daemon.wait_for_nth(4, "connected to");
    assert_eq!(daemon.publish(r#"{"topic":"t","msg":"x","qos":1}"#).status, 200);
    assert_eq!(daemon.lines_with("lost: ").len(), 3);
}

#[test]
fn a_presence_that_the_next_connection_publishes_is_not_logged() {
    let (sender, accepting) = channel();
    let broker = ScriptedBroker::start(move |n, packet| match (n, packet.kind) {
        (0, PUBLISH) => None,
        (1.., CONNECT) if accepting.try_recv().is_err() => Some(connack(136, &[])),
        _ => Some(behave(packet, &[])),
    });
    let config =
        presence(broker.port(), "reconnect-max = 0.1", "") + "[publish]\ntimeout = 0.2\n[log]\nlevel = \"debug\"";
    let daemon = Daemon::with(&config);
    broker.wait_for(PUBLISH);
    daemon.wait_for("lost: ");
    // its timeout has passed when that of another message has
    daemon.publish(r#"{"topic":"t","msg":"x"}"#).assert_refused(
        503,
        4,
        "not sent: there was no connection to the broker within the timeout",
    );
    sender.send(()).unwrap();
    broker.wait_for(PUBLISH);
    assert_eq!(daemon.lines_with("[mqtt.will]"), Vec::<String>::new());
}

#[test]
fn presence_is_published_behind_waiting_messages_beyond_max_waiting() {
    let port = free_port();
    let config = presence(port, "reconnect-max = 0.1", "") + "[publish]\nmax-waiting = 2";
    let daemon = Daemon::with(&config);
    let body = r#"{"topic":"t","msg":"x","qos":1,"timeout":20}"#;
    let mut waiting = [(); 2].map(|()| daemon.begin("/publish", body));
    crate::support::metrics::await_figure(daemon.address(), "mqtt_bridge_waiting_publishes", "2");
    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    for connection in &mut waiting {
        assert_eq!(connection.reply().status, 200);
    }
    broker.wait_for("'bridges/me'");
    broker.wait_for("Sending PUBACK to me (m3");
    assert_eq!(retained(&broker), "1:online ");
}

#[test]
fn a_refused_will_is_logged_with_the_key_to_change() {
    for (code, hint) in [
        (154, "retain not supported (reason code 154); set `retain = false` in [mqtt.will], without `online`"),
        (155, "QoS not supported (reason code 155); lower `qos` in [mqtt.will]"),
        (144, "topic name invalid (reason code 144); it is `topic` in [mqtt.will]"),
    ] {
        let broker = ScriptedBroker::start(move |_, packet| (packet.kind == CONNECT).then(|| connack(code, &[])));
        let daemon = Daemon::with(&presence(broker.port(), "", ""));
        let line = daemon.wait_for("cannot connect");
        assert!(line.ends_with(&format!("refused by the broker: {hint}; trying again")), "{line}");
    }
}

#[test]
fn a_will_that_mosquitto_does_not_support_is_logged_with_the_key() {
    for (limit, hint) in
        [("retain_available false", "set `retain = false` in [mqtt.will]"), ("max_qos 0", "lower `qos` in [mqtt.will]")]
    {
        let broker = Mosquitto::on_port(free_port(), &format!("{limit}\nallow_anonymous true"));
        let daemon = Daemon::with(&presence(broker.port(), "", ""));
        assert!(daemon.wait_for("cannot connect").contains(hint), "{limit}");
    }
}

#[test]
fn a_presence_denied_by_access_control_is_logged_once() {
    let folder = Folder::new();
    let acl = folder.write("acl", "topic readwrite t\n");
    let configuration = format!("allow_anonymous true\nacl_file {}", acl.display());
    let broker = Mosquitto::on_port(free_port(), &configuration);
    let daemon = Daemon::with(&presence(broker.port(), "", ""));
    daemon.wait_for("may not say \"online\": refused by the broker: not authorized (reason code 135)");
    assert_eq!(daemon.publish(r#"{"topic":"t","msg":"x","qos":1}"#).status, 200);
    assert_eq!(daemon.lines_with("[mqtt.will]").len(), 1);
}

#[test]
fn presence_at_qos_2_is_completed() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        PUBLISH => Some(acknowledgement(PUBREC, packet.identifier())),
        PUBREL => Some(acknowledgement(PUBCOMP, packet.identifier())),
        _ => Some(behave(packet, &[])),
    });
    let mut daemon = Daemon::with(&presence(broker.port(), "", "qos = 2"));
    broker.wait_for(PUBREL);
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    let (_, before) = broker.wait_for(DISCONNECT);
    assert!(before.iter().any(|packet| packet.kind == PUBREL), "{before:?}");
}

#[test]
fn brokers_of_other_makes_retain_the_right_presence() {
    let makes = [(Make::Rumqttd, "5"), (Make::Rumqttd, "3.1.1"), (Make::Aedes, "3.1.1"), (Make::Amqtt, "3.1.1")];
    for (make, protocol) in makes {
        let broker = Broker::start(make, protocol);
        let proxy = Proxy::start(broker.port(), Duration::ZERO);
        let mut watcher = Client::Mosquitto.subscribe(broker.port(), protocol, TOPIC);
        let mut next = || String::from_utf8(watcher.next().payload).unwrap();
        let config = presence(proxy.port(), &format!("protocol = \"{protocol}\""), "");
        // after the presence
        let publish = |daemon: &Daemon| assert_eq!(daemon.publish(r#"{"topic":"t","msg":"x","qos":1}"#).status, 200);
        let mut daemon = Daemon::connected_with(&config);
        for n in 2..5 {
            publish(&daemon);
            proxy.strand();
            daemon.wait_for_nth(n, "connected to");
        }
        publish(&daemon);
        daemon.signal("TERM");
        assert_eq!(daemon.wait_for_end().code(), Some(0));
        Client::Mosquitto.publish(broker.port(), protocol, TOPIC, 1, "the end");
        let said: Vec<String> = std::iter::repeat_with(&mut next).take_while(|payload| payload != "the end").collect();
        assert_eq!(said.iter().filter(|payload| *payload == "online").count(), 4, "{make:?}: {said:?}");
        assert!(said.ends_with(&["online".to_owned(), "offline".to_owned()]), "{make:?}: {said:?}");
        // a will published after its successor's `online` would precede another `offline`
        assert!(said.windows(2).all(|pair| pair != ["offline", "offline"]), "{make:?}: {said:?}");
        let daemon = Daemon::connected_with(&config);
        assert_eq!(next(), "online", "{make:?}");
        daemon.signal("KILL");
        assert_eq!(next(), "offline", "{make:?}");
        println!("{}, MQTT {protocol}: {said:?}", make.name());
    }
}
