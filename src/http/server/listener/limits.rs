//! How many connections the system allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of a connection: tiny_http duplicates it.
const DESCRIPTORS_EACH: u64 = 2;
/// Descriptors that everything else takes.
const OTHER_DESCRIPTORS: u64 = 64;

/// Raises the process's limit of descriptors to what this many connections need. Returns how many there can be: fewer
/// if that is not possible, which is logged.
pub fn possible_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let needed = wanted as u64 * DESCRIPTORS_EACH * 2 + OTHER_DESCRIPTORS;
    let (current, maximum) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    let allowed = needed.min(maximum).max(current);
    let raised = allowed == current
        || setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum: limit.maximum }).is_ok();
    let allowed = if raised { allowed } else { current };
    let possible = allowed.saturating_sub(OTHER_DESCRIPTORS) / DESCRIPTORS_EACH;
    let possible = usize::try_from(possible).unwrap_or(usize::MAX).max(1);
    if possible < wanted {
        log::warn!("the limit of {allowed} descriptors allows no more than {possible} connections");
    }
    wanted.min(possible)
}
