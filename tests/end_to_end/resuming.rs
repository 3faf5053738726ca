//! A listener that reconnects resumes where it left off, or is told that it cannot.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::clients;
use crate::support::daemon::Daemon;
use crate::support::events::Listener;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::proxy::{Loss, Proxy};
use crate::support::scripted_broker::{
    CONNECT, SUBSCRIBE, ScriptedBroker, answer_filters, behave, connack_resuming, publish as broker_publish,
};
use crate::support::token::Token;

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Publishes these numbers at QoS 1 through the daemon.
fn publish(daemon: &Daemon, topic: &str, range: std::ops::Range<usize>) {
    let mut connection = daemon.connect();
    for number in range {
        let body = json!({"topic": topic, "msg": number, "qos": 1}).to_string();
        assert_eq!(connection.post("/publish", body.as_bytes()).status, 200);
    }
}

#[test]
fn a_resumed_listener_gets_missed_messages_once_and_in_order() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::unlimited();
        let daemon = Daemon::speaking(protocol, broker.port());
        let mut first = Listener::open(&daemon, "r/#");
        let mut beside = Listener::open(&daemon, "r/+");
        publish(&daemon, "r/x", 0..10);
        publish(&daemon, "elsewhere", 0..5);
        assert_eq!(first.payloads_until("9"), numbers(0..9));
        let ninth = first.last_id().to_owned();
        drop(first);
        publish(&daemon, "r/x", 10..1000);
        let mut second = Listener::resume(&daemon, "r/#", &ninth);
        publish(&daemon, "r/x", 1000..1010);
        assert_eq!(second.payloads_until("1009"), numbers(10..1009));
        let last = second.last_id().to_owned();
        // an immediate reconnect misses nothing, and two listeners may resume from one event
        drop(second);
        let mut third = Listener::resume(&daemon, "r/#", &last);
        let mut fourth = Listener::resume(&daemon, "r/#", &last);
        publish(&daemon, "r/x", 1010..1011);
        assert_eq!([third.message()["payload"].clone(), fourth.message()["payload"].clone()], ["1010", "1010"]);
        assert_eq!(beside.payloads_until("1010"), numbers(0..1010), "for others nothing was repeated");
    }
}

#[test]
fn a_client_may_send_the_last_event_id_in_its_url() {
    let broker = Mosquitto::unlimited();
    let token = Token::new("reader", r##"["#"]"##).reading(r##"["#"]"##);
    let daemon = token.daemon(broker.port());
    let bearer = token.bearer();
    let ask = |query: &str, headers: &[(&str, &str)]| {
        let headers = [headers, &[("Authorization", bearer.as_str())]].concat();
        Listener::ask(&daemon, &format!("/messages?{query}"), &headers).unwrap()
    };
    let mut first = ask("topic=r", &[]);
    for payload in ["0", "1", "2"] {
        broker.publish(&["-t", "r", "-m", payload]);
    }
    let ids = ["0", "1", "2"].map(|payload| {
        assert_eq!(first.message()["payload"], payload);
        first.last_id().to_owned()
    });
    drop(first);
    for payload in ["3", "4"] {
        broker.publish(&["-t", "r", "-m", payload]);
    }
    // event-source-polyfill sends the first form, and the second is an alias
    for query in [format!("topic=r&lastEventId={}", ids[1]), format!("last-event-id={}&topic=r", ids[1])] {
        let mut resumed = ask(&query, &[]);
        assert_eq!(resumed.payloads_until("4"), ["2", "3"], "{query}");
        // the header takes precedence over the URL
        let mut both = ask(&query, &[("Last-Event-ID", ids[2].as_str())]);
        assert_eq!(both.payloads_until("4"), ["3"], "{query}");
    }
    for id in ["nonsense", "", "0-0-0"] {
        assert_eq!(ask(&format!("topic=r&lastEventId={id}"), &[]).lagged(), None, "{id}");
    }
}

#[test]
fn retained_messages_are_not_repeated_to_a_resumed_listener() {
    let broker = Mosquitto::unlimited();
    broker.publish(&["-t", "r/kept", "-r", "-m", "kept"]);
    let daemon = Daemon::connected(broker.port());
    let mut first = Listener::open(&daemon, "r/#");
    assert_eq!(first.message()["payload"], "kept");
    publish(&daemon, "r/x", 0..1);
    assert_eq!(first.message()["payload"], "0");
    let mut second = Listener::resume(&daemon, "r/#", first.last_id());
    publish(&daemon, "r/x", 1..2);
    assert_eq!(second.message()["payload"], "1");
    assert_eq!(first.message()["payload"], "1", "and to none that stayed");
}

#[test]
fn a_late_listener_is_told_how_many_messages_it_missed() {
    const SENT: u64 = 20_000;
    let broker = Mosquitto::unlimited();
    let daemon = Daemon::connected(broker.port());
    let mut first = Listener::open(&daemon, "r");
    broker.publish(&["-t", "r", "-m", "first"]);
    assert_eq!(first.message()["payload"], "first");
    let id = first.last_id().to_owned();
    drop(first);
    // another listener sees when all have arrived
    let mut beside = Listener::open(&daemon, "r");
    for batch in 0..40 {
        let _publisher = broker.publish_lines("r", (batch * 500..(batch + 1) * 500).map(|n: u64| n.to_string()));
        assert_eq!(beside.payloads_until(&(batch * 500 + 499).to_string()).len(), 499);
    }
    let mut second = Listener::resume(&daemon, "r", &id);
    let missed = second.lagged().expect("a number");
    assert!(missed <= SENT - 1000, "the last thousand are kept: {missed}");
    broker.publish(&["-t", "r", "-m", "end"]);
    let expected: Vec<String> = (missed..SENT).map(|n| n.to_string()).collect();
    assert_eq!(second.payloads_until("end"), expected);
}

#[test]
fn an_unknown_last_event_id_gives_a_lagged_event() {
    let broker = Mosquitto::unlimited();
    let (daemon, other_run) = (Daemon::connected(broker.port()), daemon_of_another_run(&broker));
    let [here, there, elsewhere] = [(&daemon, "r"), (&other_run, "r"), (&daemon, "other")].map(|(daemon, topic)| {
        let mut listener = Listener::open(daemon, topic);
        broker.publish(&["-t", topic, "-m", "x"]);
        assert_eq!(listener.message()["payload"], "x");
        listener.last_id().to_owned()
    });
    assert_ne!(here, there);
    assert_ne!(here, elsewhere);
    for id in [there.as_str(), &elsewhere, "nonsense", "0", "-1", "a-b-c", "99999999999999999999", &"x".repeat(1000)] {
        let mut listener = Listener::resume(&daemon, "r", id);
        assert_eq!(listener.lagged(), None, "{id}");
        broker.publish(&["-t", "r", "-m", id]);
        assert_eq!(listener.payloads_until(id), Vec::<String>::new());
    }
    // an identifier of a future message is unknown
    let (start, number) = here.rsplit_once('-').expect("RUN-CHANNEL-NUMBER");
    let future = format!("{start}-{}", number.parse::<u64>().expect("a number") + 1000);
    assert_eq!(Listener::resume(&daemon, "r", &future).lagged(), None, "{future}");
}

fn daemon_of_another_run(broker: &Mosquitto) -> Daemon {
    Daemon::connected_with(&format!("[mqtt]\nport = {}\nclient-id = \"another\"", broker.port()))
}

/// An `EventSource` of npm, which prints its events on standard error.
pub fn event_source(port: &str, filter: &str) -> Process {
    Process::start(&mut clients::node("events.mjs", &[&format!("http://127.0.0.1:{port}/messages?topic={filter}")]))
}

/// The payloads of the messages that it received.
pub fn payloads(client: &Process) -> Vec<String> {
    let lines = client.lines_with("message ");
    let data = lines.iter().map(|line| serde_json::from_str::<Value>(line.split_once(' ').unwrap().1).unwrap());
    data.map(|data| data["payload"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_event_source_stays_connected_over_a_restart_of_the_broker() {
    for protocol in ["5", "3.1.1"] {
        let mut broker = Mosquitto::unlimited();
        let daemon = Daemon::connected_with(&format!(
            "[mqtt]\nport = {}\nprotocol = \"{protocol}\"\nreconnect-max = 0.1",
            broker.port()
        ));
        let port = daemon.address().rsplit_once(':').unwrap().1;
        let client = event_source(port, "r/%23");
        client.wait_for("open");
        publish(&daemon, "r/x", 0..10);
        client.wait_for("\"payload\":\"9\"");
        broker.kill();
        daemon.wait_for("lost: ");
        broker.restart();
        broker.wait_for("\tr/# (QoS 0)");
        publish(&daemon, "r/x", 10..20);
        client.wait_for("\"payload\":\"19\"");
        assert_eq!(payloads(&client), numbers(0..20));
        assert_eq!((client.lines_with("open").len(), client.lines_with("error").len()), (1, 0));
    }
}

#[test]
fn messages_missed_without_a_broker_give_a_lagged_event() {
    for protocol in ["5", "3.1.1"] {
        let mut broker = Mosquitto::unlimited();
        let daemon = Daemon::connected_with(&format!(
            "[mqtt]\nport = {}\nprotocol = \"{protocol}\"\nreconnect-max = 0.1",
            broker.port()
        ));
        let mut stays = Listener::open(&daemon, "r/#");
        // in 3.1.1 the wider filter delivers the messages of both
        let mut narrow = Listener::open(&daemon, "r/+");
        publish(&daemon, "r/x", 0..1);
        assert_eq!([stays.message()["payload"].clone(), narrow.message()["payload"].clone()], ["0", "0"]);
        let (before, gone) = (stays.last_id().to_owned(), Listener::open(&daemon, "r/#"));
        drop(gone);
        broker.kill();
        daemon.wait_for("lost: ");
        broker.restart();
        assert_eq!([stays.lagged(), narrow.lagged()], [None, None], "{protocol}");
        // a listener that is opened now has missed nothing
        let mut late = Listener::open(&daemon, "r/#");
        publish(&daemon, "r/x", 1..2);
        for listener in [&mut stays, &mut narrow, &mut late] {
            assert_eq!(listener.message()["payload"], "1", "{protocol}");
        }
        let after = stays.last_id().to_owned();
        let mut back = Listener::resume(&daemon, "r/#", &before);
        assert_eq!((back.lagged(), back.message()["payload"].clone()), (None, json!("1")), "{protocol}");
        let mut again = Listener::resume(&daemon, "r/#", &after);
        publish(&daemon, "r/x", 2..3);
        for listener in [&mut stays, &mut again] {
            assert_eq!(listener.message()["payload"], "2", "{protocol}");
        }
    }
}

#[test]
fn a_kept_session_has_gaps_at_qos_0_only() {
    let broker = ScriptedBroker::start(|connection, packet| match packet.kind {
        CONNECT => Some(connack_resuming(connection > 0, &[])),
        SUBSCRIBE => Some(answer_filters(packet, |_| None)),
        _ => Some(behave(packet, &[])),
    });
    let daemon = Daemon::connected_with(&format!(
        "[mqtt]\nport = {}\nclean-session = false\nreconnect-max = 0.1",
        broker.port()
    ));
    let mut kept = Listener::ask(&daemon, "/messages?topic=kept&qos=1", &[]).unwrap();
    let mut lost = Listener::open(&daemon, "lost");
    broker.close();
    assert_eq!(lost.lagged(), None);
    broker.send(&broker_publish("kept", "1", &[]));
    broker.send(&broker_publish("lost", "2", &[]));
    assert_eq!([kept.message()["payload"].clone(), lost.message()["payload"].clone()], ["1", "2"]);
}

#[test]
fn an_event_source_whose_connection_is_cut_resumes_without_gap_or_repetition() {
    let broker = Mosquitto::unlimited();
    let daemon = Daemon::connected(broker.port());
    let proxy = Proxy::start(daemon.address().rsplit_once(':').unwrap().1.parse().unwrap(), Duration::ZERO);
    let client = event_source(&proxy.port().to_string(), "r/%2B");
    client.wait_for("open");
    let mut sent = 0;
    for round in 1..=2 {
        publish(&daemon, "r/x", sent..sent + 50);
        client.wait_for(&format!("\"payload\":\"{}\"", sent + 49));
        // bytes in transit are lost
        std::thread::scope(|scope| {
            scope.spawn(|| publish(&daemon, "r/x", sent + 50..sent + 300));
            proxy.cut(Loss::ToClient, Duration::from_millis(100));
        });
        sent += 300;
        client.wait_for_nth(round + 1, "open");
        client.wait_for(&format!("\"payload\":\"{}\"", sent - 1));
    }
    assert_eq!(payloads(&client), numbers(0..sent));
    assert_eq!(client.lines_with("lagged"), Vec::<String>::new());
}

#[test]
fn a_kept_session_keeps_only_configured_filters_over_a_stop() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        let config = format!(
            "[mqtt]\nport = {}\nprotocol = \"{protocol}\"\nclient-id = \"me\"\nclean-session = false\n\
             [[subscribe]]\ntopic = \"a/b\"\nqos = 1",
            broker.port()
        );
        let mut first = Daemon::with(&config);
        first.wait_for("subscribed to a/b");
        // without subscription identifiers it replaces the configured filter
        let wider = Listener::open(&first, "#");
        if protocol == "3.1.1" {
            broker.wait_for("Received UNSUBSCRIBE from me");
        }
        first.signal("TERM");
        assert_eq!(first.wait_for_end().code(), Some(0));
        drop(wider);
        for topic in ["other", "a/b"] {
            broker.publish(&["-t", topic, "-q", "1", "-m", "while away"]);
        }
        let second = Daemon::with(&config);
        second.wait_for("Received message on topic: a/b with payload: while away");
        broker.publish(&["-t", "a/b", "-q", "1", "-m", "end"]);
        second.wait_for("payload: end");
        assert_eq!(second.lines_with("Received message").len(), 2, "{protocol}: {:?}", second.lines());
        let sent = broker.log_with("Sending PUBLISH to me");
        assert!(!sent.iter().any(|line| line.contains("'other'")), "{protocol}: the session still has #: {sent:?}");
    }
}
