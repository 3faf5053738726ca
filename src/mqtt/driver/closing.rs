//! What a broker ends a connection over, where it does not say it, or not of what.

use std::time::Duration;

use super::{Connection, Stage};
use crate::mqtt::client::connection::{Cause, Lost};
use crate::printable::Printable;

/// A broker that closes over a message at QoS 0 does so within this time.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How much of a topic filter is shown, in bytes.
const SHOWN: usize = 256;

/// Whether a DISCONNECT with this reason code may be about a SUBSCRIBE (MQTT 5, 3.14.2.1), and not about the broker's own
/// affairs.
fn may_be_of_subscribe(code: u8) -> bool {
    matches!(code, 128..=131 | 135 | 143 | 149 | 151 | 155 | 158 | 161 | 162)
}

impl Connection<'_> {
    /// What the end of the connection is likely to be about, if the broker ended it: over what we sent, unless it was idle.
    pub(super) fn explain(&self, lost: Lost) -> Lost {
        let unanswered = self.driver.subscriber.unanswered();
        match unanswered.as_slice() {
            [_, ..] if lost.reason().is_some_and(may_be_of_subscribe) => lost.over_subscribe(),
            _ if lost.cause != Cause::Closed => lost,
            [first, others @ ..] => {
                let first = Printable::new(first.as_str(), SHOWN);
                let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
                Lost::because(
                    Cause::ClosedOverSubscribe,
                    format!(
                        "{lost} instead of an answer to our SUBSCRIBE of {first}{more}: perhaps we may not subscribe \
                         to that, or it takes no such wildcard or QoS"
                    ),
                )
            }
            [] if self.is_idle() => lost,
            [] => Lost::because(Cause::ClosedOverPacket, lost.to_string()),
        }
    }

    /// Whether nothing that we sent was to be answered, or was just sent.
    fn is_idle(&self) -> bool {
        let was_just_asked = self.last_asked.is_some_and(|at| at.elapsed() < AT_ONCE);
        let is_releasing = matches!(self.stage, Stage::Releasing { .. });
        !was_just_asked && !is_releasing && self.driver.publisher.unacknowledged() == 0
    }
}
