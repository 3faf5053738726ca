//! Web pages of other origins: a browser sends their requests, but says which page each request comes from.

use std::sync::Arc;

use super::hosts::Hosts;
use crate::http::reply::Reply;
use crate::http::server::Head;

/// The origins whose pages may call us.
#[derive(Debug)]
pub struct AllowedOrigins(Vec<Arc<str>>);

impl AllowedOrigins {
    pub fn new(origins: &[String]) -> Self {
        Self(origins.iter().map(|origin| origin.as_str().into()).collect())
    }

    /// The origin of the page that a request comes from, if it is an allowed one. The text is the configuration's, so
    /// that it can be put into a header of the reply.
    pub fn origin_of(&self, head: Head) -> Option<Arc<str>> {
        let origin = head.header("Origin").ok().flatten()?;
        self.0.iter().find(|allowed| ***allowed == *origin).cloned()
    }

    /// Refuses requests from pages of other origins (Fetch, 3.2; Fetch Metadata, 2.3). No page can forge these headers.
    pub fn check(&self, head: Head, hosts: Hosts) -> Result<(), Reply> {
        let origin = head.header("Origin")?;
        let site = head.header("Sec-Fetch-Site")?;
        if self.origin_of(head).is_some() {
            return Ok(());
        }
        let is_ours = |origin: &str| hosts.header.is_some_and(|host| host.is_of_origin(origin));
        let is_site = |name: &str| site.is_some_and(|site| site.eq_ignore_ascii_case(name));
        // another port or name of the same site is another origin; where it is ours, `Origin` says so
        let is_foreign = origin.map_or_else(|| is_site("same-site"), |origin| !is_ours(origin));
        if is_foreign || is_site("cross-site") { Err(Reply::origin_denied(origin)) } else { Ok(()) }
    }

    /// Answers the preflight request that a browser sends for a page of an allowed origin; it carries no token.
    pub fn check_preflight(&self, head: Head) -> Result<(), Reply> {
        let is_preflight = head.method() == "OPTIONS" && head.header("Access-Control-Request-Method")?.is_some();
        if is_preflight && self.origin_of(head).is_some() { Err(Reply::preflight()) } else { Ok(()) }
    }
}
