//! Daemons with webhooks, and what their brokers say of them.

use super::daemon::Daemon;
use super::mosquitto::Mosquitto;

/// The client identifier of each daemon here. Its webhooks have it as the beginning of theirs.
pub const CLIENT: &str = "b";

/// The table of a webhook with these further lines.
pub fn table(name: &str, topic: &str, url: &str, lines: &str) -> String {
    format!("[[webhook]]\nname = \"{name}\"\ntopic = \"{topic}\"\nurl = \"{url}\"\n{lines}\n")
}

/// A configuration for the broker on this port, with these lines in `[mqtt]` and these tables.
pub fn configuration(port: u16, mqtt: &str, tables: &str) -> String {
    format!("[mqtt]\nport = {port}\nclient-id = \"{CLIENT}\"\nreconnect-max = 0.1\n{mqtt}\n{tables}")
}

/// The client identifier of a webhook.
pub fn client_id(name: &str) -> String {
    format!("{CLIENT}-hook-{name}")
}

/// A daemon with these tables, whose webhooks of these names are subscribed.
pub fn subscribed(broker: &Mosquitto, mqtt: &str, names: &[&str], tables: &str) -> Daemon {
    let daemon = Daemon::connected_with(&configuration(broker.port(), mqtt, tables));
    for name in names {
        broker.wait_for(&format!("Sending SUBACK to {}", client_id(name)));
    }
    daemon
}

/// The same with one webhook `orders`, which gets `orders/#`.
pub fn orders(broker: &Mosquitto, url: &str, lines: &str) -> Daemon {
    subscribed(broker, "", &["orders"], &table("orders", "orders/#", url, lines))
}

/// Waits until the `n`th connection of a webhook is accepted, from 1.
pub fn await_connection(broker: &Mosquitto, n: usize, name: &str) {
    broker.wait_for_nth(n, &format!("Sending CONNACK to {} ", client_id(name)));
}

/// Publishes each payload at QoS 1, in this order.
pub fn publish<T: ToString>(broker: &Mosquitto, topic: &str, payloads: impl IntoIterator<Item = T>) {
    // one process for each: with many lines, `mosquitto_pub` sometimes does not end
    for payload in payloads {
        broker.publish(&["-q", "1", "-t", topic, "-m", &payload.to_string()]);
    }
}

/// The records about deliveries of a webhook, without those of its connection.
pub fn records(daemon: &Daemon, name: &str) -> Vec<String> {
    let begin = format!("webhook {name}: ");
    let is_about =
        |line: &String| ["", "warning: ", "error: "].iter().any(|level| line.starts_with(&format!("{level}{begin}")));
    daemon.lines().into_iter().filter(is_about).collect()
}
