//! Each rule of the configuration, and the line that tells of its breach.

mod broker;

use super::*;

fn parse(text: &str) -> Result<Config, Fault> {
    parse_with(text, &Environment::default())
}

fn parse_with(text: &str, environment: &Environment) -> Result<Config, Fault> {
    Config::parse(text, &Source::File("bridge.toml".into()), environment)
}

/// Each text's fault is one line that starts so.
fn assert_faults(cases: &[(&str, &str)]) {
    for (text, start) in cases {
        let fault = fault(text);
        assert!(fault.starts_with(start), "{text:?} gives {fault:?}");
        assert_eq!(fault.lines().count(), 1, "{fault:?}");
    }
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::try_from(text.to_owned()).unwrap()
}

fn fault(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn the_shipped_file_says_the_built_in_defaults_and_names_every_key() {
    let shipped = include_str!("../../bridge.toml");
    let mut config = parse(shipped).expect("the shipped file");
    assert_eq!(config.subscribe.len(), 1, "it subscribes to one topic filter");
    assert_eq!(config.subscribe[0].topic.as_str(), "django/mqtt");
    config.subscribe.clear();
    assert_eq!(config, parse("").expect("the defaults"));
    let unknown_keys = [
        "[mqtt]\nx=1",
        "[mqtt.will]\nx=1",
        "[mqtt.tls]\nx=1",
        "[log]\nx=1",
        "[[subscribe]]\nx=1",
        "[publish]\nx=1",
        "[http]\nx=1",
        "[[token]]\nx=1",
    ];
    for names in unknown_keys.map(fault) {
        let keys = names.split('`').skip(3).step_by(2);
        for key in keys {
            let forms = [format!("{key} = "), format!("[mqtt.{key}]")];
            assert!(forms.iter().any(|form| shipped.contains(form)), "{key} is in the shipped file");
        }
    }
}

#[test]
fn defaults_are_those_of_the_tutorial() {
    let config = parse("").unwrap();
    assert_eq!(config.mqtt.address(), "127.0.0.1:1883");
    assert_eq!(config.mqtt.keepalive, Duration::from_secs(60));
    assert_eq!(config.mqtt.login, None);
    assert_eq!(config.http.listen, Listen::Tcp("127.0.0.1:8000".parse().unwrap()));
    assert!(config.tokens.is_empty() && !config.http.allow_anonymous);
}

fn expected_tokens() -> Vec<Token> {
    vec![
        Token {
            name: "kitchen".to_owned(),
            sha256: hash("abc"),
            publish: vec![filter("kitchen/#"), filter("b")],
            subscribe: vec![filter("+")],
            response_topics: vec![filter("answers/+")],
            rate: Some(0.5),
            max_subscriptions: 0,
            max_listeners: 0,
            max_waiting: 7,
            sees: Sees::Own,
        },
        Token {
            name: "all".to_owned(),
            sha256: [0; 32],
            publish: vec![],
            subscribe: vec![],
            response_topics: vec![],
            rate: Some(1e6),
            max_subscriptions: 500,
            max_listeners: 0,
            max_waiting: 3,
            sees: Sees::All,
        },
    ]
}

#[test]
fn every_key_is_read() {
    let config = parse(
        r#"
        [mqtt]
        server = "::1"
        port = 1884
        keepalive = 5
        user = "alice"
        password = "s3cret"
        protocol = "3.1.1"
        clean-session = false
        session-expiry = 60
        client-id = "kitchen"
        max-packet-size = 2048
        max-inflight = 16
        reconnect-max = 0.5
        [[subscribe]]
        topic = "a/+"
        qos = 1
        [[subscribe]]
        topic = "b"
        priority = 3
        [publish]
        timeout = 2.5
        max-timeout = 3
        max-waiting = 7
        [http]
        listen = "[::1]:0"
        workers = 3
        max-body = 10
        max-connections = 20
        max-listeners = 0
        idle-timeout = 0.5
        request-timeout = 3
        allow-anonymous = true
        allowed-hosts = ["Bridge.Example", "192.0.2.1", "[2001:DB8:0::1]"]
        allowed-origins = ["https://Example.com", "http://example.com:8080", "http://[::1]:1"]
        [[token]]
        name = "kitchen"
        sha256 = "BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        publish = ["kitchen/#", "b"]
        subscribe = ["+"]
        response-topics = ["answers/+"]
        rate = 0.5
        max-subscriptions = 0
        max-listeners = 0
        max-waiting = 7
        sees = "own"
        [[token]]
        name = "all"
        sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
        rate = 1000000
        [log]
        level = "debug"
        format = "json"
        time = false
        "#,
    )
    .unwrap();
    let expected = Config {
        mqtt: Mqtt {
            server: Server::Tcp(Place { host: "::1".to_owned(), port: 1884 }),
            tls: None,
            keepalive: Duration::from_secs(5),
            login: Some(Login { user: "alice".to_owned(), password: Secret("s3cret".to_owned()) }),
            client_id: "kitchen".to_owned(),
            protocol: Protocol::V311,
            session: Session::Kept { expiry: 60 },
            max_packet_size: 2048,
            max_inflight: 16,
            reconnect_max: Duration::from_millis(500),
            will: None,
        },
        subscribe: vec![
            Subscription { topic: filter("a/+"), qos: Qos::AtLeastOnce, priority: Priority::INFORMATIONAL },
            Subscription { topic: filter("b"), qos: Qos::AtMostOnce, priority: Priority::ERROR },
        ],
        publish: Publish { timeout: Duration::from_millis(2500), max_timeout: Duration::from_secs(3), max_waiting: 7 },
        http: Http {
            listen: Listen::Tcp("[::1]:0".parse().unwrap()),
            workers: 3,
            max_body: 10,
            max_connections: 20,
            max_listeners: 0,
            idle_timeout: Duration::from_millis(500),
            request_timeout: Duration::from_secs(3),
            allow_anonymous: true,
            allowed_hosts: ["bridge.example", "192.0.2.1", "2001:db8::1"].map(str::to_owned).into(),
            allowed_origins: ["https://example.com", "http://example.com:8080", "http://[::1]:1"]
                .map(str::to_owned)
                .into(),
        },
        tokens: expected_tokens(),
        log: Log { level: LevelFilter::Debug, format: LogFormat::Json, time: false },
        warnings: vec![],
    };
    assert_eq!(config, expected);
    assert_eq!(config.mqtt.address(), "[::1]:1884");
}

#[test]
fn each_fault_is_one_line_with_file_line_key_and_rule() {
    let cases = [
        ("[mqtt]\nprot = 1", "bridge.toml:2: unknown field `prot`, expected one of `server`, `port`"),
        (
            "\n[mqt]",
            "bridge.toml:2: unknown field `mqt`, expected one of `mqtt`, `subscribe`, `publish`, `http`, `token`, `log`",
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
            "bridge.toml:2: `name` must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, not \"a b\"",
        ),
        ("[token]\nname = \"a\"", "bridge.toml:1: invalid type: map, expected tables in double brackets, [[token]]"),
    ];
    assert_faults(&cases);
}

#[test]
fn the_form_of_records_is_one_of_few() {
    assert_faults(&[
        ("[log]\nformat = \"xml\"", "bridge.toml:2: `format` must be \"text\" or \"json\", not \"xml\""),
        ("[log]\ntime = \"utc\"", "bridge.toml:2: `time` must be true or false, not \"utc\""),
    ]);
}

#[test]
fn a_key_is_repeated_in_part_and_escaped_whatever_it_is() {
    let unusual = fault("\"\\u001b[31m\\u202e\" = 1");
    assert!(unusual.starts_with("bridge.toml:1: unknown field `\\x1b[31m\\u{202e}`, expected one of"), "{unusual}");
    let long = fault(&format!("{} = 1", "a".repeat(1000)));
    assert!(long.len() < 600 && long.ends_with(" bytes)"), "{long}");
}

#[test]
fn each_fault_of_the_http_interface_is_one_line_too() {
    assert_faults(&[
        (
            "[http]\nlisten = \"8000\"",
            "bridge.toml:2: `listen` must be an address and a port such as \"127.0.0.1:8000\"",
        ),
        ("[http]\nlisten = 8000", "bridge.toml:2: `listen` must be a string, not 8000"),
        (
            "[http]\nlisten = \"unix:\"",
            "bridge.toml:2: `listen` must be \"unix:\" and an absolute path of at most 107 bytes",
        ),
        ("[http]\nlisten = \"unix:bridge.sock\"", "bridge.toml:2: `listen` must be \"unix:\" and an absolute path"),
        ("[http]\nlisten = \"unix:/a\\u0000\"", "bridge.toml:2: `listen` must be \"unix:\" and an absolute path"),
        ("[http]\nworkers = 0", "bridge.toml:2: `workers` must be a whole number from 1 to 64, not 0"),
        (
            "[http]\nmax-body = true",
            "bridge.toml:2: `max-body` must be a whole number from 1 to 268435460, not true (bytes)",
        ),
        (
            "[http]\nmax-connections = 0",
            "bridge.toml:2: `max-connections` must be a whole number from 1 to 100000, not 0",
        ),
        (
            "[http]\nidle-timeout = 0.05",
            "bridge.toml:2: `idle-timeout` must be a number of seconds from 0.1 to 3600, not 0.05",
        ),
        (
            "[http]\nrequest-timeout = 3601",
            "bridge.toml:2: `request-timeout` must be a number of seconds from 0.1 to 3600, not 3601",
        ),
        ("[http]\nallow-anonymous = 1", "bridge.toml:2: `allow-anonymous` must be true or false, not 1"),
        (
            "[http]\nallowed-hosts = \"a\"",
            "bridge.toml:2: `allowed-hosts` must be a list of host names or addresses in brackets, not \"a\"",
        ),
        (
            "[http]\nallowed-hosts = [\"a\", \"b:80\"]",
            "bridge.toml:2: `allowed-hosts` must be host names or addresses, without scheme, port and wildcard, not \"b:80\"",
        ),
        (
            "[http]\nallowed-origins = [\"https://a/\"]",
            "bridge.toml:2: `allowed-origins` must be origins such as \"https://example.com\" or \"http://example.com:8080\", without path, default port and wildcard, not \"https://a/\"",
        ),
    ]);
}

const TOKEN_WITHOUT_NAME: &str =
    "[[token]]\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"";

#[test]
fn each_fault_of_a_token_is_one_line_too() {
    let token = TOKEN_WITHOUT_NAME.replace("[[token]]\n", "[[token]]\nname = \"a\"\n");
    for (line, start) in [
        ("publish = \"a\"", "bridge.toml:4: `publish` must be a list of topic filters in brackets, not \"a\""),
        ("publish = [\"a#\"]", "bridge.toml:4: `publish` `#` must be the last level, and all of it: \"a#\""),
        ("publish = [\"a\", 1]", "bridge.toml:4: `publish` must be a string, not 1"),
        (
            "subscribe = [\"$share/g/a\"]",
            "bridge.toml:4: `subscribe` must name no shared subscription, but what is in it: \"$share/g/a\"",
        ),
        ("rate = 0", "bridge.toml:4: `rate` must be a number of messages per second above 0 and up to 1000000, not 0"),
        ("rate = 1000001", "bridge.toml:4: `rate` must be"),
        ("rate = nan", "bridge.toml:4: `rate` must be"),
        ("rate = -0.5", "bridge.toml:4: `rate` must be"),
        ("rate = \"fast\"", "bridge.toml:4: `rate` must be"),
        ("response-topics = [\"a/+\", \"+a\"]", "bridge.toml:4: `response-topics` `+` must be"),
        (
            "max-subscriptions = 1001",
            "bridge.toml:4: `max-subscriptions` must be a whole number from 0 to 1000, not 1001",
        ),
        (
            "max-listeners = 201",
            "bridge.toml:4: `max-listeners` must be a whole number from 0 to 200, not 201: 200 is the `max-listeners` of all",
        ),
        ("max-waiting = 0", "bridge.toml:4: `max-waiting` must be a whole number from 1 to 2000, not 0"),
        ("sees = \"mine\"", "bridge.toml:4: `sees` must be \"all\" or \"own\", not \"mine\""),
        ("secret = 1", "bridge.toml:4: unknown field `secret`, expected one of `name`, `sha256`, `publish`"),
    ] {
        let fault = fault(&format!("{token}\n{line}"));
        assert!(fault.starts_with(start), "{line:?} gives {fault:?}");
        assert_eq!(fault.lines().count(), 1, "{fault:?}");
    }
    let same_name = fault(&format!("{token}\n{}", token.replace("0000", "1111")));
    assert_eq!(same_name, "bridge.toml:5: this `name` is there twice: each [[token]] needs one of its own");
    let same_secret = fault(&format!("{token}\n{}", token.replace("\"a\"", "\"b\"")));
    assert_eq!(same_secret, "bridge.toml:6: this `sha256` is there twice: each [[token]] needs a secret of its own");
}

#[test]
fn a_secret_in_the_place_of_its_hash_is_not_repeated() {
    for text in [
        "[[token]]\nname = \"a\"\nsha256 = \"hush\"",
        "[[token]]\nname = \"a\"\nsha256 = [\"hush\"]",
        "[[token]]\nname = \"a\"\nsha256 = hush",
        "[[token]]\nname = \"a\"\nsha256 = \"hush",
        "\n\ntoken = \"hush\"",
        "\n\ntoken = [\"hush\"]",
    ] {
        let fault = fault(text);
        assert!(fault.starts_with("bridge.toml:3: ") && !fault.contains("hush"), "{fault}");
        assert_eq!(fault.lines().count(), 1, "{fault:?}");
    }
    let hint = fault("[[token]]\nname = \"a\"\nsha256 = \"hush\"");
    assert_eq!(
        hint,
        "bridge.toml:3: `sha256` must be a string of 64 hexadecimal digits, the SHA-256 of a secret: \
         `mqtt-bridge --new-token NAME` makes both"
    );
}

#[test]
fn the_address_is_a_port_of_any_host_or_the_path_of_a_socket() {
    let listen = |text: &str| parse(&format!("[http]\nlisten = \"{text}\"")).map(|config| config.http.listen);
    for address in ["0.0.0.0:8000", "[::]:8000", "192.0.2.1:0"] {
        assert_eq!(listen(address), Ok(Listen::Tcp(address.parse().unwrap())));
    }
    let longest = format!("/{}", "a".repeat(106));
    for path in ["/run/x.sock", "/ö b", &longest] {
        assert_eq!(listen(&format!("unix:{path}")), Ok(Listen::Unix(path.into())));
    }
    assert!(listen(&format!("unix:{longest}a")).is_err());
}

#[test]
fn origins_are_what_browsers_write_and_hosts_have_no_port() {
    let is_good = |key: &str, value: &str| parse(&format!("[http]\n{key} = [\"{value}\"]")).is_ok();
    for origin in
        ["https://a", "http://a.example:1", "http://127.0.0.1:65535", "http://[::1]", "chrome-extension://abc"]
    {
        assert!(is_good("allowed-origins", origin), "{origin}");
    }
    for origin in [
        "",
        "*",
        "null",
        "a",
        "https://",
        "https://*",
        "https://a/",
        "https://a/b",
        "https://a:",
        "https://a:x",
        "https://a:65536",
        "https://a:+1",
        "https://a:443",
        "http://a:80",
        "https://u@a",
        "https://a b",
        "https://a?b",
        "1://a",
        "://a",
        "http://::1",
        "http://[a]",
        "https://ö",
    ] {
        assert!(!is_good("allowed-origins", origin), "{origin}");
    }
    for host in ["a", "A.example", "192.0.2.1", "::1", "[::1]", "a_b-c"] {
        assert!(is_good("allowed-hosts", host), "{host}");
    }
    for host in ["", "*", "*.a", "a:80", "http://a", "a/", "u@a", "[::1]:80", "ö", " a"] {
        assert!(!is_good("allowed-hosts", host), "{host}");
    }
}

#[test]
fn rules_across_keys_point_at_a_line_too() {
    let both = fault("[mqtt]\nuser = \"u\"\npassword = \"a\"\npassword-file = \"b\"");
    assert_eq!(both, "bridge.toml:4: `password` and `password-file` must not both be there");
    let beside_an_empty_one = fault("[mqtt]\nuser = \"u\"\npassword = \"\"\npassword-file = \"/nonexistent/p\"");
    assert!(beside_an_empty_one.starts_with("bridge.toml:4: `/nonexistent/p` cannot be read"), "{beside_an_empty_one}");
    let userless = fault("[mqtt]\npassword = \"hush\"");
    assert_eq!(userless, "bridge.toml:2: there is a password but no `user` to go with it");
    let unreadable = fault("[mqtt]\nuser = \"u\"\npassword-file = \"/nonexistent/p\"");
    assert!(unreadable.starts_with("bridge.toml:3: `/nonexistent/p` cannot be read: No such file"), "{unreadable}");
}

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
fn a_control_character_in_what_connect_carries_is_a_fault_that_shows_no_password() {
    let rule = "must not contain control characters, such as a line end";
    for (name, value, expected) in [
        ("MQTT_USER", "bridge\n", "MQTT_USER: must not end with a line end, as `echo` writes one".to_owned()),
        ("MQTT_USER", "bri\ndge", format!("MQTT_USER: {rule}")),
        ("MQTT_USER", "bri\u{85}dge", format!("MQTT_USER: {rule}")),
        ("MQTT_USER", "\u{ffff}", "MQTT_USER: must not contain the character U+FFFF".to_owned()),
        ("MQTT_PASSWORD", "hush\r", format!("MQTT_PASSWORD: the password {rule}")),
    ] {
        let fault = parse_with("[mqtt]\nuser = \"u\"", &Environment::from([(name, value)])).unwrap_err();
        assert_eq!(fault.to_string(), expected);
    }
    let alone = "must be the password alone, with one line end behind it at most";
    let directory = Folder::new("password-lines");
    directory.write("mqtt-password", "hush\n\n");
    directory.write("secret", "hush\nhush");
    let in_file = format!("[mqtt]\nuser = \"u\"\npassword-file = \"{}/secret\"", directory.path());
    let credentials = Environment::from([("CREDENTIALS_DIRECTORY", directory.path())]);
    assert_faults(&[
        ("[mqtt]\nuser = \"a\\tb\"", &format!("bridge.toml:2: `user` {rule}")),
        (
            "[mqtt]\nuser = \"u\"\npassword = \"hush\\n\"",
            "bridge.toml:3: `password` must not end with a line end, as `echo` writes one",
        ),
        (&in_file, &format!("bridge.toml:3: `{}/secret` {alone}", directory.path())),
        (
            "[mqtt.will]\npayload = \"x\"\ntopic = \"a\\n\"",
            "bridge.toml:3: `topic` must not contain the character U+000A: \"a\\n\"",
        ),
    ]);
    let fault = parse_with("[mqtt]\nuser = \"u\"", &credentials).unwrap_err();
    let expected = format!("credential mqtt-password: `{}/mqtt-password` {alone}", directory.path());
    assert_eq!(fault.to_string(), expected);
}

#[test]
fn what_kubernetes_sets_for_a_service_of_that_name_is_known_as_that() {
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
fn an_empty_variable_is_none() {
    let file = "[mqtt]\nserver = \"a\"\nport = 1\nkeepalive = 30\nuser = \"b\"\npassword = \"c\"";
    let variables = ["MQTT_SERVER", "MQTT_PORT", "MQTT_KEEPALIVE", "MQTT_USER", "MQTT_PASSWORD"];
    let empty = Environment::from(variables.map(|name| (name, "")));
    assert_eq!(parse_with(file, &empty).unwrap(), parse_with(file, &Environment::default()).unwrap());
    assert_eq!(parse_with("", &empty).unwrap(), parse_with("", &Environment::default()).unwrap());
    // as the tutorial's settings have them, and a server that has no port
    let server = Environment::from([("MQTT_SERVER", "unix:/run/mqtt"), ("MQTT_PORT", "")]);
    assert_eq!(parse_with("", &server).unwrap().mqtt.address(), "unix:/run/mqtt");
}

#[test]
fn the_password_comes_from_environment_credential_password_file_and_key_in_this_order() {
    let directory = Folder::new("password-order");
    directory.write("mqtt-password", "from credential\n");
    directory.write("secret", "from file\r\n");
    let credentials = ("CREDENTIALS_DIRECTORY", directory.path());
    let in_file = format!("[mqtt]\nuser = \"u\"\npassword-file = \"{}/secret\"", directory.path());
    let password = |text: &str, environment: &Environment| {
        let login = parse_with(text, environment).unwrap().mqtt.login;
        login.expect("a login").password.reveal().to_owned()
    };
    assert_eq!(
        password(&in_file, &Environment::from([("MQTT_PASSWORD", "from environment"), credentials])),
        "from environment"
    );
    assert_eq!(password(&in_file, &Environment::from([credentials])), "from credential");
    assert_eq!(password(&in_file, &Environment::default()), "from file");
    assert_eq!(password("[mqtt]\nuser = \"u\"\npassword = \"from key\"", &Environment::default()), "from key");
    let unreadable = "[mqtt]\nuser = \"u\"\npassword-file = \"/nonexistent\"";
    assert_eq!(password(unreadable, &Environment::from([("MQTT_PASSWORD", "from environment")])), "from environment");
    directory.write("mqtt-password", "");
    assert_eq!(password(&in_file, &Environment::from([credentials])), "from file", "an empty credential is none");
}

#[test]
fn a_relative_password_file_lies_beside_the_configuration() {
    let directory = Folder::new("password-beside");
    directory.write("p", "hush\n");
    directory.write("bridge.toml", "[mqtt]\nuser = \"u\"\npassword-file = \"p\"");
    let source = Source::File(PathBuf::from(directory.path()).join("bridge.toml"));
    let config = Config::load(&source, &Environment::default()).unwrap();
    assert_eq!(config.mqtt.login.unwrap().password.reveal(), "hush");
}

#[test]
fn a_credential_is_known_by_the_file_that_it_is_a_copy_of() {
    let directory = Folder::new("credential");
    directory.write("of-a-test.toml", "[mqtt]\nuser = \"u\"\npassword-file = \"p\"");
    let environment = Environment::from([("CREDENTIALS_DIRECTORY", directory.path())]);
    let copy = PathBuf::from(directory.path()).join("of-a-test.toml");
    let source = Source::find(Some(copy.clone()), &environment);
    let original = PathBuf::from("/etc/mqtt-bridge/of-a-test.toml");
    assert_eq!(source, Source::Credential { copy: copy.clone(), original: original.clone() });
    let fault = Config::load(&source, &environment).unwrap_err().to_string();
    let start = "/etc/mqtt-bridge/of-a-test.toml:3: `/etc/mqtt-bridge/p` cannot be read: ";
    assert!(fault.starts_with(start), "a relative path lies beside the original: {fault}");

    directory.write("of-a-test.toml", "[mqtt]\nport = 1");
    let mqtt = Config::load(&source, &environment).unwrap().mqtt;
    assert_eq!(mqtt.address(), "127.0.0.1:1", "the copy is read");
    let by_hand = Config::parse("", &Source::File(original), &Environment::default()).unwrap().mqtt;
    assert_eq!(mqtt.client_id, by_hand.client_id, "the name at the broker is that of the original");

    directory.write("of-a-test.toml", "\n");
    assert_eq!(Source::find(Some(copy.clone()), &environment), Source::BuiltIn, "there is no such file");
    assert_eq!(Source::find(Some(copy.clone()), &Environment::default()), Source::File(copy));
}

#[test]
fn a_secret_is_shown_nowhere() {
    let config = parse("[mqtt]\nuser = \"u\"\npassword = \"hush\"").unwrap();
    assert!(!format!("{config:?}").contains("hush"), "Debug hides it");
    for text in [
        "[mqtt]\npassword = \"hush\"",
        "[mqtt]\npassword = [\"hush\"]",
        "[mqtt]\npassword = \"hush",
        "[mqtt]\nuser=1\npassword = \"hush\\u0000\"",
    ] {
        let fault = fault(text);
        assert!(!fault.contains("hush"), "{fault}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault_with_its_path() {
    let source = Source::File("/nonexistent/bridge.toml".into());
    let fault = Config::load(&source, &Environment::default()).unwrap_err();
    assert_eq!(fault.to_string(), "/nonexistent/bridge.toml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_file_that_is_no_utf_8_is_a_fault_with_its_line() {
    let folder = Folder::new("utf-8");
    let path = PathBuf::from(folder.path()).join("bridge.toml");
    std::fs::write(&path, b"[mqtt]\nserver = \"\xff\"").unwrap();
    let fault = Config::load(&Source::File(path.clone()), &Environment::default()).unwrap_err();
    assert_eq!(fault.to_string(), format!("{}:2: must be UTF-8 text", path.display()));
}

#[test]
fn what_is_there_but_cannot_be_read_is_a_fault_and_not_passed_over() {
    let endless = Config::load(&Source::File("/dev/zero".into()), &Environment::default()).unwrap_err();
    assert_eq!(endless.to_string(), "/dev/zero: cannot be read: it is longer than 1048576 bytes");
    let folder = Folder::new("dangling");
    let credential = PathBuf::from(folder.path()).join("mqtt-password");
    std::os::unix::fs::symlink("nowhere", &credential).unwrap();
    assert!(is_there(&credential));
    let fault = parse_with("", &Environment::from([("CREDENTIALS_DIRECTORY", folder.path())])).unwrap_err();
    assert!(fault.to_string().starts_with("credential mqtt-password: "), "{fault}");
}

/// A folder that is gone at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mqtt-bridge-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
