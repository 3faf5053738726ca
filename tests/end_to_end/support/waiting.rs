//! How tests wait: until what they look at meets a condition, up to one generous deadline.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must happen; far more than it takes, for slow machines.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// What a busy machine may add to a time limit that the documentation states. A wrong result takes longer than the limit
/// and this together.
pub const SLACK: Duration = Duration::from_secs(10);
/// The first and the longest pause between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// How many characters of what was seen last a failure shows.
const SHOWN: usize = 2000;

/// Looks until what it sees meets the condition, and returns that. A failure says what was seen last.
#[track_caller]
pub fn eventually<T: Debug>(what: &str, look: impl FnMut() -> T, is_wanted: impl FnMut(&T) -> bool) -> T {
    eventually_within(PATIENCE, what, look, is_wanted)
}

/// The same with another deadline.
#[track_caller]
pub fn eventually_within<T: Debug>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> T,
    mut is_wanted: impl FnMut(&T) -> bool,
) -> T {
    let deadline = Instant::now() + patience;
    let (mut pause, longest) = PAUSES;
    loop {
        let seen = look();
        if is_wanted(&seen) {
            return seen;
        }
        if Instant::now() > deadline {
            let seen: String = format!("{seen:?}").chars().take(SHOWN).collect();
            panic!("not within {patience:?}: {what}; seen last: {seen}");
        }
        thread::park_timeout(pause);
        pause = (2 * pause).min(longest);
    }
}

/// Lets this time pass, for clients and links that are slow on purpose; no test waits for a result with it.
pub fn pause(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}
