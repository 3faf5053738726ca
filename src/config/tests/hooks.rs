//! `[[hook]]`.

use super::*;

const HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Where a hook is complete in line 4.
const HOOK: &str = "[[hook]]\nname = \"a\"\ntopic = \"a\"\n";
const WITH_SECRET: &str =
    "secret-sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n[[hook]]\n";

#[test]
fn each_fault_of_a_hook_is_one_line_too() {
    let hash = format!("secret-sha256 = \"{HASH}\"");
    let rule = "must be a string of 64 hexadecimal digits, the SHA-256 of a secret, or a list of two such strings: `mqtt-bridge --new-hook NAME` prints a secret and its hash";
    let three = format!("secret-sha256 = [\"{HASH}\", \"{HASH}\", \"{HASH}\"]");
    let long = format!("msg = \"{}\"", "x".repeat(65_536));
    let signed = |line: &str| format!("signature = \"github\"\n{line}");
    let other_is_github = "must be left out unless `signature` is \"hmac-sha256\"";
    for (lines, start) in [
        (
            "",
            "bridge.toml:2: this [[hook]] needs `secret-sha256` or `signature`: else everybody could call it"
                .to_owned(),
        ),
        ("secret-sha256 = []", "bridge.toml:2: this [[hook]] needs `secret-sha256` or `signature`".to_owned()),
        (&three, format!("bridge.toml:4: `secret-sha256` {rule}")),
        ("methods = []", "bridge.toml:4: `methods` must have \"GET\", \"POST\" or both".to_owned()),
        ("methods = \"GET\"", "bridge.toml:4: `methods` must be a list of methods in brackets, not \"GET\"".to_owned()),
        ("methods = [\"PUT\"]", "bridge.toml:4: `methods` must be \"GET\" or \"POST\", not \"PUT\"".to_owned()),
        (&long, "bridge.toml:4: `msg` must be at most 65535 bytes long".to_owned()),
        ("qos = 3", "bridge.toml:4: `qos` must be 0, 1 or 2".to_owned()),
        ("retain = 1", "bridge.toml:4: `retain` must be true or false, not 1".to_owned()),
        ("properties = [\"a b\"]", "bridge.toml:4: `properties` must be the name of a header, not \"a b\"".to_owned()),
        (
            "properties = [\"Cookie\"]",
            "bridge.toml:4: `properties` must not have \"Cookie\", which identifies the sender".to_owned(),
        ),
        ("content-type = \"a\\n\"", "bridge.toml:4: `content-type` must not contain the character U+000A".to_owned()),
        ("rate = 0", "bridge.toml:4: `rate` must be a number of messages per second".to_owned()),
        ("timeout = 0", "bridge.toml:4: `timeout` must be".to_owned()),
        ("timeout = 61", "bridge.toml:4: `timeout` must be at most `max-timeout`, which is 60 s".to_owned()),
        ("allow-browsers = \"yes\"", "bridge.toml:4: `allow-browsers` must be true or false, not \"yes\"".to_owned()),
        (
            "signature = \"sha1\"",
            "bridge.toml:4: `signature` must be \"github\", \"stripe\", \"standard\" or \"hmac-sha256\", not \"sha1\""
                .to_owned(),
        ),
        (
            &signed(""),
            "bridge.toml:4: `signature` needs a `signature-secret-file`, or the credential hook-a".to_owned(),
        ),
        (&signed(&hash), "bridge.toml:5: `secret-sha256` and `signature` must not both be there".to_owned()),
        (
            &signed("methods = [\"GET\"]"),
            "bridge.toml:4: `signature` needs `methods` to be [\"POST\"]: it signs a body".to_owned(),
        ),
        (&signed("header = \"X\""), format!("bridge.toml:5: `header` {other_is_github}")),
        (&signed("encoding = \"hex\""), format!("bridge.toml:5: `encoding` {other_is_github}")),
        ("header = \"X\"", format!("bridge.toml:4: `header` {other_is_github}")),
        (
            "signature = \"hmac-sha256\"",
            "bridge.toml:4: `signature` needs a `header` that has the signature".to_owned(),
        ),
        (
            "signature = \"hmac-sha256\"\nheader = \"a:\"",
            "bridge.toml:5: `header` must be the name of a header, not \"a:\"".to_owned(),
        ),
        (
            "signature = \"hmac-sha256\"\nencoding = \"hex \"",
            "bridge.toml:5: `encoding` must be \"hex\" or \"base64\", not \"hex \"".to_owned(),
        ),
        ("signature-secret-file = \"f\"", "bridge.toml:4: `signature-secret-file` needs a `signature`".to_owned()),
        ("secret = 1", "bridge.toml:4: unknown field `secret`, expected one of `name`, `methods`, `topic`".to_owned()),
    ] {
        assert_faults(&[(&format!("{HOOK}{lines}"), &start)]);
    }
    let known = "there are `{query.NAME}`, `{header.NAME}` and `{json./POINTER}`";
    for (text, start) in [
        (
            "name = \"a b\"",
            "bridge.toml:2: `name` must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, not all of them dots, not \"a b\"",
        ),
        (
            "name = \"..\"",
            "bridge.toml:2: `name` must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, not all of them dots, not \"..\"",
        ),
        (
            "name = \"a\"\ntopic = \"a/{header.Cookie}\"",
            "bridge.toml:3: `topic` must not have \"Cookie\", which identifies the sender",
        ),
        ("name = \"a\"", "bridge.toml:1: `topic` is missing in this [[hook]]"),
        ("topic = \"a\"", "bridge.toml:1: `name` is missing in this [[hook]]"),
        ("name = \"a\"\ntopic = \"a/#\"", "bridge.toml:3: `topic` must not contain the wildcard `#`"),
        ("name = \"a\"\ntopic = \"a/{q\"", "bridge.toml:3: `topic` must have a `}` for each `{`: \"a/{q\""),
        (
            "name = \"a\"\ntopic = \"{q}\"",
            &format!("bridge.toml:3: `topic` has an unknown placeholder `{{q}}`: {known}"),
        ),
    ] {
        assert_faults(&[(&format!("[[hook]]\n{text}"), start)]);
    }
    let twice = fault(&format!("{HOOK}{WITH_SECRET}name = \"a\"\ntopic = \"b\"\nsecret-sha256 = \"{HASH}\""));
    assert_eq!(twice, "bridge.toml:6: this `name` is there twice: each [[hook]] needs one of its own");
}

#[test]
fn a_secret_of_a_hook_in_the_place_of_its_hash_is_not_shown() {
    for value in ["\"hush\"", "[\"hush\"]", "hush", "\"hush", "[\"hush\", 1]"] {
        let fault = fault(&format!("{HOOK}secret-sha256 = {value}"));
        assert!(fault.starts_with("bridge.toml:4: ") && !fault.contains("hush"), "{fault}");
        assert_eq!(fault.lines().count(), 1, "{fault:?}");
    }
    let fault = fault("\n\nhook = [\"hush\"]");
    assert!(fault.starts_with("bridge.toml:3: ") && !fault.contains("hush"), "{fault}");
}

/// The secrets of a signed hook whose file has this content, or the fault.
fn signed(scheme: &str, content: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let folder = Folder::new("hook-secrets");
    let path = PathBuf::from(folder.path()).join("secrets");
    std::fs::write(&path, content).unwrap();
    let hook = format!("{HOOK}signature = \"{scheme}\"\nsignature-secret-file = \"{}\"", path.display());
    let config = parse(&hook).map_err(|fault| fault.to_string().replace(&*path.to_string_lossy(), "PATH"))?;
    match &config.hooks[0].proof {
        Proof::Signature(_, keys) => Ok(keys.clone()),
        Proof::Path(_) => unreachable!("it is signed"),
    }
}

#[test]
fn a_file_has_one_secret_or_two() {
    let keys = |keys: &[&[u8]]| Ok(keys.iter().map(|key| key.to_vec()).collect::<Vec<_>>());
    assert_eq!(signed("github", b"hush\n"), keys(&[b"hush"]));
    assert_eq!(signed("stripe", b"\xef\xbb\xbf whsec_a \r\n\nhush hush"), keys(&[b"whsec_a", b"hush hush"]));
    assert_eq!(signed("standard", b"whsec_YQ==\nYg=="), keys(&[b"a", b"b"]));
    let many = "`PATH` must have one secret, or two while one is renewed, each in a line of its own";
    let base64 = "`PATH` must have secrets in base64 with padding, with or without `whsec_` before them";
    for (scheme, content, fault) in [
        ("github", &b""[..], many),
        ("github", b"\n \n", many),
        ("github", b"hush\nhush\nhush", many),
        ("github", b"hush\xff", "`PATH` cannot be read: it is not UTF-8 text"),
        ("github", &[b'h'; 4097], "`PATH` cannot be read: it is longer than 4096 bytes"),
        ("standard", b"whsec_hush!", base64),
        ("standard", b"whsec_", base64),
    ] {
        assert_eq!(signed(scheme, content), Err(format!("bridge.toml:5: {fault}")));
    }
    let missing = fault(&format!("{HOOK}signature = \"github\"\nsignature-secret-file = \"/nonexistent/s\""));
    let words = "bridge.toml:5: `/nonexistent/s` cannot be read: No such file or directory (os error 2)";
    assert_eq!(missing, words);
}

#[test]
fn a_credential_wins_over_the_file_and_no_secret_is_shown() {
    let folder = Folder::new("hook-credential");
    folder.write("hook-a", "hush");
    let environment = Environment::from([("CREDENTIALS_DIRECTORY", folder.path())]);
    for file in ["", "signature-secret-file = \"/nonexistent/s\""] {
        let config = parse_with(&format!("{HOOK}signature = \"github\"\n{file}"), &environment).unwrap();
        let proof = &config.hooks[0].proof;
        assert!(*proof == Proof::Signature(Scheme::Github, vec![b"hush".to_vec()]));
        assert_eq!(format!("{proof:?}"), "Signature(Github, ..)");
    }
    folder.write("hook-a", "");
    let fault = parse_with(&format!("{HOOK}signature = \"github\""), &environment).unwrap_err().to_string();
    assert!(fault.starts_with("credential hook-a: "), "{fault}");
}

#[test]
fn two_hashes_are_there_while_a_secret_is_renewed() {
    let ones = HASH.replace('0', "1");
    let config = parse(&format!("{HOOK}secret-sha256 = [\"{HASH}\", \"{ones}\"]")).unwrap();
    assert!(config.hooks[0].proof == Proof::Path(vec![[0; 32], [0x11; 32]]));
    assert_eq!(format!("{:?}", config.hooks[0].proof), "Path(..)");
}

#[test]
fn without_a_timeout_a_hook_has_8_s_or_the_longest() {
    let hook = format!("{HOOK}secret-sha256 = \"{HASH}\"");
    let timeout = |text: &str| parse(text).unwrap().hooks[0].table.timeout;
    assert_eq!(timeout(&hook), Duration::from_secs(8));
    assert_eq!(timeout(&format!("{hook}\n[publish]\nmax-timeout = 5")), Duration::from_secs(5));
}

#[test]
fn variables_make_a_hook() {
    let ones = HASH.replace('0', "1");
    let variables = [
        ("MQTT_BRIDGE_HOOK_0_NAME", "7"),
        ("MQTT_BRIDGE_HOOK_0_TOPIC", "a/{query.b}"),
        ("MQTT_BRIDGE_HOOK_0_METHODS", "GET,POST"),
        ("MQTT_BRIDGE_HOOK_0_SECRET_SHA256", &format!("{HASH}, {ones}")),
        ("MQTT_BRIDGE_HOOK_0_PROPERTIES", "X-A,X-B"),
        ("MQTT_BRIDGE_HOOK_0_MSG", "1"),
        ("MQTT_BRIDGE_HOOK_0_ALLOW_BROWSERS", "true"),
    ];
    let lines = "methods = [\"GET\", \"POST\"]\nproperties = [\"X-A\", \"X-B\"]\nmsg = \"1\"\nallow-browsers = true";
    let hashes = format!("secret-sha256 = [\"{HASH}\", \"{ones}\"]");
    let file = format!("[[hook]]\nname = \"7\"\ntopic = \"a/{{query.b}}\"\n{lines}\n{hashes}");
    assert_eq!(parse_with("", &Environment::from(variables)), parse(&file));
    let one = [variables[0], variables[1], ("MQTT_BRIDGE_HOOK_0_SECRET_SHA256", HASH)];
    assert_eq!(parse_with(&file, &Environment::from(one)).unwrap().hooks[0].table.methods, [Method::Post], "no others");
    let hush = [variables[0], variables[1], ("MQTT_BRIDGE_HOOK_0_SECRET_SHA256", "hush")];
    let fault = parse_with("", &Environment::from(hush)).unwrap_err().to_string();
    assert!(
        fault.starts_with("MQTT_BRIDGE_HOOK_0_SECRET_SHA256: `secret-sha256` must be") && !fault.contains("hush"),
        "{fault}"
    );
}
