//! The last will, and the retained message that says whether the daemon is there.

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
/// Both versions, with a session that ends with the connection and one that stays.
const WAYS: [&str; 4] = [
    "protocol = \"5\"",
    "protocol = \"5\"\nclean-session = false",
    "protocol = \"3.1.1\"",
    "protocol = \"3.1.1\"\nclean-session = false",
];

/// A configuration with a presence, in which these lines are part of `[mqtt]` and those of `[mqtt.will]`.
fn presence(port: u16, mqtt: &str, will: &str) -> String {
    format!(
        "[mqtt]\nport = {port}\nclient-id = \"me\"\n{mqtt}\n\
         [mqtt.will]\ntopic = \"{TOPIC}\"\npayload = \"offline\"\nonline = \"online\"\n{will}\n"
    )
}

/// Prints what is said of the daemon as `retained:payload`, and ends after `count` messages.
fn watch(broker: &Mosquitto, count: usize) -> Process {
    broker.subscribe(TOPIC, count, "%r:%p ")
}

/// All that was said.
fn said(mut watcher: Process) -> String {
    assert!(watcher.wait_for_end().success());
    String::from_utf8(watcher.stdout()).unwrap()
}

/// What a subscriber who comes now is told.
fn retained(broker: &Mosquitto) -> String {
    said(watch(broker, 1))
}

#[test]
fn the_broker_publishes_the_will_of_a_daemon_that_is_killed() {
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
fn while_it_is_there_online_is_retained_and_then_what_the_will_says() {
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
fn a_clean_stop_says_so_acknowledged_before_the_disconnect() {
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
        // a start of the next one follows
        let _next = Daemon::connected_with(&config);
        assert_eq!(
            said(watcher),
            "0:online 0:offline 0:online ",
            "{way} at QoS {qos}: the will itself is not published"
        );
    }
}

#[test]
fn after_a_lost_connection_it_is_online_again() {
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
fn a_daemon_that_hangs_is_offline_until_it_is_heard_of_again() {
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
fn one_that_stops_leaves_online_to_its_successor_of_the_same_name() {
    for way in WAYS {
        let broker = Mosquitto::start();
        let config = presence(broker.port(), way, "");
        let mut old = Daemon::connected_with(&config);
        broker.wait_for("Sending PUBACK to me");
        let _successor = Daemon::connected_with(&config);
        // it would come back
        old.wait_for("lost: ");
        old.signal("TERM");
        assert_eq!(old.wait_for_end().code(), Some(0));
        eventually(way, || retained(&broker), |said| said == "1:online ");
    }
}

#[test]
fn a_broker_that_still_holds_the_old_connection_is_left_with_online() {
    for way in WAYS {
        let broker = Mosquitto::start();
        let proxy = Proxy::start(broker.port(), Duration::ZERO);
        let daemon = Daemon::connected_with(&presence(proxy.port(), way, ""));
        broker.wait_for("Sending PUBACK to me");
        for n in 2..5 {
            proxy.strand();
            daemon.wait_for_nth(n, "connected to");
            // behind the presence of this connection
            assert_eq!(daemon.publish(r#"{"topic":"t","msg":"x","qos":1}"#).status, 200);
            assert_eq!(retained(&broker), "1:online ", "{way}");
        }
        assert_eq!(broker.log_with("already connected, closing old connection").len(), 3, "{way}");
    }
}

#[test]
fn what_was_said_before_the_will_is_said_again_behind_it() {
    // the broker has published it, and the will since; a resumed session completes the exchange and no more
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
fn a_stop_that_is_not_acknowledged_leaves_the_will_to_the_broker() {
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
fn a_refusal_is_one_warning() {
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
fn a_broker_that_ends_the_connection_over_it_is_kept_without_it() {
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
fn what_the_next_connection_tells_is_no_warning() {
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
    // its time is over when another one of the same time is
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
fn it_is_said_however_much_waits_and_behind_what_waits() {
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
fn a_broker_that_cannot_keep_such_a_will_is_told_with_the_key() {
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
fn mosquitto_without_what_the_will_needs_is_told_with_the_key_too() {
    for (limit, hint) in
        [("retain_available false", "set `retain = false` in [mqtt.will]"), ("max_qos 0", "lower `qos` in [mqtt.will]")]
    {
        let broker = Mosquitto::on_port(free_port(), &format!("{limit}\nallow_anonymous true"));
        let daemon = Daemon::with(&presence(broker.port(), "", ""));
        assert!(daemon.wait_for("cannot connect").contains(hint), "{limit}");
    }
}

#[test]
fn what_access_control_denies_is_one_warning() {
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
fn a_qos_2_presence_completes() {
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
fn brokers_of_other_makes_are_left_with_what_holds_too() {
    let makes = [(Make::Rumqttd, "5"), (Make::Rumqttd, "3.1.1"), (Make::Aedes, "3.1.1"), (Make::Amqtt, "3.1.1")];
    for (make, protocol) in makes {
        let broker = Broker::start(make, protocol);
        let proxy = Proxy::start(broker.port(), Duration::ZERO);
        let mut watcher = Client::Mosquitto.subscribe(broker.port(), protocol, TOPIC);
        let mut next = || String::from_utf8(watcher.next().payload).unwrap();
        let config = presence(proxy.port(), &format!("protocol = \"{protocol}\""), "");
        // behind the presence
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
        // a will that came behind its successor's `online` would stand before another `offline`
        assert!(said.windows(2).all(|pair| pair != ["offline", "offline"]), "{make:?}: {said:?}");
        let daemon = Daemon::connected_with(&config);
        assert_eq!(next(), "online", "{make:?}");
        daemon.signal("KILL");
        assert_eq!(next(), "offline", "{make:?}");
        println!("{}, MQTT {protocol}: {said:?}", make.name());
    }
}
