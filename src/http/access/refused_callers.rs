//! The log of callers that were refused for their token, or at a hook: one record per address, not per request.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time for which an address is not recorded again.
const PAUSE: Duration = Duration::from_secs(60);
/// The most addresses that are recorded within [`PAUSE`].
const MAX_ADDRESSES: usize = 1000;

/// The callers that were recorded recently.
#[derive(Debug, Default)]
pub struct RefusedCallers(Mutex<Recorded>);

#[derive(Debug, Default)]
struct Recorded {
    /// When each address was recorded. `None` is a Unix socket.
    addresses: HashMap<Option<IpAddr>, Instant>,
    /// When it was recorded that there are too many addresses.
    too_many: Option<Instant>,
}

/// The record that a refusal needs.
#[derive(Debug, PartialEq, Eq)]
enum Record {
    Caller,
    /// There are too many addresses to record each.
    TooMany,
    Nothing,
}

impl RefusedCallers {
    /// Records that this address sent `what`, and was refused. docs/security.md documents the format of the record,
    /// since programs such as fail2ban parse it.
    pub fn log(&self, client: Option<&SocketAddr>, what: &str) {
        let ip = client.map(|client| client.ip().to_canonical());
        let record = self.0.lock().unwrap_or_else(PoisonError::into_inner).add(ip, Instant::now());
        let who = ip.map_or_else(|| "a Unix socket".to_owned(), |ip| ip.to_string());
        match record {
            Record::Caller => log::warn!(CLIENT_ADDRESS = who; "unauthorized: {who} sent {what}"),
            Record::TooMany => {
                log::warn!("unauthorized requests come from more than {MAX_ADDRESSES} addresses a minute");
            }
            Record::Nothing => {}
        }
    }
}

impl Recorded {
    fn add(&mut self, ip: Option<IpAddr>, now: Instant) -> Record {
        let is_recent = |recorded: &Instant| now < *recorded + PAUSE;
        if self.addresses.get(&ip).is_some_and(is_recent) {
            return Record::Nothing;
        }
        if self.addresses.len() >= MAX_ADDRESSES {
            self.addresses.retain(|_, recorded| is_recent(recorded));
        }
        if self.addresses.len() < MAX_ADDRESSES {
            self.addresses.insert(ip, now);
            return Record::Caller;
        }
        if self.too_many.as_ref().is_some_and(is_recent) {
            return Record::Nothing;
        }
        self.too_many = Some(now);
        Record::TooMany
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn each_address_is_recorded_once_a_minute_up_to_a_limit() {
        let (mut recorded, start) = (Recorded::default(), Instant::now());
        let ip = |n: u128| Some(IpAddr::V6(Ipv6Addr::from_bits(n)));
        assert_eq!(recorded.add(None, start), Record::Caller);
        assert_eq!(recorded.add(ip(1), start), Record::Caller);
        assert_eq!(recorded.add(ip(1), start + PAUSE / 2), Record::Nothing);
        assert_eq!(recorded.add(None, start), Record::Nothing);
        let later = start + PAUSE;
        assert_eq!(recorded.add(ip(1), later), Record::Caller);
        for n in 2..MAX_ADDRESSES as u128 {
            assert_eq!(recorded.add(ip(n), later), Record::Caller, "{n}");
        }
        assert_eq!(recorded.add(ip(0), later), Record::Caller, "an expired entry has made room");
        assert_eq!(recorded.add(ip(5000), later), Record::TooMany);
        assert_eq!(recorded.add(ip(5001), later), Record::Nothing);
        assert_eq!(recorded.add(ip(2), later), Record::Nothing);
        assert_eq!(recorded.addresses.len(), MAX_ADDRESSES);
        assert_eq!(recorded.add(ip(5001), later + PAUSE), Record::Caller);
        assert_eq!(recorded.addresses.len(), 1);
    }
}
