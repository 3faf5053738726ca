//! Every key by its variable, and variables that name no key.

use super::super::load::Tables;
use super::super::variables::{PREFIX, names};
use super::*;

const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let environment = Environment::from(variables);
    Config::parse(text, &Source::File("bridge.toml".into()), &environment).map_err(|fault| fault.to_string())
}

/// The variable of each key that the man page has, in its order, with the others that it needs besides it.
fn documented() -> Vec<(String, Vec<(&'static str, &'static str)>)> {
    let (mut section, mut found) = (None, Vec::new());
    for line in include_str!("../../../packaging/bridge.toml.5").lines() {
        if let Some(heading) = line.strip_prefix(".SH ") {
            section = heading.split_once(']').map(|(name, _)| name.trim_matches(['"', '[']).to_owned());
        }
        let (Some(section), Some((key, _))) =
            (&section, line.strip_prefix(".BR ").and_then(|key| key.split_once(" \"")))
        else {
            continue;
        };
        let needed: &[_] = match section.as_str() {
            "mqtt.tls" => &[("MQTT_BRIDGE_MQTT_TLS_ENABLED", "true")],
            "mqtt.will" => &[("MQTT_BRIDGE_MQTT_WILL_TOPIC", "a"), ("MQTT_BRIDGE_MQTT_WILL_PAYLOAD", "b")],
            "subscribe" => &[("MQTT_BRIDGE_SUBSCRIBE_0_TOPIC", "a")],
            "token" => &[("MQTT_BRIDGE_TOKEN_0_NAME", "a"), ("MQTT_BRIDGE_TOKEN_0_SHA256", SHA256)],
            "hook" => &[
                ("MQTT_BRIDGE_HOOK_0_NAME", "a"),
                ("MQTT_BRIDGE_HOOK_0_TOPIC", "a"),
                ("MQTT_BRIDGE_HOOK_0_SIGNATURE", "hmac-sha256"),
                ("MQTT_BRIDGE_HOOK_0_HEADER", "a"),
                // one line of text on every Linux
                ("MQTT_BRIDGE_HOOK_0_SIGNATURE_SECRET_FILE", "/proc/sys/kernel/ostype"),
            ],
            "webhook" => &[
                ("MQTT_BRIDGE_WEBHOOK_0_NAME", "a"),
                ("MQTT_BRIDGE_WEBHOOK_0_TOPIC", "a"),
                ("MQTT_BRIDGE_WEBHOOK_0_URL", "https://localhost"),
            ],
            _ => &[],
        };
        let number = if matches!(section.as_str(), "subscribe" | "token" | "hook" | "webhook") { "_0" } else { "" };
        let name = format!("MQTT_BRIDGE_{section}{number}_{}", key.replace("\\-", "-"));
        found.push((name.to_ascii_uppercase().replace(['.', '-'], "_"), needed.to_vec()));
    }
    found
}

#[test]
fn every_key_of_the_man_page_has_a_variable_whose_fault_names_it() {
    let documented = documented();
    // too long for any text, and none of the others
    let wrong = format!("\u{1}{}", "x".repeat(70_000));
    for (name, needed) in &documented {
        let others = needed.iter().copied().filter(|(other, _)| other != name);
        let variables: Vec<_> = others.chain([(name.as_str(), wrong.as_str())]).collect();
        let fault = parse("", &variables).expect_err(name);
        assert!(fault.starts_with(&format!("{name}: ")), "{name} gives {fault:?}");
    }
    let mut names = names(&mut Tables::default());
    names.retain(|name| name != "MQTT_BRIDGE_SUBSCRIBE");
    names.sort();
    let mut told: Vec<_> = documented.into_iter().map(|(name, _)| name).collect();
    told.sort();
    assert_eq!(told, names, "each key is in the man page");
}

#[test]
fn a_variable_sets_what_the_file_would() {
    let file = format!(
        "[mqtt]\nserver = \"broker.example\"\nport = 1884\nprotocol = \"5\"\nclient-id = \"7\"\nclean-session = false\n\
         [mqtt.will]\ntopic = \"a\"\npayload = \"true\"\n[[subscribe]]\ntopic = \"a/#\"\nqos = 1\n[[subscribe]]\n\
         topic = \"b/+\"\nqos = 1\n[[subscribe]]\ntopic = \"c,d\"\npriority = 3\n[publish]\ntimeout = 2.5\n[http]\n\
         listen = \"unix:/run/b\"\nallowed-hosts = [\"a\", \"b\"]\nallow-anonymous = true\n[[token]]\nname = \"k\"\n\
         sha256 = \"{SHA256}\"\npublish = [\"k/#\", \"a,b\"]\nrate = 0.5\nsees = \"own\"\n[log]\nlevel = \"debug\""
    );
    let variables = [
        ("MQTT_BRIDGE_MQTT_SERVER", "broker.example"),
        ("MQTT_BRIDGE_MQTT_PORT", "1884"),
        ("MQTT_BRIDGE_MQTT_PROTOCOL", "5"),
        ("MQTT_BRIDGE_MQTT_CLIENT_ID", "7"),
        ("MQTT_BRIDGE_MQTT_CLEAN_SESSION", "false"),
        ("MQTT_BRIDGE_MQTT_WILL_TOPIC", "a"),
        ("MQTT_BRIDGE_MQTT_WILL_PAYLOAD", "true"),
        ("MQTT_BRIDGE_SUBSCRIBE", "a/#, b/+"),
        ("MQTT_BRIDGE_SUBSCRIBE_QOS", "1"),
        ("MQTT_BRIDGE_SUBSCRIBE_10_TOPIC", "c,d"),
        ("MQTT_BRIDGE_SUBSCRIBE_10_PRIORITY", "3"),
        ("MQTT_BRIDGE_PUBLISH_TIMEOUT", "2.5"),
        ("MQTT_BRIDGE_HTTP_LISTEN", "unix:/run/b"),
        ("MQTT_BRIDGE_HTTP_ALLOWED_HOSTS", "a,b"),
        ("MQTT_BRIDGE_HTTP_ALLOW_ANONYMOUS", "true"),
        ("MQTT_BRIDGE_TOKEN_0_NAME", "k"),
        ("MQTT_BRIDGE_TOKEN_0_SHA256", SHA256),
        ("MQTT_BRIDGE_TOKEN_0_PUBLISH", r#"["k/#", "a,b"]"#),
        ("MQTT_BRIDGE_TOKEN_0_RATE", "0.5"),
        ("MQTT_BRIDGE_TOKEN_0_SEES", "own"),
        ("MQTT_BRIDGE_LOG_LEVEL", "debug"),
        ("MQTT_BRIDGE_HTTP_WORKERS", ""),
    ];
    assert_eq!(parse("", &variables), parse(&file, &[]));
}

#[test]
fn a_variable_wins_over_the_file_and_over_the_tutorials_name() {
    let file = "[mqtt]\nport = 1\npassword-file = \"/nonexistent\"\n[[subscribe]]\ntopic = \"django/mqtt\"\n[http]\n\
                listen = \"127.0.0.1:1\"\nworkers = 3\n[[token]]\nname = \"old\"\n\
                sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"";
    let config = parse(
        file,
        &[
            ("MQTT_PORT", "tcp://10.0.0.7:1883"),
            ("MQTT_BRIDGE_MQTT_PORT", "2"),
            ("MQTT_BRIDGE_MQTT_USER", "u"),
            ("MQTT_BRIDGE_MQTT_PASSWORD", "p"),
            ("MQTT_BRIDGE_HTTP_LISTEN", "127.0.0.1:2"),
            ("MQTT_BRIDGE_SUBSCRIBE", "a"),
            ("MQTT_BRIDGE_TOKEN_7_NAME", "new"),
            ("MQTT_BRIDGE_TOKEN_7_SHA256", SHA256),
        ],
    )
    .unwrap();
    assert_eq!(config.mqtt.address(), "127.0.0.1:2");
    assert_eq!(config.mqtt.login.unwrap().password, Secret("p".to_owned()));
    assert_eq!((config.http.listen, config.http.workers), (Listen::Tcp("127.0.0.1:2".parse().unwrap()), 3));
    assert_eq!(config.subscribe.len(), 1);
    assert_eq!((config.subscribe[0].topic.as_str(), config.subscribe[0].qos), ("a", Qos::AtMostOnce));
    assert_eq!(config.tokens.len(), 1);
    assert_eq!((config.tokens[0].sha256, config.tokens[0].sees), (hash("abc"), Sees::All));
    assert_eq!(config.publish.timeout, Duration::from_secs(10));
}

#[test]
fn each_fault_of_a_variable_names_it_and_the_rule() {
    for (name, value, what) in [
        ("MQTT_BRIDGE_HTTP_LISTEN", "8000", "`listen` must be an address and a port such as"),
        ("MQTT_BRIDGE_HTTP_WORKERS", "many", "`workers` must be a whole number from 1 to 64, not \"many\""),
        ("MQTT_BRIDGE_HTTP_ALLOW_ANONYMOUS", "yes", "`allow-anonymous` must be true or false, not \"yes\""),
        ("MQTT_BRIDGE_HTTP_ALLOWED_HOSTS", "a,b:1", "`allowed-hosts` must be host names or addresses, without scheme"),
        ("MQTT_BRIDGE_SUBSCRIBE", "a/#,b#", "`topic` `#` must be the last level, and all of it: \"b#\""),
        ("MQTT_BRIDGE_SUBSCRIBE", "a,a", "this `topic` is subscribed to twice"),
        ("MQTT_BRIDGE_SUBSCRIBE_QOS", "1", "is for the topic filters of MQTT_BRIDGE_SUBSCRIBE, which is not set"),
        ("MQTT_BRIDGE_SUBSCRIBE_1_QOS", "1", "`topic` is missing in this [[subscribe]]"),
        ("MQTT_BRIDGE_TOKEN_0_NAME", "a", "`sha256` is missing in this [[token]]"),
        ("MQTT_BRIDGE_MQTT_WILL_TOPIC", "a", "`payload` is missing in [mqtt.will]"),
        ("MQTT_BRIDGE_MQTT_SERVER", "http://x", "`server` must begin with mqtt://"),
        (
            "MQTT_BRIDGE_MQTT_PORT",
            "tcp://10.0.0.7:1883",
            "\"tcp://10.0.0.7:1883\" is what Kubernetes sets for a service",
        ),
        ("MQTT_BRIDGE_MQTT_PASSWORD", "hush\n", "`password` must not end with a line end"),
        ("MQTT_BRIDGE_MQTT_PASSWORD", "hush", "there is a password but no `user` to go with it"),
    ] {
        let fault = parse("", &[(name, value)]).expect_err(name);
        assert!(fault.starts_with(&format!("{name}: {what}")), "{fault}");
        assert!(!fault.contains("hush") && fault.lines().count() == 1, "{fault}");
    }
}

#[test]
fn variables_of_kubernetes_are_ignored_and_misspelled_ones_give_a_warning() {
    let of_kubernetes = [
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_MQTT",
        "PORT",
        "PORT_1883_TCP",
        "PORT_1883_TCP_PROTO",
        "PORT_1883_TCP_PORT",
        "PORT_1883_TCP_ADDR",
        "HTTP_SERVICE_HOST",
        "HTTP_PORT",
        "HTTP_PORT_8000_TCP_ADDR",
    ]
    .map(|rest| format!("{PREFIX}{rest}"));
    let variables: Vec<_> = of_kubernetes.iter().map(|name| (name.as_str(), "tcp://10.0.0.7:1883")).collect();
    assert_eq!(parse("", &variables), parse("", &[]));
    for (name, words) in [
        ("MQTT_BRIDGE_HTTP_LISTN", "; did you mean `MQTT_BRIDGE_HTTP_LISTEN`?"),
        ("MQTT_BRIDGE_SUBSCRIBES", "; did you mean `MQTT_BRIDGE_SUBSCRIBE`?"),
        ("MQTT_BRIDGE_TOKEN_0_SHA265", "; did you mean `MQTT_BRIDGE_TOKEN_0_SHA256`?"),
        ("MQTT_BRIDGE_SOMETHING_ELSE", ""),
    ] {
        let config = parse("", &[(name, "secret")]).unwrap();
        assert_eq!(config.warnings, [format!("{name} names no key of the configuration{words}")]);
    }
}
