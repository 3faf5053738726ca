//! Posts to endpoints that answer in all ways, and to those that do not.

mod endpoint;
mod kept;
mod late;

use std::io::Write;
use std::net::TcpListener;

use self::endpoint::{Endpoint, LONG, answer, client, header, read, status};
use super::Answer;

#[test]
fn a_request_has_what_http_needs_and_no_more() {
    let endpoint = Endpoint::once(|from| {
        let (mut head, body) = read(from);
        let port = from.get_ref().local_addr().unwrap().port();
        assert_eq!(head.remove(0), "POST /mqtt?key=secret HTTP/1.1");
        head.sort();
        let agent = format!("user-agent: mqtt-bridge/{}", env!("CARGO_PKG_VERSION"));
        let host = format!("host: 127.0.0.1:{port}");
        assert_eq!(head, ["accept: */*", "content-length: 3", &host, &agent, "webhook-id: 1", "x: \u{fc}"]);
        assert_eq!(body, [0, 255, 7]);
        answer(from, "HTTP/1.1 204 No Content\r\n\r\n");
    });
    let headers = [header("webhook-id", "1"), header("X", "\u{fc}")];
    assert_eq!(endpoint.client(LONG).post(&headers, &[0, 255, 7]), status(204));
}

#[test]
fn headers_that_belong_to_the_connection_are_refused() {
    let client = client("http://127.0.0.1:1/", LONG);
    for (name, value) in [
        ("Host", "a"),
        ("content-length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "close"),
        ("expect", "100-continue"),
        ("a b", "c"),
        ("a", "b\r\nc: d"),
        ("", "a"),
    ] {
        assert_eq!(client.post(&[header(name, value)], b""), Err(format!("the header {name} cannot be sent")));
    }
}

#[test]
fn every_final_status_is_an_answer() {
    let large = "a".repeat(100_000);
    let early = format!("HTTP/1.1 103 a\r\n\r\nHTTP/1.1 203 a\r\nContent-Length: 100000\r\n\r\n{large}");
    for (text, expected) in [
        (early.as_str(), 203),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
        ("HTTP/1.0 201 Created\r\n\r\nuntil the end", 201),
        ("HTTP/1.1 202\r\n\r\n", 202),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            204,
        ),
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 302),
        ("HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 3\r\n\r\nabc", 307),
        ("HTTP/1.1 308 Permanent Redirect\r\n\r\n", 308),
        ("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 404),
        ("HTTP/1.1 410 Gone\r\nContent-Length: 99\r\n\r\nit breaks off", 410),
        ("HTTP/1.1 500 \r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 500),
        ("HTTP/1.1 503 a\r\nTransfer-Encoding: chunked\r\n\r\nno chunk", 503),
    ] {
        let owned = text.to_owned();
        let endpoint = Endpoint::once(move |from| {
            read(from);
            // the client may not take all of a body
            let _ = from.get_mut().write_all(owned.as_bytes());
        });
        assert_eq!(endpoint.client(LONG).post(&[], b"a"), status(expected), "{text}");
    }
}

#[test]
fn retry_after_is_taken_as_it_is() {
    let long = "1".repeat(65);
    for (value, expected) in [
        ("120", Some("120")),
        ("Fri, 31 Dec 1999 23:59:59 GMT", Some("Fri, 31 Dec 1999 23:59:59 GMT")),
        ("", None),
        ("\u{fc}", None),
        (&long, None),
    ] {
        let value = value.to_owned();
        let endpoint = Endpoint::once(move |from| {
            read(from);
            answer(from, &format!("HTTP/1.1 503 a\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n"));
        });
        let expected = Answer { status: 503, retry_after: expected.map(str::to_owned) };
        assert_eq!(endpoint.client(LONG).post(&[], b"a"), Ok(expected));
    }
}

#[test]
fn what_is_no_answer_ends_with_words() {
    let large = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(1024 * 1024));
    for (text, expected) in [
        (large.as_str(), "the head of the answer is too long"),
        ("", "the endpoint closed the connection without an answer"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "the endpoint closed the connection without an answer"),
        ("SSH-2.0-a\r\n", "the answer is not HTTP/1.1: "),
        ("\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}\u{28}", "the answer is not HTTP/1.1: "),
        ("HTTP/1.1 2000 OK\r\n\r\n", "the answer is not HTTP/1.1: "),
        ("HTTP/2 200 OK\r\n\r\n", "the answer is not HTTP/1.1: "),
    ] {
        let text = text.to_owned();
        let endpoint = Endpoint::once(move |from| {
            read(from);
            // of what is too long, the client does not take all
            let _ = from.get_mut().write_all(text.as_bytes());
        });
        let words = endpoint.client(LONG).post(&[], b"a").unwrap_err();
        assert!(words.starts_with(expected), "{words}");
    }
}

#[test]
fn where_nobody_listens_there_is_no_answer() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = client(&format!("http://127.0.0.1:{port}/"), LONG).post(&[], b"a");
    assert_eq!(refused, Err("connection refused".to_owned()));
    let unknown = client("http://a.invalid/?key=secret", LONG).post(&[], b"a").unwrap_err();
    assert!(unknown.starts_with("the name a.invalid was not found: "), "{unknown}");
}
