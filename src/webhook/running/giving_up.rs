//! Messages that are given up: each is published as a dead letter, or else recorded, before it is acknowledged.

use std::sync::mpsc::sync_channel;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::Running;
use super::retry::LONGEST_PAUSE;
use super::worker::{Failure, Worker};
use crate::backoff::Backoff;
use crate::config::Protocol;
use crate::journal::{self, Done};
use crate::message::{Message, MqttString, Properties, Qos, Received, TopicName};
use crate::metrics::WebhookResult;
use crate::mqtt::reason::{NO_MATCHING_SUBSCRIBERS, QUOTA_EXCEEDED};
use crate::mqtt::{self, Delivery, Outcome, Published};
use crate::printable::Printable;

/// How long the broker may take for a dead letter.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often to look whether the journal has room, or has written a record.
const LOOK: Duration = Duration::from_secs(1);
/// How much of a topic name is shown, in bytes.
const SHOWN: usize = 256;

impl Worker {
    /// Gives a message up after so many attempts: publishes it as a dead letter, or loses it. At a stop it is left
    /// unacknowledged.
    pub fn give_up(&self, delivery: Delivery, id: &str, failure: &Failure, attempts: u64) {
        let Running { webhook, outage, .. } = &*self.running;
        outage.gave_up(id, &failure.words, SystemTime::now());
        let why = format!("is given up at attempt {attempts}: {}", failure.words);
        let Some(dead_letter) = &webhook.dead_letter else { return self.lose(delivery, id, &why) };
        match self.publish_dead_letter(dead_letter, &delivery, id, failure, attempts) {
            None => {}
            Some(Ok(published)) => {
                let unheard = if is_unheard(published) { ", which nobody subscribes to" } else { "" };
                let (what, dead_letter) = (self.named(&delivery.message, id), dead_letter.as_str());
                log::warn!(
                    WEBHOOK = webhook.name, WEBHOOK_ID = id;
                    "{what} {why}; it is published on {dead_letter}{unheard}"
                );
                self.settle(delivery, WebhookResult::DeadLettered);
            }
            Some(Err(refusal)) => {
                self.lose(delivery, id, &format!("{why}; the dead letter was not published: {refusal}"));
            }
        }
    }

    /// Records why a message is lost, and acknowledges it. At a stop it is left unacknowledged.
    pub fn lose(&self, delivery: Delivery, id: &str, why: &str) {
        let what = self.named(&delivery.message, id);
        let words = format!("{what} {why}; it is acknowledged to the broker, and lost");
        if self.record(&words, &[("WEBHOOK", &self.running.webhook.name), ("WEBHOOK_ID", id)]) {
            self.settle(delivery, WebhookResult::GivenUp);
        }
    }

    /// What records call a message.
    fn named(&self, message: &Received, id: &str) -> String {
        let (name, topic) = (&self.running.webhook.name, Printable::new(&message.topic, SHOWN));
        format!("webhook {name}: message {id} on {topic}")
    }

    /// Records an error, and waits until it is written. Returns false at a stop.
    fn record(&self, words: &str, fields: &[(&str, &str)]) -> bool {
        let inbox = &self.running.consumer.inbox;
        let (sender, written) = sync_channel(1);
        loop {
            let sender = sender.clone();
            let done = Done::new(true, move || _ = sender.try_send(()));
            if journal::error(words, fields, done) {
                break;
            }
            if inbox.pause(LOOK) {
                return false;
            }
        }
        while written.recv_timeout(LOOK).is_err() {
            if inbox.pause(Duration::ZERO) {
                return false;
            }
        }
        true
    }

    /// Publishes a message until the broker has acknowledged it, or has refused it for good. `None` at a stop.
    fn publish_dead_letter(
        &self,
        topic: &TopicName,
        delivery: &Delivery,
        id: &str,
        failure: &Failure,
        attempts: u64,
    ) -> Option<Outcome> {
        let consumer = &self.running.consumer;
        let reasons = [
            ("webhook", self.running.webhook.name.clone()),
            ("webhook-id", id.to_owned()),
            ("webhook-topic", String::from_utf8_lossy(&delivery.message.topic).into_owned()),
            ("webhook-attempts", attempts.to_string()),
            ("webhook-error", failure.words.clone()),
        ];
        let properties = match consumer.status().settings.protocol {
            Protocol::V311 => Properties::default(),
            Protocol::V5 => properties(&delivery.message, &reasons),
        };
        let message = Message {
            topic: topic.clone(),
            payload: Bytes::from(delivery.message.payload.clone()),
            qos: Qos::AtLeastOnce,
            retain: false,
            properties,
        };
        let mut backoff = Backoff::new(LONGEST_PAUSE);
        loop {
            match consumer.publish(message.clone(), TIMEOUT) {
                Ok(published) => return Some(Ok(published)),
                Err(refusal) if is_refused_for_good(&refusal) => return Some(Err(refusal)),
                Err(_) => {}
            }
            if consumer.inbox.pause(backoff.pause(Duration::ZERO)) {
                return None;
            }
        }
    }
}

/// The properties of a dead letter: those of the message, and why it is one. It does not expire.
fn properties(message: &Received, reasons: &[(&str, String)]) -> Properties {
    let properties = &message.properties;
    let string = |text: &str| MqttString::try_from(text.to_owned()).ok();
    let pair = |name: &str, value: &str| Some((string(name)?, string(value)?));
    let own = properties.user_properties.iter().filter_map(|(name, value)| pair(name, value));
    Properties {
        payload_format_indicator: properties.payload_format_indicator.map(|indicator| indicator == 1),
        message_expiry_interval: None,
        response_topic: properties.response_topic.clone().and_then(|topic| TopicName::try_from(topic).ok()),
        correlation_data: properties.correlation_data.clone(),
        content_type: properties.content_type.as_deref().and_then(string),
        user_properties: own.chain(reasons.iter().filter_map(|(name, value)| pair(name, value))).collect(),
    }
}

/// Whether the broker said that nobody gets it.
fn is_unheard(published: Published) -> bool {
    matches!(published, Published::Acknowledged { reason_code: Some(NO_MATCHING_SUBSCRIBERS), .. })
}

/// Whether the broker would not take the same message later either.
fn is_refused_for_good(failure: &mqtt::Failure) -> bool {
    use mqtt::Failure as Of;

    match failure {
        _ if failure.reason_code() == Some(QUOTA_EXCEEDED) => false,
        Of::NotConnected
        | Of::NotReady(_)
        | Of::Busy
        | Of::Stopping
        | Of::TooManyWaiting
        | Of::ShareTaken
        | Of::NoRoom
        | Of::Unknown => false,
        Of::PacketTooLarge { .. }
        | Of::RetainNotSupported
        | Of::QosNotSupported(_)
        | Of::PropertiesNotSupported
        | Of::Refused(_)
        | Of::RefusedSaying { .. }
        | Of::TooLargeForBroker { .. }
        | Of::GivenUp => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_is_tried_again_unless_the_broker_refused_it_for_good() {
        use mqtt::Failure as Of;

        let size = Of::PacketTooLarge { size: 2, limit: 1 };
        for (failure, is_final) in [
            (Of::NotConnected, false),
            (Of::Unknown, false),
            (Of::Refused(QUOTA_EXCEEDED), false),
            (Of::refused(QUOTA_EXCEEDED, Some("for now".into())), false),
            (Of::Refused(135), true),
            (Of::GivenUp, true),
            (size, true),
        ] {
            assert_eq!(is_refused_for_good(&failure), is_final, "{failure}");
        }
    }
}
