//! `[mqtt.tls]`: the files of certificates and of the key, and the credential that replaces the latter.

use std::path::Path;

use super::keys::TlsKeys;
use crate::config::environment::Environment;
use crate::config::fault::Fault;
use crate::config::key::Key as Setting;
use crate::config::kind::FilePath;
use crate::config::source::{FOLDER, Source};
use crate::files::{is_blank, is_there};
use crate::tls::{Files, Key, Role, Tls};

/// The name of the credential of the key, a file in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), `LoadCredential=`).
const CREDENTIAL: &str = "mqtt-key";
/// The file that the unit makes it of, in the folder of its files.
const CREDENTIAL_FILE: &str = "key";

/// Without TLS, its keys are a fault: a user who sets them expects TLS.
pub fn assert_unused(keys: &TlsKeys) -> Result<(), Fault> {
    let slots = [&*keys.ca_file, &*keys.cert_file, &*keys.key_file, &*keys.alpn];
    let Some(slot) = slots.into_iter().find(|slot| slot.value.is_some()) else { return Ok(()) };
    let why = if cfg!(feature = "tls") {
        "which is not on: set `enabled = true`, or a `server` that begins with mqtts://"
    } else {
        "and this build has no TLS: build it with its default features"
    };
    Err(slot.fault(format!("{slot} is for TLS, {why}")))
}

/// Reads and checks what TLS needs; `position` is where TLS is asked for.
pub fn read(keys: &TlsKeys, source: &Source, environment: &Environment, position: String) -> Result<Tls, Fault> {
    let path = |key: &Setting<FilePath>| key.read().map(|path| path.map(|path| source.beside(&path)));
    let (authorities, certificate) = (path(&keys.ca_file)?, path(&keys.cert_file)?);
    let key = path(&keys.key_file)?.map(|path| Key { original: path.clone(), path });
    let alpn = keys.alpn.read()?.unwrap_or_default();
    let (key, key_fault): (_, &dyn Fn(String) -> Fault) = match credential(environment) {
        None => (key, &|what| keys.key_file.fault(what)),
        key => (key, &|what| Fault::new(format_args!("credential {CREDENTIAL}"), what)),
    };
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            let (certificate, key) = (&keys.cert_file, &keys.key_file);
            let what = format!("{certificate} needs a {key} or the credential {CREDENTIAL} to go with it");
            return Err(certificate.fault(what));
        }
        (None, Some(_)) => {
            return Err(key_fault(format!("there is a key but no {} to go with it", keys.cert_file)));
        }
    };
    Tls::load(Files { authorities, client }, alpn).map_err(|unusable| {
        let what = unusable.to_string();
        let fault = match unusable.role {
            Role::System => Fault::new(position, what),
            Role::Authorities => keys.ca_file.fault(what),
            Role::Certificate => keys.cert_file.fault(what),
            Role::Key => key_fault(what),
        };
        fault.passing(unusable.may_pass)
    })
}

/// The key as the unit passes it. It wins over the file's, and is empty where there is none.
fn credential(environment: &Environment) -> Option<Key> {
    let path = environment.credential(CREDENTIAL)?;
    let original = Path::new(FOLDER).join(CREDENTIAL_FILE);
    (is_there(&path) && !is_blank(&path)).then_some(Key { path, original })
}
