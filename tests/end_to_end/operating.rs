//! What the pages for those who run the bridge show works as it stands there.

use std::path::Path;
use std::process::Command;

use crate::support::brokers::Make;
use crate::support::daemon::{Daemon, clean, program};
use crate::support::folder::Folder;
use crate::support::free_port;
use crate::support::machine;
use crate::support::mosquitto::Mosquitto;
use crate::support::page::section;
use crate::support::process::Process;

const BROKERS: &str = include_str!("../../docs/brokers.md");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");
const SYSTEMD: &str = include_str!("../../docs/systemd.md");
const TLS: &str = include_str!("../../docs/tls.md");

/// Runs commands in a folder, and returns what they print.
fn run(folder: &Folder, script: &str) -> String {
    let path = format!(
        "{}:{}",
        Path::new(program().get_program()).parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut shell = clean(Command::new("bash"));
    let mut process = Process::start(shell.args(["-euc", script]).current_dir(folder.path()).env("PATH", path));
    assert!(process.wait_for_end().success(), "{script}");
    String::from_utf8(process.stdout()).unwrap()
}

#[test]
fn the_first_configuration_is_good() {
    let script = &section(CONFIGURATION, "Configuration", "sh")[0];
    assert_eq!(run(&Folder::new(), script), section(CONFIGURATION, "Configuration", "text")[0]);
}

#[test]
fn a_certificate_that_is_made_by_the_page_is_trusted() {
    let (folder, port) = (Folder::new(), free_port());
    let [broker, bridge] = &section(TLS, "Try it on one machine", "sh")[..] else { panic!("two blocks") };
    let made = broker.replace("8883", &port.to_string()).replace("/usr/sbin/mosquitto -d -c mosquitto.conf", "");
    assert_eq!(run(&folder, &made), "");
    let mosquitto = Process::start(Command::new("mosquitto").args(["-c", "mosquitto.conf"]).current_dir(folder.path()));
    mosquitto.wait_for(" running");
    let check = bridge.split("--check\n").next().unwrap().to_owned() + "--check";
    assert_eq!(run(&folder, &check), "bridge.toml: ok\n");
    let mut command = program();
    command.args(["--config", "bridge.toml"]).current_dir(folder.path());
    command.env("MQTT_PORT", port.to_string()).env("MQTT_BRIDGE_HTTP_LISTEN", "127.0.0.1:0");
    let daemon = Process::start(&mut command);
    daemon.wait_for(&format!("connected to mqtts://localhost:{port}"));
}

#[test]
fn the_page_names_the_versions_of_the_brokers_that_are_tried() {
    // the others are what the system has
    for make in [Make::Rumqttd, Make::Aedes, Make::Amqtt, Make::Rmqtt] {
        let name = make.name();
        assert!(BROKERS.contains(&format!("| {name} |")), "{name} is in the table");
    }
}

#[test]
fn the_topic_of_the_presence_says_what_the_page_shows() {
    let broker = Mosquitto::start();
    let table = &section(BROKERS, "Last will and presence", "toml")[0];
    let mut watcher = broker.subscribe("bridges/+", 2, "%t %p\\n");
    let mut daemon = Daemon::connected_with(&format!("[mqtt]\nport = {}\n{table}", broker.port()));
    watcher.wait_for_output("online");
    daemon.signal("TERM");
    assert!(daemon.wait_for_end().success());
    watcher.wait_for_end();
    let said = String::from_utf8(watcher.stdout()).unwrap();
    assert_eq!(said.trim(), section(BROKERS, "Last will and presence", "text")[0].trim());
}

#[test]
fn a_password_may_be_encrypted_and_a_unix_socket_serve_a_group() {
    let [password] = &section(SYSTEMD, "Credentials", "ini")[..] else { panic!("one drop-in file") };
    let [socket] = &section(SYSTEMD, "No refused connection during a restart", "ini")[..] else { panic!("one file") };
    let by_hand = section(SYSTEMD, "Credentials", "sh")[0].replace("sudo ", "");
    let start = section(SYSTEMD, "No refused connection during a restart", "sh")[0].replace("sudo ", "");
    let (folder, repository) = (Folder::new(), Path::new(env!("CARGO_MANIFEST_DIR")));
    let files = [
        (Path::new(env!("CARGO_BIN_EXE_mqtt-bridge")), "usr/bin/mqtt-bridge"),
        (&repository.join("bridge.toml"), "etc/mqtt-bridge/bridge.toml"),
        (&repository.join("systemd/mqtt-bridge.service"), "etc/systemd/system/mqtt-bridge.service"),
        (&repository.join("systemd/mqtt-bridge.socket"), "etc/systemd/system/mqtt-bridge.socket"),
        (&folder.write("password.conf", password), "etc/systemd/system/mqtt-bridge.service.d/password"),
        (&folder.write("socket.conf", socket), "etc/systemd/system/mqtt-bridge.socket.d/socket"),
    ];
    let log = machine::run(
        &files,
        &format!(
            r"
            touch /srv/passwords
            mosquitto_passwd -b /srv/passwords alice s3cret 2>/dev/null
            start_broker 'password_file /srv/passwords'
            systemctl start mqtt-bridge
            await says 1 'not authorized'
            {by_hand}
            await says 1 'subscribed to django/mqtt'
            systemd-creds encrypt --name=mqtt-password /etc/mqtt-bridge/password /etc/mqtt-bridge/password.cred 2>/dev/null
            rm /etc/mqtt-bridge/password
            cd /etc/systemd/system
            mv mqtt-bridge.service.d/password mqtt-bridge.service.d/password.conf
            systemctl daemon-reload
            systemctl restart mqtt-bridge
            await says 2 'subscribed to django/mqtt'
            mv mqtt-bridge.socket.d/socket mqtt-bridge.socket.d/socket.conf
            systemctl daemon-reload
            {{ {start}
            }} 2>/dev/null
            stat -c '%a %G' /run/mqtt-bridge.sock
            curl -s --unix-socket /run/mqtt-bridge.sock http://localhost/healthz
            echo
            await says 3 'subscribed to django/mqtt'
            "
        ),
    );
    assert_eq!(log.lines().collect::<Vec<_>>(), ["660 www-data", r#"{"code":0}"#], "{log}");
}

#[test]
fn debians_mosquitto_is_reached_by_a_unix_socket() {
    let heading = "Unix socket";
    let listen = section(TLS, heading, "sh")[0].replace("sudo ", "");
    let [broker, bridge] = &section(TLS, heading, "ini")[..] else { panic!("two drop-in files") };
    let (folder, repository) = (Folder::new(), Path::new(env!("CARGO_MANIFEST_DIR")));
    let files = [
        (Path::new(env!("CARGO_BIN_EXE_mqtt-bridge")), "usr/bin/mqtt-bridge"),
        (&folder.write("bridge.toml", &section(TLS, heading, "toml")[0]), "etc/mqtt-bridge/bridge.toml"),
        (&repository.join("systemd/mqtt-bridge.service"), "etc/systemd/system/mqtt-bridge.service"),
        (&folder.write("broker.conf", broker), "etc/systemd/system/mosquitto.service.d/socket.conf"),
        (&folder.write("group.conf", bridge), "etc/systemd/system/mqtt-bridge.service.d/group.conf"),
    ];
    let log = machine::run(
        &files,
        &format!(
            r"
            {{ {listen}
            }} >/dev/null
            systemctl start mosquitto mqtt-bridge
            await says 1 'connected to unix:'
            publish | sed 's/.* //'
            "
        ),
    );
    assert_eq!(log, "200\n");
}
