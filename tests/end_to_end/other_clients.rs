//! MQTT clients of every make receive what is published, and the daemon receives what they publish.

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::events::Listener;
use crate::support::mosquitto::Mosquitto;
use crate::support::mqtt_clients::{Client, Delivered};

fn exchanges_messages(client: Client) {
    let broker = Mosquitto::start();
    for protocol in ["5", "3.1.1"] {
        let daemon = Daemon::speaking(protocol, broker.port());
        let mut subscriber = client.subscribe(broker.port(), protocol, "to/them");
        let mut listener = Listener::open(&daemon, "from/them");
        for qos in 0..=2 {
            let text = format!("Grüße bei QoS {qos}");
            let reply = daemon.publish(&json!({"topic": "to/them", "msg": text, "qos": qos}).to_string());
            assert_eq!(reply.status, 200, "{reply:?}");
            assert_eq!(subscriber.next(), Delivered { qos, retain: false, payload: text.into_bytes() });
        }
        for qos in 0..=2 {
            let text = format!("zurück bei QoS {qos}");
            client.publish(broker.port(), protocol, "from/them", qos, &text);
            assert_eq!(listener.message()["payload"], text, "{client:?} with MQTT {protocol}");
        }
    }
}

#[test]
fn the_clients_of_mosquitto_exchange_messages_with_the_daemon() {
    exchanges_messages(Client::Mosquitto);
}

#[test]
fn paho_in_c_exchanges_messages_with_the_daemon() {
    exchanges_messages(Client::PahoC);
}

#[test]
fn paho_in_python_exchanges_messages_with_the_daemon() {
    exchanges_messages(Client::PahoPython);
}

#[test]
fn mqtt_js_exchanges_messages_with_the_daemon() {
    exchanges_messages(Client::MqttJs);
}
