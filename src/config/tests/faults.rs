//! Each rule for a value, and the line that names its breach.

use super::*;

#[test]
fn each_fault_is_one_line_with_file_line_key_and_rule() {
    let cases = [
        ("[mqtt]\nprot = 1", "bridge.toml:2: unknown field `prot`, expected one of `server`, `port`"),
        (
            "\n[mqt]",
            "bridge.toml:2: unknown field `mqt`, expected one of `mqtt`, `subscribe`, `publish`, `outbox`, `http`, `token`, `hook`, `webhook`, `log`",
        ),
        ("[mqtt]\nport = 1\nport = 2", "bridge.toml:3: duplicate key"),
        ("[mqtt]\n\nport", "bridge.toml:3: "),
        (
            "mqtt = 1",
            "bridge.toml:1: invalid type: integer `1`, expected a table, in single brackets and with its keys below",
        ),
        ("[mqtt]\nport = \"x\"", "bridge.toml:2: `port` must be a whole number from 1 to 65535, not \"x\""),
        ("[mqtt]\nport = 0", "bridge.toml:2: `port` must be a whole number from 1 to 65535, not 0"),
        ("[mqtt]\nport = 65536", "bridge.toml:2: `port` must be"),
        (
            "[mqtt]\nserver = \"http://x\"",
            "bridge.toml:2: `server` must begin with mqtt://, mqtts://, ws://, wss:// or unix: where it is a URL",
        ),
        ("[mqtt]\nserver = \"x:1883\"", "bridge.toml:2: `server` must be"),
        ("[mqtt]\nserver = \"\"", "bridge.toml:2: `server` must be"),
        ("[mqtt]\nserver = 1", "bridge.toml:2: `server` must be a string, not 1"),
        ("[mqtt]\nkeepalive = 4", "bridge.toml:2: `keepalive` must be a whole number from 5 to 65535, not 4 (seconds)"),
        ("[mqtt]\nuser = \"a\\u0000\"", "bridge.toml:2: `user` must not contain control characters"),
        ("[mqtt]\nprotocol = \"3.1\"", "bridge.toml:2: `protocol` must be \"5\" or \"3.1.1\", not \"3.1\""),
        ("[mqtt]\nprotocol = 5", "bridge.toml:2: `protocol` must be \"5\" or \"3.1.1\", not 5"),
        ("[mqtt]\nclean-session = 1", "bridge.toml:2: `clean-session` must be true or false, not 1"),
        (
            "[mqtt]\nsession-expiry = 0",
            "bridge.toml:2: `session-expiry` must be a whole number from 1 to 4294967295, not 0 (seconds)",
        ),
        (
            "[mqtt]\nclean-session = false\n[[subscribe]]\ntopic = \"a\"\nqos = 2",
            "bridge.toml:5: `qos` must be 0 or 1 where `clean-session` is false",
        ),
        (
            "[publish]\nmax-timeout = 5\ntimeout = 6",
            "bridge.toml:3: `timeout` must be at most `max-timeout`, which is 5 s",
        ),
        ("[publish]\ntimeout = 61", "bridge.toml:2: `timeout` must be at most `max-timeout`, which is 60 s"),
        (
            "[[subscribe]]\ntopic = \"a\"\npriority = 8",
            "bridge.toml:3: `priority` must be a whole number from 0 (emergency) to 7 (debug), not 8",
        ),
        (
            "[log]\nlevel = \"verbose\"",
            "bridge.toml:2: `level` must be \"error\", \"warn\", \"info\" or \"debug\", not \"verbose\"",
        ),
        ("[publish]\nmax-waiting = 0", "bridge.toml:2: `max-waiting` must be a whole number from 1 to 1000000, not 0"),
        ("mqtt = [\"127.0.0.1\", 1884]", "bridge.toml:1: invalid type: sequence, expected a table, in single brackets"),
        ("[[mqtt]]\nport = 1", "bridge.toml:1: invalid type: sequence, expected a table, in single brackets"),
        ("http = \"x\"", "bridge.toml:1: invalid type: string, expected a table, in single brackets"),
        (
            "[subscribe]\ntopic = \"a\"",
            "bridge.toml:1: invalid type: map, expected tables in double brackets, [[subscribe]]",
        ),
        ("subscribe = [[\"a\", 1]]", "bridge.toml:1: invalid type: sequence, expected a table, in single brackets"),
        ("[mqtt]\nclient-id = \"a\\n\"", "bridge.toml:2: `client-id` must not end with a line end"),
        (
            "[mqtt]\nclean-session = false\nclient-id = \"\"",
            "bridge.toml:3: `client-id` must not be empty where `clean-session` is false: what is kept needs a name",
        ),
        (
            "[mqtt]\nmax-packet-size = 1",
            "bridge.toml:2: `max-packet-size` must be a whole number from 1024 to 268435460, not 1 (bytes)",
        ),
        (
            "[mqtt]\nmax-inflight = 1001",
            "bridge.toml:2: `max-inflight` must be a whole number from 1 to 1000, not 1001",
        ),
        (
            "[mqtt]\nreconnect-max = 0",
            "bridge.toml:2: `reconnect-max` must be a number of seconds from 0.01 to 3600, not 0",
        ),
        ("[[subscribe]]\nqos = 1", "bridge.toml:1: `topic` is missing in this [[subscribe]]"),
        ("[[subscribe]]\ntopic = \"a#\"", "bridge.toml:2: `topic` `#` must be the last level, and all of it: \"a#\""),
        ("[[subscribe]]\ntopic = \"a\"\nqos = 3", "bridge.toml:3: `qos` must be 0, 1 or 2, not 3"),
        (
            "[[subscribe]]\ntopic = \"a\"\n[[subscribe]]\ntopic = \"a\"",
            "bridge.toml:4: this `topic` is subscribed to twice",
        ),
        (
            "[publish]\ntimeout = 1e-9",
            "bridge.toml:2: `timeout` must be a number of seconds from 0.001 to 3600, not 0.000000001",
        ),
        (
            "[publish]\ntimeout = nan",
            "bridge.toml:2: `timeout` must be a number of seconds from 0.001 to 3600, not NaN",
        ),
        ("[publish]\ntimeout = -0.1", "bridge.toml:2: `timeout` must be"),
        (TOKEN_WITHOUT_NAME, "bridge.toml:1: `name` is missing in this [[token]]"),
        ("[[token]]\nname = \"a\"", "bridge.toml:1: `sha256` is missing in this [[token]]"),
        (
            "[[token]]\nname = \"a b\"",
            "bridge.toml:2: `name` must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, not all of them dots, not \"a b\"",
        ),
        ("[token]\nname = \"a\"", "bridge.toml:1: invalid type: map, expected tables in double brackets, [[token]]"),
    ];
    assert_faults(&cases);
}

#[test]
fn each_fault_of_the_form_of_records_is_one_line_too() {
    assert_faults(&[
        ("[log]\nformat = \"xml\"", "bridge.toml:2: `format` must be \"text\" or \"json\", not \"xml\""),
        ("[log]\ntime = \"utc\"", "bridge.toml:2: `time` must be true or false, not \"utc\""),
    ]);
}

#[cfg(not(feature = "webhook"))]
#[test]
fn a_build_without_webhooks_refuses_one() {
    let webhook = fault("[[webhook]]\nname = \"a\"\ntopic = \"a\"\nurl = \"http://localhost\"");
    assert_eq!(webhook, "bridge.toml:2: this build has no webhooks: build it with its default features");
}

#[test]
fn an_unusual_key_is_cut_and_escaped() {
    let unusual = fault("\"\\u001b[31m\\u202e\" = 1");
    assert!(unusual.starts_with("bridge.toml:1: unknown field `\\x1b[31m\\u{202e}`, expected one of"), "{unusual}");
    let long = fault(&format!("{} = 1", "a".repeat(1000)));
    assert!(long.len() < 600 && long.ends_with(" bytes)"), "{long}");
}
