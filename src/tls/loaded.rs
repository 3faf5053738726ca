//! TLS to the broker and to endpoints: certificates and keys, read and checked, and read again when they change.

use std::fmt;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::{ClientConfig, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, RootCertStore};
use thiserror::Error;

use super::files::{Files, Key, Role};
use super::verifier::Verifier;
use crate::files::read_limited;
use crate::passing::may_pass;

/// The longest file of certificates or of a key, in bytes: bundles of all public authorities have a quarter of that.
const MAX_FILE: u64 = 1024 * 1024;

/// What TLS connections are made with. Clones share it: what one of them reads again, all have.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: Files,
    alpn: Vec<String>,
    current: Mutex<Current>,
}

/// What the next connection is made with.
struct Current {
    config: Arc<ClientConfig>,
    /// Of the files that `config` was made of.
    stamps: Vec<Stamp>,
    /// Why the present files cannot be used, as last recorded.
    told: Option<Unusable>,
}

/// Why certificates or keys cannot be used: one line that shows nothing of their contents.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{what}")]
pub struct Unusable {
    /// What it is about.
    pub role: Role,
    /// Whether the same file may work later.
    pub may_pass: bool,
    what: String,
}

/// What changes when a file is written or replaced: its device, inode, length and time; `None` without a file.
#[derive(Clone, PartialEq, Eq)]
struct Stamp(Option<(u64, u64, u64, i64, i64)>);

/// Whether a certificate can be for this name or address.
#[must_use]
pub fn is_server_name(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

impl Tls {
    /// Reads and checks the files. The protocols are offered by ALPN (RFC 7301).
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(files: Files, alpn: Vec<String>) -> Result<Self, Unusable> {
        // before the files are read: what is written meanwhile counts as a change
        let stamps = files.stamps();
        let config = files.read(&alpn)?;
        let current = Mutex::new(Current { config: Arc::new(config), stamps, told: None });
        Ok(Self(Arc::new(Shared { files, alpn, current })))
    }

    /// What the next connection is made with. Files that changed are read again; if they cannot be used, that is
    /// recorded once, and the old contents stay in use. Such files are read again each time: what makes them usable,
    /// such as a permission, may leave their stamps as they are.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        let Shared { files, alpn, current } = &*self.0;
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = files.stamps();
        if stamps != current.stamps {
            match files.read(alpn) {
                Ok(config) => {
                    let changed = files.changed(&current.stamps, &stamps);
                    log::info!("certificates have changed, and were read again: {changed}");
                    *current = Current { config: Arc::new(config), stamps, told: None };
                }
                Err(unusable) if current.told.as_ref() != Some(&unusable) => {
                    log::warn!("{unusable}; what was read before is used on");
                    current.told = Some(unusable);
                }
                Err(_) => {}
            }
        }
        current.config.clone()
    }

    /// Where certificates and keys are.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.0.files
    }
}

impl Files {
    /// Each file, where it is read, and the name that records show.
    fn paths(&self) -> impl Iterator<Item = (&Path, &Path)> {
        let authorities = self.authorities.iter().map(|path| (path.as_path(), path.as_path()));
        let client = self.client.iter().flat_map(|(certificate, key)| {
            [(certificate.as_path(), certificate.as_path()), (key.path.as_path(), key.original.as_path())]
        });
        authorities.chain(client)
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.paths().map(|(path, _)| Stamp::of(path)).collect()
    }

    /// The names of the files whose stamps differ.
    fn changed(&self, before: &[Stamp], now: &[Stamp]) -> String {
        let pairs = self.paths().zip(before.iter().zip(now)).filter(|(_, (before, now))| before != now);
        pairs.map(|((_, shown), _)| shown.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    fn read(&self, alpn: &[String]) -> Result<ClientConfig, Unusable> {
        let roots = match &self.authorities {
            None => roots_of_the_system()?,
            Some(path) => roots_in(path)?,
        };
        // without this, rustls would panic in a build with two providers or none
        let provider = Arc::new(ring::default_provider());
        let unusable = |error: &dyn fmt::Display| Unusable::of_the_system(error.to_string());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| unusable(&error))?;
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier(verifier)));
        let mut config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let own = own_certificate(certificate, key, &provider)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)))
            }
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.clone().into_bytes()).collect();
        // a connection to the broker lasts for days, and each one must check the certificate again
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

impl Unusable {
    fn new(role: Role, path: &Path, what: impl fmt::Display) -> Self {
        let key = match role {
            Role::System | Role::Authorities => "ca-file",
            Role::Certificate => "cert-file",
            Role::Key => "key-file",
        };
        Self { role, may_pass: false, what: format!("`{key}` {} {what}", path.display()) }
    }

    fn unreadable(role: Role, path: &Path, error: &io::Error) -> Self {
        Self { may_pass: may_pass(error), ..Self::new(role, path, format_args!("cannot be read: {error}")) }
    }

    fn of_the_system(what: String) -> Self {
        Self { role: Role::System, may_pass: false, what }
    }
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let stamp = |file: std::fs::Metadata| (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec());
        Self(path.metadata().ok().map(stamp))
    }
}

fn roots_of_the_system() -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    // a certificate that cannot be parsed cannot be trusted either
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let what = "this system has no certificates of authorities: install ca-certificates, or set `ca-file`";
        return Err(Unusable::of_the_system(what.to_owned()));
    }
    Ok(roots)
}

fn roots_in(path: &Path) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for (position, certificate) in certificates_in(path, Role::Authorities)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|_| unparsable(Role::Authorities, path, position + 1))?;
    }
    Ok(roots)
}

fn certificates_in(path: &Path, role: Role) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let text = read(path).map_err(|error| Unusable::unreadable(role, path, &error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(Unusable::new(role, path, "has no certificate in it: PEM is expected, -----BEGIN CERTIFICATE-----"))
        }
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(Unusable::new(role, path, "is damaged: it is no whole PEM")),
    }
}

fn unparsable(role: Role, path: &Path, position: usize) -> Unusable {
    Unusable::new(role, path, format_args!("is damaged: certificate {position} in it makes no sense"))
}

fn key_in(key: &Key) -> Result<PrivateKeyDer<'static>, Unusable> {
    let text = read(&key.path).map_err(|error| Unusable::unreadable(Role::Key, &key.original, &error))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let what = if text.windows(9).any(|word| word == b"ENCRYPTED") {
            "is encrypted, and there is nobody to ask for its passphrase: `openssl pkey` writes it without"
        } else {
            "has no key in it: PEM is expected, PKCS#8, SEC1 or PKCS#1"
        };
        Unusable::new(Role::Key, &key.original, what)
    })
}

/// The client certificate with its key. The broker decides whether it is acceptable: certificates of version 1, as
/// `openssl x509 -req` makes them, rustls itself cannot parse.
fn own_certificate(certificate: &Path, key: &Key, provider: &CryptoProvider) -> Result<CertifiedKey, Unusable> {
    let chain = certificates_in(certificate, Role::Certificate)?;
    let secret = provider.key_provider.load_private_key(key_in(key)?).map_err(|_| {
        let what = "is none that can be used: RSA from 2048 bits on, ECDSA with P-256 or P-384, or Ed25519";
        Unusable::new(Role::Key, &key.original, what)
    })?;
    let own = CertifiedKey::new(chain, secret);
    match own.keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(misfit(certificate, key)),
        Err(Error::InvalidCertificate(_)) if !is_whole(&own.cert[0]) => {
            Err(unparsable(Role::Certificate, certificate, 1))
        }
        Err(Error::InvalidCertificate(_)) if !has_key(&own) => Err(misfit(certificate, key)),
        _ => Ok(own),
    }
}

fn misfit(certificate: &Path, key: &Key) -> Unusable {
    let what = format_args!("does not belong to the certificate in {}", certificate.display());
    Unusable::new(Role::Key, &key.original, what)
}

/// Whether it is a DER SEQUENCE of the right length, as certificates are (RFC 5280, 4.1).
fn is_whole(certificate: &[u8]) -> bool {
    let length = match certificate {
        [0x30, 0x81, length, rest @ ..] => (usize::from(*length), rest.len()),
        [0x30, 0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest.len()),
        _ => return false,
    };
    length.0 == length.1
}

/// Whether the bytes of the public key are in the certificate, for certificates that cannot be parsed.
fn has_key(own: &CertifiedKey) -> bool {
    let is_in = |key: &[u8]| own.cert[0].windows(key.len().max(1)).any(|bytes| bytes == key);
    own.key.public_key().is_none_or(|key| is_in(&key))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // opening it would block until another process writes
    if path.metadata()?.file_type().is_fifo() {
        return Err(io::Error::other("it is a pipe"));
    }
    read_limited(path, MAX_FILE)
}

/// Two are equal if they name the same files, whatever these contain.
impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        (&self.0.files, &self.0.alpn) == (&other.0.files, &other.0.alpn)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.0.files).field("alpn", &self.0.alpn).finish_non_exhaustive()
    }
}
