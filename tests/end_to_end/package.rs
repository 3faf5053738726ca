//! The package under a real systemd.

use std::process::Command;

use crate::support::machine::{package, with_package};
use crate::support::process::Process;

/// Compares the lines that a script printed.
#[track_caller]
fn assert_lines(log: &str, expected: &[&str]) {
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines, expected, "{log}");
}

#[test]
fn lintian_accepts_the_package() {
    let mut lintian = Process::start(
        Command::new("lintian").args(["--allow-root", "--no-cfg", "--fail-on", "error,warning"]).arg(package()),
    );
    let status = lintian.wait_for_end();
    let words = String::from_utf8(lintian.stdout()).unwrap();
    assert!(status.success() && words.is_empty(), "{words}");
}

#[test]
fn the_installed_service_is_unprivileged_and_reads_roots_password_file() {
    let log = with_package(
        r#"
        touch /srv/passwords
        mosquitto_passwd -b /srv/passwords alice s3cret 2>/dev/null
        start_broker 'password_file /srv/passwords'
        install_package
        systemctl is-enabled mqtt-bridge.service mqtt-bridge.socket
        systemctl is-active mqtt-bridge.service
        stat -c '%a %U' /etc/mqtt-bridge/bridge.toml
        await says 1 'not authorized'
        systemd-analyze verify mqtt-bridge.service mqtt-bridge.socket
        systemd-analyze security --offline=true --threshold=12 mqtt-bridge.service >/dev/null || echo 'too open'

        install -m 600 /dev/stdin /etc/mqtt-bridge/password <<<s3cret
        sed -i 's/^user = ""/user = "alice"/' /etc/mqtt-bridge/bridge.toml
        systemctl restart mqtt-bridge
        await says 1 'subscribed to django/mqtt'
        publish | sed 's/"packet_id":[0-9]*/"packet_id":N/'
        await says 1 'Received message on topic: django/mqtt with payload: hello'

        pid=$(show MainPID)
        ps -o user= -p "$pid"
        grep -E '^(NoNewPrivs|Seccomp|CapEff|CapBnd):' "/proc/$pid/status" | tr '\t' ' '
        # the files that it could write to, in its mount namespace and as its user
        uid=$(stat -c %u "/proc/$pid")
        nsenter -t "$pid" -m setpriv --reuid "$uid" --regid "$uid" --clear-groups \
          find / -path /proc -prune -o \( -type d -o -type f \) -writable -print 2>/dev/null | sort
        systemctl stop mqtt-bridge
        show Result
        "#,
    );
    let expected = [
        "enabled",
        "disabled",
        "active",
        "640 root",
        r#"{"code":0,"packet_id":N,"reason_code":0} 200"#,
        "mqtt-bridge",
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
        "/tmp",
        "/var/lib/private/mqtt-bridge",
        "/var/tmp",
        "success",
    ];
    assert_lines(&log, &expected);
}

#[test]
fn the_service_restarts_100_ms_after_a_crash_and_not_after_a_configuration_error() {
    let log = with_package(
        r#"
        start_broker 'allow_anonymous true'
        install_package
        await says 1 'subscribed to django/mqtt'
        journalctl -u mqtt-bridge -o cat --no-pager | grep -F ' with '
        kill -9 "$(show MainPID)"
        await says 2 'subscribed to django/mqtt'
        echo "restarts: $(show NRestarts), $(show RestartUSec) after the crash"
        # more crashes than systemd allows by default (5 in 10 s)
        for crash in $(seq 2 8); do
          kill -9 "$(show MainPID)"
          await shows NRestarts "$crash"
          await shows SubState running
        done
        await publish

        echo 'prot = 1' >>/etc/mqtt-bridge/bridge.toml
        line=$(wc -l </etc/mqtt-bridge/bridge.toml)
        systemctl restart mqtt-bridge 2>/dev/null
        await systemctl is-failed mqtt-bridge
        await says 1 'unknown'
        echo "restarts: $(show NRestarts), exit code: $(show ExecMainStatus)"
        journalctl -u mqtt-bridge -o cat --no-pager | grep -F 'prot' | sed "s/:$line: unknown field.*/:LAST: unknown field/"

        rm /etc/mqtt-bridge/bridge.toml
        systemctl start mqtt-bridge
        await says 1 'built-in defaults'
        systemctl is-active mqtt-bridge
        "#,
    );
    let expected = [
        concat!("mqtt-bridge ", env!("CARGO_PKG_VERSION"), " with /etc/mqtt-bridge/bridge.toml"),
        "restarts: 1, 100ms after the crash",
        "restarts: 0, exit code: 78",
        "/etc/mqtt-bridge/bridge.toml:LAST: unknown field",
        "active",
    ];
    assert_lines(&log, &expected);
}

#[test]
fn a_stop_of_the_unit_completes_requests_in_flight() {
    let log = with_package(
        r#"
        start_broker 'allow_anonymous true'
        install_package
        await says 1 'subscribed to django/mqtt'
        broker=$(pgrep -x mosquitto)
        kill -STOP "$broker"
        for _ in $(seq 20); do publish >>/srv/replies & done
        # the daemon has read each request when its socket has nothing left to read
        await eval '[ "$(ss -Htn state established "( sport = :8000 )" | grep -c "^0")" -eq 20 ]'
        systemctl stop --no-block mqtt-bridge
        await says 1 'stopping'
        kill -CONT "$broker"
        wait $(jobs -p)
        await shows ActiveState inactive
        echo "result: $(show Result), exit code: $(show ExecMainStatus)"
        sed 's/.* //' /srv/replies | sort | uniq -c | sed 's/^ *//'
        "#,
    );
    assert_lines(&log, &["result: success, exit code: 0", "20 200"]);
}

#[test]
fn the_socket_unit_starts_the_service_and_no_request_is_refused_across_restarts() {
    let log = with_package(
        r#"
        start_broker 'allow_anonymous true'
        install_package
        await says 1 'subscribed to django/mqtt'
        systemctl stop mqtt-bridge
        systemctl enable --now mqtt-bridge.socket 2>/dev/null
        echo "before: $(systemctl is-active mqtt-bridge.service)"
        publish | sed 's/.* //'
        echo "after: $(systemctl is-active mqtt-bridge.service)"

        for request in $(seq 200); do
          case $request in 50 | 100 | 150) systemctl restart mqtt-bridge & ;; esac
          publish
        done 2>&1 | sed 's/.* //' | sort | uniq -c | sed 's/^ *//'
        await says 4 'stopped'
        journalctl -u mqtt-bridge -o cat --no-pager | grep -cx 'stopped'
        "#,
    );
    assert_lines(&log, &["before: inactive", "200", "after: active", "200 200", "4"]);
}

#[test]
fn the_unit_is_active_when_http_is_served_and_has_a_status_text() {
    let log = with_package(
        r#"
        install_package
        # it is ready without a broker, and from then on no connection is refused
        systemctl is-active mqtt-bridge
        curl -sS -o /dev/null -w '%{http_code}\n' -d '{"topic": "a", "msg": "", "timeout": 0.1}' http://127.0.0.1:8000/publish
        start_broker 'allow_anonymous true'
        await shows StatusText 'connected to 127.0.0.1:1883, 1/1 subscribed, 0 waiting'
        for _ in 1 2 3 4 5; do systemctl restart mqtt-bridge && publish | sed 's/.* //'; done
        "#,
    );
    assert_lines(&log, &["active", "503", "200", "200", "200", "200", "200"]);
}

#[test]
fn the_watchdog_restarts_a_stopped_daemon() {
    let log = with_package(
        r#"
        start_broker 'allow_anonymous true'
        mkdir -p /etc/systemd/system/mqtt-bridge.service.d
        printf '[Service]\nWatchdogSec=2\n' >/etc/systemd/system/mqtt-bridge.service.d/watchdog.conf
        install_package
        await says 1 'subscribed to django/mqtt'
        kill -STOP "$(show MainPID)"
        await says 2 'subscribed to django/mqtt'
        echo "restarts: $(show NRestarts)"
        journalctl -u mqtt-bridge -o cat --no-pager | grep -o 'Watchdog timeout'
        publish | sed 's/.* //'
        "#,
    );
    assert_lines(&log, &["restarts: 1", "Watchdog timeout", "200"]);
}

#[test]
fn a_purge_leaves_no_file_behind() {
    let log = with_package(
        r#"
        list() { find /etc /var/lib /var/spool /run /tmp /dev/shm \( -name '*mqtt-bridge*' -o -name '*bridge.toml*' \) | sort; }
        list >/srv/before
        install_package
        dpkg -L mqtt-bridge >/srv/installed
        install -m 600 /dev/stdin /etc/mqtt-bridge/password <<<s3cret
        sed -i 's/^user = ""/user = "alice"/' /etc/mqtt-bridge/bridge.toml
        systemctl stop mqtt-bridge
        systemctl enable --now mqtt-bridge.socket 2>/dev/null
        curl -sS -o /dev/null http://127.0.0.1:8000/
        systemctl is-active mqtt-bridge.service mqtt-bridge.socket

        touch /var/lib/mqtt-bridge/outbox.db
        dpkg -r mqtt-bridge >/dev/null
        systemctl is-active mqtt-bridge.service mqtt-bridge.socket
        ls -A /etc/mqtt-bridge; ls -A /var/lib/mqtt-bridge/
        dpkg -P mqtt-bridge >/dev/null
        list | comm -13 /srv/before -
        while read -r file; do [ ! -f "$file" ] || echo "$file"; done </srv/installed
        systemctl list-units --all --no-legend 'mqtt-bridge*'
        wc -l </srv/installed
        "#,
    );
    let (log, installed) = log.trim_end().rsplit_once('\n').unwrap();
    assert!(installed.parse::<u32>().unwrap() > 10, "{log}");
    assert_lines(log, &["active", "active", "inactive", "inactive", "bridge.toml", "password", "outbox.db"]);
}

#[test]
fn an_upgrade_keeps_the_configuration_and_runs_the_new_program() {
    let log = with_package(
        r#"
        start_broker 'allow_anonymous true'
        install_package
        await says 1 'subscribed to django/mqtt'
        sed -i 's/^keepalive = 60/keepalive = 30/' /etc/mqtt-bridge/bridge.toml
        before=$(show MainPID)
        dpkg-deb -R /srv/mqtt-bridge.deb /srv/new
        sed -i 's/^Version: .*/Version: 99-1/' /srv/new/DEBIAN/control
        echo '# of the new package' >>/srv/new/etc/mqtt-bridge/bridge.toml
        dpkg-deb -b /srv/new /srv/new.deb >/dev/null
        dpkg --no-triggers --force-confdef -i /srv/new.deb >/srv/dpkg.log 2>&1 || cat /srv/dpkg.log
        await says 2 'subscribed to django/mqtt'
        [ "$(show MainPID)" = "$before" ] || echo restarted
        grep '^keepalive' /etc/mqtt-bridge/bridge.toml
        mqtt-bridge --config /etc/mqtt-bridge/bridge.toml --check
        "#,
    );
    assert_lines(&log, &["restarted", "keepalive = 30", "/etc/mqtt-bridge/bridge.toml: ok"]);
}
