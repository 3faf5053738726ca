//! Who may do what: the checks that each request passes before an endpoint sees it, and the rights of its token.
//!
//! [`Access::admit`] checks the `hosts` that the request names, the `origins` of web pages, proxies, and the token by
//! its `credentials`. It returns a [`Principal`], which an endpoint asks for each right and for each part of the
//! token's `quota`. [`Access::admit_hook`] does the same for the call of a hook, by its secret.

mod authority;
mod hosts;
mod origins;

mod credentials;
mod hook_admission;
mod hooks;
mod refused_callers;
mod tokens;

mod principal;
mod quota;
mod rate_limit;

use std::sync::Arc;

pub use self::hooks::{Begun, Hook, verify};
pub use self::hosts::base_url;
pub use self::principal::Principal;
pub use self::quota::{Quota, ReaderKind, Slot, Unsubscribe};
pub use self::tokens::Tokens;

use self::credentials::Credentials;
use self::hosts::{AllowedHosts, Hosts};
use self::origins::AllowedOrigins;
use self::refused_callers::RefusedCallers;
use super::reply::Reply;
use super::server::{Head, Reach};
use crate::config::Config;

/// The checks for the requests to one listener.
#[derive(Debug)]
pub struct Access {
    allowed_hosts: AllowedHosts,
    allowed_origins: AllowedOrigins,
    allow_anonymous: bool,
    tokens: Tokens,
    refused_callers: RefusedCallers,
}

/// The header fields by which a proxy identifies itself (RFC 7239; RFC 9110, 7.6.3).
const PROXY_HEADERS: [&str; 6] =
    ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via"];

impl Access {
    pub fn new(config: &Config, tokens: Tokens, reach: Reach) -> Self {
        Self {
            allowed_hosts: AllowedHosts { reach, names: config.http.allowed_hosts.clone() },
            allowed_origins: AllowedOrigins::new(&config.http.allowed_origins),
            allow_anonymous: config.http.allow_anonymous,
            tokens,
            refused_callers: RefusedCallers::default(),
        }
    }

    /// Admits a request, or returns the reply that refuses it. Looks at neither its path nor its body.
    pub fn admit(&self, head: Head) -> Result<Principal<'_>, Reply> {
        self.admit_without_token(head)?;
        self.authenticate(head)
    }

    /// The same for an endpoint that needs no token.
    pub fn admit_without_token(&self, head: Head) -> Result<(), Reply> {
        let hosts = Hosts::of(head)?;
        self.allowed_origins.check(head, hosts)?;
        self.allowed_hosts.check(hosts)?;
        self.check_proxy(head)?;
        self.allowed_origins.check_preflight(head)
    }

    /// Whether a caller of an endpoint that needs no token may see everything: without tokens every caller may.
    pub fn may_see_all(&self, head: Head) -> Result<bool, Reply> {
        if !self.tokens.is_empty() && head.header("Authorization")?.is_none() {
            return Ok(false);
        }
        Ok(self.authenticate(head)?.restricted_to().is_none())
    }

    /// The origin of the web page that sent the request, if that page may read the reply.
    pub fn allowed_origin(&self, head: Head) -> Option<Arc<str>> {
        self.allowed_origins.origin_of(head)
    }

    /// Without tokens, everyone who can reach the proxy could publish.
    fn check_proxy(&self, head: Head) -> Result<(), Reply> {
        if self.allow_anonymous || !self.tokens.is_empty() {
            return Ok(());
        }
        let header = PROXY_HEADERS.into_iter().find(|name| head.has(name));
        header.map_or(Ok(()), |name| Err(Reply::proxy_without_tokens(name)))
    }

    fn authenticate(&self, head: Head) -> Result<Principal<'_>, Reply> {
        if self.tokens.is_empty() {
            return Ok(Principal { token: None });
        }
        let credentials = head.header("Authorization")?.and_then(Credentials::parse).ok_or_else(Reply::token_missing);
        let token = credentials.and_then(|credentials| self.tokens.find(&credentials).ok_or_else(Reply::token_unknown));
        let what = if head.has("Authorization") { "a token that is not known" } else { "no token" };
        let token = token.inspect_err(|_| self.refused_callers.log(head.client(), what))?;
        Ok(Principal { token: Some(token) })
    }
}

#[cfg(test)]
mod tests;
