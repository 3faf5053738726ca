//! What both versions of MQTT have in common: the seam behind which the library's two modules lie.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::traffic::Passed;
use crate::journal;
use crate::message::{MAX_OVERHEAD, Message, Qos, Received, TopicFilter};
use crate::mqtt::session::in_flight::{Acknowledgement, Blame, Owed};
use crate::mqtt::session::subscriptions::Breach;

/// How long connecting may take, the CONNACK included, where the address is known.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Packet identifiers that are used in turn, more than `max-inflight` allows; the library keeps a slot for each.
pub const PACKET_IDENTIFIERS: u16 = 1024;
/// Requests that may lie in the library's queue: one publish, a SUBSCRIBE, a DISCONNECT, and acknowledgements, which wait
/// with us where there is no room.
pub const QUEUE: usize = 256;
/// The largest packet that the library may accept, in bytes, where `max-packet-size` is very small, and however large it is:
/// rumqttc makes 16 times as much of one that consists of short user properties, and holds nine at a time.
const LEAST_INBOUND: u32 = 64 * 1024;
const MOST_INBOUND: u32 = 32 * 1024 * 1024;
/// In MQTT 3.1.1 there is no way to tell the broker, and a packet over the limit ends the connection, but a packet takes
/// no more than its bytes: so many times `max-packet-size` are accepted.
pub const UNANNOUNCED_FACTOR: u32 = 4;
// whatever is accepted finds room in an empty journal
const _: () = assert!(MOST_INBOUND as usize + MAX_OVERHEAD <= journal::MAX_BYTES);

/// The sending end of one connection. Never waits.
pub trait Sender: Send {
    /// Hands over a message that was checked against our limits and the broker's.
    fn publish(&self, message: &Message) -> Result<(), QueueFull>;
    /// Hands over one SUBSCRIBE for these topic filters, with a subscription identifier where there may be one.
    fn subscribe(&self, filters: &[(TopicFilter, Qos)], identifier: Option<u32>) -> Result<(), QueueFull>;
    /// Hands over an UNSUBSCRIBE.
    fn unsubscribe(&self, filter: &TopicFilter) -> Result<(), QueueFull>;
    /// Hands over the acknowledgement of a received message, at QoS 1 or 2.
    fn acknowledge(&self, packet_identifier: u16, qos: u8) -> Result<(), QueueFull>;
    /// Hands over a DISCONNECT.
    fn disconnect(&self) -> Result<(), QueueFull>;
}

/// The receiving end of one connection, which also makes it go; the first [`Pipe::next`] connects.
pub trait Pipe {
    /// Waits for the next event. After an error nothing but [`Pipe::left_over`] is of use, unless it came before
    /// the connection: then the next call connects anew.
    fn next(&mut self, timeout: Duration) -> Next;
    /// An event that came together with the one before, and for which nobody need wait.
    fn buffered(&mut self) -> Option<Event>;
    /// What the library had read or prepared before the connection ended, and did not tell. An [`Event::Written`]
    /// among it may not have left.
    fn left_over(&mut self) -> Vec<Event>;
    /// Sends again what the session owes, before anything that is handed over.
    fn resend(&mut self, owed: Vec<Owed>);
    /// Sends a PINGREQ, so that what lies in the library's buffer after an interruption is written on.
    fn nudge(&mut self);
    /// Has a PUBREL answered, as often as it comes: by itself rumqttc ends the connection over one whose PUBLISH did not
    /// come on the same connection, or that comes again.
    fn expect_releases(&mut self, packet_identifiers: &mut dyn Iterator<Item = u16>);
    /// How long the connection is silent before it is probed, by the word of the broker if it has one.
    fn keepalive(&self) -> Duration;
    /// What has passed on the connection since this was last asked, packets on their way included.
    fn passed(&mut self) -> Passed;
    /// Places in the window that the library lost, and does not get back without [`Pipe::recover`].
    fn leaked(&self) -> u16;
    /// Gets them back. Only to be called while nothing that was sent is unacknowledged.
    fn recover(&mut self);
}

/// What [`Pipe::next`] brings.
#[derive(Debug)]
pub enum Next {
    /// Something happened.
    Event(Event),
    /// Nothing happened within the timeout.
    Nothing,
    /// The connection ended, or did not come about.
    Lost(Lost),
}

/// What happens on a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The broker accepted us.
    Connected {
        /// Whether it kept our session.
        session_present: bool,
        /// What it announced.
        limits: Limits,
        /// What it changed.
        terms: Terms,
    },
    /// A SUBSCRIBE or an UNSUBSCRIBE was written, with this packet identifier.
    Asked(u16),
    /// The broker answered a SUBSCRIBE: for each filter the granted QoS or a reason code, and perhaps words of its own.
    Subscribed(u16, Vec<Result<u8, u8>>, Option<Arc<str>>),
    /// The broker answered an UNSUBSCRIBE, with the reason code of a failure.
    Unsubscribed(u16, Option<u8>),
    /// A message came in, with packet identifier 0 at QoS 0.
    Received(Arc<Received>, u16),
    /// The broker will not send the message at QoS 2 again that had this packet identifier.
    Released(u16),
    /// A PUBLISH was written, with packet identifier 0 at QoS 0.
    Written(u16),
    /// A PUBLISH was acknowledged, or half so, in MQTT 5 with a reason code and perhaps with words, which are printable.
    Acknowledged(Acknowledgement, u16, Option<u8>, Option<Arc<str>>),
    /// A DISCONNECT is on its way, after everything that was handed over before it. The library may have sent it by
    /// itself, over something that the broker must not do.
    Disconnected,
    /// The library met a packet identifier in use, which the table rules out.
    Collision(u16),
    /// The broker answered a PINGREQ.
    Alive,
    /// Nothing that concerns us.
    Other,
}

/// What a broker announced that it accepts, in its CONNACK (MQTT 5, 3.2.2.3); the defaults where it did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Publishes at QoS 1 and 2 that it takes unacknowledged.
    pub receive_maximum: u16,
    /// Bytes.
    pub max_packet_size: u32,
    /// The highest level of QoS.
    pub max_qos: u8,
    /// Whether it keeps messages.
    pub retain_available: bool,
    /// Whether it tells for which subscription it sends a message.
    pub subscription_identifiers: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            max_packet_size: u32::MAX,
            max_qos: 2,
            retain_available: true,
            subscription_identifiers: false,
        }
    }
}

/// What a broker made of our CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How long the connection may be silent before it is probed (MQTT 5, 3.2.2.3.14).
    pub keepalive: Duration,
    /// What it calls us, where we left that to it (MQTT 5, 3.2.2.3.7).
    pub client_id: Option<String>,
}

/// The connection does not take what is handed over.
#[derive(Debug)]
pub struct QueueFull;

/// Why a connection ended, or did not come about.
#[derive(Debug, Error)]
#[error("{words}")]
pub struct Lost {
    words: String,
    /// What the cause seems to be, where it is one that we answer to.
    pub cause: Cause,
    /// What the broker gave as the reason, if it gave one.
    reason_code: Option<u8>,
}

/// The causes that make a difference for the next connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Whatever else.
    Other,
    /// The broker sent a packet that is too large even for [`inbound_limit`].
    InboundTooLarge,
    /// The broker sent a packet that rumqttc cannot decode.
    Undecodable,
    /// The broker answered a publish with a reason code that rumqttc does not know.
    PublishRefused,
    /// The broker ended the connection over the size of a packet of ours.
    OutboundTooLarge,
    /// The broker answered a SUBSCRIBE or an UNSUBSCRIBE with a reason code that rumqttc does not know.
    SubscribeRefused,
    /// It was closed without a word.
    Closed,
    /// So it was too, but after a packet of ours that may be why.
    ClosedOverPacket,
    /// So it was, instead of an answer to our SUBSCRIBE.
    ClosedOverSubscribe,
    /// The broker said that another client of our name has come.
    TakenOver,
    /// The broker said that it does not speak our version of MQTT.
    Version,
    /// The broker ended the connection or stayed silent instead of answering our CONNECT, as some do that do not
    /// know our version.
    NoConnack,
}

impl Lost {
    /// For a cause that makes no difference.
    pub fn new(words: impl Into<String>) -> Self {
        Self::because(Cause::Other, words)
    }

    /// For one that does.
    pub fn because(cause: Cause, words: impl Into<String>) -> Self {
        Self { words: words.into(), cause, reason_code: None }
    }

    /// The same loss, but over our SUBSCRIBE. One of a SUBACK stays what it is.
    pub fn over_subscribe(self) -> Self {
        let is_known = self.cause == Cause::SubscribeRefused || self.cause == Cause::PublishRefused;
        Self { cause: if is_known { self.cause } else { Cause::ClosedOverSubscribe }, ..self }
    }

    /// With the reason that the broker gave.
    pub fn with_reason(self, code: u8) -> Self {
        Self { reason_code: Some(code), ..self }
    }

    /// What it means for the messages that were on their way.
    pub fn blame(&self) -> Blame {
        match (self.cause, self.reason_code) {
            (Cause::PublishRefused, Some(code)) => Blame::Message { code, is_certain: true },
            (Cause::OutboundTooLarge, Some(code)) => Blame::Message { code, is_certain: false },
            (Cause::InboundTooLarge | Cause::SubscribeRefused, _) => Blame::Elsewhere,
            _ => Blame::Unknown,
        }
    }

    /// It may be about what came for a topic filter.
    pub fn breach(&self) -> Option<Breach> {
        match self.cause {
            Cause::Undecodable | Cause::InboundTooLarge | Cause::ClosedOverSubscribe => Some(Breach::Suspected),
            Cause::SubscribeRefused => self.reason_code.map(Breach::Refused),
            _ => None,
        }
    }

    /// What the broker gave as the reason, if it gave one.
    pub fn reason(&self) -> Option<u8> {
        self.reason_code
    }

    /// The reason code as a record has it; empty if there is none.
    pub fn reason_code(&self) -> String {
        self.reason_code.map(|code| code.to_string()).unwrap_or_default()
    }
}

/// All packet identifiers that a broker may use (MQTT 5, 2.2.1).
pub fn all_packet_identifiers() -> RangeInclusive<u16> {
    1..=u16::MAX
}

/// The largest packet that the library may accept, in bytes.
pub fn inbound_limit(max_packet_size: u32) -> u32 {
    max_packet_size.clamp(LEAST_INBOUND, MOST_INBOUND)
}

/// The size of a packet with this remaining length, in bytes (MQTT 5, 2.1.4).
pub fn packet_size(remaining: usize) -> usize {
    1 + length_bytes(remaining) + remaining
}

/// How many bytes a Variable Byte Integer takes (MQTT 5, 1.5.5).
pub fn length_bytes(value: usize) -> usize {
    match value {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_may_be_as_large_as_what_goes_out_within_bounds() {
        for (max_packet_size, limit) in [(1024, LEAST_INBOUND), (1_048_576, 1_048_576), (u32::MAX, MOST_INBOUND)] {
            assert_eq!(inbound_limit(max_packet_size), limit);
        }
    }
}
