//! Brokers of several makes: each is a process that can be killed and restarted on its port.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::clients::{node, python_program};
use super::folder::Folder;
use super::free_port;
use super::process::Process;
use super::waiting::eventually_within;

/// The longest time until a broker listens: `RabbitMQ` takes 5 to 16 s.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// mosquitto 2.0.11 sometimes does not send the last queued messages beyond the subscriber's window.
const WINDOW: &str = "max_inflight_messages 1000";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    Mosquitto,
    /// The broker that the quickstart embeds.
    Rumqttd,
    Aedes,
    Amqtt,
    RabbitMq,
    Rmqtt,
}

pub struct Broker {
    make: Make,
    protocol: &'static str,
    port: u16,
    folder: Folder,
    process: Process,
}

impl Broker {
    /// Starts a broker for clients of this version of MQTT.
    pub fn start(make: Make, protocol: &'static str) -> Self {
        let (folder, port) = (Folder::new(), free_port());
        let process = make.start(protocol, port, &folder);
        Self { make, protocol, port, folder, process }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port, with its data.
    pub fn restart(&mut self) {
        self.process = self.make.start(self.protocol, self.port, &self.folder);
    }
}

impl Make {
    fn start(self, protocol: &str, port: u16, folder: &Folder) -> Process {
        let process = Process::start(&mut self.command(protocol, port, folder));
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        eventually_within(STARTED_WITHIN, &format!("{self:?} listens"), listens, |listens| *listens);
        process
    }

    fn command(self, protocol: &str, port: u16, folder: &Folder) -> Command {
        let number = port.to_string();
        match self {
            Self::Mosquitto => {
                let lines = format!("user root\nlistener {port} 127.0.0.1\nallow_anonymous true\n{WINDOW}\n");
                let mut command = Command::new("mosquitto");
                command.arg("-c").arg(folder.write("mosquitto.conf", &lines));
                command
            }
            Self::Rumqttd => {
                let program = Path::new(env!("CARGO_BIN_EXE_mqtt-bridge")).with_file_name("examples/broker");
                let mut command = built(program, "cargo build -p quickstart --examples");
                // one port for each version
                let other = free_port().to_string();
                command.args(if protocol == "5" { [&number, &other] } else { [&other, &number] });
                command
            }
            Self::Aedes => node("aedes.mjs", &[&number]),
            Self::Amqtt => {
                let lines = format!(
                    "listeners: {{default: {{type: tcp, bind: \"127.0.0.1:{port}\"}}}}\n\
                     plugins: {{amqtt.plugins.authentication.AnonymousAuthPlugin: {{allow_anonymous: true}}}}\n"
                );
                let mut command = python_program("amqtt");
                command.arg("-c").arg(folder.write("amqtt.yaml", &lines));
                command
            }
            Self::RabbitMq => {
                let mut command = Command::new(brokers().join("rabbitmq"));
                command.arg(number).arg(folder.path());
                command
            }
            Self::Rmqtt => {
                let mut command =
                    built(repository().join("target/rmqtt/debug/rmqtt-broker"), "tests/brokers/run rmqtt");
                command.arg(number);
                command
            }
        }
    }

    /// Its name and version.
    pub fn name(self) -> String {
        match self {
            Self::Mosquitto => {
                let output = Command::new("mosquitto").arg("-h").output().expect("mosquitto is needed for this test");
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                format!("mosquitto {}", text.split_whitespace().nth(2).unwrap())
            }
            Self::Rumqttd => format!("rumqttd {}", locked(&repository().join("Cargo.lock"), "rumqttd")),
            Self::Aedes => {
                let manifest: serde_json::Value =
                    serde_json::from_str(include_str!("../../clients/package.json")).unwrap();
                format!("aedes {}", manifest["dependencies"]["aedes"].as_str().unwrap())
            }
            Self::Amqtt => {
                let named = include_str!("../../clients/requirements.txt");
                named.lines().find(|line| line.starts_with("amqtt==")).unwrap().replace("==", " ")
            }
            Self::RabbitMq => {
                let mut entries =
                    fs::read_dir("/usr/lib/rabbitmq/lib").expect("rabbitmq-server is needed for this test");
                let folder = entries.next().unwrap().unwrap().file_name();
                format!("RabbitMQ {}", folder.to_string_lossy().replace("rabbitmq_server-", ""))
            }
            Self::Rmqtt => format!("rmqtt {}", locked(&brokers().join("rmqtt/Cargo.lock"), "rmqtt")),
        }
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn brokers() -> PathBuf {
    repository().join("tests/brokers")
}

fn built(program: PathBuf, by: &str) -> Command {
    assert!(program.exists(), "{} is needed for this test: `{by}` builds it", program.display());
    Command::new(program)
}

/// The version of a crate in a lock file.
fn locked(lock: &Path, name: &str) -> String {
    let text = fs::read_to_string(lock).unwrap();
    let rest = text.split(&format!("name = \"{name}\"\nversion = \"")).nth(1).expect("a crate of that name");
    rest.split('"').next().unwrap().to_owned()
}
