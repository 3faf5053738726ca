//! What becomes of a key when the outcomes of its messages come, in any order.

use std::sync::mpsc;

use super::*;
use crate::config::{Environment, Source};
use crate::http::server::TestHead;
use crate::mqtt::{Failure, Outcome, Published};
use crate::outbox::Id;

const DONE: Outcome = Ok(Published::Acknowledged { packet_identifier: 7, reason_code: Some(0) });

fn keys() -> Keys {
    let config = Config::parse("", &Source::BuiltIn, &Environment::from([])).unwrap();
    Keys::new(&config, &Outbox::default())
}

fn begin(keys: &Keys, stores: bool) -> Result<Begun, Reply> {
    let head = TestHead::post(&[("Idempotency-Key", "k")]);
    keys.begin(&IdempotencyKey::of(head.head()).unwrap().unwrap(), "a", [0; 32], stores)
}

fn first(keys: &Keys) -> Arc<Running> {
    match begin(keys, false) {
        Ok(Begun::First(running)) => Arc::new(running),
        _ => panic!("not the first"),
    }
}

/// The status of what a repetition gets; 0 if it is the first.
fn status(keys: &Keys) -> u16 {
    match begin(keys, false) {
        Ok(Begun::First(_)) => 0,
        Ok(Begun::Repeats(answer)) => answer.unwrap().status,
        Err(refusal) => refusal.status(),
    }
}

fn single(keys: &Keys) -> Tell<Outcome> {
    Settling::tell(first(keys), Reply::from, 1, drop)
}

fn of_two(keys: &Keys) -> Tell<Vec<Outcome>> {
    Settling::tell(first(keys), Reply::from, 2, drop)
}

#[test]
fn the_outcome_is_known_to_the_key_before_the_client_has_it() {
    let (keys, (sender, receiver)) = (keys(), mpsc::channel());
    let at_reply = keys.clone();
    let tell: Tell<Outcome> =
        Settling::tell(first(&keys), Reply::from, 1, move |told| sender.send((told, status(&at_reply))).unwrap());
    assert_eq!(status(&keys), 409);
    (tell.told)(Told::Published(DONE));
    assert_eq!(receiver.try_recv(), Ok((Told::Published(DONE), 200)));
}

#[test]
fn an_outcome_is_kept_if_the_broker_has_the_message_or_may_have_it() {
    for (outcome, kept) in [
        (DONE, 200),
        (Ok(Published::HandedOver), 200),
        (Err(Failure::Unknown), 504),
        (Err(Failure::GivenUp), 502),
        (Err(Failure::NotConnected), 0),
        (Err(Failure::Stopping), 0),
        (Err(Failure::TooManyWaiting), 0),
        (Err(Failure::PacketTooLarge { size: 2, limit: 1 }), 0),
        (Err(Failure::Refused(135)), 0),
    ] {
        let keys = keys();
        (single(&keys).told)(Told::Published(outcome.clone()));
        assert_eq!(status(&keys), kept, "{outcome:?}");
    }
}

#[test]
fn a_late_outcome_takes_the_place_of_an_unknown_one() {
    for (late, kept) in [
        (DONE, 200),
        (Err(Failure::Refused(135)), 403),
        (Err(Failure::refused(151, Some("full".into()))), 502),
        (Err(Failure::NotConnected), 0),
    ] {
        let keys = keys();
        let Tell { told, late: mut callers, .. } = single(&keys);
        told(Told::Published(Err(Failure::Unknown)));
        assert_eq!(status(&keys), 504);
        callers.remove(0)(late.clone());
        assert_eq!(status(&keys), kept, "{late:?}");
    }
}

#[test]
fn an_unknown_outcome_stays_if_nothing_comes_late() {
    let keys = keys();
    let Tell { told, late, .. } = single(&keys);
    told(Told::Published(Err(Failure::Unknown)));
    drop(late);
    assert_eq!(status(&keys), 504);
}

#[test]
fn what_comes_late_for_one_message_before_the_outcome_of_another_is_not_lost() {
    let keys = keys();
    let Tell { told, late: mut callers, .. } = of_two(&keys);
    callers.remove(0)(DONE);
    assert_eq!(status(&keys), 409);
    told(Told::Published(vec![Err(Failure::Unknown), Err(Failure::Unknown)]));
    assert_eq!(status(&keys), 207);
    callers.remove(0)(DONE);
    assert_eq!(status(&keys), 200);
}

#[test]
fn a_bulk_is_kept_if_one_of_its_messages_may_be_there() {
    for (outcomes, kept) in [
        (vec![DONE, Err(Failure::Busy)], 207),
        (vec![Err(Failure::Busy), Err(Failure::Unknown)], 207),
        (vec![Err(Failure::Busy), Err(Failure::Refused(135))], 0),
    ] {
        let keys = keys();
        (of_two(&keys).told)(Told::Published(outcomes.clone()));
        assert_eq!(status(&keys), kept, "{outcomes:?}");
    }
}

#[test]
fn a_key_without_an_answer_is_free_when_the_request_is_gone() {
    let keys = keys();
    let tell = single(&keys);
    assert_eq!(status(&keys), 409);
    drop(tell);
    assert_eq!(status(&keys), 0);
    let panics = std::panic::catch_unwind(|| {
        let _running = first(&keys);
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(panics.is_err());
    assert_eq!(status(&keys), 0);
}

#[test]
fn what_comes_late_for_a_key_that_another_request_has_now_changes_nothing() {
    let keys = keys();
    let Tell { told, late: mut callers, .. } = of_two(&keys);
    told(Told::Published(vec![Err(Failure::Unknown), Err(Failure::Busy)]));
    callers.remove(0)(Err(Failure::NotConnected));
    let again = single(&keys);
    callers.remove(0)(DONE);
    assert_eq!(status(&keys), 409);
    (again.told)(Told::Published(DONE));
    assert_eq!(status(&keys), 200);
}

#[test]
fn the_record_of_stored_messages_has_the_answer() {
    let keys = keys();
    let Tell { told, key, .. } = single(&keys);
    let id = Id { file: 1, sequence: 2 };
    let (_, record) = key.unwrap()(&[id]);
    told(Told::Stored(Ok(vec![id])));
    let answer = record.answer.unwrap();
    assert_eq!((answer.status, answer.location), (202, Some(format!("/outbox/{id}").into())));
    assert_eq!(status(&keys), 202);
}

#[test]
fn messages_that_may_be_stored_are_not_stored_again() {
    for (error, kept) in [(NotStored::Unknown, 504), (NotStored::Busy, 0), (NotStored::Failing("EIO".into()), 0)] {
        let keys = keys();
        (single(&keys).told)(Told::Stored(Err(error.clone())));
        assert_eq!(status(&keys), kept, "{error}");
        (single_if_free(&keys, kept))(Told::KeyNotStored(error));
        assert_eq!(status(&keys), kept);
    }
}

/// What tells the first request, or nobody if the key is taken.
fn single_if_free(keys: &Keys, kept: u16) -> Box<dyn FnOnce(Told) + Send> {
    if kept == 0 { single(keys).told } else { Box::new(drop) }
}

#[test]
fn of_an_answer_that_is_too_long_only_the_fact_is_kept() {
    let keys = keys();
    let long = Reply::document("application/json", vec![b' '; MAX_ANSWER + 1]);
    first(&keys).end(&long, true);
    assert_eq!(status(&keys), 504);
    assert!(keys.size().1 < 1000);
}

/// Each would be an fsync, and nobody bounds how many such requests there are.
#[test]
fn a_request_that_was_not_recorded_leaves_the_disk_in_peace() {
    let config = Config::parse("", &Source::BuiltIn, &Environment::from([])).unwrap();
    let outbox = Outbox::idle();
    let keys = Keys::new(&config, &outbox);
    drop(first(&keys));
    first(&keys).free();
    assert_eq!(outbox.waiting(), 0);
    let running = first(&keys);
    running.record(Duration::from_secs(600), Box::new(drop));
    assert_eq!(outbox.waiting(), 1, "the record");
    drop(running);
    assert_eq!(outbox.waiting(), 2, "its removal");
}

#[test]
fn a_stored_request_learns_late_whether_it_is_stored() {
    let id = || vec![Id { file: 1, sequence: 2 }];
    for (late, kept) in [(Ok(id()), 202), (Err(NotStored::Busy), 0), (Err(NotStored::Unknown), 504)] {
        for is_early in [false, true] {
            let keys = keys();
            let Tell { told, late_stored, .. } = single(&keys);
            let (told, late_stored) = (|| told(Told::Stored(Err(NotStored::Unknown))), late_stored.unwrap());
            if is_early {
                late_stored(late.clone());
                told();
            } else {
                told();
                assert_eq!(status(&keys), 504);
                late_stored(late.clone());
            }
            assert_eq!(status(&keys), kept, "{late:?}");
        }
    }
}

/// It would not have room, and the next request would publish again.
#[test]
fn of_a_huge_answer_it_is_known_that_there_was_one() {
    let keys = keys();
    let body = vec![0; MAX_BYTES + 1].into();
    first(&keys).answer(1, Answer { status: 200, code: 0, body, location: None, not_stored: false });
    assert_eq!(status(&keys), 504);
}
