//! Each rule of the gate, and the order in which they are asked.

use super::*;
use crate::config::{Environment, Source, hash};
use crate::http::server::TestHead;

const HERE: (&str, &str) = ("Host", "localhost:8000");
const PREFLIGHT: (&str, &str) = ("Access-Control-Request-Method", "POST");

/// The gate of a configuration, whose `[[token]]`s come before its `[http]`.
fn gate(configuration: &str, reach: Reach) -> Access {
    let config = Config::parse(configuration, &Source::BuiltIn, &Environment::from([])).expect(configuration);
    Access::new(&config, Tokens::new(&config, &Memory::new(usize::MAX)), reach)
}

/// One whose tokens `a` and `b` have the secrets `secret-a` and `secret-b`.
fn gate_with_tokens(rest: &str) -> Access {
    let sha256 = |secret| hash(secret).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let (a, b) = (sha256("secret-a"), sha256("secret-b"));
    let tokens = format!(
        "[[token]]\nname = \"a\"\nsha256 = \"{a}\"\npublish = [\"a/#\", \"c/+\"]\nrate = 0.25\n\
         [[token]]\nname = \"b\"\nsha256 = \"{b}\"\n"
    );
    gate(&format!("{tokens}{rest}"), Reach::Loopback)
}

fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> TestHead {
    TestHead::new(method, target, (1, 1), fields)
}

/// The status of a refusal, and its words; 200 and none if there is none.
fn answer(gate: &Access, request: &TestHead) -> (u16, String) {
    match gate.admit(request.head()) {
        Ok(_) => (200, String::new()),
        Err(reply) => (reply.status(), error(&reply)),
    }
}

fn error(reply: &Reply) -> String {
    let body: serde_json::Value = serde_json::from_slice(&reply.body()).unwrap_or_default();
    body["error"].as_str().unwrap_or_default().to_owned()
}

fn header_of<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers().find(|(other, _)| *other == name).map(|(_, value)| value)
}

fn message(topic: &str) -> Message {
    let topic = TopicName::try_from(topic.to_owned()).unwrap();
    let (payload, properties) = (bytes::Bytes::new(), crate::message::Properties::default());
    Message { topic, payload, qos: Qos::AtMostOnce, retain: false, properties }
}

#[test]
fn programs_and_pages_of_our_own_are_let_in() {
    let gate = gate("", Reach::Loopback);
    for headers in [
        &[HERE][..],
        &[HERE, ("Origin", "http://localhost:8000")],
        &[HERE, ("Origin", "http://localhost:8000"), ("Sec-Fetch-Site", "same-origin")],
        &[("Host", "127.0.0.1:8000"), ("Origin", "http://127.0.0.1:8000")],
        &[HERE, ("Sec-Fetch-Site", "none")],
    ] {
        assert_eq!(answer(&gate, &TestHead::post(headers)).0, 200, "{headers:?}");
    }
}

#[test]
fn pages_of_other_origins_are_refused() {
    let gate = gate("[http]\nallowed-origins = [\"https://good.example\"]", Reach::Network);
    for headers in [
        &[HERE, ("Origin", "https://evil.example")][..],
        &[HERE, ("Origin", "null")],
        &[HERE, ("Origin", "")],
        &[HERE, ("Origin", "http://localhost:8001")],
        &[HERE, ("Origin", "ftp://localhost:8000")],
        &[HERE, ("Origin", "https://good.example:444")],
        &[HERE, ("Origin", "http://good.example")],
        &[HERE, ("Origin", "https://good.example, https://evil.example")],
        &[HERE, ("Sec-Fetch-Site", "cross-site")],
        &[HERE, ("Sec-Fetch-Site", "same-site")],
        &[HERE, ("Sec-Fetch-Site", "Same-Site")],
        &[HERE, ("Sec-Fetch-Site", "Cross-Site"), ("Origin", "http://localhost:8000")],
    ] {
        let (status, error) = answer(&gate, &TestHead::post(headers));
        assert_eq!(status, 403, "{headers:?}");
        assert!(error.starts_with("a page of ") && error.contains("`allowed-origins`"), "{error}");
    }
    let twice = [HERE, ("Origin", "https://good.example"), ("Origin", "https://evil.example")];
    assert_eq!(answer(&gate, &TestHead::post(&twice)), (400, "`Origin` must not be there twice".to_owned()));
    let allowed = [HERE, ("Origin", "https://good.example"), ("Sec-Fetch-Site", "cross-site")];
    assert_eq!(answer(&gate, &TestHead::post(&allowed)).0, 200);
}

#[test]
fn on_loopback_a_foreign_host_is_refused_wherever_it_stands() {
    // and anywhere, where the configuration has names
    for reach in [Reach::Loopback, Reach::Network, Reach::Unix] {
        assert_foreign_hosts_are_refused(&gate("[http]\nallowed-hosts = [\"bridge.example\"]", reach));
    }
}

fn assert_foreign_hosts_are_refused(gate: &Access) {
    for host in ["evil.example", "evil.example:8000", "", "0.0.0.0:8000", "localhost."] {
        let (status, error) = answer(gate, &TestHead::post(&[("Host", host)]));
        let words = format!("the host must be an address of loopback or one of `allowed-hosts`, not `{host}`");
        assert_eq!((status, error), (403, words));
    }
    for host in ["Localhost:80", "127.1.2.3", "[::1]:8000", "Bridge.example:443"] {
        assert_eq!(answer(gate, &TestHead::post(&[("Host", host)])).0, 200, "{host}");
    }
    let absolute = |target, host| answer(gate, &request("POST", target, &[("Host", host)])).0;
    assert_eq!(absolute("http://evil.example/publish", "localhost"), 403);
    assert_eq!(absolute("http://localhost/publish", "evil.example"), 403);
    assert_eq!(absolute("http://u@localhost/publish", "localhost"), 400);
    assert_eq!(absolute("http://localhost:8000/publish", "localhost:8000"), 200);
    let old = TestHead::new("GET", "/", (1, 0), &[]);
    assert_eq!(answer(gate, &old).0, 200, "no browser sends none");
}

#[test]
fn a_page_that_has_its_own_name_point_here_is_refused() {
    let gate = gate("", Reach::Loopback);
    let rebound = [("Host", "evil.example:8000"), ("Origin", "http://evil.example:8000")];
    assert_eq!(answer(&gate, &TestHead::post(&rebound)).0, 403);
}

#[test]
fn elsewhere_a_host_may_be_any_but_must_be_well_formed() {
    for reach in [Reach::Unix, Reach::Network] {
        let gate = gate("", reach);
        assert_eq!(answer(&gate, &TestHead::post(&[("Host", "any.example")])).0, 200);
        for host in ["u@localhost", "a b", "localhost/", "localhost:x"] {
            assert_eq!(
                answer(&gate, &TestHead::post(&[("Host", host)])),
                (400, format!("the host `{host}` is malformed"))
            );
        }
        assert_eq!(answer(&gate, &TestHead::post(&[])), (400, "`Host` is missing".to_owned()));
        assert_eq!(answer(&gate, &TestHead::post(&[HERE, HERE])), (400, "`Host` must not be there twice".to_owned()));
        let old = TestHead::new("GET", "/", (1, 0), &[]);
        assert_eq!(answer(&gate, &old).0, 200, "HTTP/1.0 need not say it");
    }
}

#[test]
fn without_tokens_nothing_is_let_in_through_a_proxy_unless_the_owner_said_so() {
    for reach in [Reach::Unix, Reach::Loopback, Reach::Network] {
        let (closed, open) = (gate("", reach), gate("[http]\nallow-anonymous = true", reach));
        for name in ["Forwarded", "X-Forwarded-For", "Via", "via"] {
            let request = TestHead::post(&[HERE, (name, "x"), (name, "y")]);
            let (status, error) = answer(&closed, &request);
            assert_eq!(status, 403, "{name}");
            assert!(error.contains("[[token]], or `allow-anonymous`"), "{error}");
            assert_eq!(answer(&open, &request).0, 200);
        }
    }
    let with_tokens = [HERE, ("Via", "1.1 x"), ("Authorization", "Bearer secret-a")];
    assert_eq!(answer(&gate_with_tokens(""), &TestHead::post(&with_tokens)).0, 200);
}

#[test]
fn with_tokens_each_request_needs_a_known_one() {
    let gate = gate_with_tokens("[http]\nallow-anonymous = true");
    let challenge = |authorization: &[(&str, &str)]| {
        let reply = gate.admit(TestHead::post(&[&[HERE], authorization].concat()).head()).expect_err("a refusal");
        assert_eq!(reply.status(), 401, "{authorization:?}");
        header_of(&reply, "WWW-Authenticate").unwrap().to_owned()
    };
    for missing in ["secret-a", "Basic YTpi=", "Basic YTpi!", "Basic YQ==", "Basic /w==", "Digest YTpi"] {
        assert_eq!(challenge(&[("Authorization", missing)]), r#"Bearer realm="mqtt-bridge""#);
    }
    assert_eq!(challenge(&[]), r#"Bearer realm="mqtt-bridge""#);
    for wrong in ["Basic YTpi", "Bearer secret-c", "Bearer secret-a x", "Bearer SECRET-A", "Bearer a", "Bearer "] {
        assert_eq!(challenge(&[("Authorization", wrong)]), r#"Bearer realm="mqtt-bridge", error="invalid_token""#);
    }
    for good in ["Bearer secret-a", "bearer secret-b", "BEARER   secret-a"] {
        assert_eq!(answer(&gate, &TestHead::post(&[HERE, ("Authorization", good)])).0, 200, "{good}");
    }
    let twice = [HERE, ("Authorization", "Bearer secret-a"), ("Authorization", "Bearer secret-a")];
    assert_eq!(answer(&gate, &TestHead::post(&twice)), (400, "`Authorization` must not be there twice".to_owned()));
}

#[test]
fn name_and_secret_of_a_token_are_its_user_and_password() {
    let gate = gate_with_tokens("");
    let status = |pair: &str, scheme: &str| {
        use base64::Engine;
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        answer(&gate, &TestHead::post(&[HERE, ("Authorization", &format!("{scheme} {pair}"))])).0
    };
    for (pair, expected) in [
        ("a:secret-a", 200),
        ("b:secret-b", 200),
        ("a:secret-b", 401),
        ("b:secret-a", 401),
        (":secret-a", 401),
        ("A:secret-a", 401),
        ("a:secret-a:", 401),
        ("a:", 401),
        ("secret-a", 401),
    ] {
        assert_eq!(
            [status(pair, "Basic"), status(pair, "BASIC"), status(pair, "Bearer")],
            [expected, expected, 401],
            "{pair}"
        );
    }
    let reply = gate.admit(TestHead::post(&[HERE]).head()).unwrap_err();
    let challenges: Vec<_> =
        reply.headers().filter(|(name, _)| *name == "WWW-Authenticate").map(|(_, value)| value).collect();
    assert_eq!(challenges, [r#"Bearer realm="mqtt-bridge""#, r#"Basic realm="mqtt-bridge", charset="UTF-8""#]);
}

#[test]
fn a_token_is_asked_for_after_everything_else() {
    let gate = gate_with_tokens("");
    assert_eq!(answer(&gate, &TestHead::post(&[HERE, ("Origin", "https://evil.example")])).0, 403);
    assert_eq!(answer(&gate, &TestHead::post(&[("Host", "evil.example")])).0, 403);
    let bad_page = [HERE, ("Origin", "https://evil.example"), ("Authorization", "Bearer secret-a")];
    assert_eq!(answer(&gate, &TestHead::post(&bad_page)).0, 403, "a token makes no page welcome");
}

#[test]
fn a_token_may_publish_where_its_filters_say_and_nowhere_else() {
    let gate = gate_with_tokens("");
    let request = |secret| TestHead::post(&[HERE, ("Authorization", &format!("Bearer {secret}"))]);
    let (a, b) = (request("secret-a"), request("secret-b"));
    let (a, b) = (gate.admit(a.head()).unwrap(), gate.admit(b.head()).unwrap());
    for name in ["b", "c", "c/d/e", "aa"] {
        let refusal = a.may_publish(&message(name)).unwrap_err();
        let words = format!("not sent: token `a` may not publish to `{name}`");
        assert_eq!((refusal.status(), error(&refusal)), (403, words));
    }
    assert_eq!(a.may_publish(&message("a")), Ok(()), "refusals take nothing off the rate");
    assert_eq!(b.may_publish(&message("a")).unwrap_err().status(), 403, "without filters it may publish nowhere");
}

#[test]
fn the_rate_of_a_token_is_one_for_all_its_requests() {
    let gate = gate_with_tokens("");
    let request = TestHead::post(&[HERE, ("Authorization", "Bearer secret-a")]);
    assert_eq!(gate.admit(request.head()).unwrap().may_publish(&message("a")), Ok(()));
    let refusal = gate.admit(request.head()).unwrap().may_publish(&message("c/d")).unwrap_err();
    assert_eq!((refusal.status(), error(&refusal).as_str()), (429, "not sent: token `a` is over its rate"));
    assert_eq!(header_of(&refusal, "Retry-After"), Some("4"));
}

#[test]
fn a_preflight_of_an_allowed_origin_needs_no_token() {
    let gate = gate_with_tokens("[http]\nallowed-origins = [\"https://good.example\"]");
    let options = |headers: &[(&str, &str)]| request("OPTIONS", "/publish", &[&[HERE], headers].concat());
    let preflight = options(&[("Origin", "https://good.example"), PREFLIGHT]);
    let reply = gate.admit(preflight.head()).unwrap_err().with_allowed_origin(gate.allowed_origin(preflight.head()));
    assert_eq!((reply.status(), &*reply.body()), (204, [].as_slice()));
    let headers: Vec<_> = reply.headers().collect();
    let expected = [
        ("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE"),
        (
            "Access-Control-Allow-Headers",
            "Authorization, Content-Type, Last-Event-ID, X-Request-ID, x-amz-mqtt5-user-properties, x-amz-mqtt5-correlation-data, x-amz-mqtt5-payload-format-indicator",
        ),
        ("Access-Control-Max-Age", "600"),
        ("Access-Control-Allow-Origin", "https://good.example"),
        ("Access-Control-Expose-Headers", "Retry-After, X-Request-ID"),
        ("Vary", "Origin"),
    ];
    assert_eq!(headers, expected);
    for (headers, status) in [
        (&[("Origin", "https://evil.example"), PREFLIGHT][..], 403),
        (&[("Origin", "https://good.example")], 401),
        (&[("Origin", "http://localhost:8000"), PREFLIGHT], 401),
        (&[PREFLIGHT], 401),
    ] {
        assert_eq!(answer(&gate, &options(headers)).0, status, "{headers:?}");
    }
    let rebound = request("OPTIONS", "/publish", &[("Host", "x"), ("Origin", "https://good.example"), PREFLIGHT]);
    assert_eq!(answer(&gate, &rebound).0, 403, "the host counts for it too");
}

#[test]
fn what_a_page_said_never_goes_into_a_header() {
    let gate = gate("[http]\nallowed-origins = [\"https://good.example\"]", Reach::Loopback);
    assert_eq!(
        gate.allowed_origin(TestHead::post(&[HERE, ("Origin", "https://good.example")]).head()).as_deref(),
        Some("https://good.example")
    );
    for origin in ["https://good.example.evil", "HTTPS://good.example", "https://good.example/", "null"] {
        assert_eq!(gate.allowed_origin(TestHead::post(&[HERE, ("Origin", origin)]).head()), None, "{origin}");
    }
}
