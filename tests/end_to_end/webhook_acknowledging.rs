//! A message is acknowledged to the broker after the endpoint took it, in the order of arrival, and never before.

use crate::support::daemon::Daemon;
use crate::support::endpoint::{Answer, Endpoint, texts};
use crate::support::scripted_broker::{CONNECT, DISCONNECT, PINGREQ, Packet, SUBSCRIBE, ScriptedBroker, behave};
use crate::support::webhook::{configuration, table};
use crate::support::webhook_broker::{Connect, FROM_CLIENT_PUBACK, WebhookBroker};

/// A broker and a daemon with one webhook, whose connection to the broker has the returned number.
fn start(endpoint: &Endpoint, mqtt: &str, lines: &str) -> (WebhookBroker, Daemon, usize) {
    let broker = WebhookBroker::start();
    let table = table("orders", "orders/#", &endpoint.url(), lines);
    let daemon = Daemon::with(&configuration(broker.port(), mqtt, &table));
    let webhook = broker.await_webhook(0);
    (broker, daemon, webhook)
}

#[test]
fn an_acknowledgement_follows_the_success_and_pings_go_on_before() {
    let endpoint = Endpoint::holding();
    let (broker, _daemon, webhook) = start(&endpoint, "keepalive = 5", "timeout = 60");
    broker.deliver(webhook, 1, "tea");
    broker.deliver(webhook, 2, "milk");
    endpoint.await_requests(1);
    let mut packets = Vec::new();
    for _ in 0..2 {
        let (ping, before) = broker.wait_for(webhook, PINGREQ);
        packets.extend(before);
        packets.push(ping);
    }
    assert!(packets.iter().all(|packet| packet.kind != FROM_CLIENT_PUBACK), "{packets:?}");
    assert_eq!(endpoint.texts(), ["tea"]);
    endpoint.release(0);
    assert_eq!(broker.acknowledged(webhook), 1);
    endpoint.await_requests(2);
    let early = broker.others();
    assert!(early.iter().all(|packet| packet.kind != FROM_CLIENT_PUBACK), "{early:?}");
    endpoint.release(1);
    assert_eq!(broker.acknowledged(webhook), 2);
}

#[test]
fn acknowledgements_are_in_the_order_of_the_messages() {
    let endpoint = Endpoint::holding();
    let (broker, _daemon, webhook) = start(&endpoint, "keepalive = 5", "in-flight = 16\ntimeout = 60");
    for identifier in 1..=16 {
        broker.deliver(webhook, identifier, &identifier.to_string());
    }
    let requests = endpoint.await_requests(16);
    let number_of = |text: &str| requests.iter().find(|request| request.text() == text).unwrap().number;
    for identifier in (2..=16).rev() {
        endpoint.release(number_of(&identifier.to_string()));
    }
    let (_, before) = broker.wait_for(webhook, PINGREQ);
    assert!(before.iter().all(|packet| packet.kind != FROM_CLIENT_PUBACK), "the first has no success: {before:?}");
    endpoint.release(number_of("1"));
    let acknowledged: Vec<u16> = (1..=16).map(|_| broker.acknowledged(webhook)).collect();
    assert_eq!(acknowledged, (1..=16).collect::<Vec<_>>());
}

#[test]
fn a_failed_attempt_is_not_acknowledged() {
    let endpoint = Endpoint::answering(vec![Answer::Status(500), Answer::Close, Answer::Status(302), Answer::Hold]);
    let (broker, _daemon, webhook) = start(&endpoint, "", "timeout = 60");
    broker.deliver(webhook, 9, "tea");
    endpoint.await_requests(4);
    let packets = broker.others();
    assert!(packets.iter().all(|packet| packet.kind != FROM_CLIENT_PUBACK), "{packets:?}");
    endpoint.release(3);
    assert_eq!(broker.acknowledged(webhook), 9);
}

#[test]
fn a_message_that_comes_again_while_its_request_is_under_way_is_not_sent_twice() {
    let endpoint = Endpoint::holding();
    let (broker, _daemon, webhook) = start(&endpoint, "", "timeout = 60");
    broker.deliver(webhook, 1, "tea");
    broker.deliver(webhook, 2, "milk");
    endpoint.await_requests(1);
    broker.close(webhook);
    let again = broker.await_webhook(1);
    broker.deliver_again(again, 1, "tea");
    broker.deliver_again(again, 2, "milk");
    broker.deliver(again, 3, "bread");
    endpoint.release(0);
    assert_eq!(broker.acknowledged(again), 1, "on the connection on which it came last");
    endpoint.await_requests(2);
    endpoint.release(1);
    endpoint.await_requests(3);
    endpoint.release(2);
    assert_eq!((broker.acknowledged(again), broker.acknowledged(again)), (2, 3));
    assert_eq!(endpoint.texts(), ["tea", "milk", "bread"]);
}

#[test]
fn each_webhook_is_a_client_with_a_kept_session_and_without_a_will() {
    let endpoint = Endpoint::willing();
    for protocol in ["5", "3.1.1"] {
        let broker = ScriptedBroker::start(move |_, packet| {
            Some(match packet.kind {
                // without properties, in 3.1.1
                CONNECT if protocol == "3.1.1" => vec![0x20, 2, 0, 0],
                SUBSCRIBE if protocol == "3.1.1" => vec![0x90, 3, packet.body[0], packet.body[1], 1],
                _ => behave(packet, &[]),
            })
        });
        let tables = [
            "[mqtt.will]\ntopic = \"gone\"\npayload = \"it ended\"\n".to_owned(),
            table("orders", "orders/#", &endpoint.url(), "session-expiry = 1234"),
            table("others", "others/#", &endpoint.url(), ""),
        ];
        let mqtt = format!("clean-session = true\nprotocol = \"{protocol}\"");
        let _daemon = Daemon::with(&configuration(broker.port(), &mqtt, &tables.concat()));
        let mut connects: Vec<Connect> = (0..3).map(|_| Connect::of(&broker.wait_for(CONNECT).0)).collect();
        connects.sort_by(|a, b| a.client_id.cmp(&b.client_id));
        let webhook = |name: &str, seconds: u32| Connect {
            client_id: format!("b-hook-{name}"),
            is_clean: false,
            has_will: false,
            session_expiry: (protocol == "5").then_some(seconds),
        };
        assert_eq!(connects[1..], [webhook("orders", 1234), webhook("others", 604_800)]);
        assert_eq!((&*connects[0].client_id, connects[0].is_clean, connects[0].has_will), ("b", true, true));
    }
}

#[test]
fn a_stop_waits_for_the_request_under_way_and_acknowledges_it() {
    let endpoint = Endpoint::holding();
    let (broker, mut daemon, webhook) = start(&endpoint, "", "timeout = 60");
    broker.deliver(webhook, 1, "tea");
    broker.deliver(webhook, 2, "milk");
    endpoint.await_requests(1);
    daemon.signal("TERM");
    daemon.wait_for("stopping");
    endpoint.release(0);
    let (end, packets) = broker.wait_for(webhook, DISCONNECT);
    let acknowledged = packets.iter().filter(|packet| packet.kind == FROM_CLIENT_PUBACK);
    assert_eq!(acknowledged.map(Packet::identifier).collect::<Vec<_>>(), [[0, 1]], "{end:?}");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert_eq!(endpoint.texts(), ["tea"], "the next one is not begun during a stop");
}

#[test]
fn a_stop_leaves_a_request_that_hangs_unacknowledged() {
    let endpoint = Endpoint::holding();
    let (broker, mut daemon, webhook) = start(&endpoint, "", "timeout = 60\n[publish]\ntimeout = 1");
    broker.deliver(webhook, 1, "tea");
    endpoint.await_requests(1);
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    let packets = broker.others();
    assert!(packets.iter().all(|packet| packet.kind != FROM_CLIENT_PUBACK), "{packets:?}");
    assert_eq!(texts(&endpoint.requests()), ["tea"]);
}
