//! The two threads of a connection.

use std::io;
use std::sync::Arc;

use super::Driver;
use crate::mqtt::session::clock::Clock;
use crate::thread::Watch;

/// The name of the thread that drives the connection, and the beginning of those that drive others.
pub const THREAD: &str = "mqtt";
/// The same for the thread that settles what is due.
const CLOCK: &str = "clock";

impl Driver {
    /// Starts the threads. `suffix` tells those of a further connection apart.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub fn spawn(self, clock: Arc<Clock>, suffix: &str, watch: &Watch) -> io::Result<()> {
        let (publisher, subscriber) = (self.publisher.clone(), self.subscriber.clone());
        watch.spawn(&format!("{THREAD}{suffix}"), move || {
            self.run();
            Ok(())
        })?;
        watch.spawn(&format!("{CLOCK}{suffix}"), move || {
            clock.run(|| {
                publisher.expire();
                subscriber.expire();
                !publisher.is_ending()
            });
            Ok(())
        })
    }
}
