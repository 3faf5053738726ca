//! Topic filters that are added and removed at run time.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;

const RECEIVED: &str = "Received message on topic: ";

pub fn subscribe(daemon: &Daemon, topic: &str, qos: u8) -> Reply {
    daemon.connect().post("/subscribe", json!({ "topic": topic, "qos": qos }).to_string().as_bytes())
}

pub fn unsubscribe(daemon: &Daemon, topic: &str) -> Reply {
    daemon.connect().post("/unsubscribe", json!({ "topic": topic }).to_string().as_bytes())
}

#[track_caller]
pub fn assert_granted(reply: &Reply, topic: &str, granted_qos: u8) {
    assert_eq!(reply.status, 200, "{topic}: {reply:?}");
    assert_eq!(reply.json(), json!({"code": 0, "topic": topic, "granted_qos": granted_qos}));
    assert!(reply.body.starts_with(br#"{"code":0,"#), "{reply:?}");
}

/// The entry of this topic filter in `GET /subscriptions`.
pub fn listed(daemon: &Daemon, topic: &str) -> Option<Value> {
    let reply = daemon.get("/subscriptions");
    assert_eq!((reply.status, reply.code()), (200, 0), "{reply:?}");
    let subscriptions = reply.json()["subscriptions"].as_array().expect("an array").clone();
    let mut found = subscriptions.into_iter().filter(|subscription| subscription["topic"] == topic);
    let first = found.next();
    assert_eq!(found.next(), None, "{topic} is there twice");
    first
}

/// A daemon with `in/#` at QoS 1 in its configuration.
fn with_configured_filter(port: u16, more: &str) -> Daemon {
    let daemon = Daemon::with(&format!(
        "[mqtt]\nport = {port}\nreconnect-max = 0.1\n{more}\n[[subscribe]]\ntopic = \"in/#\"\nqos = 1"
    ));
    daemon.wait_for("subscribed to in/#");
    daemon
}

/// The records before that of this message, which is published now.
fn recorded(broker: &Mosquitto, daemon: &Daemon, end: &str) -> Vec<String> {
    broker.publish(&["-t", "in/end", "-m", end]);
    daemon.wait_for(&format!("{RECEIVED}in/end with payload: {end}"));
    let records = daemon.lines_with(RECEIVED).into_iter().map(|line| line[RECEIVED.len()..].to_owned());
    records.filter(|record| !record.starts_with("in/end ")).collect()
}

#[test]
fn a_subscribed_filter_is_answered_listed_and_recorded_in_both_versions() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        let daemon = with_configured_filter(broker.port(), &format!("protocol = \"{protocol}\""));
        for (topic, qos) in [("run/#", 0), ("other/+", 1), ("third", 2)] {
            assert_granted(&subscribe(&daemon, topic, qos), topic, qos);
            let expected = json!({"topic": topic, "qos": qos, "granted_qos": qos, "source": "api", "listeners": 0});
            assert_eq!(listed(&daemon, topic), Some(expected));
        }
        let expected = json!({"topic": "in/#", "qos": 1, "granted_qos": 1, "source": "file", "listeners": 0});
        assert_eq!(listed(&daemon, "in/#"), Some(expected));
        broker.publish(&["-t", "run/a/b", "-m", "1"]);
        broker.publish(&["-t", "other/x", "-q", "1", "-m", "2"]);
        broker.publish(&["-t", "third", "-q", "2", "-m", "3"]);
        broker.publish(&["-t", "fourth", "-q", "2", "-m", "4"]);
        let records = recorded(&broker, &daemon, "1");
        let expected = ["run/a/b with payload: 1", "other/x with payload: 2", "third with payload: 3"];
        assert_eq!(records.into_iter().collect::<BTreeSet<_>>(), expected.map(str::to_owned).into());
    }
}

#[test]
fn the_default_qos_is_0() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    assert_granted(&daemon.connect().post("/subscribe", br#"{"topic":"a"}"#), "a", 0);
    assert_eq!(listed(&daemon, "a").unwrap()["qos"], 0);
}

#[test]
fn a_lower_granted_qos_is_reported() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::on_port(free_port(), "allow_anonymous true\nmax_qos 1");
        let daemon = Daemon::speaking(protocol, broker.port());
        assert_granted(&subscribe(&daemon, "a", 2), "a", 1);
        let expected = json!({"topic": "a", "qos": 2, "granted_qos": 1, "source": "api", "listeners": 0});
        assert_eq!(listed(&daemon, "a"), Some(expected));
    }
}

#[test]
fn subscribing_again_replaces_the_qos() {
    let broker = Mosquitto::start();
    let daemon = with_configured_filter(broker.port(), "");
    for qos in [1, 1, 0, 0, 2, 2, 1] {
        assert_granted(&subscribe(&daemon, "again", qos), "again", qos);
        assert_eq!(listed(&daemon, "again").unwrap()["granted_qos"], qos);
    }
    broker.publish(&["-t", "again", "-m", "x"]);
    assert_eq!(recorded(&broker, &daemon, "1"), ["again with payload: x"]);
}

#[test]
fn unsubscribing_takes_effect_at_the_broker_and_in_the_journal() {
    for protocol in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        let daemon = with_configured_filter(broker.port(), &format!("protocol = \"{protocol}\""));
        assert_granted(&subscribe(&daemon, "gone/#", 1), "gone/#", 1);
        broker.publish(&["-t", "gone/a", "-m", "before"]);
        let reply = unsubscribe(&daemon, "gone/#");
        assert_eq!((reply.status, reply.json()), (200, json!({"code": 0, "topic": "gone/#"})));
        broker.wait_for("Received UNSUBSCRIBE from mqtt-bridge-");
        assert_eq!(listed(&daemon, "gone/#"), None);
        broker.publish(&["-t", "gone/a", "-m", "after"]);
        assert_eq!(recorded(&broker, &daemon, "1"), ["gone/a with payload: before"]);
        assert_eq!(broker.log_with("Sending PUBLISH to mqtt-bridge-").len(), 2, "nothing more was sent");
        // repeated, as for an unknown filter
        for topic in ["gone/#", "never"] {
            assert_eq!(unsubscribe(&daemon, topic).json(), json!({"code": 0, "topic": topic}));
        }
        assert_granted(&subscribe(&daemon, "gone/#", 1), "gone/#", 1);
        broker.publish(&["-t", "gone/a", "-m", "again"]);
        assert_eq!(recorded(&broker, &daemon, "2").last().unwrap(), "gone/a with payload: again");
    }
}

#[test]
fn configured_filters_cannot_be_changed() {
    let broker = Mosquitto::start();
    let daemon = with_configured_filter(broker.port(), "");
    assert_granted(&subscribe(&daemon, "in/#", 1), "in/#", 1);
    for qos in [0, 2] {
        let reply = subscribe(&daemon, "in/#", qos);
        assert_eq!((reply.status, reply.code()), (409, 3), "{reply:?}");
        assert!(reply.error().contains("`topic`"), "{}", reply.error());
    }
    let reply = unsubscribe(&daemon, "in/#");
    assert_eq!((reply.status, reply.code()), (409, 3), "{reply:?}");
    let listed = listed(&daemon, "in/#").unwrap();
    assert_eq!((&listed["source"], &listed["qos"]), (&json!("file"), &json!(1)));
    broker.publish(&["-t", "in/x", "-m", "x"]);
    assert_eq!(recorded(&broker, &daemon, "1"), ["in/x with payload: x"]);
    assert!(broker.log_with("Received UNSUBSCRIBE").is_empty());
}

#[test]
fn run_time_filters_outlive_restarts_of_the_broker_in_both_versions() {
    for protocol in ["5", "3.1.1"] {
        let mut broker = Mosquitto::start();
        let daemon = with_configured_filter(broker.port(), &format!("protocol = \"{protocol}\""));
        assert_granted(&subscribe(&daemon, "kept/#", 1), "kept/#", 1);
        assert_granted(&subscribe(&daemon, "dropped", 1), "dropped", 1);
        assert_eq!(unsubscribe(&daemon, "dropped").status, 200);
        for round in ["1", "2"] {
            broker.kill();
            broker.restart();
            broker.wait_for("\tkept/# (QoS 1)");
            broker.publish(&["-t", "dropped", "-m", round]);
            broker.publish(&["-t", "kept/a", "-q", "1", "-m", round]);
            daemon.wait_for(&format!("{RECEIVED}kept/a with payload: {round}"));
            assert!(broker.log_with("\tdropped (QoS").is_empty(), "the removed filter is not subscribed to again");
            assert_eq!(listed(&daemon, "kept/#").unwrap()["granted_qos"], 1);
        }
        assert!(daemon.lines_with("dropped with payload").is_empty());
    }
}

#[test]
fn run_time_filters_do_not_outlive_the_daemon_in_a_kept_session() {
    for (protocol, signal, code) in [("5", "TERM", Some(0)), ("5", "KILL", None), ("3.1.1", "KILL", None)] {
        let broker = Mosquitto::start();
        let kept = format!("clean-session = false\nclient-id = \"keeper\"\nprotocol = \"{protocol}\"");
        let mut first = with_configured_filter(broker.port(), &kept);
        assert_granted(&subscribe(&first, "run/#", 1), "run/#", 1);
        let refused = subscribe(&first, "two", 2);
        assert_eq!((refused.status, refused.code()), (501, 10), "rumqttc cannot do that: {refused:?}");
        assert_eq!(listed(&first, "two"), None);
        first.signal(signal);
        assert_eq!(first.wait_for_end().code(), code);
        broker.publish(&["-t", "run/a", "-q", "1", "-m", "while away"]);
        let second = with_configured_filter(broker.port(), &kept);
        broker.publish(&["-t", "run/a", "-q", "1", "-m", "later"]);
        assert_eq!(recorded(&broker, &second, "1"), Vec::<String>::new());
        assert_eq!(listed(&second, "run/#"), None);
    }
}

#[test]
fn overlapping_filters_record_a_message_once_and_can_each_be_removed() {
    let broker = Mosquitto::start();
    let daemon = with_configured_filter(broker.port(), "");
    for topic in ["in/a", "+/a", "x/#", "x/y", "#"] {
        assert_granted(&subscribe(&daemon, topic, 1), topic, 1);
    }
    let publish = |payload: &str| {
        for topic in ["in/a", "x/y", "z"] {
            broker.publish(&["-t", topic, "-q", "1", "-m", payload]);
        }
    };
    publish("all");
    let all = ["in/a with payload: all", "x/y with payload: all", "z with payload: all"];
    assert_eq!(recorded(&broker, &daemon, "1"), all);
    for topic in ["#", "in/a", "x/#"] {
        assert_eq!(unsubscribe(&daemon, topic).status, 200);
    }
    publish("fewer");
    let fewer = ["in/a with payload: fewer", "x/y with payload: fewer"];
    assert_eq!(recorded(&broker, &daemon, "2"), [&all[..], &fewer[..]].concat(), "covered filters continue");
    for topic in ["+/a", "x/y"] {
        assert_eq!(unsubscribe(&daemon, topic).status, 200);
    }
    publish("last");
    let last = ["in/a with payload: last"];
    assert_eq!(recorded(&broker, &daemon, "3"), [&all[..], &fewer[..], &last[..]].concat());
}

#[test]
fn a_filter_covered_at_a_lower_qos_gets_its_own_qos() {
    let broker = Mosquitto::start();
    let daemon = with_configured_filter(broker.port(), "");
    assert_granted(&subscribe(&daemon, "x/#", 0), "x/#", 0);
    assert_granted(&subscribe(&daemon, "x/y", 2), "x/y", 2);
    broker.publish(&["-t", "x/y", "-q", "2", "-m", "x"]);
    broker.wait_for("Sending PUBLISH to mqtt-bridge-");
    broker.wait_for("Received PUBREC from mqtt-bridge-");
    assert_eq!(recorded(&broker, &daemon, "1"), ["x/y with payload: x"]);
}

#[test]
fn a_run_time_shared_subscription_divides_the_messages() {
    let broker = Mosquitto::start();
    let daemons = ["one", "two"].map(|id| with_configured_filter(broker.port(), &format!("client-id = \"{id}\"")));
    for daemon in &daemons {
        assert_granted(&subscribe(daemon, "$share/group/jobs/#", 1), "$share/group/jobs/#", 1);
    }
    for job in 0..20 {
        broker.publish(&["-t", &format!("jobs/{job}"), "-q", "1", "-m", "x"]);
    }
    let done = daemons.each_ref().map(|daemon| recorded(&broker, daemon, "1"));
    assert!(done.iter().all(|jobs| !jobs.is_empty()), "{done:?}");
    let jobs: BTreeSet<_> = done.iter().flatten().collect();
    assert_eq!((jobs.len(), done[0].len() + done[1].len()), (20, 20), "{done:?}");
    assert_eq!(unsubscribe(&daemons[0], "$share/group/jobs/#").status, 200);
    for job in 20..30 {
        broker.publish(&["-t", &format!("jobs/{job}"), "-q", "1", "-m", "x"]);
    }
    assert_eq!(recorded(&broker, &daemons[1], "2").len(), done[1].len() + 10);
}

#[test]
fn run_time_filters_change_neither_status_nor_readiness() {
    let broker = Mosquitto::start();
    let daemon = with_configured_filter(broker.port(), "");
    let get = |path| daemon.get(path);
    let of_the_file = |status: Value| {
        let subscriptions = status["subscriptions"].as_array().unwrap().clone();
        subscriptions.into_iter().find(|subscription| subscription["topic"] == "in/#").unwrap()
    };
    let before = of_the_file(get("/status").json());
    for topic in ["in/a", "#", "run"] {
        assert_eq!(subscribe(&daemon, topic, 0).status, 200);
        get("/readyz").assert_published();
        assert_eq!(of_the_file(get("/status").json()), before);
    }
    assert_eq!(unsubscribe(&daemon, "#").status, 200);
    get("/readyz").assert_published();
    assert_eq!(of_the_file(get("/status").json()), before);
}

#[test]
fn a_thousand_filters_at_most_are_restored_after_a_restart() {
    let mut broker = Mosquitto::start();
    let daemon = with_configured_filter(broker.port(), "");
    let mut connection = daemon.connect();
    let mut subscribe = |n: usize| {
        connection.post("/subscribe", json!({"topic": format!("many/{n}"), "qos": 1}).to_string().as_bytes())
    };
    for n in 0..1000 {
        let reply = subscribe(n);
        assert_eq!(reply.status, 200, "{n}: {reply:?}");
    }
    let reply = subscribe(1000);
    assert_eq!((reply.status, reply.code()), (503, 15), "{reply:?}");
    assert_eq!(subscribe(999).status, 200, "an existing filter needs no quota");
    assert_eq!(unsubscribe(&daemon, "many/500").status, 200);
    assert_eq!(subscribe(1000).status, 200);
    broker.kill();
    broker.restart();
    broker.wait_for_nth(1000, "\tmany/");
    broker.publish(&["-t", "many/500", "-m", "x"]);
    broker.publish(&["-t", "many/0", "-m", "x"]);
    broker.publish(&["-t", "many/1000", "-m", "x"]);
    assert_eq!(recorded(&broker, &daemon, "1"), ["many/0 with payload: x", "many/1000 with payload: x"]);
}
