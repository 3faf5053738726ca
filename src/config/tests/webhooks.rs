//! `[[webhook]]`.

use super::*;

/// Where a webhook is complete in line 5.
const WEBHOOK: &str = "[[webhook]]\nname = \"a\"\ntopic = \"a/#\"\nurl = \"http://localhost/in\"\n";

/// The fault of a webhook with this URL.
fn fault_of_url(url: &str) -> String {
    fault(&format!("[[webhook]]\nname = \"a\"\ntopic = \"a\"\nurl = \"{url}\""))
}

/// The headers of a webhook with this value of the key.
fn headers(value: &str) -> Result<Vec<(String, String)>, String> {
    let config = parse(&format!("{WEBHOOK}headers = {value}")).map_err(|fault| fault.to_string())?;
    let headers = config.webhooks[0].headers.iter();
    Ok(headers.map(|(name, value)| (name.clone(), value.reveal().to_owned())).collect())
}

#[test]
fn each_fault_of_a_webhook_is_one_line_too() {
    let twice = "must not both be there";
    for (lines, start) in [
        ("qos = 2", "`qos` must be 0 or 1: the MQTT client forgets what it received at 2 when it resumes a session"),
        ("qos = 3", "`qos` must be 0 or 1, not 3"),
        ("timeout = 0", "`timeout` must be a number of seconds from 0.001 to 300, not 0"),
        ("timeout = 301", "`timeout` must be a number of seconds from 0.001 to 300, not 301"),
        ("retry-for = -1", "`retry-for` must be a whole number from 0 to 2592000, not -1 (seconds)"),
        ("retry-for = 2592001", "`retry-for` must be a whole number from 0 to 2592000, not 2592001 (seconds)"),
        ("in-flight = 0", "`in-flight` must be a whole number from 1 to 64, not 0"),
        ("in-flight = 65", "`in-flight` must be a whole number from 1 to 64, not 65"),
        ("format = \"xml\"", "`format` must be \"raw\" or \"json\", not \"xml\""),
        ("session-expiry = 0", "`session-expiry` must be a whole number from 1 to 4294967295, not 0 (seconds)"),
        ("dead-letter = \"b/+\"", "`dead-letter` must not contain the wildcard `+`"),
        ("dead-letter = \"a\"", "`dead-letter` must not match `topic`, or the webhook would get it again"),
        ("dead-letter = \"a/dead\"", "`dead-letter` must not match `topic`, or the webhook would get it again"),
        ("ca-file = \"f\"", "`ca-file` is for TLS, which is not on: set a `url` with https://"),
        ("secret-file = \"\"", "`secret-file` must be the path of a file"),
        ("secret-file = \"/nonexistent/s\"", "`/nonexistent/s` cannot be read: No such file or directory"),
        ("authorization-file = \"/nonexistent/s\"", "`/nonexistent/s` cannot be read: No such file or directory"),
        (
            "authorization-file = \"f\"\nheaders = { authorization = \"hush\" }",
            &format!("`authorization-file` and \"Authorization\" in `headers` {twice}"),
        ),
        ("secret = 1", "unknown field `secret`, expected one of `name`, `topic`, `qos`, `url`"),
    ] {
        assert_faults(&[(&format!("{WEBHOOK}{lines}"), &format!("bridge.toml:5: {start}"))]);
    }
    let rule = "must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, not all of them dots";
    assert_faults(&[
        ("[[webhook]]\ntopic = \"a\"", "bridge.toml:1: `name` is missing in this [[webhook]]"),
        ("[[webhook]]\nname = \"a\"", "bridge.toml:1: `topic` is missing in this [[webhook]]"),
        ("[[webhook]]\nname = \"a\"\ntopic = \"a\"", "bridge.toml:1: `url` is missing in this [[webhook]]"),
        ("[[webhook]]\nname = \"a b\"", &format!("bridge.toml:2: `name` {rule}, not \"a b\"")),
        ("[[webhook]]\nname = \"..\"", &format!("bridge.toml:2: `name` {rule}, not \"..\"")),
        (
            "[[webhook]]\nname = \"a\"\ntopic = \"a#\"",
            "bridge.toml:3: `topic` `#` must be the last level, and all of it: \"a#\"",
        ),
        (
            &format!("{WEBHOOK}{WEBHOOK}"),
            "bridge.toml:6: this `name` is there twice: each [[webhook]] needs one of its own",
        ),
        (
            &format!("[mqtt]\nclient-id = \"\"\n{WEBHOOK}"),
            "bridge.toml:2: `client-id` must not be empty where there is a [[webhook]]",
        ),
        (
            "[webhook]\nname = \"a\"",
            "bridge.toml:1: invalid type: map, expected tables in double brackets, [[webhook]]",
        ),
    ]);
    let shared = WEBHOOK.replace("a/#", "$share/g/a/#");
    assert_eq!(parse(&shared).unwrap().webhooks[0].topic, filter("$share/g/a/#"));
    assert_eq!(
        fault(&format!("{shared}dead-letter = \"a/b\"")),
        "bridge.toml:5: `dead-letter` must not match `topic`, or the webhook would get it again"
    );
}

#[test]
fn there_are_at_most_16_webhooks() {
    let some = |count: usize| -> String { (0..count).map(|n| WEBHOOK.replace("\"a\"", &format!("\"{n}\""))).collect() };
    assert_eq!(parse(&some(16)).unwrap().webhooks.len(), 16);
    assert_eq!(fault(&some(17)), "bridge.toml:66: there must be at most 16 [[webhook]]");
}

#[test]
fn a_url_has_a_scheme_a_host_and_perhaps_a_port_and_is_never_shown_whole() {
    for (url, is_https, host) in [
        ("http://localhost", false, "localhost"),
        ("HTTP://Backend.Example:8080/a?b=c[]", false, "Backend.Example"),
        ("http://[2001:db8::1]:80?q", false, "2001:db8::1"),
        ("http://192.0.2.1:65535/a@b:c", false, "192.0.2.1"),
        #[cfg(feature = "tls")]
        ("https://my_backend.example/%20", true, "my_backend.example"),
    ] {
        let config = parse(&format!("[[webhook]]\nname = \"a\"\ntopic = \"a\"\nurl = \"{url}\"")).unwrap();
        let found = &config.webhooks[0].url;
        assert_eq!((found.text.as_str(), found.is_https, found.host.as_str()), (url, is_https, host));
        assert_eq!(config.webhooks[0].tls.is_some(), is_https);
    }
    let host = "must have a host that is a name of DNS or an address, an IPv6 address in brackets";
    let port = "must have a port from 1 to 65535 behind the host, or none";
    let scheme = "must begin with https:// or http://";
    let login = "must have no user name and password in it: set `headers` or `authorization-file`";
    let characters = "must have only characters of URLs, without spaces: %20 is a space";
    let long = format!("http://localhost/{}", "x".repeat(2032));
    for (url, rule) in [
        ("", scheme),
        ("localhost/hush", scheme),
        ("ftp://hush", scheme),
        ("http:/hush", scheme),
        ("http://", host),
        ("http:///hush", host),
        ("http://:80/hush", host),
        ("http://hu sh", host),
        ("http://hush\\u0000", host),
        ("http://::1/", host),
        ("http://[hush]/", host),
        ("http://[::1/", host),
        ("http://ö.example/", host),
        ("http://localhost:/hush", port),
        ("http://localhost:0/hush", port),
        ("http://localhost:65536/hush", port),
        ("http://localhost:+1/hush", port),
        ("http://user:hush@localhost/", login),
        ("http://hush@localhost", login),
        ("http://localhost/#hush", "must have no fragment, which begins with #: it is never sent"),
        ("http://localhost/?hush#", "must have no fragment, which begins with #: it is never sent"),
        ("http://localhost/hu sh", characters),
        ("http://localhost/hush\\n", characters),
        ("http://localhost/?hush=ö", characters),
        (&long, "must be at most 2048 bytes long"),
    ] {
        let fault = fault_of_url(url);
        assert_eq!(fault, format!("bridge.toml:4: `url` {rule}"), "{url}");
        assert!(!fault.contains("hush"), "{fault}");
    }
    #[cfg(feature = "tls")]
    assert_eq!(fault_of_url("https://a..b/"), format!("bridge.toml:4: `url` {host}"), "no certificate can have it");
    #[cfg(not(feature = "tls"))]
    assert_eq!(
        fault_of_url("https://localhost/"),
        "bridge.toml:4: this build has no TLS: build it with its default features"
    );
}

#[test]
fn a_url_is_shown_up_to_its_path() {
    for (url, shown) in [
        ("http://localhost", "http://localhost"),
        ("http://localhost:80/services/hush", "http://localhost:80/…"),
        ("http://[::1]?token=hush", "http://[::1]/…"),
    ] {
        let config = parse(&format!("[[webhook]]\nname = \"a\"\ntopic = \"a\"\nurl = \"{url}\"")).unwrap();
        assert_eq!(config.webhooks[0].url.to_string(), shown);
        let debug = format!("{:?}", config.webhooks[0]);
        assert!(debug.contains(&format!("Url({shown})")) && !debug.contains("hush"), "{debug}");
    }
}

#[test]
fn messages_that_leave_the_machine_unencrypted_are_a_warning() {
    let warnings = |host: &str| {
        let url = format!("http://{host}/hush");
        parse(&format!("[[webhook]]\nname = \"a\"\ntopic = \"a\"\nurl = \"{url}\"")).unwrap().warnings
    };
    for host in ["localhost", "LOCALHOST:80", "localhost.", "a.localhost", "127.0.0.1", "127.1.2.3:8000", "[::1]:80"] {
        assert!(warnings(host).is_empty(), "{host}");
    }
    for (host, shown) in [
        ("backend.example", "backend.example"),
        ("notlocalhost", "notlocalhost"),
        ("localhost.example", "localhost.example"),
        ("128.0.0.1", "128.0.0.1"),
        ("[::2]:80", "::2"),
    ] {
        let what = format!("`url` is not https://, so that others on the way to {shown} can read messages");
        assert_eq!(warnings(host), [format!("bridge.toml:4: {what}")]);
    }
}

#[test]
fn headers_are_names_and_values_that_the_bridge_does_not_set() {
    let expected = [("Authorization", "Bearer a\tb"), ("X-Empty", ""), ("user-agent", "~")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let value = "{ X-Empty = \"\", Authorization = \"Bearer a\\tb\", user-agent = \"~\" }";
    assert_eq!(headers(value), Ok(expected.to_vec()));
    let below = parse(&format!("{WEBHOOK}[webhook.headers]\nX-Empty = \"\"")).unwrap();
    assert_eq!(below.webhooks[0].headers.len(), 1, "a table below is the same");

    let values = "a string of visible ASCII characters, with spaces and tabs only between them";
    let braces = "must be names and strings in braces, such as { X-Source = \"bridge\" }";
    let names = "must have names of headers (RFC 9110, 5.1), each with a string";
    for (value, rule) in [
        ("\"X-A: hush\"", braces.to_owned()),
        ("[\"X-A: hush\"]", braces.to_owned()),
        ("{ \"Authorization: hush\" = \"\" }", names.to_owned()),
        ("{ \"\" = \"hush\" }", names.to_owned()),
        ("{ \"ö\" = \"hush\" }", names.to_owned()),
        ("{ A = 1 }", format!("must have for \"A\" {values}")),
        ("{ A = \"hush\\n\" }", format!("must have for \"A\" {values}")),
        ("{ A = \"hush \" }", format!("must have for \"A\" {values}")),
        ("{ A = \"\\thush\" }", format!("must have for \"A\" {values}")),
        ("{ A = \"hüsh\" }", format!("must have for \"A\" {values}")),
        (
            "{ Aa = \"hush\", aA = \"hush\" }",
            "must not have \"Aa\" twice: upper and lower case are the same in names".to_owned(),
        ),
    ] {
        assert_eq!(headers(value), Err(format!("bridge.toml:5: `headers` {rule}")), "{value}");
    }
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "TE",
        "trailer",
        "upgrade",
        "expect",
        "Content-Type",
        "webhook-id",
        "Webhook-Timestamp",
        "webhook-signature",
        "mqtt-topic",
        "mqtt-qos",
        "MQTT-Retain",
        "mqtt-dup",
        "x-amz-mqtt5-user-properties",
    ] {
        let fault = headers(&format!("{{ {name} = \"hush\" }}")).unwrap_err();
        assert_eq!(fault, format!("bridge.toml:5: `headers` must not have \"{name}\", which the bridge sets itself"));
    }
}

#[test]
fn headers_are_few_and_short() {
    let many = |count: usize| {
        let pairs: Vec<String> = (0..count).map(|n| format!("X-{n} = \"\"")).collect();
        headers(&format!("{{ {} }}", pairs.join(", ")))
    };
    assert_eq!(many(32).unwrap().len(), 32);
    assert_eq!(many(33), Err("bridge.toml:5: `headers` must have at most 32 headers".to_owned()));
    let long = |bytes: usize| headers(&format!("{{ A = \"x\", B = \"{}\" }}", "h".repeat(bytes - 3)));
    assert!(long(8192).is_ok());
    let rule = "must have at most 8192 bytes in all names and values together";
    assert_eq!(long(8193), Err(format!("bridge.toml:5: `headers` {rule}")));
}

#[test]
fn no_value_of_a_header_is_shown_where_the_file_is_damaged() {
    for value in [
        "{ A = hush }",
        "{ A = \"hush }",
        "{ A = \"hush\" ",
        "{ A = \"x\" \"hush\" }",
        "{ A = \"hush\", A = \"hush\" }",
    ] {
        let fault = headers(value).unwrap_err();
        assert!(fault.starts_with("bridge.toml:5: ") && !fault.contains("hush"), "{fault}");
        assert_eq!(fault.lines().count(), 1, "{fault:?}");
    }
}

#[test]
fn the_value_of_authorization_is_the_one_line_of_a_file() {
    let folder = Folder::new("authorization");
    let read = |text: &str| {
        folder.write("authorization", text);
        let path = format!("{}/authorization", folder.path());
        let config = parse(&format!("{WEBHOOK}headers = {{ X-A = \"b\" }}\nauthorization-file = \"{path}\""));
        let config = config.map_err(|fault| fault.to_string().replace(&path, "PATH"))?;
        assert!(!format!("{config:?}").contains("hush"), "it is shown");
        let headers = config.webhooks[0].headers.iter();
        Ok(headers.map(|(name, value)| format!("{name}: {}", value.reveal())).collect::<Vec<_>>())
    };
    for text in ["Bearer hush", "Bearer hush\n", "Bearer hush\r\n"] {
        assert_eq!(read(text), Ok(vec!["X-A: b".to_owned(), "Authorization: Bearer hush".to_owned()]));
    }
    let fault = |rule: &str| Err(format!("bridge.toml:6: `PATH` {rule}"));
    let visible = "must have visible ASCII characters, with spaces and tabs only between them";
    for text in ["", "\n", "hush\u{7f}", "\u{feff}hush", "hush ", "hüsh"] {
        assert_eq!(read(text), fault(visible), "{text:?}");
    }
    let alone = "must be the value of Authorization alone, with one line end behind it at most";
    assert_eq!(read("hush\n\n"), fault(alone));
    assert_eq!(read(&"h".repeat(8193)), fault("cannot be read: it is longer than 8192 bytes"));
}

#[test]
fn requests_are_signed_with_the_secrets_of_a_file_or_of_a_credential() {
    let folder = Folder::new("webhook-secret");
    folder.write("secret", "whsec_YQ==\nYg==\n");
    let keys = |text: &str, environment: &Environment| {
        let config =
            parse_with(text, environment).map_err(|fault| fault.to_string().replace(folder.path(), "FOLDER"))?;
        assert!(format!("{config:?}").contains("(secret)"), "it is not shown");
        Ok(config.webhooks[0].keys.iter().map(|key| key.0.clone()).collect::<Vec<_>>())
    };
    let by_file = format!("{WEBHOOK}secret-file = \"{}/secret\"", folder.path());
    assert_eq!(keys(&by_file, &Environment::default()), Ok(vec![b"a".to_vec(), b"b".to_vec()]));
    assert!(parse(WEBHOOK).unwrap().webhooks[0].keys.is_empty());

    let environment = Environment::from([("CREDENTIALS_DIRECTORY", folder.path())]);
    folder.write("webhook-a", "whsec_Yw==");
    assert_eq!(keys(WEBHOOK, &environment), Ok(vec![b"c".to_vec()]));
    assert_eq!(keys(&by_file, &environment), Ok(vec![b"c".to_vec()]), "the credential wins");
    folder.write("webhook-a", "hush!");
    let rule = "must have secrets in base64 with padding, with or without `whsec_` before them";
    assert_eq!(keys(WEBHOOK, &environment), Err(format!("credential webhook-a: `FOLDER/webhook-a` {rule}")));
}

#[cfg(feature = "tls")]
#[test]
fn webhooks_with_the_same_authorities_share_what_was_read() {
    let folder = Folder::new("webhook-authorities");
    folder.write("ca", "hush");
    let https = |name: &str, lines: &str| {
        format!("[[webhook]]\nname = \"{name}\"\ntopic = \"a\"\nurl = \"https://localhost/\"\n{lines}\n")
    };
    let config = parse(&format!("{}{}", https("a", ""), https("b", ""))).unwrap();
    let [first, second] = [0, 1].map(|at| config.webhooks[at].tls.as_ref().unwrap());
    assert!(std::sync::Arc::ptr_eq(&first.config(), &second.config()));
    let fault = fault(&https("a", &format!("ca-file = \"{}/ca\"", folder.path()))).replace(folder.path(), "FOLDER");
    let what = "`ca-file` FOLDER/ca has no certificate in it: PEM is expected, -----BEGIN CERTIFICATE-----";
    assert_eq!(fault, format!("bridge.toml:5: {what}"));
}

#[test]
fn variables_make_a_webhook() {
    let variables = [
        ("MQTT_BRIDGE_WEBHOOK_0_NAME", "7"),
        ("MQTT_BRIDGE_WEBHOOK_0_TOPIC", "a/#"),
        ("MQTT_BRIDGE_WEBHOOK_0_URL", "http://localhost/in"),
        ("MQTT_BRIDGE_WEBHOOK_0_RETRY_FOR", "0"),
        ("MQTT_BRIDGE_WEBHOOK_0_HEADERS", " { X-A = \"b\", \"X-C\" = \"7\" }"),
    ];
    let lines = "retry-for = 0\nheaders = { X-A = \"b\", X-C = \"7\" }";
    let file = format!("{}{lines}", WEBHOOK.replace("\"a\"", "\"7\""));
    assert_eq!(parse_with(WEBHOOK, &Environment::from(variables)), parse(&file));
    let braces = "must be names and strings in braces, such as { X-Source = \"bridge\" }";
    for value in ["X-A: hush", "{ X-A = hush }", "X-A=hush", "[\"hush\"]", "{ X-A = \"b\" } hush"] {
        let mut variables = variables;
        variables[4].1 = value;
        let fault = parse_with("", &Environment::from(variables)).unwrap_err().to_string();
        assert_eq!(fault, format!("MQTT_BRIDGE_WEBHOOK_0_HEADERS: `headers` {braces}"));
    }
}

#[test]
fn all_webhooks_together_have_at_most_256_requests_under_way() {
    let of = |count, in_flight| {
        let table = |n| format!("{}in-flight = {in_flight}\n", WEBHOOK.replace("\"a\"", &format!("\"{n}\"")));
        (0..count).map(table).collect::<String>()
    };
    assert_eq!(parse(&of(4, 64)).unwrap().webhooks.len(), 4);
    let what = "`in-flight` of all webhooks together must be at most 256";
    assert!(fault(&of(5, 64)).ends_with(what), "{}", fault(&of(5, 64)));
}

#[test]
fn dead_letters_do_not_come_back() {
    let of = |topic: &str, dead_letter: &str| {
        let name = topic.replace(['/', '#'], "");
        format!(
            "[[webhook]]\nname = \"{name}\"\nurl = \"http://localhost\"\ntopic = \"{topic}\"\n\
             dead-letter = \"{dead_letter}\"\n"
        )
    };
    assert!(parse(&(of("a/#", "dead/a") + &of("dead/#", "lost"))).is_ok());
    let what = "`dead-letter` must not lead back to this webhook through those of others";
    for several in [of("a/#", "b/x") + &of("b/#", "a/x"), of("a/#", "b/x") + &of("b/#", "c/x") + &of("c/#", "a/x")] {
        assert!(fault(&several).ends_with(what), "{}", fault(&several));
    }
    // the last one only leads into the circle of the first two
    let several = of("a/#", "b/x") + &of("b/#", "a/x") + &of("c/#", "a/x");
    assert!(["bridge.toml:5: ", "bridge.toml:10: "].iter().any(|position| fault(&several).starts_with(position)));
}
