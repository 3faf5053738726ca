//! What workers clone and share: the one way out, which alone holds the current client of the MQTT library.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::Limits;
use super::v5::{self, Sender};
use crate::message::{Message, Qos};

/// Hands messages over to the current connection, if there is one.
#[derive(Clone)]
pub struct Publisher(Arc<Shared>);

struct Shared {
    link: Mutex<Link>,
    stopping: Condvar,
    /// Ours; the broker's own comes with each connection.
    max_packet_size: u32,
}

/// Where messages go now.
#[derive(Default)]
struct Link {
    connected: Option<(Sender, Limits)>,
    stopping: bool,
}

/// Why a message was not handed over; the broker certainly does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is no connection.
    #[error("not sent: there is no connection to the broker")]
    NotConnected,
    /// The daemon is about to end.
    #[error("not sent: the bridge is stopping")]
    Stopping,
    /// The broker does not read as fast as messages come.
    #[error("not sent: too many messages wait for the broker")]
    QueueFull,
    /// The packet is larger than we or the broker allow.
    #[error("not sent: an MQTT packet of {size} bytes is over the limit of {limit}")]
    PacketTooLarge {
        /// Of the whole PUBLISH packet, in bytes.
        size: usize,
        /// The smaller one of `max-packet-size` and the broker's own.
        limit: u32,
    },
    /// The broker announced that it keeps no messages.
    #[error("not sent: this broker does not support `retain`")]
    RetainNotSupported,
    /// A quality of service that waits for an acknowledgement.
    #[error("not sent: `qos` 1 and 2 are not built yet, only 0")]
    QosNotSupported,
}

impl Publisher {
    /// A publisher without a connection.
    pub(super) fn new(max_packet_size: u32) -> Self {
        Self(Arc::new(Shared { link: Mutex::default(), stopping: Condvar::new(), max_packet_size }))
    }

    /// Hands a message over to the connection. `Ok` says no more than that the connection lived at that moment.
    ///
    /// # Errors
    /// Why it was not handed over. Nothing that the broker would end the shared connection for gets past here.
    pub fn publish(&self, message: Message) -> Result<(), Refusal> {
        // asked first: it holds whether or not there is a connection
        self.check_size(&message, u32::MAX)?;
        let link = self.lock();
        let (sender, limits) = match &link.connected {
            _ if message.qos != Qos::AtMostOnce => return Err(Refusal::QosNotSupported),
            _ if link.stopping => return Err(Refusal::Stopping),
            None => return Err(Refusal::NotConnected),
            Some(connected) => connected,
        };
        self.check_size(&message, limits.max_packet_size)?;
        if message.retain && !limits.retain_available {
            return Err(Refusal::RetainNotSupported);
        }
        sender.publish(message).map_err(|v5::QueueFull| Refusal::QueueFull)
    }

    /// From now on messages go to this connection.
    pub(super) fn connected(&self, sender: Sender, limits: Limits) {
        self.lock().connected = Some((sender, limits));
    }

    /// From now on there is no connection.
    pub(super) fn disconnected(&self) {
        self.lock().connected = None;
    }

    /// Refuses every further message.
    pub fn stop_accepting(&self) {
        self.lock().stopping = true;
    }

    /// Lets the connection end, after what was handed over, with a DISCONNECT.
    /// Returns false if there is none, or no place in its queue, and so nothing to wait for.
    #[must_use]
    pub fn disconnect(&self) -> bool {
        self.stop_accepting();
        self.0.stopping.notify_all();
        self.lock().connected.as_ref().is_some_and(|(sender, _)| sender.disconnect().is_ok())
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Waits for the given time, less if the daemon is to stop: then it returns true.
    pub(super) fn pause(&self, duration: Duration) -> bool {
        let deadline = Instant::now() + duration;
        let mut link = self.lock();
        while !link.stopping {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            link = self.0.stopping.wait_timeout(link, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        link.stopping
    }

    fn check_size(&self, message: &Message, broker: u32) -> Result<(), Refusal> {
        let (size, limit) = (v5::packet_size(message), self.0.max_packet_size.min(broker));
        if u32::try_from(size).is_ok_and(|size| size <= limit) {
            Ok(())
        } else {
            Err(Refusal::PacketTooLarge { size, limit })
        }
    }

    /// A panic while the lock is held ends the process, so a poisoned link is never used for long.
    fn lock(&self) -> MutexGuard<'_, Link> {
        self.0.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}
