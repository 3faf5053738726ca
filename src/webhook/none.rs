//! A build without webhooks: a configuration that has one is refused.

use std::io;
use std::time::Instant;

use super::status::WebhookStatus;
use crate::config::Config;
use crate::thread::Watch;

/// No webhooks.
#[derive(Debug, Clone)]
pub struct Webhooks;

impl Webhooks {
    /// Starts nothing.
    ///
    /// # Errors
    /// None.
    pub fn start(_: &Config, _: &Watch) -> io::Result<Self> {
        Ok(Self)
    }

    /// There is none.
    #[must_use]
    pub fn statuses(&self) -> Vec<WebhookStatus> {
        Vec::new()
    }

    /// Nothing hangs.
    ///
    /// # Errors
    /// None.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// There is nothing to stop.
    pub fn stop_accepting(&self) {}

    /// There is nothing to wait for.
    pub fn drain(&self, _: Instant) {}

    /// No connection ends.
    #[must_use]
    pub fn disconnect(&self) -> usize {
        0
    }
}
