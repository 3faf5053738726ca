//! `[[hook]]`: named URLs that publish, for senders that can only call a URL.

mod keys;
mod proof;

use std::time::Duration;

pub use self::keys::{Encoding, HookKeys, HookTable, Method};
pub use self::proof::{Proof, Scheme};

use super::environment::Environment;
use super::fault::Fault;
use super::outbox::Outbox;
use super::publish::Publish;
use super::source::Source;
use super::table::Several;
use super::token::{Sees, Token, half};
use crate::message::Qos;

/// A named URL that publishes.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// The keys of the table.
    pub table: HookTable,
    /// How its callers show that they may call it.
    pub proof: Proof,
}

impl Hook {
    /// The rights and limits of its calls, in the form of a token. `max_waiting` is the limit for all callers together.
    #[must_use]
    pub fn rules(&self, max_waiting: usize) -> Token {
        Token {
            name: format!("hook {}", self.table.name),
            sha256: [0; 32],
            publish: vec![self.table.topic.filter().clone()],
            subscribe: Vec::new(),
            response_topics: Vec::new(),
            rate: self.table.rate,
            max_subscriptions: 0,
            max_listeners: 0,
            max_waiting: half(max_waiting),
            sees: Sees::Own,
        }
    }
}

/// The hooks. Reads the files of their secrets.
pub fn read(
    tables: &Several<HookKeys>,
    publish: &Publish,
    outbox: &Outbox,
    source: &Source,
    environment: &Environment,
) -> Result<Vec<Hook>, Fault> {
    let mut hooks: Vec<Hook> = Vec::new();
    for keys in tables.tables() {
        let mut table = keys.read_each()?;
        if hooks.iter().any(|other| other.table.name == table.name) {
            let what = format!("this {} is there twice: each [[hook]] needs one of its own", keys.name);
            return Err(keys.name.fault(what));
        }
        if table.methods.is_empty() {
            return Err(keys.methods.fault(format!("{} must have \"GET\", \"POST\" or both", keys.methods)));
        }
        if table.timeout > publish.max_timeout {
            let most = publish.max_timeout.as_secs_f64();
            if keys.timeout.value.is_some() {
                let what = format!("{} must be at most `max-timeout`, which is {most} s", keys.timeout);
                return Err(keys.timeout.fault(what));
            }
            table.timeout = publish.max_timeout;
        }
        table.ttl = ttl(keys, &table, publish, outbox)?;
        let proof = proof::read(keys, &table, source, environment)?;
        hooks.push(Hook { table, proof });
    }
    Ok(hooks)
}

/// How long a message may wait in the outbox, and whether it may go there at all.
fn ttl(keys: &HookKeys, table: &HookTable, publish: &Publish, outbox: &Outbox) -> Result<Duration, Fault> {
    let (key, qos) = (&keys.ttl, &keys.qos);
    if publish.store && table.qos == Qos::AtMostOnce {
        let why = "nobody could tell whether the message arrived";
        return Err(qos.fault(format!("{qos} must be 1 or 2 where `store` is true: {why}")));
    }
    if key.value.is_none() {
        return Ok(outbox.max_ttl);
    }
    if !publish.store {
        return Err(key.fault(format!("{key} needs `store = true` in [publish]")));
    }
    if table.ttl > outbox.max_ttl {
        let most = outbox.max_ttl.as_secs_f64();
        return Err(key.fault(format!("{key} must be at most `max-ttl` in [outbox], which is {most} s")));
    }
    Ok(table.ttl)
}
