//! Who may do what: which pages and hosts requests may come from, and what the bearer of a token may do.

mod authority;
mod bearers;
mod holdings;
mod rate;
mod strangers;

use std::sync::Arc;

pub use self::bearers::{Place, Tokens};
pub use self::holdings::{Claim, Held, Leave, Reading};

use self::authority::Authority;
use self::bearers::Bearer;
use self::strangers::Strangers;
use super::input::values::base64;
use super::reply::{Reply, SHOWN};
use super::server::{Head, Reach};
use crate::config::{Config, Sees};
use crate::memory::Memory;
use crate::message::{Message, Qos, TopicFilter, TopicName};
use crate::mqtt::Failure;
use crate::printable::Printable;

/// What is asked of every request to a listener.
#[derive(Debug)]
pub struct Access {
    reach: Reach,
    allow_anonymous: bool,
    allowed_hosts: Vec<String>,
    allowed_origins: Vec<Arc<str>>,
    bearers: Tokens,
    strangers: Strangers,
}

/// What a request that was let in may do.
#[derive(Debug)]
pub struct Principal<'a> {
    /// `None` may do everything.
    bearer: Option<&'a Arc<Bearer>>,
}

/// What a proxy that says so tells of itself (RFC 7239, RFC 9110, 7.6.3).
const SIGNS_OF_A_PROXY: [&str; 6] =
    ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via"];

impl Access {
    /// The rules of a configuration for a listener.
    pub fn new(config: &Config, bearers: Tokens, reach: Reach) -> Self {
        Self {
            reach,
            allow_anonymous: config.http.allow_anonymous,
            allowed_hosts: config.http.allowed_hosts.clone(),
            allowed_origins: config.http.allowed_origins.iter().map(|origin| origin.as_str().into()).collect(),
            bearers,
            strangers: Strangers::default(),
        }
    }

    /// Lets a request in, or is its answer; its path and its body do not count yet.
    pub fn admit(&self, head: Head) -> Result<Principal<'_>, Reply> {
        self.admit_anybody(head)?;
        self.check_token(head)
    }

    /// The same for what needs no token.
    pub fn admit_anybody(&self, head: Head) -> Result<(), Reply> {
        let hosts = Hosts::of(head)?;
        self.check_page(head, hosts)?;
        self.check_hosts(hosts)?;
        self.check_proxy(head)?;
        self.check_preflight(head)
    }

    /// Whether a request that needs no token comes with one whose bearer sees everything; without tokens each does.
    pub fn may_see_all(&self, head: Head) -> Result<bool, Reply> {
        if !self.bearers.is_empty() && head.header("Authorization")?.is_none() {
            return Ok(false);
        }
        Ok(self.check_token(head)?.own().is_none())
    }

    /// The origin of the page that a request comes from, if that may read the answer.
    pub fn allowed_origin(&self, head: Head) -> Option<Arc<str>> {
        let origin = head.header("Origin").ok().flatten()?;
        self.allowed_origins.iter().find(|allowed| ***allowed == *origin).cloned()
    }

    /// Browsers say which page a request comes from (Fetch, 3.2; Fetch Metadata, 2.3), and no page can forge that.
    fn check_page(&self, head: Head, hosts: Hosts) -> Result<(), Reply> {
        let origin = head.header("Origin")?;
        let site = head.header("Sec-Fetch-Site")?;
        if self.allowed_origin(head).is_some() {
            return Ok(());
        }
        let is_ours = |origin: &str| hosts.host.is_some_and(|host| host.is_of_origin(origin));
        let is_site = |name: &str| site.is_some_and(|site| site.eq_ignore_ascii_case(name));
        // another port or name of the same site is another origin; where it is ours, `Origin` says so
        let is_foreign = origin.map_or_else(|| is_site("same-site"), |origin| !is_ours(origin));
        if is_foreign || is_site("cross-site") {
            return Err(Reply::origin_denied(origin));
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
        foreign.map_or(Ok(()), |host| Err(Reply::host_denied(host.as_str())))
    }

    fn check_proxy(&self, head: Head) -> Result<(), Reply> {
        if self.allow_anonymous || !self.bearers.is_empty() {
            return Ok(());
        }
        let sign = SIGNS_OF_A_PROXY.into_iter().find(|name| head.has(name));
        sign.map_or(Ok(()), |name| Err(Reply::proxy_without_tokens(name)))
    }

    /// A browser asks on behalf of a page before it sends what the page wants, and has no token for that.
    fn check_preflight(&self, head: Head) -> Result<(), Reply> {
        let is_preflight = head.method() == "OPTIONS" && head.header("Access-Control-Request-Method")?.is_some();
        if is_preflight && self.allowed_origin(head).is_some() { Err(Reply::preflight()) } else { Ok(()) }
    }

    fn check_token(&self, head: Head) -> Result<Principal<'_>, Reply> {
        if self.bearers.is_empty() {
            return Ok(Principal { bearer: None });
        }
        let bearer = match head.header("Authorization")?.and_then(credentials) {
            None => Err(Reply::token_missing()),
            Some((name, secret)) => {
                let is_it = |bearer: &&Arc<Bearer>| name.is_none_or(|name| name == bearer.token.name);
                self.bearers.find(&secret).filter(is_it).ok_or_else(Reply::token_unknown)
            }
        };
        if bearer.is_err() {
            self.strangers.tell(head.client(), head.has("Authorization"));
        }
        Ok(Principal { bearer: Some(bearer?) })
    }
}

impl Principal<'_> {
    /// Whether a message may be published now; it counts for the token's rate.
    pub fn may_publish(&self, message: &Message) -> Result<(), Reply> {
        let Some(bearer) = self.bearer else { return Ok(()) };
        bearer.require_topics(message)?;
        bearer.require_rate(1)?;
        bearer.tell_of(&message.topic);
        Ok(())
    }

    /// Whether answers may be asked for on this topic.
    pub fn may_be_answered_on(&self, topic: &TopicName) -> Result<(), Reply> {
        self.bearer.map_or(Ok(()), |bearer| bearer.require_response_topic(topic))
    }

    /// Whether everything that a filter can match may be read.
    pub fn may_read(&self, filter: &TopicFilter) -> Result<(), Reply> {
        let Some(token) = self.bearer.map(|bearer| &bearer.token) else { return Ok(()) };
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
            bearer.require_topics(message).map_err(|refusal| refusal.for_item(number))?;
        }
        bearer.require_rate(messages.len())?;
        for message in messages {
            bearer.tell_of(&message.topic);
        }
        Ok(())
    }
}

/// Without tokens everybody shares everything, and nobody has a share: each of these is `None` then.
impl Principal<'_> {
    /// A place for a publish or a request that is not answered yet.
    pub fn place(&self) -> Result<Option<Place>, Failure> {
        self.bearer.map(Place::take).transpose()
    }

    /// What its requests may hold.
    pub fn memory(&self) -> Option<&Memory> {
        self.bearer.map(|bearer| &bearer.memory)
    }

    /// A place for a filter that is to be subscribed to; one of the configuration needs none.
    pub fn claim(&self, filter: &TopicFilter, qos: Qos) -> Result<Option<Claim>, Reply> {
        self.bearer.map_or(Ok(None), |bearer| bearer.claim(filter, qos))
    }

    /// Lets go of a filter, as far as that is for the sender to say.
    pub fn leave(&self, filter: &TopicFilter) -> Result<Leave, Reply> {
        self.bearer.map_or(Ok(Leave::Nobody), |bearer| bearer.leave(filter))
    }

    /// A place for a stream.
    pub fn listen(&self, filter: &TopicFilter) -> Result<Option<Reading>, Reply> {
        self.bearer.map(|bearer| bearer.listen(filter)).transpose()
    }

    /// A place for a response topic.
    pub fn ask(&self, filter: &TopicFilter) -> Result<Option<Reading>, Reply> {
        self.bearer.map(|bearer| bearer.ask(filter)).transpose()
    }

    /// What is the sender's own, if it is to see nothing else.
    pub fn own(&self) -> Option<Own<'_>> {
        self.bearer.filter(|bearer| bearer.token.sees == Sees::Own).map(|bearer| Own(bearer))
    }
}

/// What a bearer has itself.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a>(&'a Bearer);

impl Own<'_> {
    /// How it has a filter, if it has it.
    pub fn held(self, filter: &TopicFilter) -> Option<Held> {
        self.0.holdings.of(self.0, filter)
    }

    /// Publishes and requests of its that are not answered.
    pub fn waiting(self) -> usize {
        self.0.waiting()
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
pub fn base_url(head: Head) -> Option<String> {
    let hosts = Hosts::of(head).ok()?;
    let authority = hosts.target.or(hosts.host).filter(|authority| !authority.is_empty())?;
    let is_secure = head.header("X-Forwarded-Proto").ok()?.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
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
    fn of(head: Head<'a>) -> Result<Self, Reply> {
        let host = head.header("Host")?;
        if host.is_none() && head.version() >= (1, 1) {
            return Err(Reply::invalid("`Host` is missing".to_owned()));
        }
        let parse = |text: &'a str| {
            let malformed = || Reply::invalid(format!("the host `{}` is malformed", Printable::new(text, SHOWN)));
            Authority::parse(text).ok_or_else(malformed)
        };
        let target = Authority::in_target(head).map(parse).transpose()?;
        // `Host` may be empty, the authority of an URI with this scheme may not (RFC 9110, 4.2.1)
        if target.is_some_and(|target| target.is_empty()) {
            return Err(Reply::invalid("the target in absolute form has no host".to_owned()));
        }
        Ok(Self { host: host.map(parse).transpose()?, target })
    }
}

#[cfg(test)]
mod tests;
