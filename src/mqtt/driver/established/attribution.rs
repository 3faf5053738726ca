//! What the end of a connection is attributed to, where the broker does not say it: to a packet of ours, a message or a
//! topic filter.

use std::time::Duration;

use super::Established;
use crate::mqtt::client::{Cause, Lost};
use crate::mqtt::session::in_flight::Blame;
use crate::mqtt::session::subscriptions::Breach;
use crate::printable::Printable;

/// A broker that closes the connection over a message at QoS 0 does so within this time.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How much of a topic filter is shown, in bytes.
const SHOWN: usize = 256;

/// What a loss means for the messages that were on their way.
pub fn blame(lost: &Lost) -> Blame {
    match (lost.cause, lost.reason) {
        (Cause::PublishRefused, Some(code)) => Blame::Message { code, is_certain: true },
        (Cause::OutboundTooLarge, Some(code)) => Blame::Message { code, is_certain: false },
        (Cause::InboundTooLarge | Cause::SubscribeRefused, _) => Blame::Elsewhere,
        _ => Blame::Unknown,
    }
}

/// What a topic filter may have to do with a loss.
pub fn breach(lost: &Lost) -> Option<Breach> {
    match lost.cause {
        Cause::Undecodable | Cause::InboundTooLarge | Cause::ClosedOverSubscribe => Some(Breach::Suspected),
        Cause::SubscribeRefused => lost.reason.map(Breach::Refused),
        _ => None,
    }
}

/// Whether a DISCONNECT with this reason code may be about a SUBSCRIBE (MQTT 5, 3.14.2.1). The others are about the
/// broker itself or about another packet.
fn may_be_of_subscribe(code: u8) -> bool {
    matches!(code, 128..=131 | 135 | 143 | 149 | 151 | 155 | 158 | 161 | 162)
}

impl Established {
    /// Adds the likely cause: an unanswered SUBSCRIBE, or another packet of ours unless the connection was idle.
    pub(super) fn attribute(&self, lost: Lost) -> Lost {
        let unanswered = self.subscriber.unanswered();
        match unanswered.as_slice() {
            [_, ..] if lost.reason.is_some_and(may_be_of_subscribe) => match lost.cause {
                Cause::SubscribeRefused | Cause::PublishRefused => lost,
                _ => Lost { cause: Cause::ClosedOverSubscribe, ..lost },
            },
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
            [] => Lost { cause: Cause::ClosedOverPacket, ..lost },
        }
    }

    /// Whether no packet of ours was unanswered or just written.
    fn is_idle(&self) -> bool {
        let has_just_published = self.last_published.is_some_and(|at| at.elapsed() < AT_ONCE);
        !has_just_published && !self.is_releasing() && self.publisher.unacknowledged() == 0
    }
}
