//! The client identifier for a configuration without one.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::config::source::Source;

/// The default client identifier: the same at every start, but different on another machine or with another file.
pub fn derived(source: &Source) -> String {
    let machine = ["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/hostname"]
        .iter()
        .find_map(|path| fs::read(path).ok().filter(|id| !id.trim_ascii().is_empty()))
        .unwrap_or_default();
    let path = source.path().unwrap_or(Path::new(""));
    of(&machine, &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
}

fn of(machine: &[u8], path: &Path) -> String {
    let mut hash = Sha256::new();
    hash.update(machine);
    hash.update([0]);
    hash.update(path.as_os_str().as_encoded_bytes());
    let digest = hash.finalize();
    let number = digest[..5].iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    format!("mqtt-bridge-{number:010x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_client_identifier_is_stable_and_differs_by_machine_and_by_file() {
        let id = of(b"machine", Path::new("/etc/mqtt-bridge/bridge.toml"));
        assert_eq!(id, of(b"machine", Path::new("/etc/mqtt-bridge/bridge.toml")));
        assert_eq!(id.len(), 22);
        assert!(id.strip_prefix("mqtt-bridge-").unwrap().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(id, of(b"clone", Path::new("/etc/mqtt-bridge/bridge.toml")));
        assert_ne!(id, of(b"machine", Path::new("/srv/bridge.toml")));
    }
}
