//! What rumqttc does differently in each version of MQTT.

use std::time::Duration;

use super::connection::Event;
use super::lost::Lost;
use crate::mqtt::protocol::Retransmission;

/// rumqttc in one version of MQTT.
pub trait Rumqttc {
    /// Waits for the next event, of which the first one is [`Event::Connected`]; `None` at the timeout.
    fn receive(&mut self, timeout: Duration, is_connected: bool) -> Result<Option<Event>, Lost>;
    /// An event that was read together with the one before.
    fn buffered(&mut self) -> Option<Event>;
    /// Sends a packet again, before anything that is handed over.
    fn resend(&mut self, owed: Retransmission);
    /// Sends a PINGREQ.
    fn ping(&mut self);
    /// Has a PUBREL with this packet identifier answered: by itself rumqttc ends the connection over one whose PUBLISH
    /// came on another connection, or that comes again.
    fn expect_release(&mut self, packet_identifier: u16);
    /// Forgets what is unacknowledged, in both directions.
    fn clean(&mut self);
}
