//! HTTP/1.x semantics: what is accepted, what is refused, and when a connection is kept.

use std::process::Command;

use crate::support::http_setup::{HttpSetup, LENGTH, MESSAGE, SMUGGLED, assert_last, assert_ours, chunks, post};
use crate::support::process::Process;
use crate::support::request::raw;

const UPGRADE: &str =
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n";
const EXPECT: &str = "Expect: 100-continue\r\n";

#[test]
fn control_characters_are_refused_and_never_echoed() {
    let setup = HttpSetup::start();
    for control in ["\r", "\n", "\0", "\x1b", "\x7f", "\x0b"] {
        for name in ["X-Request-Id", "Host", "Content-Type", "Origin", "Authorization"] {
            let line = format!("{name}: a{control}Set-Cookie: evil\r\n");
            let reply = setup.last_reply(post(&format!("{line}{LENGTH}"), MESSAGE));
            reply.assert_refused(400, 3, &format!("the value of `{name}` must not contain control characters"));
            assert_eq!(reply.header("set-cookie"), None);
        }
        let reply = setup.last_reply(raw(&format!("POST /a{control}Set-Cookie:evil"), LENGTH, MESSAGE));
        reply.assert_refused(400, 3, "the request target must be printable ASCII without spaces");
        let reply = setup.last_reply(raw(&format!("P{control}T /publish"), LENGTH, MESSAGE));
        reply.assert_refused(400, 3, "the method must be a token (RFC 9110, 5.6.2)");
    }
    for (line, shown) in [("X\x01\x1b: a\r\n", "X\\x01\\x1b"), (": v\r\n", ""), ("X(A): a\r\n", "X(A)")] {
        let reply = setup.last_reply(post(&format!("{line}{LENGTH}"), MESSAGE));
        reply.assert_refused(400, 3, &format!("a header's name must be a token, not `{shown}`"));
    }
    let lines = setup.daemon.lines();
    assert!(!lines.iter().any(|line| line.contains("evil") || line.contains(char::is_control)), "{lines:?}");
    setup.reply(post(&format!("X-Tab: a\tb\r\n{LENGTH}"), MESSAGE)).assert_published();
    setup.assert_nothing_smuggled();
}

#[test]
fn a_head_that_tiny_http_refuses_ends_the_connection() {
    let setup = HttpSetup::start();
    let whole = post(LENGTH, MESSAGE);
    for bytes in [
        post(&format!("X : a\r\n{LENGTH}"), MESSAGE),
        post(&format!("X\r\n{LENGTH}"), MESSAGE),
        post(&format!("X: a\r\n folded\r\n{LENGTH}"), MESSAGE),
        format!("\r\n{whole}"),
        whole.replace("HTTP/1.1", "HTTP/1.2"),
        whole.replace("HTTP/1.1", "http/1.1"),
        whole.replace("/publish HTTP", "HTTP"),
        whole.replace("/publish HTTP", "/a b HTTP"),
        whole.replace("POST /publish HTTP/1.1", "GET /publish"),
        "\x16\x03\x01 TLS\r\n".to_owned(),
    ] {
        setup.assert_refused_by_tiny_http(bytes, 400);
    }
    setup.assert_refused_by_tiny_http(post(&format!("Expect: something\r\n{LENGTH}"), MESSAGE), 417);
    setup.assert_nothing_smuggled();
}

/// Known limit: `tiny_http` closes the connection before the daemon sees the request (docs/several.md has the
/// consequence for nginx). Every other invalid request gets a reply, as the other tests here show.
#[test]
fn a_byte_outside_ascii_in_the_head_closes_the_connection_without_a_reply() {
    let setup = HttpSetup::start();
    for byte in ["ü".as_bytes(), b"\xfc", b"\x80", b"\xff"] {
        let with =
            |before: &str, after: &str| [before.as_bytes(), byte, after.as_bytes(), SMUGGLED.as_bytes()].concat();
        let rest = format!("\r\n{LENGTH}\r\n{MESSAGE}");
        for bytes in [
            with("POST /publish HTTP/1.1\r\nHost: localhost\r\nX: ", &rest),
            with("POST /publish HTTP/1.1\r\nHost: localhost\r\nX", &format!(": a{rest}")),
            with("POST /publish HTTP/1.1\r\nHost: localhost", &rest),
            with("POST /", &format!(" HTTP/1.1\r\nHost: localhost{rest}")),
            with("P", &format!("ST /publish HTTP/1.1\r\nHost: localhost{rest}")),
            with("POST /publish HTTP/1.1", &format!("\r\nHost: localhost{rest}")),
            with("\x16\x03\x01", "\r\n"),
        ] {
            let mut connection = setup.send(bytes);
            assert_eq!(connection.rest(), b"");
        }
        setup.assert_serving();
    }
    setup.assert_nothing_smuggled();
}

#[test]
fn heads_that_tiny_http_normalizes_are_accepted() {
    // known limits: a fourth word, spaces before a request line, and a folded line, which RFC 9112 requires to be
    // refused
    let setup = HttpSetup::start();
    let whole = post(LENGTH, MESSAGE);
    let folded = post(&format!("X: a\r\n {LENGTH}"), MESSAGE);
    for bytes in [whole.replace("HTTP/1.1", "HTTP/1.1  x"), format!("   {whole}"), folded] {
        setup.reply(bytes).assert_published();
    }
    setup.assert_nothing_smuggled();
}

#[test]
fn a_head_that_never_ends_gets_408() {
    let setup = HttpSetup::impatient();
    // tiny_http waits for a line that ends in CRLF, and for HTTP/2 for a reply that it does not write: the latter leaks
    // a thread
    for bytes in [post(LENGTH, MESSAGE).replace("\r\n", "\n"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()] {
        let mut connection = setup.send(bytes);
        let reply = connection.reply();
        reply.assert_refused(408, 3, "not sent: the request was not complete within `request-timeout`");
        assert_last(&reply);
        connection.assert_ended();
        setup.assert_serving();
    }
    setup.assert_nothing_smuggled();
}

#[test]
fn targets_and_methods_are_matched_exactly() {
    let setup = HttpSetup::start();
    let nothing = |path: &str| (404, 6, format!("there is nothing at `{path}`: try `POST /publish`"));
    for (line, (status, code, error)) in [
        ("OPTIONS *", nothing("*")),
        ("CONNECT localhost:80", nothing("localhost:80")),
        ("POST https://localhost/publish", nothing("https://localhost/publish")),
        // the page can only be read
        ("POST http://localhost", (405, 3, "the method must be GET or HEAD".to_owned())),
        ("POST http://localhost?x=/publish", (405, 3, "the method must be GET or HEAD".to_owned())),
        ("POST HTTP://localhost?/publish", (405, 3, "the method must be GET or HEAD".to_owned())),
        ("POST http://localhost#/publish", nothing("/#/publish")),
        ("POST http://localhost/#/publish", nothing("/#/publish")),
        ("POST http:///publish", (400, 3, "the target in absolute form has no host".to_owned())),
        ("POST http://:80/publish", (400, 3, "the target in absolute form has no host".to_owned())),
        ("POST http://a@localhost/publish", (400, 3, "the host `a@localhost` is malformed".to_owned())),
        ("POST http://localhost@a/publish", (400, 3, "the host `localhost@a` is malformed".to_owned())),
        ("post /publish", (405, 3, "the method must be POST".to_owned())),
        ("OPTIONS /publish", (405, 3, "the method must be POST".to_owned())),
    ] {
        let reply = setup.reply(raw(line, LENGTH, MESSAGE));
        reply.assert_refused(status, code, &error);
        let is_page = line.to_ascii_lowercase().starts_with("post http://localhost");
        let allowed = if is_page { "GET, HEAD" } else { "POST" };
        assert_eq!(reply.header("allow"), (status == 405).then_some(allowed));
    }
    for target in ["http://localhost/publish", "HTTP://LOCALHOST:80/publish?"] {
        setup.reply(raw(&format!("POST {target}"), LENGTH, MESSAGE)).assert_published();
    }
    let no_host = format!("POST /publish HTTP/1.1\r\n{LENGTH}\r\n{MESSAGE}");
    setup.reply(no_host).assert_refused(400, 3, "`Host` is missing");
    let two_hosts = post(&format!("Host: localhost\r\n{LENGTH}"), MESSAGE);
    setup.reply(two_hosts).assert_refused(400, 3, "`Host` must not be there twice");
    let empty = setup.last_reply(raw("POST ", LENGTH, MESSAGE));
    empty.assert_refused(400, 3, "the request target must be printable ASCII without spaces");
    let bad_method = setup.last_reply(raw("P()ST{} /publish", LENGTH, MESSAGE));
    bad_method.assert_refused(400, 3, "the method must be a token (RFC 9110, 5.6.2)");
    setup.assert_nothing_smuggled();
}

#[test]
fn versions_before_1_0_are_refused() {
    let setup = HttpSetup::start();
    let reply = setup.last_reply(post(LENGTH, MESSAGE).replace("HTTP/1.1", "HTTP/0.9"));
    reply.assert_refused(505, 10, "the version must be HTTP/1.1 or HTTP/1.0");
    setup.assert_nothing_smuggled();
}

#[test]
fn a_connection_ends_where_the_client_or_http_1_0_asks_for_it() {
    let setup = HttpSetup::start();
    for (version, line) in [
        ("1.0", ""),
        ("1.0", "Connection: foo\r\n"),
        ("1.0", "Connection: x-keep-alive\r\n"),
        ("1.0", "Connection: keep-alive, close\r\n"),
        ("1.0", "Connection: keep-alive\r\nConnection: close\r\n"),
        // tiny_http looks only at the first `Connection` header
        ("1.0", "Connection: foo\r\nConnection: keep-alive\r\n"),
        ("1.1", "Connection: close\r\n"),
        ("1.1", "connection: Close\r\n"),
        ("1.1", "Connection: foo, close\r\n"),
        ("1.1", "Connection: keep-alive,close\r\n"),
        ("1.1", "Connection: foo\r\nConnection: close\r\n"),
        // tiny_http matches a part of the word
        ("1.1", "Connection: closed\r\n"),
    ] {
        let bytes = post(&format!("{line}{LENGTH}"), MESSAGE).replace("HTTP/1.1", &format!("HTTP/{version}"));
        setup.last_reply(bytes).assert_published();
    }
    setup.assert_nothing_smuggled();
}

#[test]
fn a_connection_is_kept_otherwise_and_http_1_0_is_told() {
    let setup = HttpSetup::start();
    for line in ["", "Connection: keep-alive\r\n", "Connection: foo\r\n", "Connection: foo\r\nConnection: bar\r\n"] {
        setup.reply(post(&format!("{line}{LENGTH}"), MESSAGE)).assert_published();
    }
    let old = post(&format!("Connection: foo, Keep-Alive\r\n{LENGTH}"), MESSAGE).replace("HTTP/1.1", "HTTP/1.0");
    let mut connection = setup.send(&old);
    for _ in 0..3 {
        let reply = connection.reply();
        reply.assert_published();
        assert_ours(&reply);
        assert_eq!(reply.header("connection"), Some("keep-alive"));
        connection.send(old.as_bytes());
    }
    connection.reply().assert_published();
    connection.post("/publish", MESSAGE.as_bytes()).assert_published();
    setup.assert_nothing_smuggled();
}

#[test]
fn head_is_answered_with_the_length_of_the_get_reply() {
    let setup = HttpSetup::start();
    for (path, status) in [("/publish", 405), ("/x", 404)] {
        let length = setup.reply(raw(&format!("GET {path}"), "", "")).body.len().to_string();
        let mut connection = setup.send(raw(&format!("HEAD {path}"), "", ""));
        let reply = connection.reply_to_head();
        assert_ours(&reply);
        assert_eq!((reply.status, reply.header("content-length")), (status, Some(length.as_str())));
        connection.post("/publish", MESSAGE.as_bytes()).assert_published();
    }
    let mut last = setup.send(raw("HEAD /x", "Connection: close\r\n", ""));
    assert_last(&last.reply_to_head());
    last.assert_ended();
}

#[test]
fn expect_100_continue_is_answered_where_the_body_is_read() {
    let setup = HttpSetup::start();
    let nothing = "there is nothing at `/x`: try `POST /publish`";
    for (line, body) in [(LENGTH, MESSAGE.to_owned()), ("Transfer-Encoding: chunked\r\n", chunks(MESSAGE))] {
        let mut connection = setup.send(post(&format!("{EXPECT}{line}"), ""));
        assert_eq!(connection.reply().status, 100);
        connection.send(body.as_bytes());
        let reply = connection.reply();
        reply.assert_published();
        assert_ours(&reply);
        let mut connection = setup.send(raw("POST /x", &format!("{EXPECT}{line}"), ""));
        let reply = connection.reply();
        reply.assert_refused(404, 6, nothing);
        assert_last(&reply);
        connection.assert_ended();
    }
    for lines in [format!("{EXPECT}Content-Length: 0\r\n"), EXPECT.to_owned()] {
        let no_body = setup.reply(post(&lines, ""));
        no_body.assert_refused(400, 3, "the body is empty: it must be a JSON object");
    }
    setup.assert_nothing_smuggled();
}

#[test]
fn an_upgrade_offer_is_ignored() {
    let setup = HttpSetup::start();
    setup.last_reply(post(&format!("{UPGRADE}{LENGTH}"), MESSAGE)).assert_published();
    let padded = post(&format!("{UPGRADE}Content-Length: 3000\r\n"), &format!("{MESSAGE:<3000}"));
    setup.last_reply(padded).assert_published();
    // tiny_http would give the rest of the connection as the body
    for lines in [UPGRADE.to_owned(), format!("{UPGRADE}Content-Length: 0\r\n")] {
        let reply = setup.last_reply(post(&lines, ""));
        reply.assert_refused(400, 3, "the body is empty: it must be a JSON object");
    }
    setup.reply(post(&format!("Connection: foo\r\n{UPGRADE}{LENGTH}"), MESSAGE)).assert_published();
    setup.assert_nothing_smuggled();
}

/// The head that Java's `HttpClient` sends before a body of unknown length.
fn java(path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nTransfer-encoding: chunked\r\n\
         Host: localhost\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n\
         User-Agent: Java-http-client/17.0.13\r\nContent-Type: application/json\r\n\r\n"
    )
}

#[test]
fn chunks_with_an_upgrade_offer_are_served_and_the_connection_is_closed() {
    let setup = HttpSetup::start();
    let padded = format!("{MESSAGE:<3000}");
    let pieces: Vec<String> = MESSAGE.chars().map(|piece| format!("1;a=b\r\n{piece}\r\n")).collect();
    for body in [
        chunks(MESSAGE),
        chunks(&padded),
        format!("{}0\r\n\r\n", pieces.concat()),
        format!("17\r\n{MESSAGE}\r\n0\r\nX-Trailer: 1\r\nX: 2\r\n\r\n"),
    ] {
        setup.last_reply(java("/publish") + &body).assert_published();
    }
    // head, chunk and end are sent separately
    let mut connection = setup.send(java("/publish"));
    for part in [format!("17\r\n{MESSAGE}"), "\r\n".to_owned(), "0\r\n\r\n".to_owned()] {
        connection.await_read();
        connection.send(part.as_bytes());
    }
    connection.reply().assert_published();
    connection.assert_ended();
    // the body is complete
    let mut connection = setup.send(java("/publish") + &chunks(MESSAGE));
    connection.end_sending();
    connection.reply().assert_published();
    setup.assert_nothing_smuggled();
}

#[test]
fn invalid_chunks_with_an_upgrade_offer_are_refused() {
    let setup = HttpSetup::impatient();
    let unreadable = |what: &str| format!("the body could not be read: {what}");
    for (body, status, code, error) in [
        (
            format!("zz\r\n{MESSAGE}\r\n0\r\n\r\n"),
            400,
            3,
            unreadable("the size of a chunk must be a hexadecimal number"),
        ),
        (format!("16\r\n{MESSAGE}\r\n0\r\n\r\n"), 400, 3, unreadable("a chunk is longer than its size")),
        (format!("17\n{MESSAGE}\n0\n\n"), 400, 3, unreadable("a line must not contain control characters")),
        (format!("17\r\n{MESSAGE}\r\n0\r\n{SMUGGLED}"), 400, 3, unreadable("a trailer has no colon")),
        (chunks(&" ".repeat(4001)), 413, 9, "not sent: the body is over the limit of 4000 bytes".to_owned()),
        (
            format!("17\r\n{MESSAGE}\r\n"),
            408,
            3,
            "not sent: the request was not complete within `request-timeout`".to_owned(),
        ),
    ] {
        let mut connection = setup.send(java("/publish") + &body);
        let reply = connection.reply();
        reply.assert_refused(status, code, &error);
        assert_last(&reply);
        connection.assert_ended();
    }
    let mut connection = setup.send(java("/publish") + &format!("17\r\n{MESSAGE}\r\n0\r\n"));
    connection.end_sending();
    let cut = "not sent: the connection ended with the body, and nothing tells whether all of its chunks came";
    connection.reply().assert_refused(400, 3, cut);
    let unwanted = setup.last_reply(java("/x") + &chunks(MESSAGE));
    unwanted.assert_refused(404, 6, "there is nothing at `/x`: try `POST /publish`");
    setup.assert_nothing_smuggled();
}

#[test]
fn curl_publishes_with_each_of_its_framings() {
    let setup = HttpSetup::start();
    let url = format!("http://{}/publish", setup.daemon.address());
    let padded = format!("{MESSAGE:<3000}");
    let version = Command::new("curl").arg("--version").output().expect("curl is needed for this test").stdout;
    let has_http_2 = String::from_utf8_lossy(&version).contains(" HTTP2");
    for options in [
        if has_http_2 { &["--http2"][..] } else { &[] },
        &["--http1.0"],
        &["-H", "Transfer-Encoding: chunked"],
        &["-H", "Expect: 100-continue"],
        &["-H", "Connection: close"],
    ] {
        for body in [MESSAGE, &padded] {
            let arguments = ["-sSf", &url, &url, "--data-binary", body];
            let mut curl = Process::start(Command::new("curl").args(arguments).args(options));
            assert!(curl.wait_for_end().success(), "{options:?}");
            assert_eq!(curl.stdout(), br#"{"code":0}{"code":0}"#, "{options:?}");
        }
    }
    assert_eq!(setup.published(), 20);
}

#[test]
fn a_head_over_the_limits_is_refused() {
    let setup = HttpSetup::start();
    let head = "the head of the request is over the limit of 16384 bytes or 100 headers";
    let long = post(&format!("X: {}\r\n{LENGTH}", "a".repeat(16 * 1024)), MESSAGE);
    setup.last_reply(long).assert_refused(431, 3, head);
    // `Host` and `Content-Length` count too
    let headers = |count: usize| post(&format!("{}{LENGTH}", "A: b\r\n".repeat(count - 2)), MESSAGE);
    setup.reply(headers(100)).assert_published();
    setup.last_reply(headers(101)).assert_refused(431, 3, head);
    let target = |length: usize| raw(&format!("POST /publish?{}", "a".repeat(length - 9)), LENGTH, MESSAGE);
    assert_eq!(setup.reply(target(8000)).status, 400);
    let too_long = "the request target is over the limit of 8000 bytes";
    setup.last_reply(target(8001)).assert_refused(414, 3, too_long);
    setup.assert_nothing_smuggled();
}
