//! The connection to the broker: established, refused, lost, restored, and logged.

use std::collections::HashSet;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, program, traced};
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::request::post;
use crate::support::scripted_broker::{
    CONNECT, NO_SUBSCRIPTION_IDENTIFIERS, PINGREQ, PUBLISH, Packet, SUBSCRIBE, ScriptedBroker, behave, connack, suback,
};

/// A configuration that reconnects at full speed, for tests that count attempts.
fn impatient(port: u16) -> String {
    format!("[mqtt]\nport = {port}\nreconnect-max = 0.02")
}

#[test]
fn a_broker_absent_at_start_is_logged_once_and_connected_to_later() {
    let port = free_port();
    let daemon = Daemon::start(port);
    daemon.wait_for(&format!("warning: cannot connect to 127.0.0.1:{port}: Connection refused"));
    let reply = daemon.publish(r#"{"topic": "t", "msg": "x", "timeout": 0.2}"#);
    reply.assert_refused(503, 4, "not sent: there was no connection to the broker within the timeout");
    assert_eq!(reply.header("retry-after"), Some("1"));

    let broker = Mosquitto::on_port(port, "allow_anonymous true");
    let mut subscriber = broker.subscribe("t", 1, "%p");
    daemon.wait_for(&format!("connected to 127.0.0.1:{port}"));
    assert_eq!(daemon.lines_with("cannot connect").len(), 1);
    daemon.publish(r#"{"topic": "t", "msg": "y"}"#).assert_published();
    subscriber.wait_for_end();
    assert_eq!(subscriber.stdout(), b"y", "what was answered 503 was not sent");
}

#[test]
fn a_repeated_failure_is_logged_once() {
    let broker = ScriptedBroker::start(|_, _| None);
    let daemon = Daemon::with(&impatient(broker.port()));
    daemon.wait_for("cannot connect");
    // the first ten refusals are the same failure; the end of the connection after them is another one
    let tries = ScriptedBroker::start(|n, packet| (n < 10 || packet.kind != CONNECT).then(|| connack(137, &[])));
    let other = Daemon::with(&impatient(tries.port()));
    for _ in 0..10 {
        tries.wait_for(CONNECT);
    }
    other.wait_for("closed by the broker");
    assert_eq!(other.lines_with("server busy (reason code 137)").len(), 1, "{:?}", other.lines());
    assert_eq!(daemon.lines_with("cannot connect").len(), 1, "{:?}", daemon.lines());
}

#[test]
fn a_restarted_broker_is_connected_to_and_subscribed_again() {
    let mut broker = Mosquitto::start();
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"back\"\nqos = 1", broker.port()));
    daemon.wait_for("subscribed to back");
    broker.kill();
    let lost = daemon.wait_for("lost");
    assert_eq!(
        lost,
        format!("warning: connection to 127.0.0.1:{} lost: closed by the broker; connecting again", broker.port())
    );
    daemon.publish(r#"{"topic": "back", "msg": "lost", "timeout": 0.2}"#).assert_refused(
        503,
        4,
        "not sent: there was no connection to the broker within the timeout",
    );
    broker.restart();
    daemon.wait_for_nth(2, "connected to 127.0.0.1:");
    daemon.wait_for_nth(2, "subscribed to back at QoS 1");
    daemon.publish(r#"{"topic": "back", "msg": "and forth"}"#).assert_published();
    assert_eq!(daemon.wait_for("Received"), "Received message on topic: back with payload: and forth");
}

#[test]
fn a_wrong_password_is_logged_and_the_right_one_works() {
    let broker = Mosquitto::with_password("alice", "s3cret");
    let config = format!("[mqtt]\nport = {}\nuser = \"alice\"", broker.port());
    let wrong = Daemon::with(&format!("{config}\npassword = \"wr0ng\""));
    let line = wrong.wait_for("cannot connect");
    assert!(line.ends_with("refused by the broker: not authorized (reason code 135); trying again"), "{line}");
    assert!(!wrong.lines().concat().contains("wr0ng"), "{:?}", wrong.lines());

    let right = Daemon::connected_with(&format!("{config}\npassword = \"s3cret\""));
    right.publish(r#"{"topic": "t", "msg": "x"}"#).assert_published();
    assert!(!right.lines().concat().contains("s3cret"), "{:?}", right.lines());
}

#[test]
fn the_tutorials_environment_variables_configure_the_connection() {
    let broker = Mosquitto::with_password("alice", "s3cret");
    let daemon = Daemon::run("[mqtt]\nport = 1", |config| {
        let mut command = program();
        let port = broker.port().to_string();
        command.env("MQTT_SERVER", "localhost").env("MQTT_PORT", port).env("MQTT_KEEPALIVE", "30");
        command.env("MQTT_USER", "alice").env("MQTT_PASSWORD", "s3cret").arg("--config").arg(config);
        command
    });
    daemon.wait_for(&format!("connected to localhost:{}", broker.port()));
    broker.wait_for("k30, u'alice'");
}

#[test]
fn each_connack_reason_code_is_logged_in_words() {
    const CODES: [u8; 8] = [134, 135, 133, 132, 136, 137, 138, 159];
    let broker = ScriptedBroker::start(|n, _| Some(connack(CODES[n.min(CODES.len() - 1)], &[])));
    let daemon = Daemon::with(&impatient(broker.port()));
    for words in [
        "bad user name or password (reason code 134)",
        "not authorized (reason code 135)",
        "client identifier rejected (reason code 133)",
        "unsupported protocol version (reason code 132)",
        "server unavailable (reason code 136)",
        "server busy (reason code 137)",
        "banned (reason code 138)",
        "connection rate exceeded (reason code 159)",
    ] {
        let line = daemon.wait_for(words);
        assert!(line.starts_with("warning: cannot connect to 127.0.0.1:"), "{line}");
        let hint = if words.contains("version") { "; set `protocol = \"3.1.1\"`" } else { "" };
        assert!(line.ends_with(&format!("refused by the broker: {words}{hint}; trying again")), "{line}");
    }
}

#[test]
fn each_return_code_of_mqtt_3_1_1_is_logged_in_words() {
    let broker = ScriptedBroker::start(|n, _| Some(vec![0x20, 2, 0, u8::try_from(n % 5 + 1).unwrap()]));
    let daemon = Daemon::with(&format!("{}\nprotocol = \"3.1.1\"", impatient(broker.port())));
    daemon.wait_for("unacceptable protocol version (reason code 1); set `protocol = \"5\"`; trying again");
    daemon.wait_for("client identifier rejected (reason code 2); trying again");
    daemon.wait_for("server unavailable (reason code 3); trying again");
    daemon.wait_for("bad user name or password (reason code 4); trying again");
    daemon.wait_for("not authorized (reason code 5); trying again");
}

#[test]
fn the_log_says_what_to_set_for_a_broker_without_mqtt_5() {
    const HINT: &str = "if this broker does not speak MQTT 5, set `protocol = \"3.1.1\"`; trying again";
    // a CONNACK of MQTT 3.1.1, which MQTT 5 reads as the beginning of a packet
    let older = ScriptedBroker::start(|_, _| Some(vec![0x20, 2, 0, 1]));
    let impolite = ScriptedBroker::start(|_, _| None);
    let (older, impolite) = (Daemon::with(&impatient(older.port())), Daemon::with(&impatient(impolite.port())));
    older.wait_for(HINT);
    impolite.wait_for(HINT);
    let refusing = ScriptedBroker::start(|_, _| Some(connack(132, &[])));
    Daemon::with(&impatient(refusing.port())).wait_for("set `protocol = \"3.1.1\"`; trying again");
}

#[test]
fn every_suback_code_is_checked_and_logged() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        CONNECT => Some(connack(0, &[])),
        SUBSCRIBE => {
            let code = match packet.filters()[0].as_str() {
                "a" => 1,
                "b" => 0,
                "c" => 0x87,
                _ => 0x8f,
            };
            Some(suback(packet, &[code]))
        }
        _ => Some(Vec::new()),
    });
    let tables: String =
        ["a", "b", "c", "d"].map(|topic| format!("\n[[subscribe]]\ntopic = \"{topic}\"\nqos = 1")).concat();
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}{tables}", broker.port()));
    daemon.wait_for("subscription to d");
    let expected = [
        "subscribed to a at QoS 1",
        "warning: subscribed to b at QoS 0: the broker does not grant QoS 1",
        "warning: subscription to c refused: not authorized (reason code 135)",
        "warning: subscription to d refused: topic filter invalid (reason code 143)",
    ];
    assert_eq!(daemon.lines_with("subscri"), expected);
}

#[test]
fn a_protocol_violation_ends_the_connection_and_not_the_daemon() {
    for (breach, words) in [
        // a PUBLISH without a topic name, with an unknown topic alias
        (&[0x30, 7, 0, 0, 3, 0x23, 0, 5, b'x'][..], ""),
        // a packet type that only clients send, an invalid one, and a malformed length
        (&[0x82, 7, 0, 1, 0, 0, 1, b'a', 0], "the broker sent a packet of a kind that only clients send"),
        (&[0x00, 0], ""),
        (&[0x30, 0xff, 0xff, 0xff, 0xff, 0xff], ""),
        // DISCONNECT without a reason code, which is valid, and with an unknown one
        (&[0xe0, 0], "ended by the broker without a reason"),
        (&[0xe0, 2, 0x55, 0], ""),
        (&[0x20, 3, 0, 0, 0], "the broker sent a second CONNACK"),
    ] {
        let breach = breach.to_vec();
        let broker = ScriptedBroker::start(move |n, packet| match (n, packet.kind) {
            (0, SUBSCRIBE) => Some([suback(packet, &[0]), breach.clone()].concat()),
            _ => Some(behave(packet, &[])),
        });
        let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"a\"", broker.port()));
        daemon.wait_for(&format!("lost: {words}"));
        daemon.wait_for_nth(2, "connected to");
        assert_eq!(daemon.publish(r#"{"topic": "t", "msg": "x", "qos": 1}"#).status, 200);
        assert_eq!(daemon.lines_with("Received message").len(), 0);
    }
}

#[test]
fn a_broker_without_keep_alive_is_not_flooded_with_pings() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        // property 19, Server Keep Alive: 0
        CONNECT => Some(connack(0, &[0x13, 0, 0])),
        PINGREQ => Some(vec![0xd0, 0]),
        _ => Some(Vec::new()),
    });
    let daemon = Daemon::connected(broker.port());
    let mut connection = daemon.connect();
    for _ in 0..200 {
        connection.post("/publish", br#"{"topic": "t", "msg": "x"}"#).assert_published();
    }
    let pings: usize = (0..200).map(|_| broker.wait_for(PUBLISH).1.iter().filter(|p| p.kind == PINGREQ).count()).sum();
    assert!(pings <= 2, "{pings} pings");
}

#[test]
fn no_delay_is_set_for_http_and_mqtt_in_both_versions() {
    let broker = Mosquitto::start();
    for protocol in ["5", "3.1.1"] {
        let folder = crate::support::folder::Folder::new();
        let trace = folder.path().join("trace");
        let config = format!("[mqtt]\nport = {}\nprotocol = \"{protocol}\"", broker.port());
        let arguments = ["-e", "trace=setsockopt", "-o", trace.to_str().unwrap()];
        let daemon = Daemon::run(&config, |config| traced(&arguments, &config));
        daemon.wait_for("connected to");
        let calls = std::fs::read_to_string(&trace).unwrap();
        assert_eq!(calls.matches("TCP_NODELAY, [1]").count(), 2, "HTTP and MQTT: {calls}");
        assert_eq!(calls.matches("TCP_NODELAY, [0]").count(), 0, "{calls}");
    }
}

#[test]
fn a_configured_client_identifier_is_used() {
    let broker = Mosquitto::start();
    let _daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\nclient-id = \"kitchen\"", broker.port()));
    broker.wait_for("as kitchen (p5, c1, k60");
}

#[test]
fn the_default_client_identifier_is_the_same_at_every_start() {
    let broker = Mosquitto::start();
    let folder = crate::support::folder::Folder::new();
    let config =
        folder.write("bridge.toml", &format!("[mqtt]\nport = {}\n[http]\nlisten = \"127.0.0.1:0\"", broker.port()));
    let ids: Vec<String> = (0..2)
        .map(|n| {
            let process = Process::start(program().arg("--config").arg(&config));
            process.wait_for("connected to");
            drop(process);
            let line = broker.log_with(" as mqtt-bridge-")[n].clone();
            line.split(" as ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
        })
        .collect();
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[0].len(), 22);
}

#[test]
fn without_subscription_identifiers_publishing_waits_for_the_one_suback() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        SUBSCRIBE => Some(Vec::new()),
        _ => Some(behave(packet, &NO_SUBSCRIPTION_IDENTIFIERS)),
    });
    let tables = ["a", "b/#", "+/c"].map(|topic| format!("\n[[subscribe]]\ntopic = \"{topic}\"")).concat();
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}{tables}", broker.port()));
    let (subscribe, _) = broker.wait_for(SUBSCRIBE);
    let mut waiting = daemon.begin("/publish", r#"{"topic":"t","msg":"x","qos":"1"}"#);
    assert_eq!(waiting.reply().status, 400, "two quotes too many");
    waiting.send(&post("/publish", r#"{"topic":"t","msg":"x","qos":1}"#));
    // a refused request on another connection takes the same way, so that the first one is accepted by now
    assert_eq!(daemon.publish("{}").status, 400);
    assert!(broker.others().is_empty(), "nothing but the SUBSCRIBE was sent");
    broker.send(&suback(&subscribe, &[0, 0, 0]));
    let (publish, others) = broker.wait_for(PUBLISH);
    assert_ne!(publish.identifier(), subscribe.identifier());
    assert!(others.is_empty());
    assert_eq!(waiting.reply().status, 200);
}

#[test]
fn with_subscription_identifiers_each_filter_has_its_own_subscribe() {
    let broker = ScriptedBroker::start(|_, packet| match packet.kind {
        SUBSCRIBE => Some(Vec::new()),
        _ => Some(behave(packet, &[])),
    });
    let tables = ["a", "b/#", "+/c"].map(|topic| format!("\n[[subscribe]]\ntopic = \"{topic}\"")).concat();
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}{tables}", broker.port()));
    let subscribes = [(); 3].map(|()| broker.wait_for(SUBSCRIBE).0);
    assert_eq!(subscribes.each_ref().map(Packet::filters), [["a"], ["b/#"], ["+/c"]]);
    // the only property is a subscription identifier
    let identifiers: HashSet<Vec<u8>> = subscribes.iter().map(|subscribe| subscribe.body[3..8].to_vec()).collect();
    assert!(identifiers.len() == 3 && identifiers.iter().all(|property| property[0] == 0x0b), "{identifiers:?}");
    broker.send(&subscribes.iter().rev().flat_map(|subscribe| suback(subscribe, &[0])).collect::<Vec<_>>());
    daemon.wait_for("subscribed to a at QoS 0");
    assert_eq!(daemon.publish(r#"{"topic":"t","msg":"x","qos":1}"#).status, 200);
}

#[test]
fn reconnecting_backs_off_when_connections_end_at_once() {
    let (sender, times) = channel();
    let broker = ScriptedBroker::start(move |_, packet| {
        if packet.kind == CONNECT {
            sender.send(Instant::now()).unwrap();
        }
        // and an invalid packet
        Some([behave(packet, &[]), vec![0xf0, 0]].concat())
    });
    let daemon = Daemon::start(broker.port());
    daemon.wait_for_nth(5, "lost");
    let times: Vec<Instant> = times.try_iter().collect();
    // pauses of 0.1, 0.2, 0.4 and 0.8 s, reduced by jitter to half at most
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, least) in gaps.iter().zip([50, 100, 200, 400]) {
        assert!(*gap >= Duration::from_millis(least), "{gaps:?}");
    }
}
