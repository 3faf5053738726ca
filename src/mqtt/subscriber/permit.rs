//! The places of listeners.

use std::sync::atomic::Ordering;

use super::Subscriber;

/// The place of a listener: one of `max-listeners`.
pub struct Permit(pub Subscriber);

impl Permit {
    pub fn take(subscriber: &Subscriber) -> Option<Self> {
        let (listeners, max) = (&subscriber.0.listeners, subscriber.0.max_listeners);
        let add = |taken: usize| (taken < max).then_some(taken + 1);
        listeners.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()?;
        Some(Self(subscriber.clone()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}
