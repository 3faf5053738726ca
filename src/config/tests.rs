//! Each rule of the configuration, and the line that tells of its breach.

use super::*;

fn parse(text: &str) -> Result<Config, Fault> {
    parse_with(text, &Environment::default())
}

fn parse_with(text: &str, environment: &Environment) -> Result<Config, Fault> {
    Config::parse(text, &Source::File("bridge.toml".into()), environment)
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
    let unknown_keys = ["[mqtt]\nx=1", "[[subscribe]]\nx=1", "[publish]\nx=1", "[http]\nx=1"];
    for names in unknown_keys.map(fault) {
        let keys = names.split('`').skip(3).step_by(2);
        for key in keys {
            assert!(shipped.contains(&format!("{key} = ")), "{key} is in the shipped file");
        }
    }
}

#[test]
fn defaults_are_those_of_the_tutorial() {
    let config = parse("").unwrap();
    assert_eq!(config.mqtt.address(), "127.0.0.1:1883");
    assert_eq!(config.mqtt.keepalive, Duration::from_secs(60));
    assert_eq!(config.mqtt.login, None);
    assert_eq!(config.http.listen, "127.0.0.1:8000".parse().unwrap());
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
        reconnect-max = 0.5
        [[subscribe]]
        topic = "a/+"
        qos = 1
        [[subscribe]]
        topic = "b"
        [publish]
        timeout = 2.5
        max-timeout = 3
        max-waiting = 7
        [http]
        listen = "[::1]:0"
        workers = 3
        max-body = 10
        "#,
    )
    .unwrap();
    let expected = Config {
        mqtt: Mqtt {
            server: "::1".to_owned(),
            port: 1884,
            keepalive: Duration::from_secs(5),
            login: Some(Login { user: "alice".to_owned(), password: Secret("s3cret".to_owned()) }),
            client_id: "kitchen".to_owned(),
            protocol: Protocol::V311,
            session: Session::Kept { expiry: 60 },
            max_packet_size: 2048,
            reconnect_max: Duration::from_millis(500),
        },
        subscribe: vec![
            Subscription { topic: TopicFilter::try_from("a/+".to_owned()).unwrap(), qos: Qos::AtLeastOnce },
            Subscription { topic: TopicFilter::try_from("b".to_owned()).unwrap(), qos: Qos::AtMostOnce },
        ],
        publish: Publish { timeout: Duration::from_millis(2500), max_timeout: Duration::from_secs(3), max_waiting: 7 },
        http: Http { listen: "[::1]:0".parse().unwrap(), workers: 3, max_body: 10 },
    };
    assert_eq!(config, expected);
    assert_eq!(config.mqtt.address(), "[::1]:1884");
}

#[test]
fn each_fault_is_one_line_with_file_line_key_and_rule() {
    let cases = [
        ("[mqtt]\nprot = 1", "bridge.toml:2: unknown field `prot`, expected one of `server`, `port`"),
        ("\n[mqt]", "bridge.toml:2: unknown field `mqt`, expected one of `mqtt`, `subscribe`, `publish`, `http`"),
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
            "[mqtt]\nserver = \"mqtt://x\"",
            "bridge.toml:2: `server` must be a host name or an address, without scheme and port, not \"mqtt://x\"",
        ),
        ("[mqtt]\nserver = \"x:1883\"", "bridge.toml:2: `server` must be"),
        ("[mqtt]\nserver = \"\"", "bridge.toml:2: `server` must be"),
        ("[mqtt]\nserver = 1", "bridge.toml:2: `server` must be a string, not 1"),
        ("[mqtt]\nkeepalive = 4", "bridge.toml:2: `keepalive` must be a whole number from 5 to 65535, not 4 (seconds)"),
        ("[mqtt]\nuser = \"a\\u0000\"", "bridge.toml:2: `user` must be"),
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
        ("[publish]\nmax-waiting = 0", "bridge.toml:2: `max-waiting` must be a whole number from 1 to 1000000, not 0"),
        ("mqtt = [\"127.0.0.1\", 1884]", "bridge.toml:1: invalid type: sequence, expected a table, in single brackets"),
        ("[[mqtt]]\nport = 1", "bridge.toml:1: invalid type: sequence, expected a table, in single brackets"),
        ("http = \"x\"", "bridge.toml:1: invalid type: string \"x\", expected a table, in single brackets"),
        (
            "[subscribe]\ntopic = \"a\"",
            "bridge.toml:1: invalid type: map, expected tables in double brackets, [[subscribe]]",
        ),
        ("subscribe = [[\"a\", 1]]", "bridge.toml:1: invalid type: sequence, expected a table, in single brackets"),
        ("[mqtt]\nclient-id = \"\"", "bridge.toml:2: `client-id` must not be empty"),
        (
            "[mqtt]\nmax-packet-size = 1",
            "bridge.toml:2: `max-packet-size` must be a whole number from 1024 to 268435460, not 1 (bytes)",
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
        (
            "[http]\nlisten = \"8000\"",
            "bridge.toml:2: `listen` must be an address and a port such as \"127.0.0.1:8000\"",
        ),
        ("[http]\nlisten = \"0.0.0.0:8000\"", "bridge.toml:2: `listen` must be a loopback address"),
        ("[http]\nworkers = 0", "bridge.toml:2: `workers` must be a whole number from 1 to 64, not 0"),
        (
            "[http]\nmax-body = true",
            "bridge.toml:2: `max-body` must be a whole number from 1 to 268435460, not true (bytes)",
        ),
    ];
    for (text, start) in cases {
        let fault = fault(text);
        assert!(fault.starts_with(start), "{text:?} gives {fault:?}");
        assert_eq!(fault.lines().count(), 1, "{fault:?}");
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
        ("MQTT_PORT", "", "MQTT_PORT: must be a whole number from 1 to 65535, not \"\""),
        ("MQTT_SERVER", "", "MQTT_SERVER: must be a host name or an address, without scheme and port, not \"\""),
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
fn an_empty_user_in_the_environment_means_anonymous() {
    let environment = Environment::from([("MQTT_USER", "")]);
    let mqtt = parse_with("[mqtt]\nuser = \"a\"\npassword = \"b\"", &environment).unwrap().mqtt;
    assert_eq!(mqtt.login, None);
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
fn the_default_client_identifier_is_stable_and_differs_by_machine_and_by_file() {
    let id = client_id_from(b"machine", Path::new("/etc/mqtt-bridge/bridge.toml"));
    assert_eq!(id, client_id_from(b"machine", Path::new("/etc/mqtt-bridge/bridge.toml")));
    assert_eq!(id.len(), 22);
    assert!(id.strip_prefix("mqtt-bridge-").unwrap().bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_ne!(id, client_id_from(b"clone", Path::new("/etc/mqtt-bridge/bridge.toml")));
    assert_ne!(id, client_id_from(b"machine", Path::new("/srv/bridge.toml")));
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
