//! One network connection that speaks MQTT, in either version: what is handed to it, and what comes from it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::lost::Lost;
use super::traffic::Passed;
use crate::message::{Message, Qos, Received, TopicFilter};
use crate::mqtt::protocol::{Acknowledgement, Connack, Retransmission, Window};

/// The sending half of a connection. Never waits.
pub trait Sender: Send {
    /// Hands over a message that was checked against our limits and the broker's.
    fn publish(&self, message: &Message) -> Result<(), QueueFull>;
    /// Hands over one SUBSCRIBE for these topic filters, with a subscription identifier where the broker supports them.
    fn subscribe(&self, filters: &[(TopicFilter, Qos)], identifier: Option<u32>) -> Result<(), QueueFull>;
    /// Hands over an UNSUBSCRIBE.
    fn unsubscribe(&self, filter: &TopicFilter) -> Result<(), QueueFull>;
    /// Hands over the acknowledgement of a received message, at QoS 1 or 2.
    fn acknowledge(&self, packet_identifier: u16, qos: u8) -> Result<(), QueueFull>;
    /// Hands over a DISCONNECT.
    fn disconnect(&self) -> Result<(), QueueFull>;
}

/// The connection does not take what is handed over now.
#[derive(Debug)]
pub struct QueueFull;

/// The receiving half of a connection. It reads and writes only while [`Connection::next`] runs.
pub trait Connection {
    /// How long [`Self::connect`] may take.
    fn connect_timeout(&self) -> Duration;
    /// Connects, and waits for the CONNACK. Once for each connection: a further try needs a new one.
    fn connect(&mut self) -> Result<Connack, Lost>;
    /// Waits for the next event; `None` at the timeout. After an error only [`Self::left_over`] is of use.
    fn next(&mut self, timeout: Duration) -> Result<Option<Event>, Lost>;
    /// An event that was read together with the one before. Never waits.
    fn buffered(&mut self) -> Option<Event>;
    /// The events that were pending when the connection ended. The packet of an [`Event::PublishWritten`] among them
    /// may not have been sent.
    fn left_over(&mut self) -> Vec<Event>;
    /// Sends again what the session owes, before anything that is handed over.
    fn resend(&mut self, owed: Vec<Retransmission>);
    /// Sends a PINGREQ. To be called after [`Self::next`] returned `None` while it may have been writing a packet: the
    /// rest of that packet is written before the PINGREQ.
    fn nudge(&mut self);
    /// How long the connection may be silent before it is probed, as configured or as the broker wants it.
    fn keepalive(&self) -> Duration;
    /// What has passed since the last call, parts of packets included.
    fn passed(&mut self) -> Passed;
    /// What the connection takes at a time, less what it has lost until [`Self::recover`].
    fn window(&self) -> Window;
    /// Whether so much of the window is lost that [`Self::recover`] is due.
    fn needs_recovery(&self) -> bool;
    /// Restores the window. Only to be called while nothing that was sent is unacknowledged. `unreleased` are the
    /// packet identifiers of received messages at QoS 2 whose PUBREL is to come.
    fn recover(&mut self, unreleased: &HashSet<u16>);
}

/// What happens on a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A SUBSCRIBE or an UNSUBSCRIBE was written, with this packet identifier.
    SubscribeWritten(u16),
    /// A SUBACK: for each filter the granted QoS or a reason code, and the broker's reason string.
    Subscribed(u16, Vec<Result<u8, u8>>, Option<Arc<str>>),
    /// An UNSUBACK, with the reason code of a failure.
    Unsubscribed(u16, Option<u8>),
    /// A message came, with packet identifier 0 at QoS 0.
    Received(Arc<Received>, u16),
    /// A PUBREL: the broker does not send the message at QoS 2 again that had this packet identifier.
    Released(u16),
    /// A PUBLISH was written, with packet identifier 0 at QoS 0.
    PublishWritten(u16),
    /// A PUBACK, PUBREC or PUBCOMP, in MQTT 5 with a reason code and perhaps with a reason string, which is printable.
    Acknowledged(Acknowledgement, u16, Option<u8>, Option<Arc<str>>),
    /// A DISCONNECT is written, after everything that was handed over before it. It may be one that nobody handed over:
    /// the answer to a packet that the broker must not send.
    Disconnected,
    /// Something happened that must not happen. The connection is to be ended.
    Violation(String),
    /// A PINGRESP.
    Alive,
    /// Anything else.
    Other,
}
