//! Deliveries that fail are tried again, each with the same identifier, until the endpoint takes them.

use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use crate::support::endpoint::{Answer, Endpoint, texts};
use crate::support::folder::Folder;
use crate::support::mosquitto::Mosquitto;
use crate::support::waiting::eventually;
use crate::support::webhook::{orders, publish, records, subscribed, table};
use crate::support::{SLACK, free_port};

/// Seconds for one attempt where an endpoint does not answer.
const TIMEOUT: &str = "timeout = 1";

/// Failures by the names of their webhooks, and what the record says of them.
fn failures() -> Vec<(&'static str, Answer, &'static str)> {
    let elsewhere = format!("Location: http://127.0.0.1:{}/elsewhere", free_port());
    vec![
        ("broken", Answer::Status(500), "500"),
        ("missing", Answer::Status(404), "404"),
        ("throttled", Answer::Status(429), "429"),
        ("moved", Answer::With(301, elsewhere.clone()), "301"),
        ("temporarily", Answer::With(307, elsewhere), "307"),
        ("not-modified", Answer::Status(304), "304"),
        ("closed", Answer::Close, ""),
        ("silent", Answer::Hold, ""),
        ("dripping", Answer::Drip, ""),
        ("large", Answer::Large(500, 100_000_000), "500"),
        ("garbage", Answer::Raw(b"\x16\x03\x01 hello\r\n\r\n"), ""),
        ("no-status", Answer::Raw(b"HTTP/1.1 banana\r\n\r\n"), ""),
        ("cut", Answer::Raw(b"HTTP/1.1 20"), ""),
        ("early", Answer::Raw(b"HTTP/1.1 103 Early Hints\r\n\r\n"), ""),
    ]
}

#[test]
fn after_each_kind_of_failure_the_message_is_tried_again() {
    let broker = Mosquitto::start();
    let (mut endpoints, mut tables) = (Vec::new(), Vec::new());
    for (name, answer, _) in failures() {
        let endpoint = Endpoint::answering(vec![answer.clone(), answer]);
        tables.push(table(name, "t", &endpoint.url(), TIMEOUT));
        endpoints.push(endpoint);
    }
    let names: Vec<&str> = failures().iter().map(|(name, ..)| *name).collect();
    let daemon = subscribed(&broker, "", &names, &tables.concat());
    let before = daemon.resources().peak_kib;
    publish(&broker, "t", ["tea", "milk"]);
    for ((name, _, said), endpoint) in failures().into_iter().zip(&endpoints) {
        let requests = endpoint.await_requests(4);
        assert_eq!(texts(&requests), ["tea", "tea", "tea", "milk"], "{name}");
        let ids: Vec<&str> = requests.iter().map(|request| request.id()).collect();
        assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3], "{name}: {ids:?}");
        let times: Vec<u64> =
            requests.iter().map(|request| request.one("webhook-timestamp").parse().unwrap()).collect();
        let passed = requests[2].at.duration_since(requests[0].at).as_secs();
        assert!(times.is_sorted() && times[2] - times[0] + 1 >= passed, "{name}: {times:?} in {passed} s");
        let records = eventually("the records", || records(&daemon, name), |records| records.len() >= 2);
        assert_eq!(records.len(), 2, "{name}: at its begin and at its end: {records:?}");
        assert!(records[0].contains(said), "{name}: {records:?}");
        assert!(records[1].contains('2'), "{name}: how many attempts failed: {records:?}");
    }
    let peak = daemon.resources().peak_kib;
    assert!(peak < before + 30 * 1024, "{before} KiB, then {peak} KiB");
}

#[test]
fn redirects_are_not_followed() {
    let (broker, elsewhere) = (Mosquitto::start(), Endpoint::willing());
    let location = format!("Location: {}", elsewhere.url());
    let redirects = [301, 302, 303, 307, 308].map(|status| Answer::With(status, location.clone()));
    let endpoint = Endpoint::answering(redirects.to_vec());
    let _daemon = orders(&broker, &endpoint.url(), "");
    publish(&broker, "orders/1", ["tea"]);
    let requests = endpoint.await_requests(6);
    assert!(requests.iter().all(|request| request.method == "POST" && request.text() == "tea"));
    assert_eq!(elsewhere.texts(), Vec::<String>::new());
}

#[test]
fn an_outage_is_recorded_at_its_begin_and_at_its_end() {
    let (broker, mut endpoint) = (Mosquitto::start(), Endpoint::willing());
    let daemon = orders(&broker, &endpoint.url(), "");
    publish(&broker, "orders/1", ["before"]);
    endpoint.await_requests(1);
    for outage in 1..=2 {
        // all answers were taken
        broker.wait_for_nth(2 * outage - 1, "Received PUBACK from b-hook-orders");
        endpoint.stop();
        publish(&broker, "orders/1", ["tea", "milk"]);
        let of_outage = || records(&daemon, "orders");
        let first = eventually("a record", of_outage, |records| records.len() == 2 * outage - 1);
        // a kept connection may end at the same moment
        let said = first.last().unwrap();
        assert!(said.contains("refused") || said.contains("closed"), "{first:?}");
        endpoint.resume();
        let requests = endpoint.await_requests(1 + 2 * outage);
        assert_eq!(texts(&requests[1 + 2 * (outage - 1)..]), ["tea", "milk"]);
        let last = eventually("a record", of_outage, |records| records.len() >= 2 * outage);
        assert_eq!(last.len(), 2 * outage, "{last:?}");
    }
}

#[test]
fn retry_after_is_honoured() {
    let broker = Mosquitto::start();
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(9));
    let long = Duration::from_secs(5);
    let cases = [
        ("seconds", "5", long..),
        // it says seconds, and the start of the daemon takes some
        ("date", &date, Duration::from_secs(3)..),
        ("past", "Sun, 06 Nov 1994 08:49:37 GMT", Duration::ZERO..),
        ("nothing", "", Duration::ZERO..),
        ("word", "soon", Duration::ZERO..),
        ("negative", "-1", Duration::ZERO..),
    ];
    let (mut endpoints, mut tables) = (Vec::new(), Vec::new());
    for (name, value, _) in &cases {
        let status = if *name == "date" { 429 } else { 503 };
        let endpoint = Endpoint::answering(vec![Answer::With(status, format!("Retry-After: {value}"))]);
        tables.push(table(name, "t", &endpoint.url(), ""));
        endpoints.push(endpoint);
    }
    let _daemon = subscribed(&broker, "", &cases.each_ref().map(|(name, ..)| *name), &tables.concat());
    publish(&broker, "t", ["tea"]);
    for ((name, value, at_least), endpoint) in cases.iter().zip(&endpoints) {
        let requests = endpoint.await_requests(2);
        let passed = requests[1].at.duration_since(requests[0].at);
        assert!(passed >= at_least.start && passed < at_least.start + SLACK, "{name} {value}: {passed:?}");
    }
}

#[test]
fn retry_after_holds_for_all_messages_though_each_is_given_up() {
    let broker = Mosquitto::start();
    let endpoint = Endpoint::start(|_| Answer::With(503, "Retry-After: 2".to_owned()));
    let _daemon = subscribed(&broker, "", &["hasty"], &table("hasty", "t", &endpoint.url(), "retry-for = 0"));
    publish(&broker, "t", ["tea", "milk"]);
    let requests = endpoint.await_requests(2);
    assert_eq!(texts(&requests), ["tea", "milk"]);
    let passed = requests[1].at.duration_since(requests[0].at);
    assert!(passed >= Duration::from_secs(2), "{passed:?}");
}

#[test]
fn a_large_answer_of_success_takes_no_memory() {
    let broker = Mosquitto::start();
    let endpoint = Endpoint::answering(vec![Answer::Large(200, 100_000_000)]);
    let daemon = orders(&broker, &endpoint.url(), "timeout = 2");
    let before = daemon.resources().peak_kib;
    publish(&broker, "orders/1", ["tea", "milk"]);
    eventually("the second", || endpoint.texts(), |texts| texts.last().is_some_and(|text| text == "milk"));
    let peak = daemon.resources().peak_kib;
    assert!(peak < before + 10 * 1024, "{before} KiB, then {peak} KiB");
}

#[test]
fn an_endpoint_that_reads_nothing_is_tried_again() {
    let (broker, mut endpoint) = (Mosquitto::start(), Endpoint::willing());
    endpoint.stop();
    // connections wait in its backlog, and a payload of this length finds no room in the buffers of the system
    let deaf = TcpListener::bind(("127.0.0.1", endpoint.port())).unwrap();
    let table = table("orders", "orders/#", &endpoint.url(), TIMEOUT);
    let daemon = subscribed(&broker, "max-packet-size = 33554432", &["orders"], &table);
    let folder = Folder::new();
    let file = folder.write("payload", &"x".repeat(20_000_000));
    broker.publish(&["-q", "1", "-t", "orders/1", "-f", &file.display().to_string()]);
    eventually("a record", || records(&daemon, "orders"), |records| !records.is_empty());
    drop(deaf);
    endpoint.resume();
    assert_eq!(texts(&endpoint.await_requests(1)), ["20000000 bytes"]);
}

#[test]
fn a_message_that_fails_holds_up_those_after_it_in_its_webhook_only() {
    let broker = Mosquitto::start();
    let (failing, other) = (Endpoint::start(|_| Answer::Status(500)), Endpoint::willing());
    let tables = [table("failing", "t", &failing.url(), ""), table("other", "t", &other.url(), "")];
    let _daemon = subscribed(&broker, "", &["failing", "other"], &tables.concat());
    publish(&broker, "t", 0..20);
    other.await_requests(20);
    failing.await_requests(3);
    assert!(failing.texts().iter().all(|text| text == "0"), "{:?}", failing.texts());
}
