//! Under systemd each record is one entry in the journal, and a message is acknowledged after it is written.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::free_port;
use crate::support::http::Connection;
use crate::support::journald::{Journald, bytes};
use crate::support::metrics::{await_figure, figure, metrics};
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::scripted_broker::{PUBACK, PUBLISH, Packet, SUBSCRIBE, ScriptedBroker, behave, suback};
use crate::support::token::Token;
use crate::support::waiting::{eventually_within, pause};

/// A daemon whose records go to the journal, so that its address is fixed beforehand.
struct Bridge {
    daemon: Process,
    log: Process,
    address: String,
}

impl Bridge {
    fn start(journald: &Journald, config: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let daemon = journald.daemon(&format!("{config}\n[http]\nlisten = \"{address}\"\n"));
        let log = journald.follow();
        log.wait_for(&format!("listening on http://{address}"));
        Self { daemon, log, address }
    }

    fn publish(&self, body: &str) -> u16 {
        self.post("/publish", body)
    }

    fn post(&self, path: &str, body: &str) -> u16 {
        Connection::open(&self.address).post(path, body.as_bytes()).status
    }
}

/// Publishes each number as a message.
fn publish_lines(broker: &Mosquitto, qos: &str, topic: &str, lines: impl Iterator<Item = usize>) -> Process {
    let folder = crate::support::folder::Folder::new();
    let lines = folder.write("lines", &lines.map(|line| line.to_string()).collect::<Vec<_>>().join("\n"));
    let port = broker.port().to_string();
    let mut command = Command::new("sh");
    command.args(["-c", "exec mosquitto_pub -V 5 -p \"$1\" -q \"$2\" -t \"$3\" -l <\"$4\"", "sh"]);
    let publisher = Process::start(command.args([&port, qos, topic]).arg(&lines));
    // the shell has opened the file by now
    broker.wait_for("Received PUBLISH from auto-");
    publisher
}

/// Sends 12,001 messages at this QoS, of which the queue holds 10,000.
fn overfill(broker: &Mosquitto, bridge: &Bridge, qos: u8) {
    // the last one is recognized by its length
    let lines = (0..12_000).chain([1_000_000_000_000]);
    assert!(publish_lines(broker, &qos.to_string(), "t", lines).wait_for_end().success());
    broker.wait_for(&format!(
        "Sending PUBLISH to me (d0, q{qos}, r0, m{}, 't', ... (13 bytes))",
        u32::from(qos) * 12_001
    ));
    // this acknowledgement comes after all of them
    assert_eq!(bridge.publish(r#"{"topic":"other","msg":"x","qos":1}"#), 200);
}

fn payloads(records: &[Value]) -> Vec<String> {
    records.iter().map(|record| record["MQTT_PAYLOAD"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_received_message_is_one_record_with_its_fields_and_payload() {
    let (journald, broker) = (Journald::start(), Mosquitto::start());
    let config = format!(
        "[mqtt]\nport = {}\nmax-packet-size = 10000000\n[[subscribe]]\ntopic = \"t/#\"\nqos = 1\n\
         [[subscribe]]\ntopic = \"urgent\"\npriority = 2",
        broker.port()
    );
    let bridge = Bridge::start(&journald, &config);
    bridge.log.wait_for("subscribed to urgent");
    let folder = crate::support::folder::Folder::new();
    let every_byte: Vec<u8> = (0..=255).cycle().take(5_000_000).collect();
    let payloads: [(&str, &[u8]); 8] = [
        ("text", b"hello"),
        ("binary", b"\xff\x00ok\xc3"),
        ("forged", b"a\n<0>Received message on topic: b\nPRIORITY=0\n"),
        ("terminal", b"\x1b[2J\x1b]0;x\x07\r"),
        ("one", b"x"),
        ("none", b""),
        ("long", &every_byte[..100_000]),
        ("longest", &every_byte),
    ];
    let file = folder.path().join("payload");
    for (name, payload) in payloads {
        std::fs::write(&file, payload).unwrap();
        broker.publish(&["-q", "1", "-t", &format!("t/{name}"), "-f", file.to_str().unwrap()]);
    }
    broker.publish(&["-t", "urgent", "-m", "!"]);
    journald.wait_for_records(1, "MQTT_TOPIC=urgent");
    for (name, payload) in payloads {
        let records = journald.wait_for_records(1, &format!("MQTT_TOPIC=t/{name}"));
        assert_eq!(records.len(), 1, "{name}");
        let record = &records[0];
        if payload.is_empty() {
            assert_eq!(record["MQTT_PAYLOAD"], "");
        } else {
            assert!(bytes(&record["MQTT_PAYLOAD"]) == payload, "{name}: other bytes");
        }
        let message = record["MESSAGE"].as_str().expect("printable text");
        assert!(message.starts_with(&format!("Received message on topic: t/{name} with payload: ")), "{message}");
        assert!(message.len() < 5000 && !message.contains(char::is_control), "{message}");
        let fields = ["MQTT_QOS", "MQTT_RETAIN", "MQTT_DUP", "PRIORITY", "SYSLOG_IDENTIFIER"].map(|name| &record[name]);
        assert_eq!(fields, ["1", "0", "0", "6", "mqtt-bridge"], "{name}");
        assert_eq!(record["MESSAGE_ID"], "b8c7813ec2d84ca8b6d55f818f26cc3b");
        assert_eq!(record["_PID"], bridge.daemon.id().to_string());
    }
    assert_eq!(journald.records("PRIORITY=2").len(), 1, "as its subscription says");
    assert_eq!(journald.records("PRIORITY=0").len(), 0, "nothing is forged");
}

#[test]
fn properties_and_the_retain_flag_are_fields_with_fixed_names() {
    let (journald, broker) = (Journald::start(), Mosquitto::start());
    let properties = ["content-type text/plain", "user-property key value", "user-property PRIORITY 0"];
    let mut arguments = vec!["-V", "5", "-r", "-t", "t", "-m", "x"];
    for property in properties {
        arguments.extend(["-D", "publish"]);
        arguments.extend(property.splitn(if property.starts_with("user") { 3 } else { 2 }, ' '));
    }
    broker.publish(&arguments);
    let config = format!("[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"t\"", broker.port());
    let _bridge = Bridge::start(&journald, &config);
    let record = journald.wait_for_records(1, "MQTT_TOPIC=t").remove(0);
    assert_eq!((&record["MQTT_RETAIN"], &record["MQTT_CONTENT_TYPE"]), (&"1".into(), &"text/plain".into()));
    let properties: Vec<Vec<u8>> = record["MQTT_USER_PROPERTY"].as_array().unwrap().iter().map(bytes).collect();
    assert_eq!(properties, [b"key=value".to_vec(), b"PRIORITY=0".to_vec()]);
    assert_eq!(record["PRIORITY"], "6");
}

#[test]
fn messages_for_run_time_subscriptions_are_recorded() {
    let (journald, broker) = (Journald::start(), Mosquitto::start());
    let config = format!("[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"a/#\"\npriority = 3", broker.port());
    let bridge = Bridge::start(&journald, &config);
    bridge.log.wait_for("subscribed to a/#");
    for filter in ["b", "+/x"] {
        let body = format!("{{\"topic\":\"{filter}\",\"qos\":1}}");
        assert_eq!(bridge.post("/subscribe", &body), 200);
    }
    for topic in ["a/x", "b", "b/x", "c"] {
        broker.publish(&["-t", topic, "-m", topic, "-q", "1"]);
    }
    let recorded = |topic: &str| {
        let records = journald.wait_for_records(1, &format!("MQTT_TOPIC={topic}"));
        records.iter().map(|record| record["PRIORITY"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(recorded("b/x"), ["6"]);
    assert_eq!(recorded("b"), ["6"]);
    assert_eq!(recorded("a/x"), ["3"], "once, with the configured priority");
    assert_eq!(journald.records("MQTT_TOPIC=c").len(), 0);
}

#[test]
fn the_assigned_client_identifier_is_a_field() {
    let (journald, broker) = (Journald::start(), Mosquitto::start());
    let _bridge = Bridge::start(&journald, &format!("[mqtt]\nport = {}\nclient-id = \"\"", broker.port()));
    let line = broker.wait_for(" as auto-");
    let name = line.split(" as ").nth(1).unwrap().split(' ').next().unwrap();
    let record = journald.wait_for_records(1, &format!("CLIENT_ID={name}")).remove(0);
    assert!(record["MESSAGE"].as_str().unwrap().ends_with(&format!(", which calls us {name}")), "{record}");
}

#[test]
fn the_daemons_own_records_have_priorities_and_fields() {
    let (journald, broker) = (Journald::start(), Mosquitto::with_password("alice", "s3cret"));
    let config =
        format!("[mqtt]\nport = {}\nclient-id = \"me\"\nuser = \"alice\"\npassword = \"wrong\"", broker.port());
    let mut bridge = Bridge::start(&journald, &config);
    bridge.log.wait_for("cannot connect");
    let record = journald.wait_for_records(1, "CLIENT_ID=me").remove(0);
    assert_eq!((&record["PRIORITY"], &record["REASON_CODE"]), (&"4".into(), &"135".into()), "{record}");
    assert!(record["MESSAGE"].as_str().unwrap().contains("not authorized"), "{record}");
    bridge.daemon.signal("TERM");
    assert_eq!(bridge.daemon.wait_for_end().code(), Some(0));
    bridge.log.wait_for("stopped");
    // records from before the journal is connected, and the reason of a failed start, are there too
    let refused = journald.daemon("[http]\nallow-anonymous = true\nlisten = \"192.0.2.1:80\"");
    // the start is retried before it fails
    bridge.log.wait_for_nth(2, "cannot listen on 192.0.2.1:80");
    drop(refused);
    let last = journald.records("PRIORITY=3");
    assert_eq!(last.len(), 1, "{last:?}");
}

#[test]
fn records_of_a_request_have_the_name_of_its_token() {
    let (journald, broker) = (Journald::start(), Mosquitto::start());
    let token = Token::new("kitchen", "[\"kitchen/#\"]");
    let config = format!("{}\n[log]\nlevel = \"debug\"\n[mqtt]\nport = {}", token.table, broker.port());
    let bridge = Bridge::start(&journald, &config);
    bridge.log.wait_for("connected to");
    for (topic, status) in [("kitchen/light", 200), ("cellar", 403)] {
        let body = format!(r#"{{"topic":"{topic}","msg":"x"}}"#);
        let authorization = [("Authorization", token.bearer())];
        let headers: Vec<(&str, &str)> = authorization.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = Connection::open(&bridge.address).request("POST", "/publish", &headers, body.as_bytes());
        assert_eq!(reply.status, status);
    }
    let records = journald.wait_for_records(2, "TOKEN=kitchen");
    let messages: Vec<&str> = records.iter().map(|record| record["MESSAGE"].as_str().unwrap()).collect();
    assert_eq!(messages, ["token kitchen publishes to kitchen/light", "token kitchen may not publish to cellar"]);
    assert_eq!(records[0]["PRIORITY"], "7");
}

#[test]
fn messages_stay_unacknowledged_while_journald_is_stopped() {
    let journald = Journald::start();
    let broker =
        Mosquitto::on_port(free_port(), "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0");
    let config = format!("[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"t\"\nqos = 1", broker.port());
    let bridge = Bridge::start(&journald, &config);
    bridge.log.wait_for("subscribed to t");
    journald.signal("STOP");
    let start = Instant::now();
    let mut publisher = publish_lines(&broker, "1", "t", 0..5000);
    assert!(publisher.wait_for_end().success());
    // longer than any timeout that could end the wait for journald
    let mut count = 0;
    while start.elapsed() < Duration::from_secs(10) || count < 50 {
        assert_eq!(bridge.publish(r#"{"topic":"other","msg":"x","qos":1,"timeout":10}"#), 200);
        count += 1;
        pause(Duration::from_millis(20));
    }
    // the socket of journald takes about ten
    let acknowledged = broker.log_with("Received PUBACK from mqtt-bridge-").len();
    assert!(acknowledged < 500, "{acknowledged} were acknowledged that journald had not taken");
    journald.signal("CONT");
    let records = journald.wait_for_records(5000, "MQTT_TOPIC=t");
    assert_eq!(payloads(&records), (0..5000).map(|n| n.to_string()).collect::<Vec<_>>(), "each once, in order");
    bridge.log.wait_for("journald took nothing for ");
    assert_eq!(bridge.log.lines_with("lost").len(), 0);
}

#[test]
fn messages_that_overfill_the_queue_are_delivered_again_in_a_kept_session() {
    let journald = Journald::start();
    let broker =
        Mosquitto::on_port(free_port(), "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0");
    let config = format!(
        "[mqtt]\nport = {}\nclient-id = \"me\"\nprotocol = \"3.1.1\"\nclean-session = false\n\
         [[subscribe]]\ntopic = \"t\"\nqos = 1",
        broker.port()
    );
    let bridge = Bridge::start(&journald, &config);
    bridge.log.wait_for("subscribed to t");
    journald.signal("STOP");
    overfill(&broker, &bridge, 1);
    journald.signal("CONT");
    bridge.log.wait_for("the journal is full");
    bridge.log.wait_for("lost: the journal takes messages again");
    let records = journald.wait_for_records(12_001, "MQTT_TOPIC=t");
    let found: BTreeSet<usize> = payloads(&records).iter().map(|payload| payload.parse().unwrap()).collect();
    assert_eq!((found.len(), records.len()), (12_001, 12_001), "none is missing or repeated");
}

#[test]
fn messages_that_are_lost_are_counted_and_logged() {
    for qos in [0, 1] {
        let journald = Journald::start();
        let broker =
            Mosquitto::on_port(free_port(), "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0");
        let config = format!(
            "[mqtt]\nport = {}\nclient-id = \"me\"\nprotocol = \"3.1.1\"\n[[subscribe]]\ntopic = \"t\"\nqos = {qos}",
            broker.port()
        );
        let bridge = Bridge::start(&journald, &config);
        bridge.log.wait_for("subscribed to t");
        journald.signal("STOP");
        overfill(&broker, &bridge, qos);
        journald.signal("CONT");
        let line = bridge.log.wait_for(" received messages were not recorded");
        let lost: usize = line.split(' ').next().unwrap().parse().unwrap();
        let metrics = metrics(&bridge.address);
        assert_eq!(figure(&metrics, "mqtt_bridge_journal_dropped_total"), lost.to_string());
        let recorded = journald.records("MQTT_TOPIC=t").len();
        assert_eq!(recorded + lost, 12_001, "{line}");
        assert_eq!(bridge.log.lines_with("lost:").len(), 0, "the connection stays");
    }
}

#[test]
fn no_message_at_qos_1_is_missing_from_the_journal_after_a_crash() {
    let (journald, broker) = (
        Journald::start(),
        Mosquitto::on_port(free_port(), "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0"),
    );
    let config = format!(
        "[mqtt]\nport = {}\nclient-id = \"me\"\nclean-session = false\n[[subscribe]]\ntopic = \"t\"\nqos = 1",
        broker.port()
    );
    let mut first = Bridge::start(&journald, &config);
    first.log.wait_for("subscribed to t");
    let mut publisher = publish_lines(&broker, "1", "t", 0..10_000);
    // in the middle of the messages, however late this process sees it
    first.log.wait_for("payload: 100");
    first.daemon.kill();
    assert!(publisher.wait_for_end().success());
    let recorded = journald.records("MQTT_TOPIC=t").len();
    assert!((100..10_000).contains(&recorded), "{recorded} before the crash");
    let _second = Bridge::start(&journald, &config);
    let found = || payloads(&journald.records("MQTT_TOPIC=t")).into_iter().collect::<BTreeSet<_>>().len();
    eventually_within(Duration::from_secs(60), "10000 payloads", found, |count| *count == 10_000);
}

#[test]
fn a_late_puback_is_not_sent_on_another_connection() {
    let publish = |packet_identifier: u8| {
        let body = [b"\0\x01t\0".as_slice(), &[packet_identifier, 0], b"x"].concat();
        [&[0x32, u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
    };
    let broker = ScriptedBroker::start(move |_, packet| match packet.kind {
        SUBSCRIBE => Some(suback(packet, &[1])),
        // the signal of the test to end the connection
        PUBLISH => None,
        _ => Some(behave(packet, &[])),
    });
    let journald = Journald::start();
    let config =
        format!("[mqtt]\nport = {}\nreconnect-max = 0.1\n[[subscribe]]\ntopic = \"t\"\nqos = 1", broker.port());
    let bridge = Bridge::start(&journald, &config);
    bridge.log.wait_for("subscribed to t");
    journald.signal("STOP");
    // more than the socket of journald takes
    broker.send(&(1..=100).flat_map(publish).collect::<Vec<u8>>());
    // messages that the daemon has not read are lost with the connection
    await_figure(&bridge.address, "mqtt_bridge_received_messages_total", "100");
    bridge.publish(r#"{"topic":"other","msg":"x"}"#);
    let early = broker.wait_for(PUBLISH).1;
    let (subscribe, _) = broker.wait_for(SUBSCRIBE);
    assert_eq!(subscribe.connection, 1);
    journald.signal("CONT");
    assert_eq!(journald.wait_for_records(100, "MQTT_TOPIC=t").len(), 100);
    broker.send(&publish(100));
    let (acknowledgement, others) = broker.wait_for(PUBACK >> 4);
    assert_eq!((acknowledgement.connection, acknowledgement.identifier()), (1, [0, 100]));
    let is_acknowledgement = |packet: &&Packet| packet.kind == PUBACK >> 4;
    assert!(early.iter().filter(is_acknowledgement).count() < 100, "journald did not stand still");
    assert_eq!(others.iter().chain(&broker.others()).filter(is_acknowledgement).count(), 0, "{others:?}");
}
