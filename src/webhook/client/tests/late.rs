//! Endpoints that take more time than there is.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::endpoint::{Endpoint, LONG, answer, read, status};
use crate::webhook::client::BODY_TIMEOUT;

/// A timeout that is waited for.
const SHORT: Duration = Duration::from_millis(500);
/// What such a wait may take in addition on a busy machine.
const SLACK: Duration = Duration::from_secs(10);
/// Between two pieces of what comes slowly.
const PACE: Duration = Duration::from_millis(50);

/// Posts a body to such an endpoint, and expects no answer within the timeout. The endpoint gets to know when the post
/// has ended.
fn assert_late(body: &[u8], serve: fn(&mut BufReader<TcpStream>, &Receiver<()>)) {
    let (ended, has_ended) = channel();
    let endpoint = Endpoint::once(move |from| serve(from, &has_ended));
    let begin = Instant::now();
    assert_eq!(endpoint.client(SHORT).post(&[], body), Err("no answer within 0.5 s".to_owned()));
    let elapsed = begin.elapsed();
    assert!(elapsed >= SHORT && elapsed < SHORT + SLACK, "{elapsed:?}");
    drop(ended);
}

/// Writes pieces, one every 50 ms, until the post has ended.
fn drip(to: &mut BufReader<TcpStream>, has_ended: &Receiver<()>, piece: &str) {
    while has_ended.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
        // the client may have closed the connection just before
        let _ = to.get_mut().write_all(piece.as_bytes());
    }
}

#[test]
fn an_endpoint_that_does_not_answer_is_late() {
    assert_late(b"a", |from, has_ended| {
        read(from);
        has_ended.recv().unwrap_err();
    });
}

#[test]
fn a_head_without_an_end_is_late() {
    assert_late(b"a", |from, has_ended| {
        read(from);
        answer(from, "HTTP/1.1 200 OK\r\nA: ");
        drip(from, has_ended, "a");
    });
}

#[test]
fn informational_responses_without_an_end_are_late() {
    assert_late(b"a", |from, has_ended| {
        read(from);
        drip(from, has_ended, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n");
    });
    assert_late(b"a", |from, _| {
        read(from);
        let many = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
        while from.get_mut().write_all(many.as_bytes()).is_ok() {}
    });
}

#[test]
fn an_endpoint_that_takes_the_body_slowly_is_late() {
    assert_late(&vec![0; 32 * 1024 * 1024], |from, has_ended| {
        let mut piece = vec![0; 64 * 1024];
        while has_ended.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
            from.read_exact(&mut piece).unwrap();
        }
    });
}

/// Posts to an endpoint whose body has no end, and expects its status soon after the head.
fn assert_soon(head: &'static str, serve: fn(&mut BufReader<TcpStream>, &Receiver<()>)) {
    let (ended, has_ended) = channel();
    let endpoint = Endpoint::once(move |from| {
        read(from);
        answer(from, head);
        serve(from, &has_ended);
    });
    let begin = Instant::now();
    assert_eq!(endpoint.client(LONG).post(&[], b"a"), status(200));
    assert!(begin.elapsed() < BODY_TIMEOUT + SLACK, "{:?}", begin.elapsed());
    drop(ended);
}

#[test]
fn a_body_without_an_end_delays_its_status_by_a_second_at_most() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n", chunked] {
        assert_soon(head, |from, has_ended| drip(from, has_ended, "1\r\na\r\n"));
    }
    // a chunk extension
    assert_soon(chunked, |from, has_ended| drip(from, has_ended, "1;"));
}

#[test]
fn of_a_large_body_no_more_is_read_than_64_kib() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", chunked] {
        assert_soon(head, |from, _| {
            let chunk = format!("2000\r\n{}\r\n", "a".repeat(0x2000));
            // until the client closes the connection
            let written =
                (0..104_857_600 / chunk.len()).take_while(|_| from.get_mut().write_all(chunk.as_bytes()).is_ok());
            let written = written.count() * chunk.len();
            // what sockets take is more than what the client reads
            assert!(written < 50 * 1024 * 1024, "{written}");
        });
    }
}
