//! The queue without the thread that writes.

use std::iter::once;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn message(bytes: usize) -> Arc<Received> {
    Received { payload: vec![0; bytes], ..Received::default() }.into()
}

#[test]
fn a_full_queue_takes_nothing_more_until_something_is_written() {
    let queue = Queue::default();
    for _ in 0..MAX_MESSAGES {
        assert!(queue.push_received(&message(1), Some(Priority::default()), None).is_ok());
    }
    assert!(queue.push_received(&message(1), Some(Priority::default()), None).is_err());
    // what is being written still counts
    let taken = queue.next();
    assert!(queue.push_received(&message(1), Some(Priority::default()), None).is_err());
    queue.finish(taken);
    assert!(queue.push_received(&message(1), Some(Priority::default()), None).is_ok());
}

#[test]
fn bytes_are_bounded_too_even_of_a_single_message() {
    let queue = Queue::default();
    assert!(queue.push_received(&message(MAX_BYTES), Some(Priority::default()), None).is_err());
    assert!(queue.push_received(&message(MAX_BYTES / 2), Some(Priority::default()), None).is_ok());
    assert!(queue.push_received(&message(MAX_BYTES / 2), Some(Priority::default()), None).is_err());
}

#[test]
fn done_is_called_once_in_order_when_a_message_is_written() {
    let queue = Queue::default();
    let calls = Arc::new(AtomicUsize::new(0));
    for number in 0..3 {
        let calls = calls.clone();
        let done = Done::new(false, move || assert_eq!(calls.fetch_add(1, Ordering::SeqCst), number));
        assert!(queue.push_received(&message(1), Some(Priority::default()), Some(done)).is_ok());
    }
    for written in 1..=3 {
        let taken = queue.next();
        assert_eq!(calls.load(Ordering::SeqCst), written - 1);
        queue.finish(taken);
        assert_eq!(calls.load(Ordering::SeqCst), written);
    }
}

#[test]
fn a_record_of_our_own_tells_when_it_is_written() {
    let queue = Queue::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let done = Done::new(true, move || _ = counted.fetch_add(1, Ordering::SeqCst));
    assert!(queue.push_own(Entry::Own(Own::warning("ours".to_owned())), Some(done)));
    assert!(!queue.is_settled());
    let taken = queue.next();
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    queue.finish(taken);
    assert!(calls.load(Ordering::SeqCst) == 1 && queue.is_settled());
    queue.end(None);
    let done = Done::new(true, || panic!("it is not taken"));
    assert!(!queue.push_own(Entry::Own(Own::warning("late".to_owned())), Some(done)));
}

#[test]
fn dropped_messages_are_recorded_when_all_else_is_written() {
    let queue = Queue::default();
    queue.push_own(Entry::Own(Own::warning("first".to_owned())), None);
    queue.count_dropped();
    queue.count_dropped();
    assert!(!queue.flush(Instant::now()));
    let line = |taken: &Taken| {
        let Some(Entry::Own(own)) = &taken.entry else { panic!("not our own") };
        own.message.clone()
    };
    let taken = queue.next();
    assert_eq!(line(&taken), "first");
    queue.finish(taken);
    assert!(!queue.flush(Instant::now()));
    let taken = queue.next();
    assert!(line(&taken).starts_with("2 received messages were not recorded"), "{}", line(&taken));
    queue.finish(taken);
    assert!(queue.flush(Instant::now()));
}

#[test]
fn only_what_is_delivered_again_is_kept_while_nothing_can_be_written() {
    let queue = Queue::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let done = |is_owed| {
        let calls = calls.clone();
        let call = move || {
            calls.fetch_add(1, Ordering::SeqCst);
        };
        Some(Done::new(is_owed, call))
    };
    let push = |done| queue.push_received(&message(1), Some(Priority::default()), done).is_ok();
    assert!(push(done(true)) && push(done(false)) && push(None));
    queue.push_own(Entry::Own(Own::warning("ours".to_owned())), None);
    let taken = queue.next();
    let taken = queue.block(taken, "why").unwrap();
    assert_eq!(queue.fault().as_deref(), Some("why"));
    assert_eq!(
        calls.load(Ordering::SeqCst),
        1,
        "a lost message is acknowledged, or it would count against Receive Maximum"
    );
    assert!(push(done(true)) && !push(done(false)) && !push(None));
    let taken: Vec<Taken> = once(taken).chain((0..3).map(|_| queue.next())).collect();
    assert!(taken.iter().all(Taken::is_kept), "with the record of what was lost");
    for taken in taken {
        queue.finish(taken);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    queue.unblock();
    assert_eq!(queue.fault(), None);
    assert!(push(done(false)) && push(None));
}

#[test]
fn lost_messages_are_acknowledged_in_order() {
    let queue = Queue::default();
    let order = Arc::new(Mutex::new(Vec::new()));
    for number in 0..3 {
        let order = order.clone();
        let done = Done::new(false, move || order.lock().unwrap().push(number));
        assert!(queue.push_received(&message(1), Some(Priority::default()), Some(done)).is_ok());
    }
    let taken = queue.next();
    assert!(queue.block(taken, "why").is_none());
    assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
}
