//! Third-party MQTT clients with one interface: each subscribes and publishes.

use std::process::Command;

use super::clients::{node, python};
use super::free_port;
use super::process::Process;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// `mosquitto_sub` and `mosquitto_pub`.
    Mosquitto,
    /// `paho_c_sub` and `paho_c_pub`, Eclipse Paho in C.
    PahoC,
    /// paho-mqtt, Eclipse Paho in Python.
    PahoPython,
    /// mqtt.js.
    MqttJs,
}

/// A client that is subscribed at QoS 2.
pub struct Subscriber {
    client: Client,
    process: Process,
    seen: usize,
}

/// A message that a subscriber received.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivered {
    pub qos: u8,
    pub retain: bool,
    pub payload: Vec<u8>,
}

impl Client {
    /// Subscribes, and waits for the SUBACK.
    pub fn subscribe(self, port: u16, protocol: &str, topic: &str) -> Subscriber {
        let port = port.to_string();
        let subscribe = [port.as_str(), protocol, "subscribe", topic];
        let (mut command, answered) = match self {
            Self::Mosquitto => {
                // -d prints the SUBACK on standard output, which must be line buffered
                let format = "message %q %r %x";
                let version = mosquitto_version(protocol);
                let mut command = Command::new("sh");
                command.args([
                    "-c",
                    "exec stdbuf -oL mosquitto_sub \"$@\" >&2",
                    "sh",
                    "-V",
                    version,
                    "-p",
                    &port,
                    "-d",
                    "-q",
                    "2",
                ]);
                command.args(["-t", topic, "-F", format]);
                (command, "Subscribed ")
            }
            Self::PahoC => {
                let mut command = paho_c("paho_c_sub", &port, protocol);
                command.args(["-i", &format!("c-{}", free_port()), "-q", "2", "-t", topic, "--trace", "protocol"]);
                (command, "<- SUBACK")
            }
            Self::PahoPython => (python("mqtt_client.py", &subscribe), "subscribed "),
            Self::MqttJs => (node("mqtt_client.mjs", &subscribe), "subscribed "),
        };
        let process = Process::start(&mut command);
        process.wait_for(answered);
        Subscriber { client: self, process, seen: 0 }
    }

    /// Publishes one message, and waits until the client ends.
    #[track_caller]
    pub fn publish(self, port: u16, protocol: &str, topic: &str, qos: u8, payload: &str) {
        let (port, qos) = (port.to_string(), qos.to_string());
        let publish = [port.as_str(), protocol, "publish", topic, &qos, payload];
        let mut command = match self {
            Self::Mosquitto => {
                let mut command = Command::new("mosquitto_pub");
                command.args(["-V", mosquitto_version(protocol), "-p", &port, "-q", &qos, "-t", topic, "-m", payload]);
                command
            }
            Self::PahoC => {
                let mut command = paho_c("paho_c_pub", &port, protocol);
                command.args(["-q", &qos, "-t", topic, "-m", payload]);
                command
            }
            Self::PahoPython => python("mqtt_client.py", &publish),
            Self::MqttJs => node("mqtt_client.mjs", &publish),
        };
        let mut process = Process::start(&mut command);
        assert!(process.wait_for_end().success(), "{self:?}");
    }
}

impl Subscriber {
    /// The next message.
    #[track_caller]
    pub fn next(&mut self) -> Delivered {
        self.seen += 1;
        if self.client == Client::PahoC {
            // `… <- PUBLISH msgid: 1 qos: 2 retained: 0 payload len(5): hello`, with no more than 20 bytes of the
            // payload
            let line = self.process.wait_for_nth(self.seen, "<- PUBLISH ");
            let number = |name: &str| line.split(name).nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
            let payload = line.split("): ").nth(1).unwrap_or_default().as_bytes().to_vec();
            return Delivered { qos: number(" qos: "), retain: number(" retained: ") == 1, payload };
        }
        let line = self.process.wait_for_nth(self.seen, "message ");
        let mut words = line.split(' ').skip(1);
        let mut word = || words.next().unwrap_or_else(|| panic!("{line}"));
        let (qos, retain) = (word().parse().unwrap(), word() == "1");
        Delivered { qos, retain, payload: bytes(word()) }
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn mosquitto_version(protocol: &str) -> &'static str {
    if protocol == "5" { "mqttv5" } else { "mqttv311" }
}

fn paho_c(program: &str, port: &str, protocol: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", port, "-V", if protocol == "5" { "5" } else { "311" }]);
    command
}
