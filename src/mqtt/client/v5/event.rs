//! What a packet from the broker means, in MQTT 5.

use std::sync::Arc;

use rumqttc::v5::mqttbytes::v5::{Packet, PubCompReason};

use super::codes::{granted, puback_code, pubrec_code, unsuback_failure};
use super::received::received;
use crate::mqtt::client::connection::Event;
use crate::mqtt::protocol::Acknowledgement;
use crate::printable::Printable;

/// How much of a reason string about one message is shown, in bytes.
const SHOWN: usize = 256;

/// The reason code of a PUBCOMP that is no success (MQTT 5, 3.7.2.1).
const PACKET_IDENTIFIER_NOT_FOUND: u8 = 146;

pub fn translate(packet: Packet) -> Event {
    match packet {
        Packet::SubAck(suback) => {
            let words = suback.properties.and_then(|properties| properties.reason_string);
            let answers = suback.return_codes.into_iter().map(granted).collect();
            Event::Subscribed(suback.pkid, answers, printable(words))
        }
        Packet::UnsubAck(unsuback) => {
            Event::Unsubscribed(unsuback.pkid, unsuback.reasons.first().copied().and_then(unsuback_failure))
        }
        // with a topic alias that was never set: rumqttc ends the connection over it
        Packet::Publish(message) if message.topic.is_empty() => Event::Other,
        Packet::Publish(message) => {
            let packet_identifier = message.pkid;
            Event::Received(received(message).into(), packet_identifier)
        }
        Packet::PubRel(release) => Event::Released(release.pkid),
        Packet::PubAck(ack) => {
            let words = ack.properties.and_then(|properties| properties.reason_string);
            let code = puback_code(ack.reason);
            Event::Acknowledged(Acknowledgement::PubAck, ack.pkid, Some(code), printable(words))
        }
        Packet::PubRec(ack) => {
            let words = ack.properties.and_then(|properties| properties.reason_string);
            let code = pubrec_code(ack.reason);
            Event::Acknowledged(Acknowledgement::PubRec, ack.pkid, Some(code), printable(words))
        }
        Packet::PubComp(ack) => {
            let code = if ack.reason == PubCompReason::Success { 0 } else { PACKET_IDENTIFIER_NOT_FOUND };
            Event::Acknowledged(Acknowledgement::PubComp, ack.pkid, Some(code), None)
        }
        Packet::PingResp(_) => Event::Alive,
        _ => Event::Other,
    }
}

/// A reason string, if it says anything.
fn printable(words: Option<String>) -> Option<Arc<str>> {
    let words = words.filter(|words| !words.trim().is_empty())?;
    Some(Printable::new(&words, SHOWN).to_string().into())
}
