//! Where the broker is: URLs, and what contradicts them.

use super::*;

#[track_caller]
fn address(lines: &str, environment: &Environment) -> String {
    parse_with(&format!("[mqtt]\n{lines}"), environment).expect(lines).mqtt.address()
}

#[test]
fn a_url_tells_how_the_broker_is_reached() {
    for (lines, expected) in [
        ("server = \"mqtt://broker.example\"", "broker.example:1883"),
        ("server = \"mqtt://broker.example:1884/\"", "broker.example:1884"),
        ("server = \"MQTT://192.0.2.1\"\nport = 1883\ntransport = \"tcp\"", "192.0.2.1:1883"),
        ("server = \"mqtt://[2001:db8::1]:1\"", "[2001:db8::1]:1"),
        ("server = \"mqtt://a\"\n[mqtt.tls]\nenabled = false\nca-file = \"/nonexistent/ca.crt\"", "a:1883"),
        ("server = \"unix:/run/broker.sock\"", "unix:/run/broker.sock"),
        ("server = \"unix:///run/broker.sock\"\ntransport = \"unix\"", "unix:/run/broker.sock"),
        ("server = \"/run/broker.sock\"", "unix:/run/broker.sock"),
    ] {
        assert_eq!(address(lines, &Environment::default()), expected);
    }
}

#[test]
#[cfg(feature = "tls")]
fn tls_has_its_own_default_port() {
    for (lines, expected) in [
        ("server = \"a\"\n[mqtt.tls]\nenabled = true", "mqtts://a:8883"),
        ("server = \"a\"\nport = 1883\n[mqtt.tls]\nenabled = true", "mqtts://a:1883"),
        ("server = \"mqtts://a\"", "mqtts://a:8883"),
        ("server = \"mqtts://[::1]:1\"\nport = 1\n[mqtt.tls]\nenabled = true", "mqtts://[::1]:1"),
    ] {
        assert_eq!(address(lines, &Environment::default()), expected);
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    for (lines, variables, expected) in [
        ("server = \"mqtt://a:1\"", [("MQTT_PORT", "2"), ("", "")], "a:2"),
        ("port = 1", [("MQTT_SERVER", "mqtt://b"), ("", "")], "b:1883"),
        ("port = 1", [("MQTT_SERVER", "b"), ("", "")], "b:1"),
        ("server = \"unix:/a\"", [("MQTT_SERVER", "mqtt://b:3"), ("MQTT_PORT", "3")], "b:3"),
        ("port = 1", [("MQTT_SERVER", "unix:/b"), ("", "")], "unix:/b"),
    ] {
        assert_eq!(address(lines, &Environment::from(variables)), expected);
    }
    for (lines, variables, expected) in [
        (
            "",
            [("MQTT_SERVER", "mqtt://b"), ("MQTT_PORT", "2")],
            "MQTT_SERVER: `server = \"mqtt://b:1883\"` and `port = 2` contradict each other",
        ),
        (
            "transport = \"unix\"",
            [("MQTT_SERVER", "mqtt://b"), ("", "")],
            "MQTT_SERVER: `server = \"mqtt://b:1883\"` and `transport = \"unix\"` contradict each other",
        ),
        (
            "transport = \"unix\"",
            [("MQTT_SERVER", "b"), ("", "")],
            "MQTT_SERVER: must be the absolute path of a socket where `transport` is \"unix\"",
        ),
        (
            "[mqtt.tls]\nenabled = true",
            [("MQTT_SERVER", "mqtt://b"), ("", "")],
            "MQTT_SERVER: `server = \"mqtt://b:1883\"` and `enabled = true` in [mqtt.tls] contradict each other",
        ),
        (
            "server = \"unix:/a\"",
            [("MQTT_PORT", "2"), ("", "")],
            "bridge.toml:2: `server = \"unix:/a\"` and `port = 2` contradict each other",
        ),
    ] {
        let fault = parse_with(&format!("[mqtt]\n{lines}"), &Environment::from(variables)).expect_err(lines);
        assert_eq!(fault.to_string(), expected);
    }
}

#[test]
fn a_contradiction_names_the_url_and_the_other_key() {
    assert_faults(&[
        (
            "[mqtt]\nserver = \"mqtts://a\"\nport = 1883",
            "bridge.toml:2: `server = \"mqtts://a:8883\"` and `port = 1883` contradict each other",
        ),
        (
            "[mqtt]\nport = 1883\nserver = \"mqtt://a:1884\"",
            "bridge.toml:3: `server = \"mqtt://a:1884\"` and `port = 1883` contradict each other",
        ),
        (
            "[mqtt]\nserver = \"unix:/a\"\nport = 1883",
            "bridge.toml:2: `server = \"unix:/a\"` and `port = 1883` contradict each other",
        ),
        (
            "[mqtt]\nserver = \"mqtt://a\"\ntransport = \"websocket\"",
            "bridge.toml:2: `server = \"mqtt://a:1883\"` and `transport = \"websocket\"` contradict each other",
        ),
        (
            "[mqtt]\nserver = \"ws://a/mqtt\"\ntransport = \"tcp\"",
            "bridge.toml:2: `server = \"ws://a:80/mqtt\"` and `transport = \"tcp\"` contradict each other",
        ),
        (
            "[mqtt]\nserver = \"/a\"\ntransport = \"tcp\"",
            "bridge.toml:2: `server = \"unix:/a\"` and `transport = \"tcp\"` contradict each other",
        ),
        (
            "[mqtt]\nserver = \"mqtt://a\"\n[mqtt.tls]\nenabled = true",
            "bridge.toml:2: `server = \"mqtt://a:1883\"` and `enabled = true` in [mqtt.tls] contradict each other",
        ),
        (
            "[mqtt]\nserver = \"mqtts://a\"\n[mqtt.tls]\nenabled = false",
            "bridge.toml:2: `server = \"mqtts://a:8883\"` and `enabled = false` in [mqtt.tls] contradict each other",
        ),
        (
            "[mqtt]\nserver = \"unix:/a\"\n[mqtt.tls]\nenabled = true",
            "bridge.toml:2: `server = \"unix:/a\"` and `enabled = true` in [mqtt.tls] contradict each other",
        ),
    ]);
}

#[test]
fn a_text_that_is_no_url_of_a_broker_is_a_fault() {
    let url = "bridge.toml:2: `server` must be a host name or an address, without a port, or a URL such as";
    assert_faults(&[
        (
            "[mqtt]\nserver = \"http://a\"",
            "bridge.toml:2: `server` must begin with mqtt://, mqtts://, ws://, wss:// or unix:",
        ),
        ("[mqtt]\nserver = \"mqtt://\"", url),
        ("[mqtt]\nserver = \"mqtt://a:\"", url),
        ("[mqtt]\nserver = \"mqtt://a:0\"", url),
        ("[mqtt]\nserver = \"mqtt://a:+1\"", url),
        ("[mqtt]\nserver = \"mqtt://a:65536\"", url),
        ("[mqtt]\nserver = \"mqtt://::1\"", url),
        ("[mqtt]\nserver = \"mqtt://a b\"", url),
        ("[mqtt]\nserver = \"mqtt://ä\"", url),
        (
            "[mqtt]\nserver = \"mqtt://a/b\"",
            "bridge.toml:2: `server` must end with the port: there is no path in mqtt://",
        ),
        (
            "[mqtt]\nserver = \"mqtt://a?b\"",
            "bridge.toml:2: `server` must end with the port: there is no path in mqtt://",
        ),
        ("[mqtt]\nserver = \"ws://a/mqtt?token=b\"", "bridge.toml:2: `server` must have no query and no fragment"),
        ("[mqtt]\nserver = \"ws://a/m q\"", "bridge.toml:2: `server` must have no query and no fragment"),
        (
            "[mqtt]\nserver = \"unix:a\"",
            "bridge.toml:2: `server` must be \"unix:\" and an absolute path of at most 107 bytes",
        ),
        (
            "[mqtt]\ntransport = \"unix\"",
            "bridge.toml:2: `server` must be the absolute path of a socket where `transport` is",
        ),
        (
            "[mqtt]\nserver = \"a\"\ntransport = \"websocket\"",
            "bridge.toml:2: `server` must be a URL that begins with ws:// or wss:// where `transport` is \"websocket\"",
        ),
        (
            "[mqtt]\ntransport = \"udp\"",
            "bridge.toml:2: `transport` must be \"tcp\", \"unix\" or \"websocket\", not \"udp\"",
        ),
    ]);
}

#[test]
fn incomplete_settings_of_tls_are_faults() {
    let off = "is for TLS, which is not on: set `enabled = true`, or a `server` that begins with mqtts://";
    for key in ["ca-file = \"a\"", "cert-file = \"a\"", "key-file = \"a\"", "alpn = [\"a\"]"] {
        let name = key.split(' ').next().unwrap();
        assert_eq!(fault(&format!("[mqtt.tls]\n{key}")), format!("bridge.toml:2: `{name}` {off}"));
    }
    let names = "bridge.toml:3: `alpn` must be names of 1 to 255 bytes, not \"\"";
    assert_eq!(fault("[mqtt.tls]\nenabled = true\nalpn = [\"\"]"), names);
    assert_faults(&[
        ("[mqtt.tls]\nenabled = 1", "bridge.toml:2: `enabled` must be true or false, not 1"),
        ("[mqtt.tls]\nenabled = true\nca-file = \"\"", "bridge.toml:3: `ca-file` must be the path of a file"),
        (
            "[mqtt]\nserver = \"ä\"\n[mqtt.tls]\nenabled = true",
            "bridge.toml:2: `server` must be a name of DNS or an address where",
        ),
        ("[[mqtt.tls]]\nenabled = true", "bridge.toml:1: invalid type: sequence, expected a table, in single brackets"),
    ]);
}
