//! User name and password.

use super::*;

#[test]
fn faults_of_rules_across_keys_have_a_line_too() {
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
fn a_relative_password_file_is_beside_the_configuration() {
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
