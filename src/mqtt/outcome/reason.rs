//! The words for the return codes and reason codes of brokers.

use std::fmt;

/// Nobody subscribes to the topic of a publish (MQTT 5, 3.4.2.1).
pub const NO_MATCHING_SUBSCRIBERS: u8 = 16;

/// The broker's access control denies a publish or a subscription (MQTT 5, 2.4).
pub const NOT_AUTHORIZED: u8 = 135;

/// The broker refuses a packet because of its size (MQTT 5, 2.4).
pub const PACKET_TOO_LARGE: u8 = 149;

/// An implementation limit or one of administration is reached for now (MQTT 5, 2.4).
pub const QUOTA_EXCEEDED: u8 = 151;

/// A reason code of any packet, or a return code of a CONNACK in MQTT 3.1.1; shown as `words (reason code N)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason(pub u8);

impl Reason {
    /// The specification's words (MQTT 5, 2.4), and those of MQTT 3.1.1, 3.2.2.3, for 1 to 5.
    fn words(self) -> &'static str {
        match self.0 {
            0 => "success",
            1 => "unacceptable protocol version",
            2 | 133 => "client identifier rejected",
            3 | 136 => "server unavailable",
            4 | 134 => "bad user name or password",
            5 | 135 => "not authorized",
            16 => "no matching subscribers",
            129 => "malformed packet",
            130 => "protocol error",
            131 => "implementation specific error",
            132 => "unsupported protocol version",
            137 => "server busy",
            138 => "banned",
            139 => "server shutting down",
            140 => "bad authentication method",
            141 => "keep alive timeout",
            142 => "session taken over",
            143 => "topic filter invalid",
            144 => "topic name invalid",
            145 => "packet identifier in use",
            147 => "receive maximum exceeded",
            148 => "topic alias invalid",
            149 => "packet too large",
            150 => "message rate too high",
            151 => "quota exceeded",
            152 => "administrative action",
            153 => "payload format invalid",
            154 => "retain not supported",
            155 => "QoS not supported",
            156 => "use another server",
            157 => "server moved",
            158 => "shared subscriptions not supported",
            159 => "connection rate exceeded",
            160 => "maximum connect time",
            161 => "subscription identifiers not supported",
            162 => "wildcard subscriptions not supported",
            _ => "unspecified error",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (reason code {})", self.words(), self.0)
    }
}
