//! The hosts that a request names, and which of them are ours.

use super::authority::Authority;
use crate::http::reply::{Reply, shown};
use crate::http::server::{Head, Reach, Target};

/// The hosts that a request names.
#[derive(Debug, Clone, Copy)]
pub struct Hosts<'a> {
    /// `Host`, which a client of HTTP/1.0 may leave out.
    pub header: Option<Authority<'a>>,
    /// The authority of a target in absolute form.
    target: Option<Authority<'a>>,
}

/// The hosts that requests to one listener may name.
#[derive(Debug)]
pub struct AllowedHosts {
    pub reach: Reach,
    pub names: Vec<String>,
}

impl<'a> Hosts<'a> {
    /// Both must be well-formed, and `Host` must be there exactly once (RFC 9112, 3.2).
    pub fn of(head: Head<'a>) -> Result<Self, Reply> {
        let header = head.header("Host")?;
        if header.is_none() && head.version() >= (1, 1) {
            return Err(Reply::invalid("`Host` is missing".to_owned()));
        }
        let parse = |text: &'a str| {
            let malformed = || Reply::invalid(format!("the host `{}` is malformed", shown(text)));
            Authority::parse(text).ok_or_else(malformed)
        };
        let target = Target::authority_of(head).map(parse).transpose()?;
        // `Host` may be empty, the authority of an http URI may not (RFC 9110, 4.2.1)
        if target.is_some_and(|target| target.is_empty()) {
            return Err(Reply::invalid("the target in absolute form has no host".to_owned()));
        }
        Ok(Self { header: header.map(parse).transpose()?, target })
    }
}

impl AllowedHosts {
    /// Refuses a request that names a foreign host. A page can make its own name resolve to our address (DNS
    /// rebinding): its browser then takes us for the page's origin, but the request still names the page's host.
    ///
    /// Beyond loopback only the configuration knows our names, and without any in it every host is allowed.
    pub fn check(&self, hosts: Hosts) -> Result<(), Reply> {
        if self.reach != Reach::Loopback && self.names.is_empty() {
            return Ok(());
        }
        let is_foreign = |host: &Authority| !host.is_loopback() && !host.is_one_of(&self.names);
        let foreign = [hosts.header, hosts.target].into_iter().flatten().find(is_foreign);
        foreign.map_or(Ok(()), |host| Err(Reply::host_denied(host.as_str())))
    }
}

/// The URL by which a client reaches us, without a path: `http://HOST:PORT`, or `https` where a proxy says that it was
/// called so. `None` if the request names no host.
pub fn base_url(head: Head) -> Option<String> {
    let hosts = Hosts::of(head).ok()?;
    let authority = hosts.target.or(hosts.header).filter(|authority| !authority.is_empty())?;
    let is_secure = head.header("X-Forwarded-Proto").ok()?.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    Some(format!("{}://{}", if is_secure { "https" } else { "http" }, authority.as_str()))
}
