//! Why a connection was lost or did not come about, told once.

use std::time::Instant;

use super::Driver;
use super::rival::MAX_CLOSES;
use crate::config::Protocol;
use crate::mqtt::client::connection::{Cause, Lost, Terms};
use crate::mqtt::client::{other_protocol, transport};
use crate::mqtt::reason::Reason;
use crate::printable::Printable;

/// How much of the words of a broker is shown, in bytes.
const SHOWN: usize = 256;
/// What to do about a broker that wants us to go to another one.
const OTHER_SERVER: &str =
    "; set `server` in [mqtt] to the other one, and restart: the bridge does not go there by itself";
/// So many different failures to connect are told before the next connection.
const MAX_TOLD: usize = 16;

/// Tells what a broker says of a message in its own words.
pub fn tell_acknowledgement(packet_identifier: u16, code: Option<u8>, words: Option<&str>) {
    if let Some(words) = words {
        let code = code.unwrap_or_default();
        log::debug!(
            REASON_CODE = code;
            "the broker says of packet identifier {packet_identifier}: {}: {words}", Reason(code)
        );
    }
}

impl Driver {
    pub(super) fn tell_connected(&mut self, terms: &Terms) {
        let address = self.mqtt.address();
        let outage = self.lost_at.map(|at| format!(" after {:.1} s without a connection", at.elapsed().as_secs_f64()));
        let outage = outage.unwrap_or_default();
        match &terms.client_id {
            None => log::info!(CLIENT_ID = self.client_id; "connected to {address}{outage}"),
            Some(given) => {
                self.client_id.clone_from(given);
                let name = Printable::new(given, SHOWN);
                log::info!(CLIENT_ID = self.client_id; "connected to {address}{outage}, which calls us {name}");
            }
        }
    }

    pub(super) fn tell_lost(&mut self, lost: &Lost) {
        self.publisher.failed(&lost.to_string());
        log::warn!(
            CLIENT_ID = self.client_id, REASON_CODE = lost.reason_code();
            "connection to {} lost: {lost}{}; connecting again", self.mqtt.address(), self.hint_of_loss(lost)
        );
    }

    /// What to do about the end of a connection.
    fn hint_of_loss(&self, lost: &Lost) -> String {
        match (lost.cause, lost.reason()) {
            (Cause::TakenOver, _) => format!("; {}", self.rivalry()),
            (_, Some(156 | 157)) => OTHER_SERVER.to_owned(),
            _ => String::new(),
        }
    }

    /// Tells what is likely where the broker does not say it.
    pub(super) fn tell_of_a_rival(&self) {
        log::warn!(
            CLIENT_ID = self.client_id;
            "the connection was closed {MAX_CLOSES} times in a row within seconds: perhaps {}", self.rivalry()
        );
    }

    fn rivalry(&self) -> String {
        let name = Printable::new(&self.client_id, SHOWN);
        format!("another client uses our client identifier, {name}: give this one another `client-id`")
    }

    /// Tells of a failure to connect when it is another one than before, not at every try.
    pub(super) fn tell_failure(&mut self, lost: &Lost) {
        self.publisher.failed(&lost.to_string());
        let words = format!("cannot connect to {}: {lost}", self.mqtt.address());
        if !self.told.contains(&words) && self.told.len() < MAX_TOLD {
            let hint = self
                .other_protocol(lost)
                .map_or_else(|| [self.hint_of_tls(lost), self.hint(lost)].concat(), |protocol| format!("; {protocol}"));
            log::warn!(CLIENT_ID = self.client_id, REASON_CODE = lost.reason_code(); "{words}{hint}; trying again");
            self.told.push(words);
        }
    }

    /// What answers there, if it does not speak MQTT; asked once for each failure that is told.
    fn other_protocol(&self, lost: &Lost) -> Option<&'static str> {
        if lost.cause != Cause::NoConnack || self.mqtt.tls.is_some() {
            return None;
        }
        self.publisher.announce(Instant::now(), 2 * other_protocol::PATIENCE + transport::patience(&self.mqtt));
        other_protocol::find(&self.mqtt.server)
    }

    fn hint_of_tls(&self, lost: &Lost) -> &'static str {
        if lost.cause == Cause::NoConnack { transport::hint(&self.mqtt) } else { "" }
    }

    /// What to do about a failure to connect.
    fn hint(&self, lost: &Lost) -> &'static str {
        match (lost.cause, self.mqtt.protocol) {
            (Cause::Version, Protocol::V5) => return "; set `protocol = \"3.1.1\"`",
            (Cause::Version, Protocol::V311) => return "; set `protocol = \"5\"`",
            (Cause::NoConnack, Protocol::V5) => {
                return "; if this broker does not speak MQTT 5, set `protocol = \"3.1.1\"`";
            }
            _ => {}
        }
        match (lost.reason(), &self.mqtt.will) {
            (Some(154), Some(_)) => "; set `retain = false` in [mqtt.will], without `online`",
            (Some(156 | 157), _) => OTHER_SERVER,
            (Some(155), Some(_)) => "; lower `qos` in [mqtt.will]",
            (Some(144), Some(_)) => "; it is `topic` in [mqtt.will]",
            _ => "",
        }
    }
}
