//! A broker with high latency: many publishes are in flight at a time. Prints the rate for `bench/link`.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::daemon::Daemon;
use crate::support::free_port;
use crate::support::mosquitto::Mosquitto;
use crate::support::proxy::Proxy;

const CONNECTIONS: usize = 64;
/// There and back.
const ROUND_TRIP: Duration = Duration::from_millis(50);

#[test]
fn publishes_over_a_link_of_50_ms_do_not_wait_for_each_other() {
    let each: usize = std::env::var("LINK_PUBLISHES").map_or(5, |value| value.parse().expect("a number"));
    // a line for mosquitto's configuration
    let more = std::env::var("LINK_BROKER").unwrap_or_default();
    for protocol in ["3.1.1", "5"] {
        let broker = Mosquitto::on_port(free_port(), &format!("allow_anonymous true\n{more}"));
        let proxy = Proxy::start(broker.port(), ROUND_TRIP / 2);
        let daemon = Daemon::speaking(protocol, proxy.port());
        let connections: Vec<_> = (0..CONNECTIONS).map(|_| daemon.served_connection()).collect();
        let begun = Instant::now();
        let clients: Vec<_> = connections
            .into_iter()
            .map(|mut connection| {
                thread::spawn(move || {
                    for _ in 0..each {
                        let reply = connection.post("/publish", br#"{"topic": "t", "msg": "x", "qos": 1}"#);
                        assert_eq!(reply.status, 200, "{reply:?}");
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().expect("each is answered with 200");
        }
        let count = u32::try_from(CONNECTIONS * each).unwrap();
        let rate = f64::from(count) / begun.elapsed().as_secs_f64();
        println!("MQTT {protocol:5} QoS 1, {CONNECTIONS} connections, 50 ms there and back: {rate:.0} req/s");
    }
}
