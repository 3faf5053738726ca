//! A topic buffer and its readers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::budget::MAX_ALL_BYTES;
use super::buffer::{MAX_BYTES, MAX_MESSAGES};
use super::reader::{MAX_AT_ONCE, MAX_BYTES_AT_ONCE};
use super::*;
use crate::message::Received;
use crate::mqtt::outcome::Refusal;

fn buffer() -> Arc<TopicBuffer> {
    Arc::new(TopicBuffer::new(7, Arc::default()))
}

fn message(bytes: usize) -> Arc<BufferedMessage> {
    let message = Received { payload: vec![0; bytes], ..Received::default() };
    Arc::new(BufferedMessage::new(message.into()))
}

fn positions(reader: &mut Reader) -> (Option<Missed>, Vec<u64>) {
    let batch = reader.read(Instant::now());
    (batch.missed, batch.messages.iter().map(|(position, _)| *position).collect())
}

#[test]
fn a_reader_gets_what_comes_after_it_in_order() {
    let buffer = buffer();
    buffer.push(message(1), None);
    let mut reader = Reader::new(buffer.clone(), Start::Now, 1);
    assert_eq!(positions(&mut reader), (None, vec![]));
    buffer.push(message(1), None);
    buffer.push(message(1), None);
    assert_eq!(positions(&mut reader), (None, vec![1, 2]));
    assert_eq!(positions(&mut reader), (None, vec![]));
}

#[test]
fn a_reader_resumes_where_it_was() {
    let buffer = buffer();
    for _ in 0..3 {
        buffer.push(message(1), None);
    }
    let after = |start| positions(&mut Reader::new(buffer.clone(), start, 1));
    assert_eq!(after(Start::After(7, 0)), (None, vec![1, 2]));
    assert_eq!(after(Start::After(7, 2)), (None, vec![]));
    assert_eq!(after(Start::After(7, 3)), (Some(Missed::Unknown), vec![]));
    assert_eq!(after(Start::After(8, 0)), (Some(Missed::Unknown), vec![]));
    assert_eq!(after(Start::Unknown), (Some(Missed::Unknown), vec![]));
}

#[test]
fn a_retained_message_goes_to_readers_that_joined_with_its_subscription_or_to_all() {
    let buffer = buffer();
    let (mut early, mut late) =
        (Reader::new(buffer.clone(), Start::Now, 1), Reader::new(buffer.clone(), Start::Now, 2));
    let retained = |generation, is_for_all| Some(Retained { generation, is_for_all });
    for retained in [retained(1, true), retained(2, false), retained(3, true), None] {
        buffer.push(message(1), retained);
    }
    assert_eq!(positions(&mut early), (None, vec![0, 2, 3]));
    assert_eq!(positions(&mut late), (None, vec![1, 2, 3]));
}

#[test]
fn a_retained_message_is_fetched_with_its_subscription_or_a_later_one() {
    let buffer = buffer();
    let (mut listens, mut fetches) =
        (Reader::new(buffer.clone(), Start::Now, 2), Reader::new(buffer.clone(), Start::Fetch, 2));
    for generation in 1..=3 {
        buffer.push(message(1), Some(Retained { generation, is_for_all: false }));
    }
    buffer.push(message(1), Some(Retained::FETCHED));
    buffer.push(message(1), None);
    assert_eq!(positions(&mut listens), (None, vec![1, 4]));
    assert_eq!(positions(&mut fetches), (None, vec![1, 2, 3, 4]));
    assert_eq!(positions(&mut Reader::new(buffer.clone(), Start::Fetch, 2)), (None, vec![]), "what was there before");
}

#[test]
fn messages_for_others_are_skipped_at_once() {
    let buffer = buffer();
    let mut reader = Reader::new(buffer.clone(), Start::Now, 1);
    for _ in 0..3 * MAX_AT_ONCE {
        buffer.push(message(1), Some(Retained { generation: 2, is_for_all: false }));
    }
    buffer.push(message(1), None);
    assert_eq!(positions(&mut reader), (None, vec![3 * MAX_AT_ONCE as u64]));
    // they are not for a reader that comes back either
    let mut again = Reader::new(buffer.clone(), Start::After(7, 0), 2);
    assert_eq!(positions(&mut again), (None, vec![3 * MAX_AT_ONCE as u64]));
}

#[test]
fn a_slow_reader_is_told_how_many_it_missed() {
    let buffer = buffer();
    let mut reader = Reader::new(buffer.clone(), Start::Now, 1);
    for _ in 0..MAX_MESSAGES + 5 {
        buffer.push(message(1), None);
    }
    let (missed, positions) = positions(&mut reader);
    assert_eq!((missed, positions[0]), (Some(Missed::Known(5)), 5));
    assert!(positions.len() <= MAX_AT_ONCE && positions.len() > 50, "{}", positions.len());
}

#[test]
fn bytes_are_bounded_per_buffer_and_in_total() {
    let budget = Arc::new(Budget::default());
    let buffers: Vec<_> = (0..6).map(|number| TopicBuffer::new(number, budget.clone())).collect();
    for buffer in &buffers {
        for _ in 0..100 {
            buffer.push(message(200_000), None);
        }
        assert!(buffer.lock().bytes <= MAX_BYTES);
    }
    let bytes = || budget.bytes.load(Ordering::Relaxed);
    assert!(bytes() <= 2 * MAX_ALL_BYTES);
    // a buffer over its part shrinks to it with its next message
    for buffer in &buffers {
        buffer.push(message(200_000), None);
    }
    assert!(bytes() <= MAX_ALL_BYTES && buffers.iter().all(|buffer| buffer.lock().bytes > MAX_ALL_BYTES / 8));
    drop(buffers);
    assert_eq!((bytes(), budget.buffers.load(Ordering::Relaxed)), (0, 0));
}

#[test]
fn a_message_larger_than_the_budget_is_missed() {
    let buffer = buffer();
    let mut reader = Reader::new(buffer.clone(), Start::Now, 1);
    buffer.push(message(MAX_ALL_BYTES / 8), None);
    assert_eq!(positions(&mut reader), (None, vec![0]), "alone it may take more than others");
    buffer.push(message(2 * MAX_ALL_BYTES), None);
    let batch = reader.read(Instant::now());
    assert_eq!((batch.missed, batch.lagged, batch.messages.len()), (Some(Missed::Known(1)), true, 0));
    assert_eq!(buffer.lock().bytes, 0);
}

#[test]
fn a_reader_does_not_keep_a_long_message_that_its_buffer_drops() {
    let buffer = buffer();
    let mut reader = Reader::new(buffer.clone(), Start::Now, 1);
    buffer.push(message(MAX_BYTES_AT_ONCE), None);
    buffer.push(message(1), None);
    let (mut long, mut short) = (reader.read(Instant::now()), reader.read(Instant::now()));
    let ((_, long), (_, short)) = (long.messages.remove(0), short.messages.remove(0));
    assert!(long.get().is_some() && short.get().is_some());
    for _ in 0..=MAX_MESSAGES {
        buffer.push(message(1), None);
    }
    assert!(long.get().is_none() && short.get().is_some());
}

#[test]
fn each_reader_that_was_there_is_told_of_a_refusal_once() {
    let buffer = buffer();
    let mut reader = Reader::new(buffer.clone(), Start::Now, 1);
    buffer.refuse(Refusal::Refused(135));
    let mut late = Reader::new(buffer.clone(), Start::Now, 1);
    let refused = |reader: &mut Reader| reader.read(Instant::now()).refused;
    assert_eq!([refused(&mut reader), refused(&mut reader)], [Some(Refusal::Refused(135)), None]);
    assert_eq!(refused(&mut late), None);
    buffer.refuse(Refusal::Unknown);
    assert_eq!([refused(&mut reader), refused(&mut late)], [Some(Refusal::Unknown); 2]);
}

#[test]
fn a_gap_is_reported_at_its_position_to_readers_from_before_it() {
    let buffer = buffer();
    let join = |start| {
        let mut reader = Reader::new(buffer.clone(), start, 1);
        reader.begin();
        reader
    };
    buffer.push(message(1), None);
    let (mut early, mut away) = (join(Start::After(7, 0)), join(Start::Now));
    buffer.push(message(1), None);
    buffer.begin_gap();
    let mut late = join(Start::Now);
    buffer.end_gap();
    buffer.push(message(1), None);
    assert_eq!(positions(&mut early), (None, vec![1]));
    assert_eq!(positions(&mut early), (Some(Missed::Unknown), vec![2]));
    assert_eq!(positions(&mut early), (None, vec![]));
    assert_eq!((positions(&mut away), positions(&mut away)), ((None, vec![1]), (Some(Missed::Unknown), vec![2])));
    assert_eq!(positions(&mut late), (None, vec![2]));
    // a reader that comes back has read before it, or after it
    assert_eq!(positions(&mut join(Start::After(7, 1))), (Some(Missed::Unknown), vec![2]));
    assert_eq!(positions(&mut join(Start::After(7, 2))), (None, vec![]));
    // two gaps without a message between them are one; the end of a gap that never began is none
    buffer.begin_gap();
    buffer.begin_gap();
    buffer.end_gap();
    buffer.end_gap();
    assert_eq!((positions(&mut late), positions(&mut late)), ((Some(Missed::Unknown), vec![]), (None, vec![])));
}

#[test]
fn a_gap_among_missed_messages_makes_their_number_unknown() {
    let buffer = buffer();
    let mut reader = Reader::new(buffer.clone(), Start::Now, 1);
    buffer.push(message(1), None);
    buffer.begin_gap();
    buffer.end_gap();
    for _ in 0..MAX_MESSAGES + 5 {
        buffer.push(message(1), None);
    }
    assert_eq!(positions(&mut reader).0, Some(Missed::Unknown));
    assert_eq!(positions(&mut reader).0, None);
    let gaps = |buffer: &TopicBuffer| buffer.lock().gaps.ended.len();
    for _ in 0..100 {
        buffer.begin_gap();
        buffer.end_gap();
        buffer.push(message(1), None);
    }
    assert_eq!(gaps(&buffer), 101, "and the last one among the dropped messages");
    for _ in 0..MAX_MESSAGES {
        buffer.push(message(1), None);
    }
    assert_eq!(gaps(&buffer), 1, "the last one among the dropped messages");
}

#[test]
fn the_end_of_a_buffer_ends_its_readers() {
    let buffer = buffer();
    let mut reader = Reader::new(buffer.clone(), Start::Now, 1);
    buffer.end();
    assert!(reader.read(Instant::now() + Duration::from_secs(10)).ended && reader.is_ended());
}
