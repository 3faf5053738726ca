//! What is handed to a network connection that speaks MQTT, in either version, and what comes from it.

use std::sync::Arc;

use crate::message::{Message, Qos, Received, TopicFilter};
use crate::mqtt::protocol::{Acknowledgement, Connack};

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

/// What happens on a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A CONNACK: the broker accepted us.
    Connected(Connack),
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
    /// A PINGREQ was written.
    Probed,
    /// A PINGRESP.
    Alive,
    /// Anything else.
    Other,
}
