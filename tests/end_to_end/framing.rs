//! The end of a request: no other bytes are taken for a request, and nothing incomplete is published.

use crate::support::http_setup::{HttpSetup, LENGTH, MAX_BODY, MESSAGE, SMUGGLED, assert_last, chunks, post};
use crate::support::request::raw;

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const TOO_LARGE: &str = "not sent: the body is over the limit of 4000 bytes";
const TOO_LATE: &str = "not sent: the request was not complete within `request-timeout`";
const UNREADABLE: &str = "the body could not be read: Error while decoding chunks";
const CUT_OFF: &str = "not sent: the connection ended with the body, and nothing tells whether all of its chunks came";

#[test]
fn a_body_with_an_ambiguous_length_is_refused() {
    let setup = HttpSetup::start();
    let no_length = "the body must come with `Content-Length`, or with exactly `Transfer-Encoding: chunked`";
    let two_ways = "`Content-Length` and `Transfer-Encoding` must not both be there";
    let (length_first, chunked_first) = (format!("{LENGTH}{CHUNKED}"), format!("{CHUNKED}{LENGTH}"));
    for (lines, status, error) in [
        (length_first.as_str(), 400, two_ways),
        (&chunked_first, 400, two_ways),
        ("Transfer-Encoding: identity\r\n", 411, no_length),
        ("Transfer-Encoding: xchunked\r\n", 411, no_length),
        ("Transfer-Encoding: gzip, chunked\r\n", 411, no_length),
        ("Transfer-Encoding:\r\n", 411, no_length),
        (&CHUNKED.repeat(2), 400, "`Transfer-Encoding` must not be there twice"),
        // tiny_http takes a folded line for a separate header (RFC 9112, 5.2)
        (&format!("{LENGTH}X: a\r\n\t{CHUNKED}"), 400, two_ways),
    ] {
        setup.last_reply(post(lines, &chunks(MESSAGE))).assert_refused(status, 3, error);
    }
    let old = format!("POST /publish HTTP/1.0\r\n{CHUNKED}\r\n{}", chunks(MESSAGE));
    setup.last_reply(old).assert_refused(411, 3, no_length);
    setup.assert_nothing_smuggled();
}

#[test]
fn content_length_must_be_one_number() {
    let setup = HttpSetup::start();
    for lines in [LENGTH.repeat(2), format!("{LENGTH}Content-Length: 5\r\n")] {
        let reply = setup.last_reply(post(&lines, MESSAGE));
        reply.assert_refused(400, 3, "`Content-Length` must not be there twice");
    }
    for length in ["-1", "2, 2", "23, 23", "abc", "+23", "0x17", "2 3", "23.0", ""] {
        let reply = setup.last_reply(post(&format!("Content-Length: {length}\r\n"), MESSAGE));
        reply.assert_refused(400, 3, &format!("`Content-Length` must be a number, not `{length}`"));
    }
    setup.reply(post("Content-Length: 0023\r\n", MESSAGE)).assert_published();
    setup.assert_nothing_smuggled();
}

#[test]
fn a_giant_length_is_refused_and_affects_no_other_client() {
    let setup = HttpSetup::start();
    // the first two leak a thread each
    for length in ["18446744073709551615", "1000000000000000", "18446744073709551616", "99999999999999999999999"] {
        let reply = setup.last_reply(post(&format!("Content-Length: {length}\r\n"), MESSAGE));
        reply.assert_refused(413, 9, TOO_LARGE);
    }
    setup.assert_nothing_smuggled();
}

#[test]
fn chunks_are_accepted_and_the_connection_is_closed_after_the_reply() {
    let setup = HttpSetup::start();
    let pieces: Vec<String> = MESSAGE.chars().map(|piece| format!("1\r\n{piece}\r\n")).collect();
    for (lines, body) in [
        (CHUNKED, chunks(MESSAGE)),
        ("transfer-encoding: Chunked\r\n", chunks(MESSAGE)),
        (CHUNKED, format!("00017;a=b;c\r\n{MESSAGE}\r\n0;d\r\n\r\n")),
        (CHUNKED, format!("{}0\r\n\r\n", pieces.concat())),
        (CHUNKED, chunks(&format!("{MESSAGE:<MAX_BODY$}"))),
    ] {
        setup.last_reply(post(lines, &body)).assert_published();
    }
    setup.assert_nothing_smuggled();
}

#[test]
fn chunks_with_connection_close_are_accepted() {
    let setup = HttpSetup::start();
    for connection in ["close", "Close", "keep-alive, close"] {
        let lines = format!("Connection: {connection}\r\n{CHUNKED}");
        // urllib sends the head and each chunk separately, curl everything at once
        let pieces = [post(&lines, ""), format!("17\r\n{MESSAGE}\r\n"), "0\r\n\r\n".to_owned()];
        for bytes in [pieces.to_vec(), vec![pieces.concat()]] {
            for _ in 0..10 {
                let mut client = setup.daemon.connect();
                for piece in &bytes {
                    client.send(piece.as_bytes());
                    client.await_read();
                }
                let reply = client.reply();
                reply.assert_published();
                assert_last(&reply);
                client.assert_ended();
            }
        }
    }
    // a body that really ends early is refused
    for body in [format!("40\r\n{MESSAGE}"), format!("17\r\n{MESSAGE}\r\n"), format!("17\r\n{MESSAGE}\r\n0\r\n")] {
        let mut client = setup.send(post(&format!("Connection: close\r\n{CHUNKED}"), &body));
        client.end_sending();
        client.reply().assert_refused(400, 3, CUT_OFF);
        client.assert_ended();
    }
    assert_eq!(setup.published(), 60);
}

#[test]
fn an_unread_body_is_not_taken_for_a_request() {
    let setup = HttpSetup::start();
    let nothing = "there is nothing at `/x`: try `POST /publish`";
    let long = format!("Content-Length: {}\r\n", SMUGGLED.len() * 20);
    for (lines, body) in [
        (CHUNKED, chunks(SMUGGLED)),
        (CHUNKED, format!("{:x}\r\n", SMUGGLED.len())),
        (&long, SMUGGLED.repeat(20)),
        (&long, String::new()),
    ] {
        setup.last_reply(raw("POST /x", lines, &body)).assert_refused(404, 6, nothing);
        let reply = setup.last_reply(raw("PUT /publish", lines, &body));
        reply.assert_refused(405, 3, "the method must be POST");
    }
    let short = format!("Content-Length: {}\r\n", SMUGGLED.len());
    setup.reply(raw("POST /x", &short, SMUGGLED)).assert_refused(404, 6, nothing);
    setup.assert_nothing_smuggled();
}

#[test]
fn invalid_chunks_end_the_connection() {
    let setup = HttpSetup::impatient();
    for (body, status, code, error) in [
        (format!("zz\r\n{MESSAGE}\r\n0\r\n\r\n"), 400, 3, UNREADABLE),
        (format!("-17\r\n{MESSAGE}\r\n0\r\n\r\n"), 400, 3, UNREADABLE),
        (format!("10000000000000017\r\n{MESSAGE}\r\n0\r\n\r\n"), 400, 3, UNREADABLE),
        (format!("\r\n{MESSAGE}\r\n0\r\n\r\n"), 400, 3, UNREADABLE),
        (format!("16\r\n{MESSAGE}\r\n0\r\n\r\n"), 400, 3, UNREADABLE),
        (chunks(&" ".repeat(MAX_BODY + 1)), 413, 9, TOO_LARGE),
        (format!("1000\r\n{:4096}", ""), 413, 9, TOO_LARGE),
        // the smuggled request is part of the chunk, and the rest never arrives
        (format!("ffffffffffffffff\r\n{MESSAGE}\r\n0\r\n\r\n"), 408, 3, TOO_LATE),
        (format!("200\r\n{MESSAGE}"), 408, 3, TOO_LATE),
        (format!("17\r\n{MESSAGE}\r\n80;"), 408, 3, TOO_LATE),
    ] {
        setup.last_reply(post(CHUNKED, &body)).assert_refused(status, code, error);
    }
    setup.assert_nothing_smuggled();
}

#[test]
fn trailers_are_ignored() {
    let setup = HttpSetup::start();
    let many = format!("{}\r\n", "X: 1\r\n".repeat(20));
    for trailers in ["Content-MD5: x==\r\n\r\n", "X-A: 1;a\r\nX-B:\r\n\r\n", "X-0: 0\r\n\r\n", &many] {
        let body = format!("1\r\n{{\r\n16\r\n{}\r\n0\r\n{trailers}", &MESSAGE[1..]);
        setup.last_reply(post(CHUNKED, &body)).assert_published();
    }
    // the last chunk is sent separately, as node does
    let mut connection = setup.send(post(CHUNKED, &format!("17\r\n{MESSAGE}\r\n")));
    connection.await_read();
    connection.send(b"0\r\nContent-MD5: x==\r\n\r\n");
    let reply = connection.reply();
    reply.assert_published();
    assert_last(&reply);
    connection.assert_ended();
    setup.assert_nothing_smuggled();
}

#[test]
fn lines_between_chunks_are_not_taken_for_trailers() {
    let setup = HttpSetup::start();
    for between in ["\r\n", "zz\r\n", "X: 1\r\n"] {
        for end in ["0\r\n\r\n", "1\r\n \r\n0\r\n\r\n", "1\r\n \r\n"] {
            let body = format!("17\r\n{MESSAGE}\r\n{between}{end}");
            setup.last_reply(post(CHUNKED, &body)).assert_refused(400, 3, UNREADABLE);
        }
        // bytes after the error may be anything
        let long = format!("17\r\n{MESSAGE}\r\n{between}{}", "X: 1\r\n".repeat(1000));
        setup.last_reply(post(CHUNKED, &long)).assert_refused(400, 3, UNREADABLE);
    }
    setup.assert_nothing_smuggled();
}

#[test]
fn announced_trailers_are_ignored() {
    let setup = HttpSetup::start();
    let announced = format!("Trailer: Content-MD5\r\n{CHUNKED}");
    let many = format!("{}\r\n", "X: 1\r\n".repeat(200));
    for trailers in ["Content-MD5: x==\r\n\r\n", "X-A: 1\r\nX-B:\r\n\r\n", "\r\n", &many] {
        let body = format!("17\r\n{MESSAGE}\r\n0\r\n{trailers}");
        setup.last_reply(post(&announced, &body)).assert_published();
    }
    // trailers may arrive after the message is published, and the connection is not reset over them
    let mut connection = setup.send(post(&announced, &format!("17\r\n{MESSAGE}\r\n0\r\nC")));
    let reply = connection.reply();
    reply.assert_published();
    assert_last(&reply);
    assert!(connection.try_send(b"ontent-MD5: x==\r\n\r\n"));
    connection.assert_ended();
    // at QoS 1 the reply is sent later
    let long = r#"{"topic":"t","msg":"x","qos":1}"#;
    let body = format!("1f\r\n{long}\r\n0\r\nContent-MD5: x==\r\n\r\n");
    let reply = setup.last_reply(post(&announced, &body));
    assert_eq!((reply.status, reply.code()), (200, 0), "{reply:?}");
    setup.assert_nothing_smuggled();
}

#[test]
fn announced_trailers_do_not_complete_broken_chunks() {
    let setup = HttpSetup::impatient();
    let announced = format!("Trailer: X\r\n{CHUNKED}");
    for body in [
        // data beyond the size of the chunk
        format!("16\r\n{MESSAGE}\r\n0\r\n\r\n"),
        format!("1\r\n{{\r\n15\r\n{}\r\n0\r\n\r\n", &MESSAGE[1..]),
        // no data at all
        format!("0x17\r\n{MESSAGE}\r\n0x0\r\n\r\n"),
        "0\r\nX: 1\r\n\r\n".to_owned(),
    ] {
        setup.last_reply(post(&announced, &body)).assert_refused(400, 3, UNREADABLE);
    }
    setup.send(post(&announced, &format!("17\r\n{MESSAGE}\r\n"))).reply().assert_refused(408, 3, TOO_LATE);
    for body in [format!("17\r\n{MESSAGE}\r\n"), format!("17\r\n{MESSAGE}\r\n0\r\n"), format!("18\r\n{MESSAGE}")] {
        let mut connection = setup.send(post(&announced, &body));
        connection.end_sending();
        connection.reply().assert_refused(400, 3, CUT_OFF);
    }
    setup.assert_nothing_smuggled();
}

#[test]
fn a_stalled_body_is_not_published_even_if_it_is_valid_json() {
    let setup = HttpSetup::impatient();
    for (lines, body) in [
        (CHUNKED, format!("40\r\n{MESSAGE}")),
        (CHUNKED, format!("17\r\n{MESSAGE}\r\n")),
        ("Content-Length: 24\r\n", MESSAGE.to_owned()),
        ("Content-Length: 2000\r\n", MESSAGE.to_owned()),
    ] {
        let mut connection = setup.send(post(lines, &body));
        let reply = connection.reply();
        reply.assert_refused(408, 3, TOO_LATE);
        assert_last(&reply);
        connection.assert_ended();
        setup.assert_serving();
    }
    assert_eq!(setup.published(), 4, "by others");
}

#[test]
fn a_truncated_body_is_not_published_even_if_it_is_valid_json() {
    let setup = HttpSetup::start();
    for (lines, body, error) in [
        (CHUNKED, format!("40\r\n{MESSAGE}"), CUT_OFF),
        (CHUNKED, format!("17\r\n{MESSAGE}\r\n"), CUT_OFF),
        (CHUNKED, format!("17\r\n{MESSAGE}\r\n0\r\n"), CUT_OFF),
        ("Content-Length: 2000\r\n", MESSAGE.to_owned(), "the body ended after 23 of 2000 bytes"),
        ("Content-Length: 24\r\nExpect: 100-continue\r\n", MESSAGE.to_owned(), "the body ended after 23 of 24 bytes"),
    ] {
        let mut connection = setup.send(post(lines, &body));
        connection.end_sending();
        if lines.contains("Expect") {
            assert_eq!(connection.reply().status, 100);
        }
        let reply = connection.reply();
        reply.assert_refused(400, 3, error);
        assert_last(&reply);
        connection.assert_ended();
        setup.assert_serving();
    }
    // tiny_http reads a short body together with the head, and closes the connection without a reply
    let mut connection = setup.send(post("Content-Length: 24\r\n", MESSAGE));
    connection.end_sending();
    connection.assert_ended();
    assert_eq!(setup.published(), 5, "by others");
}

#[test]
fn a_client_that_breaks_off_always_gets_the_error() {
    let setup = HttpSetup::start();
    for _ in 0..200 {
        let mut connection = setup.send(post("Content-Length: 2000\r\n", MESSAGE));
        connection.end_sending();
        connection.reply().assert_refused(400, 3, "the body ended after 23 of 2000 bytes");
        connection.assert_ended();
    }
}

#[test]
fn a_whole_body_is_published_after_the_client_half_closed() {
    let setup = HttpSetup::start();
    for (lines, body) in [(LENGTH, MESSAGE.to_owned()), ("Content-Length: 2000\r\n", format!("{MESSAGE:<2000}"))] {
        let mut connection = setup.send(post(lines, &body));
        connection.end_sending();
        connection.reply().assert_published();
        connection.assert_ended();
    }
}

#[test]
fn bytes_after_a_body_are_the_next_request() {
    let setup = HttpSetup::start();
    let mut connection = setup.send(post(LENGTH, &format!("{MESSAGE}garbage\r\n\r\n{SMUGGLED}")));
    connection.reply().assert_published();
    assert_eq!(connection.reply().status, 400);
    connection.assert_ended();
    setup.reply(post(LENGTH, MESSAGE)).assert_published();
    // without a length there is no body, whatever follows
    let mut connection = setup.send(post("", MESSAGE));
    connection.reply().assert_refused(400, 3, "the body is empty: it must be a JSON object");
    connection.send(SMUGGLED.as_bytes());
    assert_eq!(connection.reply().status, 400);
    setup.assert_nothing_smuggled();
}

#[test]
fn a_line_end_after_a_body_is_not_taken_for_a_request() {
    let setup = HttpSetup::start();
    // tiny_http has read the line end with the head: the connection is closed after the reply instead of its 400
    for rest in ["\r\n", ""] {
        let mut connection = setup.send(post(LENGTH, &format!("{MESSAGE}{rest}")));
        let reply = connection.reply();
        reply.assert_published();
        if rest.is_empty() {
            assert_eq!(reply.header("connection"), None, "{reply:?}");
        } else {
            assert_last(&reply);
            connection.assert_ended();
        }
    }
    // the same where the reply waits for the broker
    let asked = r#"{"topic":"t","msg":"x","qos":1}"#;
    let mut connection = setup.send(post("Content-Length: 31\r\n", &format!("{asked}\r\n")));
    let reply = connection.reply();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")), "{reply:?}");
    connection.assert_ended();
    // after a long body the next request is read
    let long = format!("{MESSAGE:<3000}\r\n");
    let mut connection = setup.send(post("Content-Length: 3000\r\n", &long));
    for _ in 0..3 {
        let reply = connection.reply();
        reply.assert_published();
        assert_eq!(reply.header("connection"), None, "{reply:?}");
        connection.send(post("Content-Length: 3000\r\n", &long).as_bytes());
    }
    connection.reply().assert_published();
    connection.post("/publish", MESSAGE.as_bytes()).assert_published();
    setup.assert_nothing_smuggled();
}

#[test]
fn a_body_over_the_limit_is_refused_early_and_the_sender_can_read_why() {
    let setup = HttpSetup::start();
    for line in ["", "Expect: 100-continue\r\n"] {
        let mut connection = setup.send(post(&format!("{line}Content-Length: 60000000\r\n"), ""));
        // the reply is sent before any byte of the body, and without a 100
        let reply = connection.reply();
        reply.assert_refused(413, 9, TOO_LARGE);
        assert_last(&reply);
        connection.assert_ended();
    }
    for lines in ["Content-Length: 60000000\r\n", CHUNKED] {
        let mut connection = setup.send(post(lines, "186a0\r\n"));
        let piece = " ".repeat(100_000);
        // far more than the socket buffers take
        for _ in 0..120 {
            connection.send(piece.as_bytes());
            connection.send(if lines == CHUNKED { b"\r\n186a0\r\n" } else { b"" });
        }
        let reply = connection.reply();
        reply.assert_refused(413, 9, TOO_LARGE);
        assert_last(&reply);
        connection.assert_ended();
        setup.assert_serving();
    }
    setup.assert_nothing_smuggled();
}
