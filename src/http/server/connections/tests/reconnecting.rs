//! A client that resets its connection and connects again from the same address.

use std::io::{ErrorKind, Read};

use super::*;

#[test]
fn a_later_connection_with_the_same_address_waits_for_nothing_of_the_earlier_one() {
    // the state of the earlier one's request, or of the connection
    for case in ["running", "refused", "ended", "answered"] {
        let mut fixture = Fixture::new();
        let earlier = fixture.register(fixture.address());
        assert!(fixture.scan(socket_id(&fixture.server)).is_empty());
        match case {
            "refused" => fixture.connections.lock().get_mut(earlier).unwrap().end = End::Refused,
            "ended" | "answered" => fixture.answer(earlier),
            _ => {}
        }
        if case == "refused" || case == "ended" {
            fixture.connections.end(earlier);
        }
        // the server's end of the earlier one is still open
        let next = fixture.reconnect();
        let registered = fixture.try_register(fixture.address());
        let attributed = fixture.scan(socket_id(&next));
        let id = registered.or(attributed.first().and_then(|ready| ready.connection)).expect(case);
        assert!(fixture.scan(socket_id(&fixture.server)).is_empty(), "{case}: of the earlier one");
        let started = {
            let state = fixture.connections.lock();
            let connection = state.get(id).expect(case);
            assert!(connection.running && !connection.ended, "{case}");
            assert_eq!(connection.socket, Some(socket_id(&next)), "{case}");
            connection.started
        };
        if case == "running" || case == "refused" {
            fixture.answer(earlier);
            fixture.connections.close(earlier, b"");
            let state = fixture.connections.lock();
            let connection = state.get(id).expect(case);
            assert!(connection.running && !connection.ended && connection.started == started, "{case}: unchanged");
        }
    }
}

#[test]
fn requests_that_were_sent_before_a_reset_are_served_in_their_order() {
    let mut fixture = Fixture::new();
    let id = fixture.register(fixture.address());
    assert!(fixture.scan(socket_id(&fixture.server)).is_empty());
    let address = fixture.address();
    fixture.reset();
    // the first request is still being served
    assert!(fixture.try_register(address).is_none());
    assert!(fixture.connections.attribute(Instant::now() + Duration::from_secs(1)).is_empty());
    fixture.connections.count_answered();
    assert!(fixture.connections.next_request(Some(id)).is_some_and(|ready| ready.connection == Some(id)));
}

#[test]
fn a_connection_that_sends_more_requests_than_are_kept_unattributed_is_closed() {
    let mut fixture = Fixture::new();
    let earlier = fixture.register(fixture.address());
    assert!(fixture.scan(socket_id(&fixture.server)).is_empty());
    let next = fixture.reconnect();
    for _ in 0..=MAX_PIPELINED {
        assert!(fixture.try_register(fixture.address()).is_none());
    }
    fixture.client.set_nonblocking(true).unwrap();
    let still_open = fixture.client.read(&mut [0]).unwrap_err();
    assert_eq!(still_open.kind(), ErrorKind::WouldBlock);
    fixture.client.set_nonblocking(false).unwrap();
    fixture.client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // one more, and another that was sent before the connection was closed
    for _ in 0..2 {
        assert!(fixture.try_register(fixture.address()).is_none());
        assert_eq!(fixture.client.read(&mut [0]).unwrap(), 0, "it is closed");
    }
    assert!(fixture.scan(socket_id(&next)).is_empty(), "none of its requests is served");
    assert!(fixture.try_register(fixture.address()).is_none());
    assert_eq!(fixture.connections.lock().unanswered, 1);
    fixture.answer(earlier);
    assert_eq!(fixture.connections.lock().unanswered, 0);
    // a connection after that one is served
    drop(next);
    let last = fixture.reconnect();
    let registered = fixture.try_register(fixture.address());
    let attributed = fixture.scan(socket_id(&last));
    assert!(registered.or(attributed.first().and_then(|ready| ready.connection)).is_some());
}
