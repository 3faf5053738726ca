//! What a webhook that is stuck or fails leaves alone, and what is no failure of it.

use std::time::{Duration, Instant};

use crate::support::SLACK;
use crate::support::daemon::Daemon;
use crate::support::endpoint::{Answer, Endpoint};
use crate::support::metrics::{metrics, value};
use crate::support::mosquitto::Mosquitto;
use crate::support::waiting::eventually;
use crate::support::webhook::{configuration, orders, publish, records, subscribed, table};

#[test]
fn a_stuck_webhook_holds_up_nothing_else() {
    const COUNT: usize = 50;
    let broker = Mosquitto::unlimited();
    let (stuck, full, other) = (Endpoint::holding(), Endpoint::holding(), Endpoint::willing());
    let tables = [
        "[[subscribe]]\ntopic = \"orders/#\"\nqos = 1\n".to_owned(),
        table("stuck", "orders/#", &stuck.url(), "timeout = 300"),
        table("full", "orders/#", &full.url(), "timeout = 300\nin-flight = 16"),
        table("other", "orders/#", &other.url(), ""),
    ];
    let daemon = subscribed(&broker, "", &["stuck", "full", "other"], &tables.concat());
    let started = Instant::now();
    for n in 0..COUNT {
        let reply = daemon.publish(&format!(r#"{{"topic":"orders/1","msg":"{n}","qos":1}}"#));
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    assert_eq!(other.await_requests(COUNT).len(), COUNT);
    daemon.wait_for_nth(COUNT, "Received message on topic: orders/1 with payload: ");
    assert!(started.elapsed() < SLACK + Duration::from_secs(5), "{:?}", started.elapsed());
    full.await_requests(16);
    assert_eq!((stuck.texts().len(), full.texts().len()), (1, 16));
    assert_eq!((daemon.get("/readyz").status, daemon.get("/healthz").status), (200, 200));
    stuck.release(0);
    (0..COUNT).for_each(|number| full.release(number));
    stuck.await_requests(2);
    full.await_requests(COUNT);
}

#[test]
fn a_webhook_that_fails_does_not_make_the_bridge_unready() {
    let (broker, endpoint) = (Mosquitto::start(), Endpoint::start(|_| Answer::Status(500)));
    let daemon = subscribed(&broker, "", &["failing"], &table("failing", "t", &endpoint.url(), ""));
    publish(&broker, "t", ["tea"]);
    endpoint.await_requests(2);
    assert_eq!(daemon.get("/readyz").status, 200);
    let mut daemon = daemon;
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_end().code(), Some(0), "nor does it hold up a stop");
}

#[test]
fn a_queue_that_grows_takes_bounded_memory_of_the_bridge() {
    const COUNT: usize = 6000;
    let (broker, endpoint) = (Mosquitto::unlimited(), Endpoint::holding());
    let table = table("stuck", "orders/#", &endpoint.url(), "timeout = 300\nin-flight = 16");
    let daemon = subscribed(&broker, "", &["stuck"], &table);
    let before = daemon.resources().peak_kib;
    let text = "x".repeat(10_000);
    let message = serde_json::json!({"topic": "orders/1", "msg": text, "qos": 0}).to_string();
    let mut connection = daemon.served_connection();
    for _ in 0..COUNT {
        connection.post("/publish", message.as_bytes()).assert_published();
    }
    endpoint.await_requests(16);
    let peak = daemon.resources().peak_kib;
    // 16 MiB of messages, and what their requests take
    assert!(peak < before + 26 * 1024, "{before} KiB, then {peak} KiB after {} KiB", COUNT * 10);
}

#[test]
fn a_backlog_beyond_the_room_is_delivered_without_growing_pauses() {
    const COUNT: usize = 100;
    let (broker, endpoint) = (Mosquitto::unlimited(), Endpoint::holding());
    let (table, text) = (table("orders", "orders/#", &endpoint.url(), "timeout = 300"), "x".repeat(800_000));
    let mut daemon = subscribed(&broker, "", &["orders"], &table);
    for n in 0..COUNT {
        let message = serde_json::json!({"topic": "orders/1", "msg": format!("{n} {text}"), "qos": 1});
        assert_eq!(daemon.publish(&message.to_string()).status, 200);
    }
    endpoint.await_requests(1);
    // mosquitto sends all that a resumed session has at once
    daemon.signal("KILL");
    daemon.wait_for_end();
    let daemon = Daemon::connected_with(&configuration(broker.port(), "", &table));
    // as many as find room in 16 MiB, while more come
    let waiting = "mqtt_bridge_webhook_waiting_messages{webhook=\"orders\"}";
    eventually(waiting, || value(&metrics(daemon.address()), waiting), |waiting| *waiting >= 19.0);
    (0..=COUNT).for_each(|number| endpoint.release(number));
    let requests = endpoint.await_requests(COUNT + 1);
    let numbers: Vec<usize> =
        requests.iter().map(|request| request.text().split(' ').next().unwrap().parse().unwrap()).collect();
    let mut first = numbers.clone();
    let mut seen = std::collections::HashSet::new();
    first.retain(|number| seen.insert(*number));
    assert!(first.is_sorted(), "{numbers:?}");
    assert!(broker.log_with("New client connected from").len() > 4, "it connected again for more than it had room for");
    assert_eq!(daemon.lines().iter().filter(|line| line.contains(" lost: ")).count(), 0);
}

#[test]
fn an_endpoint_that_closes_each_connection_is_no_failure() {
    let broker = Mosquitto::start();
    let endpoint = Endpoint::start(|_| Answer::With(204, "Connection: close".to_owned()));
    let daemon = orders(&broker, &endpoint.url(), "");
    publish(&broker, "orders/1", 0..5);
    endpoint.await_requests(5);
    assert_eq!(endpoint.texts(), ["0", "1", "2", "3", "4"]);
    assert!(records(&daemon, "orders").is_empty(), "{:?}", records(&daemon, "orders"));
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_is_no_failure() {
    let (broker, mut endpoint) = (Mosquitto::start(), Endpoint::willing());
    let daemon = orders(&broker, &endpoint.url(), "");
    for n in 0..3 {
        publish(&broker, "orders/1", [n]);
        endpoint.await_requests(n + 1);
        broker.wait_for_nth(n + 1, "Received PUBACK from b-hook-orders");
        endpoint.stop();
        endpoint.resume();
    }
    assert_eq!(endpoint.texts(), ["0", "1", "2"]);
    assert!(records(&daemon, "orders").is_empty(), "{:?}", records(&daemon, "orders"));
}
