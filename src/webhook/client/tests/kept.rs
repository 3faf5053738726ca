//! Connections that are used for a second request, and those that are not.

use std::io::BufRead;

use super::endpoint::{Endpoint, LONG, answer, read, status};

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let endpoint = Endpoint::once(|from| {
        for text in ["200 OK\r\nContent-Length: 2\r\n\r\nok", "404 a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] {
            read(from);
            answer(from, &format!("HTTP/1.1 {text}"));
        }
        let (_, body) = read(from);
        assert_eq!(body, b"3");
        answer(from, "HTTP/1.1 302 a\r\nLocation: /\r\nContent-Length: 1\r\n\r\na");
        read(from);
        answer(from, "HTTP/1.1 204 a\r\n\r\n");
    });
    let client = endpoint.client(LONG);
    for (body, expected) in [("1", 200), ("2", 404), ("3", 302), ("4", 204)] {
        assert_eq!(client.post(&[], body.as_bytes()), status(expected));
    }
}

#[test]
fn a_kept_connection_that_the_server_closes_is_no_failure() {
    // it is closed when the next request is under way already
    let endpoint = Endpoint::new(vec![
        Box::new(|from| {
            read(from);
            answer(from, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(read(from).1, b"2");
        }),
        Box::new(|from| {
            assert_eq!(read(from).1, b"2");
            answer(from, "HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n");
        }),
        // it is closed before
        Box::new(|from| {
            assert_eq!(read(from).1, b"3");
            answer(from, "HTTP/1.1 202 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }),
        // and this one is new, so that its end is a failure
        Box::new(|from| assert_eq!(read(from).1, b"4")),
    ]);
    let client = endpoint.client(LONG);
    assert_eq!(client.post(&[], b"1"), status(200));
    assert_eq!(client.post(&[], b"2"), status(201));
    assert_eq!(client.post(&[], b"3"), status(202));
    let closed = "the endpoint closed the connection without an answer";
    assert_eq!(client.post(&[], b"4"), Err(closed.to_owned()));
}

#[test]
fn bytes_that_nobody_asked_for_are_no_answer_to_the_next_request() {
    let endpoint = Endpoint::new(vec![
        Box::new(|from| {
            read(from);
            answer(from, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 a\r\nContent-Length: 0\r\n\r\n");
        }),
        Box::new(|from| {
            read(from);
            answer(from, "HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n");
        }),
    ]);
    let client = endpoint.client(LONG);
    assert_eq!(client.post(&[], b"1"), status(200));
    assert_eq!(client.post(&[], b"2"), status(201));
}

#[test]
fn a_refusal_counts_though_the_body_could_not_be_sent() {
    let endpoint = Endpoint::once(|from| {
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        answer(from, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    });
    assert_eq!(endpoint.client(LONG).post(&[], &vec![0; 32 * 1024 * 1024]), status(413));
}
