//! The file as a whole: the shipped one, the defaults, and every key.

use ::log::LevelFilter;

use super::*;
#[cfg(feature = "webhook")]
use crate::message::TopicName;

#[test]
fn the_shipped_file_has_the_built_in_defaults_and_every_key() {
    let shipped = include_str!("../../../bridge.toml");
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
        "[outbox]\nx=1",
        "[http]\nx=1",
        "[[token]]\nx=1",
        "[[hook]]\nx=1",
        "[[webhook]]\nx=1",
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

fn expected_hook() -> Hook {
    let table = HookTable {
        name: "door".to_owned(),
        methods: vec![Method::Get, Method::Post],
        topic: TopicTemplate::parse("home/{query.button}").unwrap(),
        msg: Some("pressed".to_owned()),
        qos: Qos::ExactlyOnce,
        retain: true,
        secret_sha256: vec![[0; 32]],
        signature: None,
        header: None,
        encoding: Encoding::Hex,
        signature_secret_file: None,
        content_type: Some(MqttString::try_from("text/plain".to_owned()).unwrap()),
        properties: vec!["X-Event".to_owned()],
        rate: Some(5.0),
        timeout: Duration::from_secs(2),
        ttl: Duration::from_secs(30),
        allow_browsers: true,
    };
    Hook { table, proof: Proof::Path(vec![[0; 32]]) }
}

#[cfg(feature = "webhook")]
fn expected_webhook() -> Webhook {
    Webhook {
        name: "orders".to_owned(),
        topic: filter("$share/g/orders/#"),
        qos: Qos::AtMostOnce,
        url: Url { text: "http://[::1]:8080/in?a".to_owned(), is_https: false, host: "::1".to_owned() },
        timeout: Duration::from_millis(500),
        retry_for: Duration::from_secs(60),
        dead_letter: Some(TopicName::try_from("dead".to_owned()).unwrap()),
        in_flight: 4,
        format: WebhookFormat::Json,
        keys: Vec::new(),
        headers: vec![("X-A".to_owned(), Secret("b".to_owned()))],
        tls: None,
        session_expiry: 3600,
    }
}

/// Those of its keys that name no file.
#[cfg(feature = "webhook")]
const WEBHOOK: &str = r#"
        [[webhook]]
        name = "orders"
        topic = "$share/g/orders/#"
        qos = 0
        url = "http://[::1]:8080/in?a"
        timeout = 0.5
        retry-for = 60
        dead-letter = "dead"
        in-flight = 4
        format = "json"
        headers = { X-A = "b" }
        session-expiry = 3600
        "#;

#[cfg(feature = "webhook")]
#[test]
fn every_key_of_a_webhook_is_read_or_has_its_default() {
    assert_eq!(parse(WEBHOOK).unwrap().webhooks, [expected_webhook()]);
    let least = "[[webhook]]\nname = \"a\"\ntopic = \"a\"\nurl = \"http://localhost\"";
    let expected = Webhook {
        name: "a".to_owned(),
        topic: filter("a"),
        qos: Qos::AtLeastOnce,
        url: Url { text: "http://localhost".to_owned(), is_https: false, host: "localhost".to_owned() },
        timeout: Duration::from_secs(15),
        retry_for: Duration::from_secs(86_400),
        dead_letter: None,
        in_flight: 1,
        format: WebhookFormat::Raw,
        keys: Vec::new(),
        headers: Vec::new(),
        tls: None,
        session_expiry: 604_800,
    };
    assert_eq!(parse(least).unwrap().webhooks, [expected]);
}

const EVERY_KEY: &str = r#"
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
        store = true
        idempotency-keys = 8
        idempotency-ttl = 9.5
        forward-idempotency-key = false
        [outbox]
        path = "/outbox.db"
        max-messages = 10
        max-bytes = 2097152
        max-ttl = 60
        keep = 2592000
        [http]
        listen = "[::1]:0"
        workers = 3
        max-body = 10
        max-connections = 20
        max-listeners = 0
        retained-wait = 0.25
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
        [[hook]]
        name = "door"
        methods = ["GET", "POST"]
        topic = "home/{query.button}"
        msg = "pressed"
        qos = 2
        retain = true
        secret-sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
        content-type = "text/plain"
        properties = ["X-Event"]
        rate = 5
        timeout = 2
        ttl = 30
        allow-browsers = true
        [log]
        level = "debug"
        format = "json"
        time = false
        "#;

#[test]
fn every_key_is_read() {
    let config = parse(EVERY_KEY).unwrap();
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
            webhook: None,
            receive_maximum: 10_000,
            retained_once: false,
            reconnect_max: Duration::from_millis(500),
            will: None,
        },
        subscribe: vec![
            Subscription { topic: filter("a/+"), qos: Qos::AtLeastOnce, priority: Priority::INFORMATIONAL },
            Subscription { topic: filter("b"), qos: Qos::AtMostOnce, priority: Priority::ERROR },
        ],
        publish: Publish {
            timeout: Duration::from_millis(2500),
            max_timeout: Duration::from_secs(3),
            max_waiting: 7,
            store: true,
            idempotency_keys: 8,
            idempotency_ttl: Duration::from_millis(9500),
            forward_idempotency_key: false,
        },
        outbox: Outbox {
            path: Some("/outbox.db".into()),
            max_messages: 10,
            max_bytes: 2 * 1024 * 1024,
            max_ttl: Duration::from_secs(60),
            keep: Duration::from_secs(30 * 86_400),
        },
        http: Http {
            listen: Listen::Tcp("[::1]:0".parse().unwrap()),
            workers: 3,
            max_body: 10,
            max_connections: 20,
            max_listeners: 0,
            retained_wait: Duration::from_millis(250),
            idle_timeout: Duration::from_millis(500),
            request_timeout: Duration::from_secs(3),
            allow_anonymous: true,
            allowed_hosts: ["bridge.example", "192.0.2.1", "2001:db8::1"].map(str::to_owned).into(),
            allowed_origins: ["https://example.com", "http://example.com:8080", "http://[::1]:1"]
                .map(str::to_owned)
                .into(),
        },
        tokens: expected_tokens(),
        hooks: vec![expected_hook()],
        webhooks: Vec::new(),
        log: Log { level: LevelFilter::Debug, format: LogFormat::Json, time: false },
        warnings: vec![],
    };
    assert_eq!(config, expected);
    assert_eq!(config.mqtt.address(), "[::1]:1884");
}
