//! The variables of the tutorial.

use super::*;

#[test]
fn the_environment_overrides_the_file_by_the_names_of_the_tutorial() {
    let environment = Environment::from([
        ("MQTT_SERVER", "broker.example"),
        ("MQTT_PORT", "1999"),
        ("MQTT_KEEPALIVE", "30"),
        ("MQTT_USER", "123"),
        ("MQTT_PASSWORD", "456"),
    ]);
    let mqtt =
        parse_with("[mqtt]\nserver = \"a\"\nport = 1\nuser = \"b\"\npassword = \"c\"", &environment).unwrap().mqtt;
    assert_eq!(mqtt.address(), "broker.example:1999");
    assert_eq!(mqtt.keepalive, Duration::from_secs(30));
    assert_eq!(mqtt.login, Some(Login { user: "123".to_owned(), password: Secret("456".to_owned()) }));
}

#[test]
fn a_fault_of_the_environment_names_the_variable() {
    for (name, value, expected) in [
        ("MQTT_PORT", "x", "MQTT_PORT: must be a whole number from 1 to 65535, not \"x\""),
        (
            "MQTT_SERVER",
            " ",
            "MQTT_SERVER: must be a host name or an address, without a port, or a URL such as \"mqtts://HOST:PORT\" or \"unix:/PATH\", not \" \"",
        ),
        ("MQTT_KEEPALIVE", "1", "MQTT_KEEPALIVE: must be a whole number from 5 to 65535, not \"1\" (seconds)"),
        ("MQTT_PASSWORD", "hush", "MQTT_PASSWORD: there is a password but no `user` to go with it"),
    ] {
        let fault = parse_with("", &Environment::from([(name, value)])).unwrap_err();
        assert_eq!(fault.to_string(), expected);
    }
    // the file is checked all the same
    let fault = parse_with("[mqtt]\nport = 0", &Environment::from([("MQTT_PORT", "1")])).unwrap_err();
    assert!(fault.to_string().starts_with("bridge.toml:2: "), "{fault}");
}

#[test]
fn a_variable_that_kubernetes_sets_is_recognized() {
    for value in ["tcp://10.0.0.7:1883", "udp://10.0.0.7:1883", "tcp://[fd00::7]:1883"] {
        let fault = parse_with("[mqtt]\nserver = \"mqtt\"", &Environment::from([("MQTT_PORT", value)])).unwrap_err();
        assert_eq!(
            fault.to_string(),
            format!(
                "MQTT_PORT: \"{value}\" is what Kubernetes sets for a service named \"mqtt\": name that differently, set \
                 `enableServiceLinks: false` in the pod, or set MQTT_PORT to the broker's port in its container"
            )
        );
    }
    // the file is checked all the same
    let environment = Environment::from([("MQTT_PORT", "tcp://10.0.0.7:1883")]);
    let fault = parse_with("[mqtt]\nserver = 7", &environment).unwrap_err();
    assert!(fault.to_string().starts_with("bridge.toml:2: "), "{fault}");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let file = "[mqtt]\nserver = \"a\"\nport = 1\nkeepalive = 30\nuser = \"b\"\npassword = \"c\"";
    let variables = ["MQTT_SERVER", "MQTT_PORT", "MQTT_KEEPALIVE", "MQTT_USER", "MQTT_PASSWORD"];
    let empty = Environment::from(variables.map(|name| (name, "")));
    assert_eq!(parse_with(file, &empty).unwrap(), parse_with(file, &Environment::default()).unwrap());
    assert_eq!(parse_with("", &empty).unwrap(), parse_with("", &Environment::default()).unwrap());
    // as the tutorial's settings have them, and a server that has no port
    let server = Environment::from([("MQTT_SERVER", "unix:/run/mqtt"), ("MQTT_PORT", "")]);
    assert_eq!(parse_with("", &server).unwrap().mqtt.address(), "unix:/run/mqtt");
}
