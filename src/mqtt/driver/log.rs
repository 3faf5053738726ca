//! The records of connections that came about, failed or ended.

use std::time::Instant;

use super::Driver;
use super::takeover::MAX_CLOSES;
use crate::config::Protocol;
use crate::mqtt::client::{Cause, Lost, diagnosis};
use crate::mqtt::protocol::Terms;
use crate::mqtt::reason::Reason;
use crate::mqtt::session::subscriptions::Finding;
use crate::printable::Printable;

/// How much of a client identifier is shown, in bytes.
const SHOWN: usize = 256;
/// How much of a topic filter is shown, in bytes.
const SHOWN_TOPIC: usize = 1024;
/// What to do about a broker that refers to another one.
const OTHER_SERVER: &str =
    "; set `server` in [mqtt] to the other one, and restart: the bridge does not go there by itself";
/// So many different failures to connect are recorded before the next connection.
const MAX_LOGGED: usize = 16;

impl Driver {
    pub(super) fn log_connected(&mut self, terms: &Terms) {
        let whom = &self.whom;
        let outage = self.lost_at.map(|at| format!(" after {:.1} s without a connection", at.elapsed().as_secs_f64()));
        let outage = outage.unwrap_or_default();
        let mut name = String::new();
        if let Some(given) = &terms.client_id {
            self.client_id.clone_from(given);
            name = format!(", which calls us {}", Printable::new(given, SHOWN));
        }
        log::info!(CLIENT_ID = self.client_id; "connected to {whom}{outage}{name}");
    }

    /// At a stop.
    pub(super) fn log_disconnected(&self) {
        log::info!(CLIENT_ID = self.client_id; "disconnected from {}", self.whom);
    }

    pub(super) fn log_lost(&mut self, lost: &Lost) {
        self.publisher.failed(&lost.to_string());
        let hint = match (lost.cause, lost.reason) {
            (Cause::TakenOver, _) => format!("; {}", self.other_client()),
            (_, Some(156 | 157)) => OTHER_SERVER.to_owned(),
            _ => String::new(),
        };
        log::warn!(
            CLIENT_ID = self.client_id, REASON_CODE = lost.reason_code();
            "connection to {} lost: {lost}{hint}; connecting again", self.whom
        );
    }

    /// We ended the connection of a webhook, to be sent further messages.
    pub(super) fn log_left(&self, lost: &Lost) {
        log::debug!(CLIENT_ID = self.client_id; "connection to {} left: {lost}", self.whom);
    }

    /// Several connections in a row were closed without a reason.
    pub(super) fn log_likely_takeover(&self) {
        log::warn!(
            CLIENT_ID = self.client_id;
            "the connection was closed {MAX_CLOSES} times in a row within seconds: perhaps {}", self.other_client()
        );
    }

    fn other_client(&self) -> String {
        let name = Printable::new(&self.client_id, SHOWN);
        format!("another client uses our client identifier, {name}: give this one another `client-id`")
    }

    pub(super) fn log_session_left(lost: &Lost) {
        log::error!("the session that the broker keeps is left, with what it still holds for us: {lost}");
    }

    /// A topic filter is left out, and what to do about it.
    pub(super) fn log_left_out(&self, finding: &Finding, lost: &Lost) {
        let topic = self.mqtt.named(Printable::new(finding.filter.as_str(), SHOWN_TOPIC));
        let minutes = finding.pause.as_secs() / 60;
        if let Some(code) = finding.code {
            log::warn!(
                REASON_CODE = code;
                "subscription to {topic} refused: {}; asked again in {minutes} minutes", Reason(code)
            );
            return;
        }
        let remedy = match lost.cause {
            Cause::InboundTooLarge => "raise `max-packet-size`, or clear the retained message",
            Cause::ClosedOverSubscribe => "correct the topic filter, or what the broker allows",
            _ => "correct or clear the retained message",
        };
        log::error!(
            "subscription to {topic} left out for {minutes} minutes, as the connection ends over it: {lost}; publishing and \
             all other subscriptions go on; {remedy}"
        );
    }

    /// Each different failure to connect is recorded once, not at every try.
    pub(super) fn log_failure(&mut self, lost: &Lost) {
        self.publisher.failed(&lost.to_string());
        let words = format!("cannot connect to {}: {lost}", self.whom);
        if !self.logged.contains(&words) && self.logged.len() < MAX_LOGGED {
            let hint = self.hint(lost);
            log::warn!(CLIENT_ID = self.client_id, REASON_CODE = lost.reason_code(); "{words}{hint}; trying again");
            self.logged.push(words);
        }
    }

    /// What to do about a failure to connect.
    fn hint(&self, lost: &Lost) -> String {
        let has_will = self.mqtt.will.is_some();
        let hint = match (lost.cause, self.mqtt.protocol, lost.reason) {
            (Cause::NoConnack, ..) => return self.hint_of_silence(),
            (Cause::Version, Protocol::V5, _) => "; set `protocol = \"3.1.1\"`",
            (Cause::Version, Protocol::V311, _) => "; set `protocol = \"5\"`",
            (_, _, Some(156 | 157)) => OTHER_SERVER,
            (_, _, Some(154)) if has_will => "; set `retain = false` in [mqtt.will], without `online`",
            (_, _, Some(155)) if has_will => "; lower `qos` in [mqtt.will]",
            (_, _, Some(144)) if has_will => "; it is `topic` in [mqtt.will]",
            _ => "",
        };
        hint.to_owned()
    }

    /// Where no broker answers our CONNECT: what answers instead, if anything does, or what may be missing.
    fn hint_of_silence(&self) -> String {
        if self.mqtt.tls.is_none() {
            self.publisher.announce(Instant::now(), diagnosis::timeout(&self.mqtt));
            if let Some(protocol) = diagnosis::other_protocol(&self.mqtt.server) {
                return format!("; {protocol}");
            }
        }
        let version = match self.mqtt.protocol {
            Protocol::V5 => "; if this broker does not speak MQTT 5, set `protocol = \"3.1.1\"`",
            Protocol::V311 => "",
        };
        format!("{}{version}", diagnosis::tls_hint(&self.mqtt))
    }
}
