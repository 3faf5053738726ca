//! Requests that a browser sends for a web page.

use super::*;

#[test]
fn programs_and_our_own_pages_are_admitted() {
    let access = access("", Reach::Loopback);
    for headers in [
        &[HERE][..],
        &[HERE, ("Origin", "http://localhost:8000")],
        &[HERE, ("Origin", "http://localhost:8000"), ("Sec-Fetch-Site", "same-origin")],
        &[("Host", "127.0.0.1:8000"), ("Origin", "http://127.0.0.1:8000")],
        &[HERE, ("Sec-Fetch-Site", "none")],
    ] {
        assert_eq!(answer(&access, &TestHead::post(headers)).0, 200, "{headers:?}");
    }
}

#[test]
fn pages_of_other_origins_are_refused() {
    let access = access("[http]\nallowed-origins = [\"https://good.example\"]", Reach::Network);
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
        let (status, error) = answer(&access, &TestHead::post(headers));
        assert_eq!(status, 403, "{headers:?}");
        assert!(error.starts_with("a page of ") && error.contains("`allowed-origins`"), "{error}");
    }
    let twice = [HERE, ("Origin", "https://good.example"), ("Origin", "https://evil.example")];
    assert_eq!(answer(&access, &TestHead::post(&twice)), (400, "`Origin` must not be there twice".to_owned()));
    let allowed = [HERE, ("Origin", "https://good.example"), ("Sec-Fetch-Site", "cross-site")];
    assert_eq!(answer(&access, &TestHead::post(&allowed)).0, 200);
}

#[test]
fn a_preflight_of_an_allowed_origin_needs_no_token() {
    let access = access_with_tokens("[http]\nallowed-origins = [\"https://good.example\"]");
    let options = |headers: &[(&str, &str)]| request("OPTIONS", "/publish", &[&[HERE], headers].concat());
    let preflight = options(&[("Origin", "https://good.example"), PREFLIGHT]);
    let reply =
        access.admit(preflight.head()).unwrap_err().with_allowed_origin(access.allowed_origin(preflight.head()));
    assert_eq!((reply.status(), &*reply.body()), (204, [].as_slice()));
    let headers: Vec<_> = reply.headers().collect();
    let expected = [
        ("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE"),
        (
            "Access-Control-Allow-Headers",
            "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, X-Request-ID, x-amz-mqtt5-user-properties, x-amz-mqtt5-correlation-data, x-amz-mqtt5-payload-format-indicator",
        ),
        ("Access-Control-Max-Age", "600"),
        ("Access-Control-Allow-Origin", "https://good.example"),
        (
            "Access-Control-Expose-Headers",
            "Idempotency-Replayed, Location, Preference-Applied, Retry-After, X-Request-ID, MQTT-QoS, MQTT-Retain, x-amz-mqtt5-user-properties, x-amz-mqtt5-correlation-data, x-amz-mqtt5-payload-format-indicator",
        ),
        ("Vary", "Origin"),
    ];
    assert_eq!(headers, expected);
    for (headers, status) in [
        (&[("Origin", "https://evil.example"), PREFLIGHT][..], 403),
        (&[("Origin", "https://good.example")], 401),
        (&[("Origin", "http://localhost:8000"), PREFLIGHT], 401),
        (&[PREFLIGHT], 401),
    ] {
        assert_eq!(answer(&access, &options(headers)).0, status, "{headers:?}");
    }
    let rebound = request("OPTIONS", "/publish", &[("Host", "x"), ("Origin", "https://good.example"), PREFLIGHT]);
    assert_eq!(answer(&access, &rebound).0, 403, "the host is checked too");
}

#[test]
fn the_origin_in_a_reply_is_the_text_of_the_configuration() {
    let access = access("[http]\nallowed-origins = [\"https://good.example\"]", Reach::Loopback);
    assert_eq!(
        access.allowed_origin(TestHead::post(&[HERE, ("Origin", "https://good.example")]).head()).as_deref(),
        Some("https://good.example")
    );
    for origin in ["https://good.example.evil", "HTTPS://good.example", "https://good.example/", "null"] {
        assert_eq!(access.allowed_origin(TestHead::post(&[HERE, ("Origin", origin)]).head()), None, "{origin}");
    }
}
