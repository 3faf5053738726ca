//! Messages that an endpoint never takes: they become dead letters or a record, and only then the next one is due.

use std::process::Command;

use crate::support::daemon::Daemon;
use crate::support::endpoint::{Answer, Endpoint, Request, texts};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::metrics::await_figure;
use crate::support::mosquitto::Mosquitto;
use crate::support::process::Process;
use crate::support::scripted_broker::PUBLISH;
use crate::support::waiting::eventually;
use crate::support::webhook::{configuration, orders, publish, records, subscribed, table};
use crate::support::webhook_broker::{FROM_CLIENT_PUBACK, WebhookBroker};

const DEAD: &str = "bridge/dead/orders";

/// An endpoint that answers 410 to the message `dead`, and takes all others.
fn gone(status: u16) -> Endpoint {
    Endpoint::start(move |request| Answer::Status(if request.text().starts_with("dead") { status } else { 204 }))
}

/// What a subscriber prints of one message.
fn printed(mut subscriber: Process) -> String {
    assert!(subscriber.wait_for_end().success());
    String::from_utf8(subscriber.stdout()).unwrap()
}

/// The record of a message that is gone, which must name its topic and the identifier of its delivery.
#[track_caller]
fn assert_recorded(daemon: &Daemon, request: &Request) -> String {
    let is_it = |records: &Vec<String>| records.iter().any(|record| record.contains(request.id()));
    let records = eventually("the record of a message that was given up", || records(daemon, "orders"), is_it);
    let record = records.into_iter().find(|record| record.contains(request.id())).unwrap();
    assert!(record.contains("error: ") && record.contains("orders/1"), "{record}");
    record
}

#[test]
fn gone_and_too_large_become_dead_letters_at_once() {
    for status in [410, 413] {
        for protocol in ["5", "3.1.1"] {
            let (broker, endpoint) = (Mosquitto::start(), gone(status));
            let lines = format!("dead-letter = \"{DEAD}\"");
            let table = table("orders", "orders/#", &endpoint.url(), &lines);
            let daemon = subscribed(&broker, &format!("protocol = \"{protocol}\""), &["orders"], &table);
            let subscriber = broker.subscribe(DEAD, 1, "%q|%r|%C|%F|%R|%D|%P|%p");
            let properties =
                ["-D", "publish", "content-type", "text/plain", "-D", "publish", "user-property", "a", "1"];
            let more = ["-D", "publish", "correlation-data", "123", "-D", "publish", "response-topic", "r"];
            let message = ["-V", "5", "-q", "1", "-t", "orders/1", "-m", "dead, grün"];
            broker.publish(&[&message[..], &properties, &more].concat());
            publish(&broker, "orders/1", ["tea"]);
            let requests = endpoint.await_requests(2);
            assert_eq!(texts(&requests), ["dead, grün", "tea"], "{status}");
            let letter = printed(subscriber);
            let fields: Vec<&str> = letter.split('|').collect();
            assert_eq!((fields[0], fields[1], fields[7]), ("1", "0", "dead, grün"), "{letter}");
            if protocol == "5" {
                assert_eq!((fields[2], fields[4], fields[5]), ("text/plain", "r", "123"), "{letter}");
                for part in ["a:1", "orders/1", "orders", &status.to_string(), requests[0].id()] {
                    assert!(fields[6].contains(part), "{part} in {letter}");
                }
            }
            assert!(records(&daemon, "orders").iter().all(|record| !record.contains("error: ")));
        }
    }
}

#[test]
fn without_a_dead_letter_there_is_a_record() {
    let (broker, endpoint) = (Mosquitto::start(), gone(410));
    let daemon = orders(&broker, &endpoint.url(), "");
    publish(&broker, "orders/1", ["dead", "tea"]);
    let requests = endpoint.await_requests(2);
    assert_eq!(texts(&requests), ["dead", "tea"]);
    let record = assert_recorded(&daemon, &requests[0]);
    assert!(record.contains("410"), "{record}");
    broker.wait_for_nth(2, "Received PUBACK from b-hook-orders");
    let records = records(&daemon, "orders");
    assert_eq!(records, [record], "no outage, and so no end of one");
}

#[test]
fn what_is_tried_for_too_long_is_given_up() {
    for (dead_letter, refused) in [(true, false), (false, false), (true, true)] {
        let (broker, mut endpoint) = (Mosquitto::start(), gone(503));
        let line = if dead_letter { format!("dead-letter = \"{DEAD}\"") } else { String::new() };
        let daemon = orders(&broker, &endpoint.url(), &format!("retry-for = 2\n{line}"));
        let subscriber = broker.subscribe(DEAD, 1, "%P|%p");
        if refused {
            endpoint.stop();
        }
        publish(&broker, "orders/1", ["dead"]);
        if dead_letter {
            let letter = printed(subscriber);
            let (properties, payload) = letter.split_once('|').unwrap();
            assert_eq!(payload, "dead");
            assert!(properties.contains("orders/1"), "{letter}");
        } else {
            let requests = endpoint.await_requests(2);
            let record = assert_recorded(&daemon, &requests[0]);
            assert!(record.contains("503"), "{record}");
        }
        if refused {
            endpoint.resume();
        }
        publish(&broker, "orders/1", ["tea"]);
        let taken = eventually(
            "the next message",
            || endpoint.requests(),
            |requests| requests.last().is_some_and(|request| request.text() == "tea"),
        );
        let first = taken.iter().filter(|request| request.text() == "dead");
        assert!(first.map(Request::id).all(|id| id == taken[0].id()), "{taken:?}");
    }
}

#[test]
fn a_dead_letter_that_the_broker_refuses_is_a_record() {
    let (folder, endpoint) = (Folder::new(), gone(410));
    let acl = folder.write("acl", "topic readwrite orders/#\ntopic read bridge/#\n");
    let port = free_port();
    let broker = Mosquitto::on_port(port, &format!("allow_anonymous true\nacl_file {}", acl.display()));
    let daemon = orders(&broker, &endpoint.url(), &format!("dead-letter = \"{DEAD}\""));
    publish(&broker, "orders/1", ["dead", "tea"]);
    let requests = endpoint.await_requests(2);
    assert_eq!(texts(&requests), ["dead", "tea"]);
    let record = assert_recorded(&daemon, &requests[0]);
    assert!(record.contains("refused") || record.contains("135"), "{record}");
}

#[test]
fn a_dead_letter_that_nobody_gets_is_recorded_as_such() {
    let (broker, endpoint) = (Mosquitto::start(), gone(410));
    let daemon = orders(&broker, &endpoint.url(), &format!("dead-letter = \"{DEAD}\""));
    publish(&broker, "orders/1", ["dead"]);
    let record = daemon.wait_for(&format!("it is published on {DEAD}"));
    assert!(record.ends_with(", which nobody subscribes to"), "{record}");
}

#[test]
fn nothing_is_acknowledged_before_the_broker_has_the_dead_letter() {
    let (broker, endpoint) = (WebhookBroker::start(), gone(410));
    broker.withhold(true);
    let table = table("orders", "orders/#", &endpoint.url(), &format!("dead-letter = \"{DEAD}\""));
    let daemon = Daemon::with(&configuration(broker.port(), "", &table));
    let webhook = broker.await_webhook(0);
    broker.deliver(webhook, 7, "dead");
    let (letter, before) = broker.wait_for_any(PUBLISH);
    assert_eq!((letter.topic(), letter.qos()), (DEAD, 1));
    assert!(before.iter().all(|packet| packet.kind != FROM_CLIENT_PUBACK), "{before:?}");
    // the broker goes away before it acknowledges the dead letter
    broker.close(letter.connection);
    let (again, before) = broker.wait_for_any(PUBLISH);
    assert_eq!(again.topic(), DEAD);
    assert!(before.iter().all(|packet| packet.kind != FROM_CLIENT_PUBACK), "{before:?}");
    broker.withhold(false);
    broker.acknowledge(again.connection, again.identifier());
    let connection = if letter.connection == webhook {
        let connection = broker.await_webhook(1);
        broker.deliver_again(connection, 7, "dead");
        connection
    } else {
        webhook
    };
    assert_eq!(broker.acknowledged(connection), 7);
    drop(daemon);
}

#[test]
fn a_dead_letter_waits_for_a_broker_that_is_away() {
    let (mut broker, endpoint) = (Mosquitto::persistent(""), Endpoint::holding());
    let lines = format!("dead-letter = \"{DEAD}\"\nretry-for = 1\ntimeout = 1");
    let daemon = orders(&broker, &endpoint.url(), &lines);
    let id = ["-V", "5", "-c", "-x", "600", "-i", "reader", "-q", "1", "-t", DEAD, "-p"];
    let port = broker.port().to_string();
    let reader = |more: &[&str]| {
        let mut command = Command::new("mosquitto_sub");
        command.args(id).arg(&port).args(more);
        Process::start(&mut command)
    };
    assert!(reader(&["-E"]).wait_for_end().success());
    publish(&broker, "orders/1", ["dead"]);
    endpoint.await_requests(1);
    // it gets no answer within its time, while the broker is away
    broker.signal("TERM");
    broker.wait_for(" terminating");
    daemon.wait_for("lost");
    broker.kill();
    await_figure(daemon.address(), "mqtt_bridge_webhook_failed_attempts_total{webhook=\"orders\"}", "1");
    broker.restart();
    let letter = printed(reader(&["-C", "1", "-N", "-F", "%p"]));
    assert_eq!(letter, "dead");
}
