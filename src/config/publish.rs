//! `[publish]`: what holds for every publish.

use std::time::Duration;

use super::fault::Fault;
use super::kind::{Seconds, Whole};

table! {
    /// What holds for every publish.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Publish from PublishKeys {
        /// The time limit of a publish that does not set one, and of a stop of the daemon.
        timeout: Seconds<1> = Duration::from_secs(10),
        /// The longest time that a publish may ask for.
        max_timeout: Seconds<1> = Duration::from_secs(60),
        /// Publishes that are accepted and not yet settled. Half of it, which is what a token has, is a whole bulk.
        max_waiting: Whole<usize, 1, 1_000_000> = 2000,
    }
}

impl PublishKeys {
    pub fn read(&self) -> Result<Publish, Fault> {
        let mut publish = self.read_each()?;
        if publish.timeout > publish.max_timeout {
            if self.timeout.value.is_some() {
                let most = publish.max_timeout.as_secs_f64();
                let what = format!("{} must be at most {}, which is {most} s", self.timeout, self.max_timeout);
                return Err(self.timeout.fault(what));
            }
            // a shorter `max-timeout` alone is meant for this one too
            publish.timeout = publish.max_timeout;
        }
        Ok(publish)
    }
}
