//! The values of labels.

/// The outcome of a publish. The set of labels is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishResult {
    /// QoS 0: handed over to a live connection, which may not have written it yet.
    HandedOver,
    /// QoS 1 and 2: the broker acknowledged it.
    Acknowledged,
    /// The broker refused it.
    Refused,
    /// The connection ended at each attempt.
    GivenUp,
    /// Handed over, and no acknowledgement in time.
    Unknown,
    /// Not sent: no connection in time.
    NotConnected,
    /// Not sent: the broker had too many unacknowledged publishes.
    Busy,
    /// Not sent: the daemon stops.
    Stopping,
    /// Not sent: `max-waiting` is reached.
    TooManyWaiting,
    /// Not sent: over our limit or the broker's.
    TooLarge,
    /// Not sent: the broker or the version of MQTT does not support it.
    NotSupported,
}

impl PublishResult {
    /// In the order of the declaration, which is that of the counters.
    pub const ALL: [(Self, &str); 11] = [
        (Self::HandedOver, "handed_over"),
        (Self::Acknowledged, "acknowledged"),
        (Self::Refused, "refused"),
        (Self::GivenUp, "given_up"),
        (Self::Unknown, "unknown"),
        (Self::NotConnected, "not_connected"),
        (Self::Busy, "busy"),
        (Self::Stopping, "stopping"),
        (Self::TooManyWaiting, "too_many_waiting"),
        (Self::TooLarge, "too_large"),
        (Self::NotSupported, "not_supported"),
    ];
}

/// What a broker should not send, and what is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// A message on a topic with a wildcard.
    WildcardTopic,
    /// A message on a topic that none of our filters matches.
    UnaskedTopic,
    /// A message with a subscription identifier that we do not use.
    UnknownSubscription,
    /// A SUBACK or UNSUBACK that nothing waits for.
    UnknownPacket,
}

impl Stray {
    /// In the order of the declaration, which is that of the counters.
    pub const ALL: [&str; 4] =
        ["wildcard_topic", "unasked_topic", "unknown_subscription_identifier", "unknown_packet_identifier"];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_under_their_names() {
        for (position, (result, name)) in PublishResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, position, "{name}");
        }
    }
}
