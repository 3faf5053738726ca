//! The outbox, and what hooks may store in it.

use super::*;

const PATH: &str = "[outbox]\npath = \"o\"";
const HOOK: &str = "[[hook]]\nname = \"a\"\ntopic = \"a\"\n\
                    secret-sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"";

#[test]
fn without_a_path_there_is_no_outbox() {
    let config = parse("[outbox]\nmax-messages = 1").unwrap();
    assert_eq!((config.outbox.path, config.outbox.max_messages), (None, 1));
    assert!(!config.publish.store);
}

#[test]
fn a_relative_path_starts_in_the_state_folder_or_beside_the_file() {
    let path = |text: &str, source: &str, variables: &[(&str, &str)]| {
        let config = Config::parse(text, &Source::File(source.into()), &Environment::from(variables));
        config.unwrap().outbox.path.unwrap()
    };
    let state = ("STATE_DIRECTORY", "/var/lib/mqtt-bridge:/var/lib/other");
    assert_eq!(path(PATH, "/etc/b/bridge.toml", &[]), PathBuf::from("/etc/b/o"));
    assert_eq!(path(PATH, "/etc/b/bridge.toml", &[state]), PathBuf::from("/var/lib/mqtt-bridge/o"));
    assert_eq!(path("[outbox]\npath = \"/o\"", "/etc/b/bridge.toml", &[state]), PathBuf::from("/o"));
    let variable = ("MQTT_BRIDGE_OUTBOX_PATH", "v");
    assert_eq!(path(PATH, "/etc/b/bridge.toml", &[variable]), PathBuf::from("/etc/b/v"));
}

#[test]
fn each_rule_of_the_outbox_and_of_keys_is_one_line() {
    let seconds = "must be a number of seconds from";
    for (text, start) in [
        ("[outbox]\npath = \"\"", "bridge.toml:2: `path` must be the path of a file".to_owned()),
        (
            "[outbox]\nmax-messages = 0",
            "bridge.toml:2: `max-messages` must be a whole number from 1 to 1000000, not 0".to_owned(),
        ),
        (
            "[outbox]\nmax-bytes = 1048575",
            "bridge.toml:2: `max-bytes` must be a whole number from 1048576 to 68719476736, not 1048575 (bytes)".to_owned(),
        ),
        ("[outbox]\nmax-ttl = 0.5", format!("bridge.toml:2: `max-ttl` {seconds} 1 to 2592000, not 0.5")),
        ("[outbox]\nkeep = 2592001", format!("bridge.toml:2: `keep` {seconds} 1 to 2592000, not 2592001")),
        (
            "[publish]\nidempotency-keys = 1000001",
            "bridge.toml:2: `idempotency-keys` must be a whole number from 1 to 1000000, not 1000001".to_owned(),
        ),
        ("[publish]\nidempotency-ttl = 0", format!("bridge.toml:2: `idempotency-ttl` {seconds} 1 to 604800, not 0")),
        ("[publish]\nstore = 1", "bridge.toml:2: `store` must be true or false, not 1".to_owned()),
        ("[publish]\nstore = true", "bridge.toml:2: `store` needs `path` in [outbox]".to_owned()),
        (
            "[mqtt]\nprotocol = \"3.1.1\"\n[publish]\nforward-idempotency-key = true",
            "bridge.toml:4: `forward-idempotency-key` needs MQTT 5, which has user properties: see `protocol` in [mqtt]"
                .to_owned(),
        ),
    ] {
        assert_faults(&[(text, &start)]);
    }
    let least = "[outbox]\nmax-bytes = 1048576\nmax-ttl = 1\nkeep = 1\n[publish]\nidempotency-ttl = 604800";
    assert_eq!(parse(least).unwrap().outbox.max_bytes, 1_048_576);
    assert!(parse("[publish]\nforward-idempotency-key = true").unwrap().publish.forward_idempotency_key);
}

#[test]
fn a_hook_that_stores_needs_an_acknowledgement_and_has_a_ttl_up_to_the_longest() {
    let stores = |lines: &str| format!("[publish]\nstore = true\n{PATH}\nmax-ttl = 60\n{HOOK}\n{lines}");
    let ttl = |lines: &str| parse(&stores(lines)).unwrap().hooks[0].table.ttl;
    assert_eq!(ttl(""), Duration::from_secs(60));
    assert_eq!(ttl("ttl = 0.5"), Duration::from_millis(500));
    assert_eq!(ttl("qos = 2\nttl = 60"), Duration::from_secs(60));
    let why = "nobody could tell whether the message arrived";
    assert_faults(&[
        (&stores("qos = 0"), &format!("bridge.toml:10: `qos` must be 1 or 2 where `store` is true: {why}")),
        (&stores("ttl = 61"), "bridge.toml:10: `ttl` must be at most `max-ttl` in [outbox], which is 60 s"),
        (&stores("ttl = 0"), "bridge.toml:10: `ttl` must be a number of seconds from 0.001 to 2592000, not 0"),
        (&format!("{PATH}\n{HOOK}\nttl = 5"), "bridge.toml:7: `ttl` needs `store = true` in [publish]"),
    ]);
    assert!(parse(&format!("{HOOK}\nqos = 0")).is_ok(), "it does not store");
}
