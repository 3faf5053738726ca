//! `[[subscribe]]`: what is received.

use std::rc::Rc;

use toml::de::DeValue;
use toml::{Spanned, Value};

use super::document::{Document, Position};
use super::fault::Fault;
use super::key::{Slot, list_from_text};
use super::mqtt::Session;
use super::table::{Keys, Section, Several};
use super::variables::PREFIX;
use crate::message::{Priority, Qos, TopicFilter};

table! {
    /// One `[[subscribe]]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Subscription from SubscribeKeys "[[subscribe]]" {
        /// What is subscribed to.
        topic: TopicFilter,
        /// The quality of service asked for; the broker may grant less.
        qos: Qos = Qos::AtMostOnce,
        /// Of the records of its messages; where several filters match, the first one's counts.
        priority: Priority = Priority::default(),
    }
}

/// Every `[[subscribe]]`.
#[derive(Default)]
pub struct Subscriptions {
    tables: Several<SubscribeKeys>,
    /// The variables without a number: a list of topic filters, and what holds for all of these.
    list: SubscribeKeys,
}

impl Section for Subscriptions {
    fn fill(&mut self, value: &Spanned<DeValue>, document: &Rc<Document>) -> Result<(), Fault> {
        self.tables.fill(value, document)
    }

    fn slot(&mut self, rest: &str, variable: &Position) -> Option<&mut Slot> {
        if rest.is_empty() {
            return Some(self.list.topic.slot());
        }
        let of_list = |slot: &&mut Slot| rest.strip_prefix('_') == Some(&slot.variable_suffix());
        let shared = self.list.slots().into_iter().skip(1).find(of_list);
        shared.or_else(|| self.tables.slot(rest, variable))
    }

    fn variables(&mut self, prefix: &str) -> Vec<String> {
        let mut names = self.tables.variables(prefix);
        names.push(prefix.to_owned());
        names
    }
}

impl Subscriptions {
    pub fn read(&mut self, session: Session) -> Result<Vec<Subscription>, Fault> {
        let listed = self.listed()?;
        let tables = match &listed[..] {
            [] => self.tables.tables(),
            listed => listed.iter().chain(self.tables.in_variables()).collect(),
        };
        let mut subscriptions: Vec<Subscription> = Vec::with_capacity(tables.len());
        for keys in tables {
            let subscription = keys.read_each()?;
            if subscriptions.iter().any(|other| other.topic == subscription.topic) {
                let what = format!("this {} is subscribed to twice: one [[subscribe]] is enough", keys.topic);
                return Err(keys.topic.fault(what));
            }
            if subscription.qos == Qos::ExactlyOnce && session != Session::Clean {
                // the MQTT client forgets what it received when it resumes a session (bytebeamio/rumqtt#664)
                return Err(keys.qos.fault(format!("{} must be 0 or 1 where `clean-session` is false", keys.qos)));
            }
            subscriptions.push(subscription);
        }
        Ok(subscriptions)
    }

    /// A table for each topic filter of the variable that lists several.
    fn listed(&mut self) -> Result<Vec<SubscribeKeys>, Fault> {
        let Some((Value::String(text), position)) = &self.list.topic.value else {
            let not_set = format!("is for the topic filters of {PREFIX}SUBSCRIBE, which is not set");
            let set = self.list.slots().into_iter().find(|slot| slot.value.is_some());
            return set.map_or(Ok(Vec::new()), |slot| Err(slot.fault(not_set)));
        };
        let (topics, position) = (list_from_text(text), position.clone());
        let table = |topic| {
            let mut keys = SubscribeKeys::default();
            for (slot, shared) in keys.slots().into_iter().zip(self.list.slots()) {
                slot.value.clone_from(&shared.value);
            }
            keys.topic.slot().value = Some((topic, position.clone()));
            keys
        };
        Ok(topics.into_iter().map(table).collect())
    }
}
