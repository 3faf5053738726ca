//! The last messages of one topic filter, which any number of readers read at their own pace.
//!
//! A reader that falls behind loses the oldest and is told how many; nobody waits for it.

mod gaps;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Instant, SystemTime};

pub use self::gaps::Gaps;

use crate::message::Received;
use crate::metrics;
use crate::mqtt::outcome::Refusal;

/// Messages that a channel holds: most of a second, where they come as fast as they can.
const MAX_EVENTS: usize = 16_384;
/// Bytes that they may take.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that all channels together may take, beyond the least of each; where that is not enough each has an equal part.
const MAX_ALL_BYTES: usize = 32 * 1024 * 1024;
/// Bytes that a channel has in any case.
const LEAST_BYTES: usize = 256 * 1024;
/// What an event takes beside its message: its places, and what its form has beside the parts of the message.
const OVERHEAD: usize = 512;
/// The most events that a reader takes at a time, and the most bytes: what it holds is in nobody's books. A single one
/// that is longer stays the channel's.
const MAX_AT_ONCE: usize = 512;
const MAX_BYTES_AT_ONCE: usize = 64 * 1024;

/// A message, and the form that readers give it, which is made once for all of them.
#[derive(Debug)]
pub struct Event {
    /// What came.
    pub message: Arc<Received>,
    /// When.
    pub time: SystemTime,
    form: OnceLock<Box<[u8]>>,
    /// What it takes with its form, in bytes.
    size: usize,
}

impl Event {
    /// For a message that came just now.
    pub fn new(message: Arc<Received>) -> Self {
        let size = message.size() + message_form_size(&message) + OVERHEAD;
        Self { message, time: SystemTime::now(), form: OnceLock::new(), size }
    }

    /// The form that `make` gives it; all readers must give it the same.
    pub fn form(&self, make: impl FnOnce(&Self) -> Vec<u8>) -> &[u8] {
        self.form.get_or_init(|| make(self).into_boxed_slice())
    }
}

/// How long a message is at most as JSON.
fn message_form_size(message: &Received) -> usize {
    let properties = &message.properties;
    let texts = [&properties.response_topic, &properties.content_type].into_iter().flatten().map(String::as_bytes);
    let pairs = properties.user_properties.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    let parts = [message.topic.as_slice(), message.payload.as_slice()].into_iter();
    let parts = parts.chain(properties.correlation_data.as_deref()).chain(texts);
    // with quotation marks, brackets and commas
    parts.map(form_size).sum::<usize>() + pairs.map(|text| form_size(text) + 4).sum::<usize>()
}

/// How long a text is at most as JSON, where some bytes are written as `\u0001`, or as base64.
fn form_size(payload: &[u8]) -> usize {
    let length = |byte: &u8| match byte {
        0..0x20 => 6,
        b'"' | b'\\' | 0x80.. => 2,
        _ => 1,
    };
    payload.iter().map(length).sum::<usize>().max(payload.len() * 4 / 3)
}

/// Of a message that the broker had kept: for whom it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// How often the filter had been subscribed to.
    pub generation: u32,
    /// For everybody, not only for those who joined with that subscription.
    pub is_for_all: bool,
}

/// The last messages of one filter.
pub struct Channel {
    /// No other channel of this process has it.
    number: u64,
    all: Arc<All>,
    ring: Mutex<Ring>,
    changed: Condvar,
}

/// What all channels have in common.
#[derive(Default)]
pub struct All {
    bytes: AtomicUsize,
    channels: AtomicUsize,
}

impl All {
    /// What each may take where there is not enough for all.
    fn part(&self) -> usize {
        (MAX_ALL_BYTES / self.channels.load(Ordering::Relaxed).max(1)).max(LEAST_BYTES)
    }
}

struct Ring {
    events: VecDeque<(Arc<Event>, Option<Kept>)>,
    /// The position of the first of them: so many were there before.
    first: u64,
    bytes: usize,
    gaps: Gaps,
    /// Readers that wait for the next event.
    waiting: usize,
    /// How often it was refused, and why last.
    refusals: u64,
    refusal: Option<Refusal>,
    ended: bool,
}

impl Channel {
    /// An empty one.
    pub fn new(number: u64, all: Arc<All>) -> Self {
        all.channels.fetch_add(1, Ordering::Relaxed);
        let (events, refusal) = (VecDeque::new(), None);
        let ring =
            Ring { events, first: 0, bytes: 0, gaps: Gaps::default(), waiting: 0, refusals: 0, refusal, ended: false };
        Self { number, all, ring: Mutex::new(ring), changed: Condvar::new() }
    }

    /// Adds a message. Never waits for a reader.
    pub fn push(&self, event: Arc<Event>, kept: Option<Kept>) {
        let size = event.size;
        let mut dropped = Vec::new();
        let mut ring = self.lock();
        ring.events.push_back((event, kept));
        ring.bytes += size;
        self.all.bytes.fetch_add(size, Ordering::Relaxed);
        while ring.is_over(&self.all) {
            let Some((event, _)) = ring.events.pop_front() else { break };
            let size = event.size;
            ring.first += 1;
            let first = ring.first;
            ring.gaps.drop_before(first);
            ring.bytes -= size;
            self.all.bytes.fetch_sub(size, Ordering::Relaxed);
            // freed without the lock
            dropped.push(event);
        }
        let is_awaited = ring.waiting > 0;
        drop(ring);
        if is_awaited {
            self.changed.notify_all();
        }
    }

    /// Tells every reader that nothing comes for now, and why.
    pub fn refuse(&self, refusal: Refusal) {
        let mut ring = self.lock();
        ring.refusals += 1;
        ring.refusal = Some(refusal);
        drop(ring);
        self.changed.notify_all();
    }

    /// From now on something may be missing, for the readers that are there.
    pub fn begin_gap(&self) {
        self.lock().gaps.begin();
    }

    /// From now on nothing is missing any more.
    pub fn end_gap(&self) {
        let mut ring = self.lock();
        let end = ring.end();
        let is_told = ring.gaps.end(end);
        drop(ring);
        if is_told {
            self.changed.notify_all();
        }
    }

    /// Lets every reader end.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// A single event may take more than its channel's bytes, and no more than there is for all.
    fn is_over(&self, all: &All) -> bool {
        let is_much = self.bytes > MAX_BYTES && self.events.len() > 1;
        let is_too_much = all.bytes.load(Ordering::Relaxed) > MAX_ALL_BYTES && self.bytes > all.part();
        self.events.len() > MAX_EVENTS || is_much || is_too_much
    }

    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.all.bytes.fetch_sub(self.lock().bytes, Ordering::Relaxed);
        self.all.channels.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what comes from now on.
    Now,
    /// Behind an event that it has seen: the number of its channel, and its position there.
    After(u64, u64),
    /// Behind an event of which nothing is known any more.
    Unknown,
}

/// How many messages a reader has missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// So many.
    Known(u64),
    /// Nobody knows.
    Unknown,
}

/// One reader's place in a channel.
pub struct Reader {
    channel: Arc<Channel>,
    /// The position of the event that it reads next.
    next: u64,
    /// It joined when the filter was subscribed to for this time.
    generation: u32,
    /// It wants what the broker kept and sends for those who joined then.
    is_new: bool,
    missed: Option<Missed>,
    /// How many gaps it knows of, or came after.
    gaps: u64,
    /// How many refusals it knows of.
    refusals: u64,
}

/// An event that a reader is given.
#[derive(Debug)]
pub enum Held {
    /// It is there for as long as the reader has it.
    Whole(Arc<Event>),
    /// It is too long for that, and may go while it is read.
    Long(Weak<Event>),
}

impl Held {
    /// The event, if it is still there. Whoever waits must not keep it.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Event>> {
        match self {
            Self::Whole(event) => Some(event.clone()),
            Self::Long(event) => event.upgrade(),
        }
    }
}

/// What a reader gets.
#[derive(Debug, Default)]
pub struct Batch {
    /// What it missed before these.
    pub missed: Option<Missed>,
    /// Events with their positions.
    pub events: Vec<(u64, Held)>,
    /// Why nothing comes for now, where that is new.
    pub refused: Option<Refusal>,
    /// There is nothing to be expected any more.
    pub ended: bool,
}

impl Reader {
    /// A reader who joins when the filter is subscribed to for this time.
    pub fn new(channel: Arc<Channel>, start: Start, generation: u32) -> Self {
        let ring = channel.lock();
        let (next, missed) = match start {
            Start::Now => (ring.end(), None),
            Start::After(number, position) if number == channel.number && position < ring.end() => (position + 1, None),
            Start::After(..) | Start::Unknown => (ring.end(), Some(Missed::Unknown)),
        };
        let refusals = ring.refusals;
        let is_new = !matches!(start, Start::After(..));
        let gaps = if is_new { ring.gaps.count() } else { 0 };
        drop(ring);
        Self { channel, next, generation, is_new, missed, gaps, refusals }
    }

    /// Its client is told that it reads: what may have been missing before is nothing to one that is new.
    pub fn begin(&mut self) {
        if self.is_new {
            self.gaps = self.channel.lock().gaps.count();
        }
    }

    /// The number of its channel.
    pub fn channel(&self) -> u64 {
        self.channel.number
    }

    /// Waits for the next events, up to the deadline.
    pub fn read(&mut self, deadline: Instant) -> Batch {
        let channel = self.channel.clone();
        let mut ring = channel.lock();
        loop {
            let mut batch = self.take(&ring);
            let refused = ring.refusal.filter(|_| std::mem::replace(&mut self.refusals, ring.refusals) < ring.refusals);
            // none of those was for this reader
            while batch.events.is_empty() && batch.missed.is_none() && self.has_more(&ring) {
                batch = self.take(&ring);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let has_news = batch.missed.is_some() || !batch.events.is_empty() || refused.is_some();
            if ring.ended || has_news || left.is_zero() {
                return Batch { refused, ended: ring.ended, ..batch };
            }
            ring.waiting += 1;
            ring = channel.changed.wait_timeout(ring, left).unwrap_or_else(PoisonError::into_inner).0;
            ring.waiting -= 1;
        }
    }

    /// Whether there is nothing to be expected any more.
    pub fn is_ended(&self) -> bool {
        self.channel.lock().ended
    }

    fn has_more(&self, ring: &Ring) -> bool {
        self.next < ring.end() || ring.gaps.next(self.next, self.gaps).is_some()
    }

    fn take(&mut self, ring: &Ring) -> Batch {
        let mut missed = self.missed.take();
        if self.next < ring.first {
            let count = ring.first - self.next;
            metrics::lagged(count);
            let is_known = missed.is_none() && !ring.gaps.are_between(self.next, ring.first, self.gaps);
            missed = Some(if is_known { Missed::Known(count) } else { Missed::Unknown });
            self.next = ring.first;
        }
        if let Some(gap) = ring.gaps.next(self.next, self.gaps).filter(|gap| gap.position == self.next) {
            missed = Some(Missed::Unknown);
            self.gaps = gap.number;
        }
        let gap = ring.gaps.next(self.next, self.gaps).map_or(u64::MAX, |gap| gap.position);
        let (mut events, mut bytes) = (Vec::new(), 0);
        let read = usize::try_from(self.next - ring.first).unwrap_or(usize::MAX).min(ring.events.len());
        for (event, kept) in ring.events.range(read..).take(MAX_AT_ONCE) {
            if self.next == gap {
                break;
            }
            bytes += event.size;
            if bytes > MAX_BYTES_AT_ONCE && bytes > event.size {
                break;
            }
            if kept.is_none_or(|kept| self.is_meant(kept)) {
                let is_long = event.size > MAX_BYTES_AT_ONCE;
                let held = if is_long { Held::Long(Arc::downgrade(event)) } else { Held::Whole(event.clone()) };
                events.push((self.next, held));
            }
            self.next += 1;
        }
        Batch { missed, events, refused: None, ended: false }
    }

    /// Whether what the broker kept was sent for this reader, too.
    fn is_meant(&self, kept: Kept) -> bool {
        let is_own = self.is_new && kept.generation == self.generation;
        is_own || (kept.is_for_all && kept.generation > self.generation)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn channel() -> Arc<Channel> {
        Arc::new(Channel::new(7, Arc::default()))
    }

    fn event(bytes: usize) -> Arc<Event> {
        let message = Received { payload: vec![0; bytes], ..Received::default() };
        Arc::new(Event::new(message.into()))
    }

    fn positions(reader: &mut Reader) -> (Option<Missed>, Vec<u64>) {
        let batch = reader.read(Instant::now());
        (batch.missed, batch.events.iter().map(|(position, _)| *position).collect())
    }

    #[test]
    fn a_reader_gets_what_comes_after_it_in_order() {
        let channel = channel();
        channel.push(event(1), None);
        let mut reader = Reader::new(channel.clone(), Start::Now, 1);
        assert_eq!(positions(&mut reader), (None, vec![]));
        channel.push(event(1), None);
        channel.push(event(1), None);
        assert_eq!(positions(&mut reader), (None, vec![1, 2]));
        assert_eq!(positions(&mut reader), (None, vec![]));
    }

    #[test]
    fn a_slow_reader_is_told_how_many_it_missed() {
        let channel = channel();
        let mut reader = Reader::new(channel.clone(), Start::Now, 1);
        for _ in 0..MAX_EVENTS + 5 {
            channel.push(event(1), None);
        }
        let (missed, positions) = positions(&mut reader);
        assert_eq!((missed, positions[0]), (Some(Missed::Known(5)), 5));
        assert!(positions.len() <= MAX_AT_ONCE && positions.len() > 50, "{}", positions.len());
    }

    #[test]
    fn bytes_are_bounded_by_channel_and_in_all() {
        let all = Arc::new(All::default());
        let channels: Vec<_> = (0..6).map(|number| Channel::new(number, all.clone())).collect();
        for channel in &channels {
            for _ in 0..100 {
                channel.push(event(200_000), None);
            }
            assert!(channel.lock().bytes <= MAX_BYTES);
        }
        let bytes = || all.bytes.load(Ordering::Relaxed);
        assert!(bytes() <= 2 * MAX_ALL_BYTES);
        // those who had more than their part have it as soon as something comes for them
        for channel in &channels {
            channel.push(event(200_000), None);
        }
        assert!(bytes() <= MAX_ALL_BYTES && channels.iter().all(|channel| channel.lock().bytes > MAX_ALL_BYTES / 8));
        drop(channels);
        assert_eq!((bytes(), all.channels.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn an_event_that_takes_more_than_there_is_for_all_is_missed() {
        let channel = channel();
        let mut reader = Reader::new(channel.clone(), Start::Now, 1);
        channel.push(event(MAX_ALL_BYTES / 8), None);
        assert_eq!(positions(&mut reader), (None, vec![0]), "alone it may take more than others");
        channel.push(event(2 * MAX_ALL_BYTES), None);
        assert_eq!(positions(&mut reader), (Some(Missed::Known(1)), vec![]));
        assert_eq!(channel.lock().bytes, 0);
    }

    #[test]
    fn a_reader_does_not_keep_a_long_event_that_its_channel_lets_go() {
        let channel = channel();
        let mut reader = Reader::new(channel.clone(), Start::Now, 1);
        channel.push(event(MAX_BYTES_AT_ONCE), None);
        channel.push(event(1), None);
        let (mut long, mut short) = (reader.read(Instant::now()), reader.read(Instant::now()));
        let ((_, long), (_, short)) = (long.events.remove(0), short.events.remove(0));
        assert!(long.get().is_some() && short.get().is_some());
        for _ in 0..=MAX_EVENTS {
            channel.push(event(1), None);
        }
        assert!(long.get().is_none() && short.get().is_some());
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let channel = channel();
        for _ in 0..3 {
            channel.push(event(1), None);
        }
        let after = |start| positions(&mut Reader::new(channel.clone(), start, 1));
        assert_eq!(after(Start::After(7, 0)), (None, vec![1, 2]));
        assert_eq!(after(Start::After(7, 2)), (None, vec![]));
        assert_eq!(after(Start::After(7, 3)), (Some(Missed::Unknown), vec![]));
        assert_eq!(after(Start::After(8, 0)), (Some(Missed::Unknown), vec![]));
        assert_eq!(after(Start::Unknown), (Some(Missed::Unknown), vec![]));
    }

    #[test]
    fn what_the_broker_kept_goes_to_those_who_joined_with_it_or_to_all() {
        let channel = channel();
        let (mut early, mut late) =
            (Reader::new(channel.clone(), Start::Now, 1), Reader::new(channel.clone(), Start::Now, 2));
        let kept = |generation, is_for_all| Some(Kept { generation, is_for_all });
        for kept in [kept(1, true), kept(2, false), kept(3, true), None] {
            channel.push(event(1), kept);
        }
        assert_eq!(positions(&mut early), (None, vec![0, 2, 3]));
        assert_eq!(positions(&mut late), (None, vec![1, 2, 3]));
    }

    #[test]
    fn what_is_for_others_is_passed_over_at_once() {
        let channel = channel();
        let mut reader = Reader::new(channel.clone(), Start::Now, 1);
        for _ in 0..3 * MAX_AT_ONCE {
            channel.push(event(1), Some(Kept { generation: 2, is_for_all: false }));
        }
        channel.push(event(1), None);
        assert_eq!(positions(&mut reader), (None, vec![3 * MAX_AT_ONCE as u64]));
        // who comes back was not meant either
        let mut again = Reader::new(channel.clone(), Start::After(7, 0), 2);
        assert_eq!(positions(&mut again), (None, vec![3 * MAX_AT_ONCE as u64]));
    }

    #[test]
    fn the_size_of_an_event_covers_the_longest_form() {
        for text in ["text", "\u{1}\u{2}", "\"\\", "\u{7f}\u{80}ö\n"] {
            assert!(form_size(text.as_bytes()) + 2 >= serde_json::to_string(text).unwrap().len(), "{text:?}");
        }
        assert!(form_size(&[0xff; 90]) >= 120, "as base64");
        assert_eq!(form_size(b"\x01a\""), 9);
    }

    #[test]
    fn a_refusal_is_told_once_to_each_who_was_there() {
        let channel = channel();
        let mut reader = Reader::new(channel.clone(), Start::Now, 1);
        channel.refuse(Refusal::Refused(135));
        let mut late = Reader::new(channel.clone(), Start::Now, 1);
        let refused = |reader: &mut Reader| reader.read(Instant::now()).refused;
        assert_eq!([refused(&mut reader), refused(&mut reader)], [Some(Refusal::Refused(135)), None]);
        assert_eq!(refused(&mut late), None);
        channel.refuse(Refusal::Unknown);
        assert_eq!([refused(&mut reader), refused(&mut late)], [Some(Refusal::Unknown); 2]);
    }

    #[test]
    fn a_gap_is_told_in_its_place_to_those_who_read_before_it() {
        let channel = channel();
        let join = |start| {
            let mut reader = Reader::new(channel.clone(), start, 1);
            reader.begin();
            reader
        };
        channel.push(event(1), None);
        let (mut early, mut away) = (join(Start::After(7, 0)), join(Start::Now));
        channel.push(event(1), None);
        channel.begin_gap();
        let mut late = join(Start::Now);
        channel.end_gap();
        channel.push(event(1), None);
        assert_eq!(positions(&mut early), (None, vec![1]));
        assert_eq!(positions(&mut early), (Some(Missed::Unknown), vec![2]));
        assert_eq!(positions(&mut early), (None, vec![]));
        assert_eq!((positions(&mut away), positions(&mut away)), ((None, vec![1]), (Some(Missed::Unknown), vec![2])));
        assert_eq!(positions(&mut late), (None, vec![2]));
        // one that comes back has read before it, or behind it
        assert_eq!(positions(&mut join(Start::After(7, 1))), (Some(Missed::Unknown), vec![2]));
        assert_eq!(positions(&mut join(Start::After(7, 2))), (None, vec![]));
        // where nothing came between them, two are one; and what was never begun is none
        channel.begin_gap();
        channel.begin_gap();
        channel.end_gap();
        channel.end_gap();
        assert_eq!((positions(&mut late), positions(&mut late)), ((Some(Missed::Unknown), vec![]), (None, vec![])));
    }

    #[test]
    fn a_gap_among_what_a_slow_reader_missed_makes_its_number_unknown() {
        let channel = channel();
        let mut reader = Reader::new(channel.clone(), Start::Now, 1);
        channel.push(event(1), None);
        channel.begin_gap();
        channel.end_gap();
        for _ in 0..MAX_EVENTS + 5 {
            channel.push(event(1), None);
        }
        assert_eq!(positions(&mut reader).0, Some(Missed::Unknown));
        assert_eq!(positions(&mut reader).0, None);
        let gaps = |channel: &Channel| channel.lock().gaps.len();
        for _ in 0..100 {
            channel.begin_gap();
            channel.end_gap();
            channel.push(event(1), None);
        }
        assert_eq!(gaps(&channel), 101, "and the one of those that are gone");
        for _ in 0..MAX_EVENTS {
            channel.push(event(1), None);
        }
        assert_eq!(gaps(&channel), 1, "the last of those that are gone");
    }

    #[test]
    fn the_end_of_a_channel_is_the_end_of_its_readers() {
        let channel = channel();
        let mut reader = Reader::new(channel.clone(), Start::Now, 1);
        channel.end();
        assert!(reader.read(Instant::now() + Duration::from_secs(10)).ended && reader.is_ended());
    }
}
