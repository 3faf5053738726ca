//! Credentials, and the rights of a token.

use super::*;

#[test]
fn with_tokens_each_request_needs_a_known_token() {
    let access = access_with_tokens("[http]\nallow-anonymous = true");
    let challenge = |authorization: &[(&str, &str)]| {
        let reply = access.admit(TestHead::post(&[&[HERE], authorization].concat()).head()).expect_err("a refusal");
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
        assert_eq!(answer(&access, &TestHead::post(&[HERE, ("Authorization", good)])).0, 200, "{good}");
    }
    let twice = [HERE, ("Authorization", "Bearer secret-a"), ("Authorization", "Bearer secret-a")];
    assert_eq!(answer(&access, &TestHead::post(&twice)), (400, "`Authorization` must not be there twice".to_owned()));
}

#[test]
fn basic_credentials_are_the_name_and_the_secret_of_a_token() {
    let access = access_with_tokens("");
    let status = |pair: &str, scheme: &str| {
        use base64::Engine;
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        answer(&access, &TestHead::post(&[HERE, ("Authorization", &format!("{scheme} {pair}"))])).0
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
    let reply = access.admit(TestHead::post(&[HERE]).head()).unwrap_err();
    let challenges: Vec<_> =
        reply.headers().filter(|(name, _)| *name == "WWW-Authenticate").map(|(_, value)| value).collect();
    assert_eq!(challenges, [r#"Bearer realm="mqtt-bridge""#, r#"Basic realm="mqtt-bridge", charset="UTF-8""#]);
}

#[test]
fn the_token_is_checked_after_everything_else() {
    let access = access_with_tokens("");
    assert_eq!(answer(&access, &TestHead::post(&[HERE, ("Origin", "https://evil.example")])).0, 403);
    assert_eq!(answer(&access, &TestHead::post(&[("Host", "evil.example")])).0, 403);
    let bad_page = [HERE, ("Origin", "https://evil.example"), ("Authorization", "Bearer secret-a")];
    assert_eq!(answer(&access, &TestHead::post(&bad_page)).0, 403, "a token does not admit a foreign page");
}

#[test]
fn a_token_may_publish_only_to_topics_that_its_filters_match() {
    let access = access_with_tokens("");
    let request = |secret| TestHead::post(&[HERE, ("Authorization", &format!("Bearer {secret}"))]);
    let (a, b) = (request("secret-a"), request("secret-b"));
    let (a, b) = (access.admit(a.head()).unwrap(), access.admit(b.head()).unwrap());
    for name in ["b", "c", "c/d/e", "aa"] {
        let refusal = a.may_publish(&message(name)).unwrap_err();
        let words = format!("not sent: token `a` may not publish to `{name}`");
        assert_eq!((refusal.status(), error(&refusal)), (403, words));
    }
    assert_eq!(a.may_publish(&message("a")), Ok(()));
    assert_eq!(a.count(&[message("a")]), Ok(()), "refusals do not count towards the rate");
    assert_eq!(b.may_publish(&message("a")).unwrap_err().status(), 403, "a token without filters may not publish");
}

#[test]
fn the_rate_of_a_token_covers_all_its_requests() {
    let access = access_with_tokens("");
    let request = TestHead::post(&[HERE, ("Authorization", "Bearer secret-a")]);
    assert_eq!(access.admit(request.head()).unwrap().count(&[message("a")]), Ok(()));
    let refusal = access.admit(request.head()).unwrap().count(&[message("c/d")]).unwrap_err();
    assert_eq!((refusal.status(), error(&refusal).as_str()), (429, "not sent: token `a` is over its rate"));
    assert_eq!(header_of(&refusal, "Retry-After"), Some("4"));
}
