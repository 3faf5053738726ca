//! The bounds that rumqttc is given.

use crate::config::RECEIVE_MAXIMUM;
use crate::journal;
use crate::message::MAX_OVERHEAD;

/// Requests that its queue holds: one publish, a SUBSCRIBE, a DISCONNECT, and acknowledgements, which wait in a queue
/// of ours where there is no room.
pub const QUEUE: usize = 256;
/// The least and the most that is accepted of a packet from the broker, in bytes, whatever `max-packet-size` is: of a
/// packet of short user properties rumqttc makes 16 times as much in memory, and it holds nine packets at a time.
const LEAST_INBOUND: u32 = 64 * 1024;
const MOST_INBOUND: u32 = 32 * 1024 * 1024;
/// In MQTT 3.1.1 the limit cannot be announced to the broker, and a packet over the limit ends the connection. A packet
/// there takes no more memory than its bytes, so that so many times `max-packet-size` are accepted.
const UNANNOUNCED_FACTOR: u32 = 4;
// whatever is accepted finds room in an empty journal
const _: () = assert!(MOST_INBOUND as usize + MAX_OVERHEAD <= journal::MAX_BYTES);
const _: () = assert!(RECEIVE_MAXIMUM <= journal::MAX_MESSAGES);

/// The largest packet from the broker that is accepted, in bytes.
pub fn inbound_limit(max_packet_size: u32) -> u32 {
    max_packet_size.clamp(LEAST_INBOUND, MOST_INBOUND)
}

/// The same where it is not announced to the broker.
pub fn unannounced_inbound_limit(max_packet_size: u32) -> u32 {
    inbound_limit(max_packet_size.saturating_mul(UNANNOUNCED_FACTOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_comes_in_may_be_as_large_as_one_that_goes_out_within_bounds() {
        for (max_packet_size, limit) in [(1024, LEAST_INBOUND), (1_048_576, 1_048_576), (u32::MAX, MOST_INBOUND)] {
            assert_eq!(inbound_limit(max_packet_size), limit);
        }
    }
}
