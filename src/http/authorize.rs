//! Who may do what: which pages and hosts requests may come from, and what the bearer of a token may do.

mod authority;
mod rate;
mod strangers;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use subtle::ConstantTimeEq;
use tiny_http::{Method, Request};

use self::authority::Authority;
use self::rate::Bucket;
use self::strangers::Strangers;
use super::reply::{Reply, SHOWN};
use super::request::header;
use super::values::base64;
use crate::config::{Config, Token, hash};
use crate::message::{Message, TopicFilter, TopicName};
use crate::printable::Printable;

/// From where a listener can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Whoever may open the socket's path.
    Unix,
    /// This machine: its programs, and the pages in its browsers.
    Loopback,
    /// Other machines.
    Network,
}

/// What is asked of every request to a listener.
#[derive(Debug)]
pub struct Gate {
    reach: Reach,
    allow_anonymous: bool,
    allowed_hosts: Vec<String>,
    allowed_origins: Vec<Arc<str>>,
    /// If there is none, everybody may do everything.
    bearers: Vec<Bearer>,
    strangers: Strangers,
}

/// Whoever has the secret of a token.
#[derive(Debug)]
struct Bearer {
    token: Token,
    /// `None` where there is no limit.
    bucket: Option<Mutex<Bucket>>,
}

/// What a request that was let in may do.
#[derive(Debug)]
pub struct Admitted<'a> {
    /// `None` may do everything.
    bearer: Option<&'a Bearer>,
}

/// What a proxy that says so tells of itself (RFC 7239, RFC 9110, 7.6.3).
const SIGNS_OF_A_PROXY: [&str; 6] =
    ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via"];

impl Gate {
    /// The rules of a configuration for a listener.
    pub fn new(config: &Config, reach: Reach) -> Self {
        let now = Instant::now();
        let bearer = |token: &Token| Bearer {
            token: token.clone(),
            bucket: token.rate.map(|rate| Mutex::new(Bucket::new(rate, now))),
        };
        Self {
            reach,
            allow_anonymous: config.http.allow_anonymous,
            allowed_hosts: config.http.allowed_hosts.clone(),
            allowed_origins: config.http.allowed_origins.iter().map(|origin| origin.as_str().into()).collect(),
            bearers: config.tokens.iter().map(bearer).collect(),
            strangers: Strangers::default(),
        }
    }

    /// Lets a request in, or is its answer; its path and its body do not count yet.
    pub fn admit(&self, request: &Request) -> Result<Admitted<'_>, Reply> {
        self.admit_anybody(request)?;
        self.check_token(request)
    }

    /// The same for what needs no token.
    pub fn admit_anybody(&self, request: &Request) -> Result<(), Reply> {
        let hosts = Hosts::of(request)?;
        self.check_page(request, hosts)?;
        self.check_hosts(hosts)?;
        self.check_proxy(request)?;
        self.check_preflight(request)
    }

    /// The origin of the page that a request comes from, if that may read the answer.
    pub fn allowed_origin(&self, request: &Request) -> Option<Arc<str>> {
        let origin = header(request, "Origin").ok().flatten()?;
        self.allowed_origins.iter().find(|allowed| ***allowed == *origin).cloned()
    }

    /// Browsers say which page a request comes from (Fetch, 3.2; Fetch Metadata, 2.3), and no page can forge that.
    fn check_page(&self, request: &Request, hosts: Hosts) -> Result<(), Reply> {
        let origin = header(request, "Origin")?;
        let site = header(request, "Sec-Fetch-Site")?;
        if self.allowed_origin(request).is_some() {
            return Ok(());
        }
        let is_ours = |origin: &str| hosts.host.is_some_and(|host| host.is_of_origin(origin));
        let is_site = |name: &str| site.is_some_and(|site| site.eq_ignore_ascii_case(name));
        // another port or name of the same site is another origin; where it is ours, `Origin` says so
        let is_foreign = origin.map_or_else(|| is_site("same-site"), |origin| !is_ours(origin));
        if is_foreign || is_site("cross-site") {
            return Err(Reply::foreign_page(origin));
        }
        Ok(())
    }

    /// A page may have its own name point here, and is then no foreign one to its browser; its name still is. Beyond
    /// loopback nobody but the configuration knows our names.
    fn check_hosts(&self, hosts: Hosts) -> Result<(), Reply> {
        if self.reach != Reach::Loopback && self.allowed_hosts.is_empty() {
            return Ok(());
        }
        let is_foreign = |host: &Authority| !host.is_loopback() && !host.is_one_of(&self.allowed_hosts);
        let foreign = [hosts.host, hosts.target].into_iter().flatten().find(is_foreign);
        foreign.map_or(Ok(()), |host| Err(Reply::foreign_host(host.as_str())))
    }

    fn check_proxy(&self, request: &Request) -> Result<(), Reply> {
        if self.allow_anonymous || !self.bearers.is_empty() {
            return Ok(());
        }
        let is_there = |name: &&'static str| request.headers().iter().any(|header| header.field.equiv(name));
        let sign = SIGNS_OF_A_PROXY.into_iter().find(is_there);
        sign.map_or(Ok(()), |name| Err(Reply::open_behind_proxy(name)))
    }

    /// A browser asks on behalf of a page before it sends what the page wants, and has no token for that.
    fn check_preflight(&self, request: &Request) -> Result<(), Reply> {
        let is_preflight =
            *request.method() == Method::Options && header(request, "Access-Control-Request-Method")?.is_some();
        if is_preflight && self.allowed_origin(request).is_some() { Err(Reply::preflight()) } else { Ok(()) }
    }

    fn check_token(&self, request: &Request) -> Result<Admitted<'_>, Reply> {
        if self.bearers.is_empty() {
            return Ok(Admitted { bearer: None });
        }
        let bearer = match header(request, "Authorization")?.and_then(credentials) {
            None => Err(Reply::token_missing()),
            Some((name, secret)) => {
                let is_it = |bearer: &&Bearer| name.is_none_or(|name| name == bearer.token.name);
                self.bearer(&secret).filter(is_it).ok_or_else(Reply::token_unknown)
            }
        };
        if bearer.is_err() {
            let has_token = request.headers().iter().any(|header| header.field.equiv("Authorization"));
            self.strangers.tell(request.remote_addr(), has_token);
        }
        Ok(Admitted { bearer: Some(bearer?) })
    }

    /// Compares with every byte of every token, so that the time it takes tells nothing.
    fn bearer(&self, secret: &str) -> Option<&Bearer> {
        let hash = hash(secret);
        self.bearers.iter().fold(None, |found, bearer| {
            let is_same = bearer.token.sha256.ct_eq(&hash);
            if bool::from(is_same) { Some(bearer) } else { found }
        })
    }
}

impl Admitted<'_> {
    /// Whether a message may be published to this topic now; it counts for the token's rate.
    pub fn may_publish(&self, topic: &TopicName) -> Result<(), Reply> {
        let Some(bearer) = self.bearer else { return Ok(()) };
        bearer.require_topic(topic)?;
        bearer.require_rate(1)?;
        bearer.tell_of(topic);
        Ok(())
    }

    /// Whether everything that a filter can match may be read.
    pub fn may_read(&self, filter: &TopicFilter) -> Result<(), Reply> {
        let Some(Bearer { token, .. }) = self.bearer else { return Ok(()) };
        if token.subscribe.iter().any(|allowed| allowed.covers(filter)) {
            return Ok(());
        }
        let shown = Printable::new(filter.as_str(), SHOWN);
        log::debug!(TOKEN = token.name; "token {} may not read {shown}", token.name);
        Err(Reply::filter_denied(&token.name, filter))
    }

    /// The same for many messages: they may be published all or not at all.
    pub fn may_publish_all(&self, messages: &[Message]) -> Result<(), Reply> {
        let Some(bearer) = self.bearer else { return Ok(()) };
        for (number, message) in messages.iter().enumerate() {
            bearer.require_topic(&message.topic).map_err(|refusal| refusal.of_item(number))?;
        }
        bearer.require_rate(messages.len())?;
        for message in messages {
            bearer.tell_of(&message.topic);
        }
        Ok(())
    }
}

/// One record for each message is for those who look for a fault.
impl Bearer {
    fn require_topic(&self, topic: &TopicName) -> Result<(), Reply> {
        let Self { token, .. } = self;
        if token.publish.iter().any(|filter| filter.matches(topic)) {
            return Ok(());
        }
        let shown = Printable::new(topic.as_str(), SHOWN);
        log::debug!(TOKEN = token.name; "token {} may not publish to {shown}", token.name);
        Err(Reply::topic_denied(&token.name, topic))
    }

    fn require_rate(&self, messages: usize) -> Result<(), Reply> {
        let Self { token, bucket: Some(bucket) } = self else { return Ok(()) };
        let count = u32::try_from(messages).unwrap_or(u32::MAX);
        let taken = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(count, Instant::now());
        taken.map_err(|wait| {
            log::debug!(TOKEN = token.name; "token {} is over its rate", token.name);
            Reply::too_fast(&token.name, wait)
        })
    }

    fn tell_of(&self, topic: &TopicName) {
        let shown = Printable::new(topic.as_str(), SHOWN);
        log::debug!(TOKEN = self.token.name; "token {} publishes to {shown}", self.token.name);
    }
}

/// The secret of `Bearer SECRET` (RFC 6750, 2.1), or name and secret of `Basic` with the base64 of `NAME:SECRET`
/// (RFC 7617, 2).
fn credentials(authorization: &str) -> Option<(Option<String>, String)> {
    let (scheme, said) = authorization.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("Bearer") {
        return Some((None, said.trim().to_owned()));
    }
    let is_basic = scheme.eq_ignore_ascii_case("Basic");
    let pair = String::from_utf8(base64(said.trim()).ok().filter(|_| is_basic)?).ok()?;
    pair.split_once(':').map(|(name, secret)| (Some(name.to_owned()), secret.to_owned()))
}

/// The URL under which this request reached us, without a path: `http://HOST:PORT`, or `https` where a proxy says that it
/// was asked so. `None` where the request names no host.
pub fn base_url(request: &Request) -> Option<String> {
    let hosts = Hosts::of(request).ok()?;
    let authority = hosts.target.or(hosts.host).filter(|authority| !authority.is_empty())?;
    let is_secure =
        header(request, "X-Forwarded-Proto").ok()?.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    Some(format!("{}://{}", if is_secure { "https" } else { "http" }, authority.as_str()))
}

/// By what names a request calls us.
#[derive(Debug, Clone, Copy)]
struct Hosts<'a> {
    /// `Host`, which a client of HTTP/1.0 may leave out.
    host: Option<Authority<'a>>,
    /// The authority of a target in absolute form.
    target: Option<Authority<'a>>,
}

impl<'a> Hosts<'a> {
    /// RFC 9112, 3.2: neither may be malformed, and `Host` is there once.
    fn of(request: &'a Request) -> Result<Self, Reply> {
        let host = header(request, "Host")?;
        if host.is_none() && *request.http_version() >= (1, 1) {
            return Err(Reply::invalid("`Host` is missing".to_owned()));
        }
        let parse = |text: &'a str| {
            let malformed = || Reply::invalid(format!("the host `{}` is malformed", Printable::new(text, SHOWN)));
            Authority::parse(text).ok_or_else(malformed)
        };
        let target = Authority::in_target(request).map(parse).transpose()?;
        // `Host` may be empty, the authority of an URI with this scheme may not (RFC 9110, 4.2.1)
        if target.is_some_and(|target| target.is_empty()) {
            return Err(Reply::invalid("the target in absolute form has no host".to_owned()));
        }
        Ok(Self { host: host.map(parse).transpose()?, target })
    }
}

#[cfg(test)]
mod tests;
