//! The unit file under a real systemd.

use crate::support::machine;

#[test]
fn the_unit_starts_the_daemon_restarts_it_after_a_crash_and_not_after_a_wrong_configuration() {
    let configuration = "[mqtt]\nuser = \"alice\"\n[[subscribe]]\ntopic = \"django/mqtt\"\n[http]\n";
    let log = machine::run(
        configuration,
        r#"
        await() { for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done; echo "never: $*"; }
        said() { journalctl --sync; journalctl -u mqtt-bridge -o cat --no-pager | grep -cF "$1"; }
        says() { [ "$(said "$2")" -ge "$1" ]; }
        ip link set lo up
        touch /srv/passwords
        mosquitto_passwd -b /srv/passwords alice s3cret
        printf 'user root\nlistener 1883 127.0.0.1\npassword_file /srv/passwords\n' >/srv/mosquitto.conf
        mosquitto -d -c /srv/mosquitto.conf
        install -m 600 /dev/stdin /etc/mqtt-bridge/password <<<s3cret

        systemctl start mqtt-bridge
        await says 1 'subscribed to django/mqtt'
        echo "reply: $(curl -sS -d '{"topic":"django/mqtt","msg":"a\n<0>b"}' http://127.0.0.1:8000/publish)"
        await says 1 'Received'
        journalctl -u mqtt-bridge -o cat --no-pager | grep Received
        echo "user: $(ps -o user= -p "$(systemctl show -p MainPID --value mqtt-bridge)")"

        kill -9 "$(systemctl show -p MainPID --value mqtt-bridge)"
        await says 2 'subscribed to django/mqtt'
        echo "restarts: $(systemctl show -p NRestarts --value mqtt-bridge)"
        systemctl stop mqtt-bridge
        echo "stop: $(systemctl show -p Result --value mqtt-bridge)"

        rm /etc/mqtt-bridge/password
        sed -i /user/d /etc/mqtt-bridge/bridge.toml
        systemctl start mqtt-bridge
        await says 3 'listening on'
        echo "without a password: $(systemctl is-active mqtt-bridge)"

        echo 'prot = 1' >>/etc/mqtt-bridge/bridge.toml
        systemctl restart mqtt-bridge
        await systemctl is-failed mqtt-bridge
        systemctl show -p NRestarts,ExecMainStatus mqtt-bridge
        await says 1 'unknown field `prot`'
        journalctl -u mqtt-bridge -o cat --no-pager | grep prot
        echo end
        "#,
    );
    let without_warnings: Vec<&str> = log.lines().filter(|line| !line.contains("should not be run as root")).collect();
    let expected = [
        r#"reply: {"code":0}"#,
        r"Received message on topic: django/mqtt with payload: a\n<0>b",
        "user: mqtt-bridge",
        "restarts: 1",
        "stop: success",
        "without a password: active",
        "NRestarts=0",
        "ExecMainStatus=78",
        "mqtt-bridge: /etc/mqtt-bridge/bridge.toml:5: unknown field `prot`, expected one of `listen`, `workers`, `max-body`, `max-connections`, `idle-timeout`, `request-timeout`, `allow-anonymous`, `allowed-hosts`, `allowed-origins`",
        "end",
    ];
    assert_eq!(without_warnings, expected, "{log}");
}
