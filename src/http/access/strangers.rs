//! Who was refused for want of a token: a record for each address, and not for each of its requests.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long nothing more is said of an address.
const PAUSE: Duration = Duration::from_secs(60);
/// Of how many addresses something is said within that time.
const MAX_ADDRESSES: usize = 1000;

/// Those of whom something was said.
#[derive(Debug, Default)]
pub struct Strangers(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// When; `None` is whoever is on a Unix socket.
    addresses: HashMap<Option<IpAddr>, Instant>,
    /// When it was said that there are too many.
    flood: Option<Instant>,
}

/// What is to be said of a refusal.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Record,
    /// There are too many addresses to tell of each.
    Flood,
    Nothing,
}

impl Strangers {
    /// Records that a request from this address had no token, or none that is known. The record is one that programs
    /// read, and README tells its form.
    pub fn tell(&self, client: Option<&SocketAddr>, has_token: bool) {
        let ip = client.map(|client| client.ip().to_canonical());
        let due = self.0.lock().unwrap_or_else(PoisonError::into_inner).count(ip, Instant::now());
        let who = ip.map_or_else(|| "a Unix socket".to_owned(), |ip| ip.to_string());
        let what = if has_token { "a token that is not known" } else { "no token" };
        match due {
            Due::Record => log::warn!(CLIENT_ADDRESS = who; "unauthorized: {who} sent {what}"),
            Due::Flood => log::warn!("unauthorized requests come from more than {MAX_ADDRESSES} addresses a minute"),
            Due::Nothing => {}
        }
    }
}

impl Told {
    fn count(&mut self, ip: Option<IpAddr>, now: Instant) -> Due {
        let is_recent = |told: &Instant| now < *told + PAUSE;
        if self.addresses.get(&ip).is_some_and(is_recent) {
            return Due::Nothing;
        }
        if self.addresses.len() >= MAX_ADDRESSES {
            self.addresses.retain(|_, told| is_recent(told));
        }
        if self.addresses.len() < MAX_ADDRESSES {
            self.addresses.insert(ip, now);
            return Due::Record;
        }
        if self.flood.as_ref().is_some_and(is_recent) {
            return Due::Nothing;
        }
        self.flood = Some(now);
        Due::Flood
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn each_address_is_told_of_once_a_minute_and_no_more_than_so_many() {
        let (mut told, start) = (Told::default(), Instant::now());
        let ip = |n: u128| Some(IpAddr::V6(Ipv6Addr::from_bits(n)));
        assert_eq!(told.count(None, start), Due::Record);
        assert_eq!(told.count(ip(1), start), Due::Record);
        assert_eq!(told.count(ip(1), start + PAUSE / 2), Due::Nothing);
        assert_eq!(told.count(None, start), Due::Nothing);
        let later = start + PAUSE;
        assert_eq!(told.count(ip(1), later), Due::Record);
        for n in 2..MAX_ADDRESSES as u128 {
            assert_eq!(told.count(ip(n), later), Due::Record, "{n}");
        }
        assert_eq!(told.count(ip(0), later), Due::Record, "in the place of one that is forgotten");
        assert_eq!(told.count(ip(5000), later), Due::Flood);
        assert_eq!(told.count(ip(5001), later), Due::Nothing);
        assert_eq!(told.count(ip(2), later), Due::Nothing);
        assert_eq!(told.addresses.len(), MAX_ADDRESSES);
        assert_eq!(told.count(ip(5001), later + PAUSE), Due::Record);
        assert_eq!(told.addresses.len(), 1);
    }
}
