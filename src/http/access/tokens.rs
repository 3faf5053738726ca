//! The tokens and hooks of the configuration, which all listeners share.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use subtle::ConstantTimeEq;

use super::credentials::Credentials;
use super::hooks::Hook;
use super::quota::{Holdings, Quota};
use super::rate_limit::RateLimit;
use crate::config::{self, Config, hash};
use crate::memory::Memory;

/// All tokens, and all hooks. If there are no tokens, everyone may do everything.
#[derive(Debug, Clone)]
pub struct Tokens {
    tokens: Arc<[Token]>,
    /// Each with the rights and limits of its calls, in the form of a token.
    hooks: Arc<[(Hook, Token)]>,
}

/// One token, with what its requests use of the bridge.
#[derive(Debug)]
pub struct Token {
    pub rules: Arc<config::Token>,
    pub quota: Arc<Quota>,
    /// `None` without a limit.
    pub rate_limit: Option<Mutex<RateLimit>>,
    /// For its requests, and for the messages that wait for the broker.
    pub memory: Memory,
}

impl Tokens {
    /// The tokens of a configuration, each with its part of this memory.
    #[must_use]
    pub fn new(config: &Config, memory: &Memory) -> Self {
        let now = Instant::now();
        let holdings = Arc::new(Holdings::new(config));
        let token = |(index, rules): (usize, config::Token)| {
            let rules = Arc::new(rules);
            let quota = Arc::new(Quota::new(rules.clone(), index, holdings.clone()));
            let rate_limit = rules.rate.map(|rate| Mutex::new(RateLimit::new(rate, now)));
            Token { rules, quota, rate_limit, memory: memory.part() }
        };
        let tokens: Arc<[Token]> = config.tokens.iter().cloned().enumerate().map(token).collect();
        let hook = |(number, hook): (usize, &config::Hook)| {
            let token = token((tokens.len() + number, hook.rules(config.publish.max_waiting)));
            (Hook::new(hook.table.clone(), hook.proof.clone()), token)
        };
        let hooks = config.hooks.iter().enumerate().map(hook).collect();
        Self { tokens, hooks }
    }

    /// The hook of this name, if the rest of the path is right.
    pub(super) fn hook(&self, name: &str, secret: Option<&str>) -> Option<&(Hook, Token)> {
        let found = self.hooks.iter().find(|(hook, _)| hook.table.name == name)?;
        Some(found).filter(|(hook, _)| hook.is_called_by(secret))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The token with this secret, and with this name if one is given. Compares every byte of every hash, so that the
    /// time taken reveals nothing.
    pub(super) fn find(&self, credentials: &Credentials) -> Option<&Token> {
        let hash = hash(&credentials.secret);
        let is_same = |token: &Token| bool::from(token.rules.sha256.ct_eq(&hash));
        let found = self.tokens.iter().fold(None, |found, token| if is_same(token) { Some(token) } else { found });
        found.filter(|token| credentials.name.as_ref().is_none_or(|name| *name == token.rules.name))
    }
}
