//! What `/status` and `/metrics` say of webhooks.

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::endpoint::{Answer, Endpoint};
use crate::support::metrics::{await_figure, figure, metrics, value};
use crate::support::mosquitto::Mosquitto;
use crate::support::token::Token;
use crate::support::waiting::eventually;
use crate::support::webhook::{configuration, publish, subscribed, table};

/// The webhook of this name in `/status`.
fn status(daemon: &Daemon, name: &str) -> Value {
    let status = daemon.get("/status").json();
    let webhooks = status["webhooks"].as_array().unwrap_or_else(|| panic!("{status}"));
    webhooks.iter().find(|webhook| webhook["name"] == name).unwrap_or_else(|| panic!("{status}")).clone()
}

/// A metric of the webhook of this name.
fn of(metric: &str, name: &str) -> String {
    format!("mqtt_bridge_webhook_{metric}{{webhook=\"{name}\"}}")
}

fn deliveries(result: &str, name: &str) -> String {
    format!("mqtt_bridge_webhook_deliveries_total{{result=\"{result}\",webhook=\"{name}\"}}")
}

#[test]
fn a_webhook_that_waits_and_fails_is_seen() {
    let broker = Mosquitto::start();
    let (stuck, mut failing, willing) = (Endpoint::holding(), Endpoint::willing(), Endpoint::willing());
    let tables = [
        table("stuck", "t", &stuck.url(), "timeout = 300"),
        table("failing", "t", &failing.url(), ""),
        table("willing", "t", &willing.url(), ""),
    ];
    failing.stop();
    let daemon = subscribed(&broker, "", &["stuck", "failing", "willing"], &tables.concat());
    let subscribed = |name: &str| status(&daemon, name)["subscribed"] == true;
    eventually("all are subscribed", || ["stuck", "failing", "willing"].map(subscribed), |all| *all == [true; 3]);
    publish(&broker, "t", ["tea", "milk", "bread"]);
    willing.await_requests(3);
    let waiting = eventually("three wait", || status(&daemon, "stuck"), |webhook| webhook["waiting"] == 3);
    assert!(waiting["oldest_waiting_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{waiting}");
    assert_eq!((&waiting["topic"], waiting.get("failing_since"), waiting.get("last_error")), (&json!("t"), None, None));
    let failure = eventually("a failure", || status(&daemon, "failing"), |webhook| webhook["last_error"].is_object());
    assert!(failure["failing_since"].is_u64(), "{failure}");
    assert!(failure["last_error"]["error"].as_str().is_some_and(|error| error.contains("refused")), "{failure}");
    await_figure(daemon.address(), &deliveries("delivered", "willing"), "3");
    await_figure(daemon.address(), &of("waiting_messages", "willing"), "0");
    await_figure(daemon.address(), &of("oldest_waiting_seconds", "willing"), "0");
    let text = metrics(daemon.address());
    for (metric, name, expected) in [
        ("subscribed", "stuck", "1"),
        ("waiting_messages", "stuck", "3"),
        ("failed_attempts_total", "stuck", "0"),
        ("failed_attempts_total", "willing", "0"),
        ("attempt_seconds_count", "willing", "3"),
    ] {
        assert_eq!(figure(&text, &of(metric, name)), expected, "{metric} of {name}");
    }
    assert!(value(&text, &of("oldest_waiting_seconds", "stuck")) > 0.0);
    assert!(value(&text, &of("failed_attempts_total", "failing")) > 0.0);
    failing.resume();
    await_figure(daemon.address(), &deliveries("delivered", "failing"), "3");
    let healed = status(&daemon, "failing");
    assert_eq!((healed.get("failing_since"), &healed["waiting"]), (None, &json!(0)), "{healed}");
    assert!(healed["last_error"].is_object(), "the last error remains: {healed}");
    (0..3).for_each(|number| stuck.release(number));
    await_figure(daemon.address(), &deliveries("delivered", "stuck"), "3");
}

#[test]
fn messages_that_are_given_up_are_counted_apart() {
    let (broker, gone) = (Mosquitto::start(), Endpoint::start(|_| Answer::Status(410)));
    let tables = [table("lost", "t", &gone.url(), ""), table("dead", "t", &gone.url(), "dead-letter = \"dead\"")];
    let daemon = subscribed(&broker, "", &["lost", "dead"], &tables.concat());
    publish(&broker, "t", ["tea", "milk"]);
    await_figure(daemon.address(), &deliveries("given_up", "lost"), "2");
    await_figure(daemon.address(), &deliveries("dead_lettered", "dead"), "2");
    let text = metrics(daemon.address());
    for (result, name) in
        [("delivered", "lost"), ("dead_lettered", "lost"), ("delivered", "dead"), ("given_up", "dead")]
    {
        assert_eq!(figure(&text, &deliveries(result, name)), "0", "{result} of {name}");
    }
}

#[test]
fn a_webhook_without_a_broker_is_not_subscribed() {
    let (mut broker, endpoint) = (Mosquitto::start(), Endpoint::willing());
    let daemon = subscribed(&broker, "", &["orders"], &table("orders", "orders/#", &endpoint.url(), ""));
    await_figure(daemon.address(), &of("subscribed", "orders"), "1");
    daemon.wait_for(&format!("connected to 127.0.0.1:{} for webhook orders", broker.port()));
    daemon.wait_for("subscribed to orders/# for webhook orders at QoS 1");
    broker.kill();
    await_figure(daemon.address(), &of("subscribed", "orders"), "0");
    let without = status(&daemon, "orders");
    let reason = without["reason"].as_str().unwrap();
    assert!(without["subscribed"] == false && reason.starts_with("not connected to "), "{without}");
    broker.restart();
    await_figure(daemon.address(), &of("subscribed", "orders"), "1");
}

#[test]
fn a_token_with_sees_own_is_shown_no_webhooks() {
    let (broker, endpoint) = (Mosquitto::start(), Endpoint::willing());
    let token = Token::new("kitchen", "[\"kitchen/#\"]").with("sees = \"own\"");
    let tables = [token.table.clone(), table("orders", "orders/#", &endpoint.url(), "")];
    let daemon = Daemon::connected_with(&configuration(broker.port(), "", &tables.concat()));
    let reply = daemon.connect().request("GET", "/status", &[("Authorization", &token.bearer())], b"");
    let text = String::from_utf8(reply.body).unwrap();
    assert!(reply.status == 200 && !text.contains("orders"), "{text}");
}

#[test]
fn without_webhooks_nothing_is_said_of_them() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    assert_eq!(daemon.get("/status").json().get("webhooks"), None);
    assert!(!metrics(daemon.address()).contains("webhook"));
}
