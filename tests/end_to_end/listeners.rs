//! Who may listen to `GET /messages` and to which filters, and which subscriptions the broker gets.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::subscribe_refusals::numbered;
use crate::subscriptions::listed;
use crate::support::PATIENCE;
use crate::support::daemon::Daemon;
use crate::support::events::{Listener, target};
use crate::support::http::Reply;
use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{SUBSCRIBE, ScriptedBroker, answer_filters, behave};
use crate::support::token::Token;
use crate::support::waiting::{eventually, eventually_within};

/// The reply to a refused request for a stream.
pub fn refusal(daemon: &Daemon, target: &str, headers: &[(&str, &str)]) -> Reply {
    match Listener::ask(daemon, target, headers) {
        Err(reply) => reply,
        Ok(listener) => panic!("{target} is granted: {:?}", listener.head),
    }
}

#[test]
fn listened_filters_are_listed_with_the_number_of_listeners() {
    let broker = Mosquitto::start();
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"in/#\"\nqos = 1", broker.port()));
    daemon.wait_for("subscribed to in/#");
    let first = Listener::open(&daemon, "a/#");
    let expected = |listeners: u64| json!({"topic": "a/#", "qos": 0, "granted_qos": 0, "source": "listener", "listeners": listeners});
    assert_eq!(listed(&daemon, "a/#"), Some(expected(1)));
    let second = Listener::open(&daemon, "a/#");
    assert_eq!(listed(&daemon, "a/#"), Some(expected(2)));
    let of_the_file = Listener::open(&daemon, "in/#");
    let expected_of_the_file = json!({"topic": "in/#", "qos": 1, "granted_qos": 1, "source": "file", "listeners": 1});
    assert_eq!(listed(&daemon, "in/#"), Some(expected_of_the_file));
    drop((second, of_the_file));
    // the filter stays for a while without listeners
    for (topic, left) in [("a/#", 1), ("in/#", 0)] {
        let listeners = || listed(&daemon, topic).unwrap()["listeners"].clone();
        eventually(topic, listeners, |listeners| *listeners == left);
    }
    drop(first);
}

#[test]
fn a_filter_is_percent_decoded_once_and_a_plus_stays_a_plus() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    for (query, filter) in [
        ("a/+", "a/+"),
        ("b%2F%2B", "b/+"),
        ("c%2f%23", "c/#"),
        ("d%2523", "d%23"),
        ("zw%C3%B6lf", "zw\u{f6}lf"),
        ("e%20f", "e f"),
        ("g%26h%3D", "g&h="),
        ("i=j", "i=j"),
    ] {
        let listener = Listener::ask(&daemon, &format!("/messages?topic={query}"), &[]);
        assert!(listener.is_ok(), "{query}: {listener:?}");
        assert!(listed(&daemon, filter).is_some(), "{query} is not {filter}");
    }
}

#[test]
fn every_refused_request_names_the_parameter_and_the_rule() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let deep = format!("?topic={}", "/".repeat(128));
    for (query, words) in [
        ("", "`topic`"),
        ("?", "`topic`"),
        ("?topic", "`topic`"),
        ("?topic=", "`topic`"),
        ("?qos=1", "`topic`"),
        ("?topic=a%23", "`topic`"),
        ("?topic=a%2B", "`topic`"),
        ("?topic=%23/a", "`topic`"),
        ("?topic=a%00b", "`topic`"),
        ("?topic=a%0Ab", "`topic`"),
        ("?topic=%ff", "`topic`"),
        ("?topic=%C3%28", "`topic`"),
        ("?topic=a%2", "`topic`"),
        ("?topic=a%zz", "`topic`"),
        ("?topic=%24share/g/a", "`topic`"),
        ("?topic=$share/g/a", "`topic`"),
        ("?topic=a&topic=b", "parameter `topic` is there twice"),
        ("?topic=a&topic=a", "parameter `topic` is there twice"),
        ("?topic=a&qos=0&qos=1", "parameter `qos` is there twice"),
        ("?topic=a&qos=3", "`qos`"),
        ("?topic=a&qos=-1", "`qos`"),
        ("?topic=a&qos=", "`qos`"),
        ("?topic=a&qos=one", "`qos`"),
        ("?topic=a&timeout=1", "unknown parameter `timeout`"),
        ("?topic=a&Topic=b", "unknown parameter `Topic`"),
        ("?topic=a&%74opic=b", "`topic`"),
        (&deep, "128"),
    ] {
        let reply = refusal(&daemon, &format!("/messages{query}"), &[]);
        assert_eq!((reply.status, reply.code()), (400, 3), "{query}: {reply:?}");
        assert!(reply.error().contains(words), "{query}: {}", reply.error());
    }
    for method in ["POST", "PUT", "DELETE"] {
        let reply = daemon.connect().request(method, "/messages?topic=a", &[], b"");
        assert_eq!((reply.status, reply.code()), (405, 3), "{method}: {reply:?}");
        assert!(reply.header("allow").is_some_and(|methods| methods.contains("GET")), "{reply:?}");
    }
    let foreign = refusal(&daemon, "/messages?topic=a", &[("Origin", "https://evil.example")]);
    assert_eq!((foreign.status, foreign.code()), (403, 12), "{foreign:?}");
    assert_eq!(daemon.publish(r#"{"topic":"end","msg":"x","qos":1}"#).status, 200);
    assert!(broker.log_with("Received SUBSCRIBE from mqtt-bridge-").is_empty(), "nothing reached the broker");
}

#[test]
fn qos_2_is_refused_with_a_kept_session() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\nclean-session = false", broker.port()));
    let reply = refusal(&daemon, "/messages?topic=a&qos=2", &[]);
    assert_eq!((reply.status, reply.code()), (501, 10), "{reply:?}");
    assert!(Listener::ask(&daemon, "/messages?topic=a&qos=1", &[]).is_ok());
}

#[test]
fn a_token_listens_within_its_filters_only() {
    let broker = Mosquitto::start();
    let reader = Token::new("reader", "[]").reading(r#"["a/#", "+/b"]"#);
    let publisher = Token::new("publisher", r##"["#"]"##);
    let daemon =
        Daemon::connected_with(&format!("[mqtt]\nport = {}\n{}{}", broker.port(), reader.table, publisher.table));
    for filter in ["a/#", "a", "a/b/+", "+/b", "x/b"] {
        let granted = Listener::ask(&daemon, &target(filter), &[("Authorization", &reader.bearer())]);
        assert!(granted.is_ok(), "{filter}: {granted:?}");
        // a filter that another token listens to is still refused
        let refused = refusal(&daemon, &target(filter), &[("Authorization", &publisher.bearer())]);
        assert_eq!((refused.status, refused.code()), (403, 12), "{filter}: {refused:?}");
        assert!(refused.error().contains("token `publisher`"), "{}", refused.error());
    }
    for filter in ["#", "+/#", "+", "b", "x/b/c", "+/+", "+/c", "$SYS/#"] {
        let refused = refusal(&daemon, &target(filter), &[("Authorization", &reader.bearer())]);
        assert_eq!((refused.status, refused.code()), (403, 12), "{filter}: {refused:?}");
    }
    assert_eq!(refusal(&daemon, &target("a/#"), &[]).status, 401);
}

#[test]
fn a_refusal_of_the_broker_is_the_reply_and_leaves_no_subscription() {
    let broker = numbered();
    let daemon = Daemon::connected(broker.port());
    for (code, status, ours) in [(135, 403, 12), (128, 502, 13), (143, 502, 13)] {
        let reply = refusal(&daemon, &target(&code.to_string()), &[]);
        assert_eq!((reply.status, reply.code()), (status, ours), "{reply:?}");
        assert_eq!(reply.json()["reason_code"], code, "{reply:?}");
        assert_eq!(listed(&daemon, &code.to_string()), None);
    }
    let _listener = Listener::open(&daemon, "fine");
    daemon.get("/readyz").assert_published();
}

#[test]
fn without_a_broker_an_existing_filter_is_listened_to_at_once() {
    let mut broker = Mosquitto::start();
    let mqtt = format!("[mqtt]\nport = {}\nreconnect-max = 0.1", broker.port());
    let daemon = Daemon::with(&format!("{mqtt}\n[[subscribe]]\ntopic = \"in\""));
    daemon.wait_for("subscribed to in");
    let mut first = Listener::open(&daemon, "b/#");
    broker.kill();
    daemon.wait_for("lost: ");
    let (mut second, mut of_the_file) = (Listener::open(&daemon, "b/#"), Listener::open(&daemon, "in"));
    broker.restart();
    broker.wait_for("\tb/# (QoS 0)");
    broker.publish(&["-t", "b/c", "-m", "2"]);
    assert_eq!([first.lagged(), second.lagged(), of_the_file.lagged()], [None; 3]);
    assert_eq!([first.message()["payload"].clone(), second.message()["payload"].clone()], ["2", "2"]);
    broker.publish(&["-t", "in", "-m", "3"]);
    assert_eq!(of_the_file.message()["payload"], "3");
}

#[test]
fn a_listener_to_a_configured_filter_keeps_the_bridge_ready() {
    let mut asked = 0;
    let broker = ScriptedBroker::start(move |_, packet| {
        Some(match packet.kind {
            SUBSCRIBE if asked == 0 => {
                asked += 1;
                answer_filters(packet, |_| None)
            }
            SUBSCRIBE => Vec::new(),
            _ => behave(packet, &[]),
        })
    });
    let daemon = Daemon::with(&format!("[mqtt]\nport = {}\n[[subscribe]]\ntopic = \"in\"", broker.port()));
    daemon.wait_for("subscribed to in");
    let before = listed(&daemon, "in").unwrap();
    let _listener = Listener::open(&daemon, "in");
    // subscribed again for the retained messages
    broker.wait_for(SUBSCRIBE);
    broker.wait_for(SUBSCRIBE);
    daemon.get("/readyz").assert_published();
    assert_eq!(listed(&daemon, "in").unwrap()["granted_qos"], before["granted_qos"]);
}

#[test]
fn above_max_listeners_the_reply_is_503_until_one_leaves() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n[http]\nmax-listeners = 3", broker.port()));
    for _ in 0..3 {
        let ask = |n| Listener::ask(&daemon, &target(&format!("a/{n}")), &[]);
        let granted = |n| eventually("room for a listener", || ask(n), Result::is_ok).unwrap();
        let mut listeners: Vec<Listener> = (0..3).map(granted).collect();
        let reply = refusal(&daemon, &target("a/0"), &[]);
        assert_eq!((reply.status, reply.code()), (503, 15), "{reply:?}");
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
        // refused requests take no quota
        assert_eq!(refusal(&daemon, "/messages", &[]).status, 400);
        broker.publish(&["-t", "a/2", "-m", "x"]);
        assert_eq!(listeners[2].message()["payload"], "x");
    }
}

#[test]
fn fifty_listeners_share_one_subscription_that_ends_30_s_after_the_last() {
    let broker = Mosquitto::start();
    let daemon =
        Daemon::connected_with(&format!("[mqtt]\nport = {}\nprotocol = \"3.1.1\"\nclient-id = \"me\"", broker.port()));
    let mut listeners: Vec<Listener> = (0..50).map(|_| Listener::open(&daemon, "many/#")).collect();
    broker.publish(&["-t", "many/x", "-m", "1"]);
    assert!(listeners.iter_mut().all(|listener| listener.message()["payload"] == "1"));
    listeners.truncate(1);
    broker.publish(&["-t", "many/x", "-m", "2"]);
    assert_eq!(listeners[0].message()["payload"], "2");
    drop(listeners);
    // a new listener in the meantime uses the same subscription
    let mut last = Listener::open(&daemon, "many/#");
    broker.publish(&["-t", "many/x", "-m", "3"]);
    assert_eq!(last.message()["payload"], "3");
    drop(last);
    let gone = Instant::now();
    let ended = || broker.log_with("Received UNSUBSCRIBE from me").len();
    eventually_within(Duration::from_secs(30) + PATIENCE, "an UNSUBSCRIBE", ended, |ended| *ended > 0);
    assert!(gone.elapsed() > Duration::from_secs(28), "after {:?}", gone.elapsed());
    assert_eq!(broker.log_with("Received SUBSCRIBE from me").len(), 1);
    assert_eq!(broker.log_with("\tmany/# (QoS 0)").len(), 1);
    assert_eq!(listed(&daemon, "many/#"), None);
    // and a later one subscribes again
    let mut again = Listener::open(&daemon, "many/#");
    broker.wait_for_nth(2, "Received SUBSCRIBE from me");
    broker.publish(&["-t", "many/x", "-m", "4"]);
    assert_eq!(again.message()["payload"], "4");
}
