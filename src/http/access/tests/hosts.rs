//! Which hosts a request may name, and requests that a proxy passes on.

use super::*;

#[test]
fn on_loopback_a_foreign_host_is_refused_in_the_header_and_in_the_target() {
    // and at every listener if the configuration has names
    for reach in [Reach::Loopback, Reach::Network, Reach::Unix] {
        assert_foreign_hosts_are_refused(&access("[http]\nallowed-hosts = [\"bridge.example\"]", reach));
    }
}

fn assert_foreign_hosts_are_refused(access: &Access) {
    for host in ["evil.example", "evil.example:8000", "", "0.0.0.0:8000", "localhost."] {
        let (status, error) = answer(access, &TestHead::post(&[("Host", host)]));
        let words = format!("the host must be an address of loopback or one of `allowed-hosts`, not `{host}`");
        assert_eq!((status, error), (403, words));
    }
    for host in ["Localhost:80", "127.1.2.3", "[::1]:8000", "Bridge.example:443"] {
        assert_eq!(answer(access, &TestHead::post(&[("Host", host)])).0, 200, "{host}");
    }
    let absolute = |target, host| answer(access, &request("POST", target, &[("Host", host)])).0;
    assert_eq!(absolute("http://evil.example/publish", "localhost"), 403);
    assert_eq!(absolute("http://localhost/publish", "evil.example"), 403);
    assert_eq!(absolute("http://u@localhost/publish", "localhost"), 400);
    assert_eq!(absolute("http://localhost:8000/publish", "localhost:8000"), 200);
    let old = TestHead::new("GET", "/", (1, 0), &[]);
    assert_eq!(answer(access, &old).0, 200, "every browser sends `Host`");
}

#[test]
fn a_page_whose_own_name_resolves_to_us_is_refused() {
    let access = access("", Reach::Loopback);
    let rebound = [("Host", "evil.example:8000"), ("Origin", "http://evil.example:8000")];
    assert_eq!(answer(&access, &TestHead::post(&rebound)).0, 403);
}

#[test]
fn beyond_loopback_any_well_formed_host_is_allowed() {
    for reach in [Reach::Unix, Reach::Network] {
        let access = access("", reach);
        assert_eq!(answer(&access, &TestHead::post(&[("Host", "any.example")])).0, 200);
        for host in ["u@localhost", "a b", "localhost/", "localhost:x"] {
            assert_eq!(
                answer(&access, &TestHead::post(&[("Host", host)])),
                (400, format!("the host `{host}` is malformed"))
            );
        }
        assert_eq!(answer(&access, &TestHead::post(&[])), (400, "`Host` is missing".to_owned()));
        assert_eq!(answer(&access, &TestHead::post(&[HERE, HERE])), (400, "`Host` must not be there twice".to_owned()));
        let old = TestHead::new("GET", "/", (1, 0), &[]);
        assert_eq!(answer(&access, &old).0, 200, "HTTP/1.0 may leave it out");
    }
}

#[test]
fn without_tokens_requests_of_a_proxy_are_refused_unless_anonymous_is_allowed() {
    for reach in [Reach::Unix, Reach::Loopback, Reach::Network] {
        let (closed, open) = (access("", reach), access("[http]\nallow-anonymous = true", reach));
        for name in ["Forwarded", "X-Forwarded-For", "Via", "via"] {
            let request = TestHead::post(&[HERE, (name, "x"), (name, "y")]);
            let (status, error) = answer(&closed, &request);
            assert_eq!(status, 403, "{name}");
            assert!(error.contains("[[token]], or `allow-anonymous`"), "{error}");
            assert_eq!(answer(&open, &request).0, 200);
        }
    }
    let with_tokens = [HERE, ("Via", "1.1 x"), ("Authorization", "Bearer secret-a")];
    assert_eq!(answer(&access_with_tokens(""), &TestHead::post(&with_tokens)).0, 200);
}
