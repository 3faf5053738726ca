//! Many concurrent subscriptions while messages are published.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::subscriptions::{assert_granted, listed, subscribe, unsubscribe};
use crate::support::daemon::Daemon;
use crate::support::events::Listener;
use crate::support::mosquitto::Mosquitto;

const RECEIVED: &str = "Received message on topic: ";

#[test]
fn subscribing_and_publishing_concurrently_never_fails() {
    let broker = Mosquitto::start();
    let daemon = Daemon::connected(broker.port());
    let (done, published) = (AtomicBool::new(false), AtomicUsize::new(0));
    let publishing = || {
        let mut connection = daemon.connect();
        while !done.load(Ordering::SeqCst) {
            let reply = connection.post("/publish", br#"{"topic":"t","msg":"x","qos":1}"#);
            assert_eq!(reply.status, 200, "{reply:?}");
            published.fetch_add(1, Ordering::SeqCst);
        }
    };
    thread::scope(|scope| {
        let publishers: Vec<_> = (0..16).map(|_| scope.spawn(publishing)).collect();
        let subscribing: Vec<_> = (0..20)
            .map(|n| {
                let daemon = &daemon;
                scope.spawn(move || {
                    for round in 0..10 {
                        let topic = format!("filter/{n}/{round}");
                        assert_granted(&subscribe(daemon, &topic, 1), &topic, 1);
                        assert!(listed(daemon, &topic).is_some(), "{topic}");
                        let kept = round % 2 == 0;
                        assert!(kept || unsubscribe(daemon, &topic).status == 200, "{topic}");
                    }
                })
            })
            .collect();
        let failed = subscribing.into_iter().filter_map(|thread| thread.join().err()).count();
        // the scope fails when a publisher fails
        done.store(true, Ordering::SeqCst);
        assert!(publishers.into_iter().all(|thread| thread.join().is_ok()), "a publish failed");
        assert_eq!(failed, 0, "of twenty that subscribed");
    });
    let published = published.into_inner();
    assert!(published > 100, "{published}");
    broker.wait_for_nth(published, "Received PUBLISH");
    assert_eq!(broker.log_with("Received PUBLISH").len(), published, "each once");
    assert_eq!(daemon.lines_with("lost").len(), 0);
    let list = daemon.get("/subscriptions").json();
    assert_eq!(list["subscriptions"].as_array().unwrap().len(), 100);
}

#[test]
fn changing_wider_filters_loses_and_repeats_no_message_in_both_versions() {
    for (protocol, filters) in [("5", &["#", "a/#", "+/b", "a/+", "#"][..]), ("3.1.1", &["#", "a/#"])] {
        let broker = Mosquitto::unlimited();
        let daemon = Daemon::with(&format!(
            "[mqtt]\nport = {}\nprotocol = \"{protocol}\"\n[[subscribe]]\ntopic = \"a/b\"\nqos = 1",
            broker.port()
        ));
        daemon.wait_for("subscribed to a/b");
        let mut listener = Listener::open(&daemon, "a/b");
        let done = AtomicBool::new(false);
        let published = thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                let mut connection = daemon.connect();
                let numbers = (0..).take_while(|_| !done.load(Ordering::SeqCst));
                numbers.fold(0, |count, number: usize| {
                    let body = json!({"topic": "a/b", "msg": number, "qos": 1}).to_string();
                    assert_eq!(connection.post("/publish", body.as_bytes()).status, 200);
                    count + 1
                })
            });
            let changes = (0..100).flat_map(|round| {
                let subscribed = filters.iter().map(move |filter| (*filter, Some(round % 2)));
                subscribed.chain(filters.iter().map(|filter| (*filter, None)))
            });
            // checked after the publisher has ended, since a failure here would leave it running
            let answers: Vec<_> = changes
                .map(|(filter, qos)| {
                    let reply = qos.map_or_else(|| unsubscribe(&daemon, filter), |qos| subscribe(&daemon, filter, qos));
                    (filter, qos, reply)
                })
                .collect();
            done.store(true, Ordering::SeqCst);
            for (number, (filter, qos, reply)) in answers.iter().enumerate() {
                let granted = reply.json()["granted_qos"].as_u64();
                // a filter that delivers the messages of others may have a higher QoS
                let is_granted = granted.is_some() == qos.is_some() && granted >= qos.map(u64::from);
                assert!(reply.status == 200 && is_granted, "{number}: {filter} at {qos:?}: {reply:?}");
            }
            publishing.join().expect("a publish failed")
        });
        broker.publish(&["-t", "a/b", "-q", "1", "-m", "end"]);
        assert!(published > 100, "{published}");
        assert_eq!(gaps(&listener.payloads_until("end"), published), [[0; 0]; 2], "lost, repeated, MQTT {protocol}");
        daemon.wait_for("payload: end");
        let records: Vec<String> =
            daemon.lines_with(RECEIVED).iter().map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect();
        assert_eq!(gaps(&records[..records.len() - 1], published), [[0; 0]; 2], "lost, repeated, MQTT {protocol}");
    }
}

#[test]
fn a_thousand_overlapping_filters_record_a_message_once_in_both_versions() {
    for protocol in ["3.1.1", "5"] {
        let broker = Mosquitto::unlimited();
        let daemon = Daemon::speaking(protocol, broker.port());
        let begun = Instant::now();
        let mut connection = daemon.connect();
        for number in 0..1000 {
            // each filter covers others, and is covered by others
            let levels = (0..10).map(|level| if number >> level & 1 == 0 { "a" } else { "+" });
            let topic = format!("{}/#", levels.collect::<Vec<_>>().join("/"));
            let reply = connection.post("/subscribe", json!({ "topic": topic }).to_string().as_bytes());
            assert_eq!(reply.status, 200, "{topic}: {reply:?}");
            assert!(begun.elapsed() < crate::support::PATIENCE, "{number} after {:?}", begun.elapsed());
        }
        for number in 0..20 {
            let body = json!({"topic": "a/a/a/a/a/a/a/a/a/a", "msg": format!("number {number}"), "qos": 1});
            assert_eq!(connection.post("/publish", body.to_string().as_bytes()).status, 200);
        }
        daemon.wait_for("payload: number 19");
        assert!(begun.elapsed() < crate::support::PATIENCE, "{:?}", begun.elapsed());
        assert_eq!(daemon.lines_with(RECEIVED).len(), 20);
    }
}

/// The missing numbers, and those that are repeated or out of order.
fn gaps(numbers: &[String], count: usize) -> [Vec<usize>; 2] {
    let numbers: Vec<usize> = numbers.iter().map(|number| number.parse().unwrap()).collect();
    let lost = (0..count).filter(|number| !numbers.contains(number)).collect();
    let repeated = numbers.windows(2).filter(|pair| pair[1] <= pair[0]).map(|pair| pair[1]).collect();
    [lost, repeated]
}
