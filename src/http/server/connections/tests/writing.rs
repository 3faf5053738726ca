//! Which thread may write a reply.

use std::io::{ErrorKind, Write};

use super::*;

#[test]
fn only_the_reply_thread_writes_while_there_are_other_requests() {
    let fixture = Fixture::new();
    let id = fixture.register(fixture.address());
    assert!(fixture.connections.is_only_and_has_room(id));
    let other = fixture.register("127.0.0.1:1".parse().unwrap());
    assert!(!fixture.connections.is_only_and_has_room(id));
    fixture.answer(other);
    assert!(fixture.connections.is_only_and_has_room(id));
}

#[test]
fn a_stream_keeps_no_other_thread_from_writing() {
    let fixture = Fixture::new();
    fixture.register("127.0.0.1:1".parse().unwrap());
    fixture.connections.streams_changed(1);
    let id = fixture.register(fixture.address());
    assert!(fixture.connections.is_only_and_has_room(id));
    fixture.connections.streams_changed(-1);
    assert!(!fixture.connections.is_only_and_has_room(id));
}

#[test]
fn finding_out_who_may_write_never_waits_for_the_lock() {
    let fixture = Fixture::new();
    let id = fixture.register(fixture.address());
    let locked = fixture.connections.lock();
    assert!(!fixture.connections.is_only_and_has_room(id));
    drop(locked);
    assert!(fixture.connections.is_only_and_has_room(id));
}

#[test]
fn only_the_reply_thread_closes_connections() {
    let fixture = Fixture::new();
    let id = fixture.register(fixture.address());
    fixture.connections.drain();
    assert!(!fixture.connections.is_only_and_has_room(id));
    assert!(fixture.connections.has_room(id));
}

#[test]
fn only_the_reply_thread_writes_to_a_client_that_leaves_replies_unread() {
    let mut fixture = Fixture::new();
    let id = fixture.register(fixture.address());
    fixture.answer(id);
    fixture.register(fixture.address());
    assert!(!fixture.connections.is_only_and_has_room(id), "its socket is not known yet");
    assert!(fixture.connections.socket_of(id).is_some());
    assert!(fixture.connections.is_only_and_has_room(id));
    fixture.server.set_nonblocking(true).unwrap();
    let full = loop {
        if let Err(error) = fixture.server.write(&[0; 8192]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    assert!(!fixture.connections.is_only_and_has_room(id));
}
