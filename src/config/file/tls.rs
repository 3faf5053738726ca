//! `[mqtt.tls]`: the files of certificates and of the key, and the credential that stands for the latter.

use std::path::Path;

use super::super::{FOLDER, Fault, Source, is_blank, is_there, value};
use super::{File, Key as Setting, Overridden, TlsTable, beside, span};
use crate::tls::{Files, Key, Role, Tls};

/// The name of the credential of the key, a file in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), `LoadCredential=`).
const CREDENTIAL: &str = "mqtt-key";
/// The file that the unit makes it of, in the folder of its files.
const CREDENTIAL_FILE: &str = "key";

/// Nobody is to believe in a protection that is not there.
pub fn assert_unused(file: &File, table: &TlsTable) -> Result<(), Fault> {
    let keys = [
        ("ca-file", &table.ca_file),
        ("cert-file", &table.cert_file),
        ("key-file", &table.key_file),
        ("alpn", &table.alpn),
    ];
    let Some((name, key)) = keys.into_iter().find(|(_, key)| key.is_some()) else { return Ok(()) };
    let why = if cfg!(feature = "tls") {
        "which is not on: set `enabled = true`, or a `server` that begins with mqtts://"
    } else {
        "and this build has no TLS: build it with its default features"
    };
    Err(file.fault(span(key), &format!("`{name}` is for TLS, {why}")))
}

/// Reads and checks what is needed for TLS, which is asked for at `place`.
pub fn read(overridden: &Overridden, table: &TlsTable, source: &Source, place: String) -> Result<Tls, Fault> {
    let file = overridden.file;
    let path = |name, key: &Setting| match file.read(name, key, value::path) {
        Ok(path) => Ok(path.map(|path| beside(source, &path))),
        Err(fault) => Err(fault),
    };
    let (authorities, certificate) = (path("ca-file", &table.ca_file)?, path("cert-file", &table.cert_file)?);
    let key = path("key-file", &table.key_file)?.map(|path| Key { original: path.clone(), path });
    let alpn = file.read("alpn", &table.alpn, value::alpn)?.unwrap_or_default();
    let (key, key_place) = match credential(overridden) {
        None => (key, file.place(span(&table.key_file))),
        key => (key, format!("credential {CREDENTIAL}")),
    };
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            let what = format!("`cert-file` needs a `key-file` or the credential {CREDENTIAL} to go with it");
            return Err(file.fault(span(&table.cert_file), &what));
        }
        (None, Some(_)) => {
            return Err(Fault::new(key_place, "there is a key but no `cert-file` to go with it"));
        }
    };
    Tls::load(Files { authorities, client }, alpn).map_err(|unusable| {
        let place = match unusable.role {
            Role::System => place,
            Role::Authorities => file.place(span(&table.ca_file)),
            Role::Certificate => file.place(span(&table.cert_file)),
            Role::Key => key_place,
        };
        Fault { may_pass: unusable.may_pass, ..Fault::new(place, unusable.to_string()) }
    })
}

/// The key as the unit passes it, which wins over what the file says, and is empty where there is none.
fn credential(overridden: &Overridden) -> Option<Key> {
    let path = overridden.environment.path("CREDENTIALS_DIRECTORY")?.join(CREDENTIAL);
    let original = Path::new(FOLDER).join(CREDENTIAL_FILE);
    (is_there(&path) && !is_blank(&path)).then_some(Key { path, original })
}
