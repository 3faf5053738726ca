//! The unit files: checked by systemd's tools, and installed by hand.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::certificates::Authority;
use crate::support::folder::Folder;
use crate::support::machine;
use crate::support::process::Process;

const UNITS: [&str; 2] = ["mqtt-bridge.service", "mqtt-bridge.socket"];

/// The units with the path of the built program, which is not installed here.
fn units() -> Folder {
    let folder = Folder::new();
    for unit in UNITS {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(unit)).unwrap();
        folder.write(unit, &text.replace("/usr/bin/mqtt-bridge", env!("CARGO_BIN_EXE_mqtt-bridge")));
    }
    folder
}

#[test]
fn the_units_are_valid() {
    let folder = units();
    let mut verify = Process::start(
        Command::new("systemd-analyze").args(["verify", "--man=no"]).args(UNITS.map(|unit| folder.path().join(unit))),
    );
    let status = verify.wait_for_end();
    // an unknown key is only a warning, so that any output is a failure
    assert!(status.success() && verify.lines().is_empty(), "{:?}", verify.lines());
}

#[test]
fn the_service_is_hardened() {
    let folder = units();
    let mut security = Process::start(
        Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager", "--threshold=12"])
            .arg(folder.path().join(UNITS[0])),
    );
    let status = security.wait_for_end();
    assert!(status.success(), "{}", String::from_utf8_lossy(&security.stdout()));
}

#[test]
fn the_manual_installation_of_the_readme_works() {
    let readme = include_str!("../../README.md");
    let commands = readme.split("By hand:\n\n```sh\n").nth(1).expect("the section").split("```").next().unwrap();
    let commands =
        commands.lines().map(|line| line.trim().replace("sudo ", "")).filter(|line| !line.starts_with("cargo "));
    let commands: Vec<String> = commands.filter(|line| !line.starts_with("journalctl ")).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [
        (Path::new(env!("CARGO_BIN_EXE_mqtt-bridge")), "srv/repository/target/dist/mqtt-bridge"),
        (&repository.join("bridge.toml"), "srv/repository/bridge.toml"),
        (&repository.join("systemd/mqtt-bridge.service"), "srv/repository/systemd/mqtt-bridge.service"),
        (&repository.join("systemd/mqtt-bridge.socket"), "srv/repository/systemd/mqtt-bridge.socket"),
    ];
    let script = format!(
        "start_broker 'allow_anonymous true'\ncd /srv/repository\n{}\n{}",
        commands.join("\n"),
        r#"
        await says 1 'subscribed to django/mqtt'
        publish | sed 's/.* //'
        readlink "/proc/$(show MainPID)/exe"
        chrt --pid "$(show MainPID)" | sed -n '1s/.*: //p'
        systemctl is-enabled mqtt-bridge.service
        "#
    );
    let log = machine::run(&files, &script);
    let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with("Created symlink ")).collect();
    assert_eq!(lines, ["200", "/usr/local/bin/mqtt-bridge", "SCHED_BATCH", "enabled"], "{log}");
}

#[test]
fn the_hook_of_the_page_renews_roots_key_for_a_broker_behind_tls() {
    let page = include_str!("../../docs/tls.md");
    let hook = page.split("```sh\n#!/bin/sh\n").nth(1).expect("the hook").split("```").next().unwrap();
    let authority = Authority::new();
    let broker = authority.issue("broker");
    let configuration =
        "[mqtt]\nserver = \"mqtts://localhost\"\n[mqtt.tls]\nca-file = \"ca.crt\"\ncert-file = \"client.crt\"";
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Folder::new();
    let mut files = vec![
        (env!("CARGO_BIN_EXE_mqtt-bridge").into(), "usr/bin/mqtt-bridge".to_owned()),
        (repository.join("systemd/mqtt-bridge.service"), "etc/systemd/system/mqtt-bridge.service".to_owned()),
        (folder.write("bridge.toml", configuration), "etc/mqtt-bridge/bridge.toml".to_owned()),
        (folder.write("hook", hook), "srv/hook".to_owned()),
        (authority.certificate(), "etc/mqtt-bridge/ca.crt".to_owned()),
        (broker.certificate, "srv/broker.crt".to_owned()),
        (broker.key, "srv/broker.key".to_owned()),
    ];
    for name in ["first", "second"] {
        let issued = authority.issue(name);
        files.push((issued.certificate, format!("srv/{name}/fullchain.pem")));
        files.push((issued.key, format!("srv/{name}/privkey.pem")));
    }
    let files: Vec<_> = files.iter().map(|(from, to)| (from.as_path(), to.as_str())).collect();
    let log = machine::run(
        &files,
        r#"
        chmod 644 /etc/mqtt-bridge/ca.crt
        start_broker 'allow_anonymous true' 'listener 0 /run/broker.sock' 'listener 8883 127.0.0.1' 'cafile /etc/mqtt-bridge/ca.crt' \
          'certfile /srv/broker.crt' 'keyfile /srv/broker.key' 'require_certificate true' \
          'use_identity_as_username true' 'log_dest file /srv/mosquitto.log' 'log_type all'
        RENEWED_LINEAGE=/srv/first sh /srv/hook
        systemctl is-active mqtt-bridge
        systemctl start mqtt-bridge
        await says 1 'connected to mqtts://localhost:8883'
        publish | sed 's/.* //'
        stat -c '%U %a' /etc/mqtt-bridge/key
        RENEWED_LINEAGE=/srv/second sh /srv/hook
        await says 2 'connected to mqtts://localhost:8883'
        publish | sed 's/.* //'
        grep -o "u'[a-z]*'" /srv/mosquitto.log
        chmod 600 /etc/mqtt-bridge/ca.crt
        systemctl restart mqtt-bridge 2>/dev/null || show ExecMainStatus
        await says 1 'cannot be read: Permission denied'
        journalctl -u mqtt-bridge -o cat --no-pager | grep 'cannot be read'
        # a socket that only a group may use
        groupadd broker
        chgrp broker /run/broker.sock
        chmod 660 /run/broker.sock
        printf '[mqtt]\nserver = "unix:/run/broker.sock"\n' >/etc/mqtt-bridge/bridge.toml
        mkdir /etc/systemd/system/mqtt-bridge.service.d
        printf '[Service]\nSupplementaryGroups=broker\n' >/etc/systemd/system/mqtt-bridge.service.d/group.conf
        systemctl daemon-reload
        systemctl restart mqtt-bridge
        await says 1 'connected to unix:/run/broker.sock'
        publish | sed 's/.* //'
        "#,
    );
    let denied = "/etc/mqtt-bridge/bridge.toml:4: `ca-file` /etc/mqtt-bridge/ca.crt cannot be read: Permission denied (os error 13)";
    let expected = ["inactive", "200", "root 600", "200", "u'first'", "u'second'", "78", denied, "200"];
    assert_eq!(log.lines().collect::<Vec<_>>(), expected, "{log}");
}
