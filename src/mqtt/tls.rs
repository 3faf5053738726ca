//! Why there is no TLS with a broker, in words that say what to do.

use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};

use crate::config::Place;
use crate::printable::Printable;
use crate::tls::Files;

/// How much of what comes from outside is shown, in bytes.
const SHOWN: usize = 256;

/// One line. It is the same at every try, so that it is told once. With an established connection it is no question what
/// answers there.
pub fn words(error: &Error, place: &Place, files: &Files, established: bool) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error, place, files),
        Error::AlertReceived(alert) => alerted(*alert, files),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } if !established => {
            "what answers there is not TLS: is this the port of MQTT without TLS, or of something else?".to_owned()
        }
        Error::NoApplicationProtocol => NO_PROTOCOL.to_owned(),
        Error::PeerIncompatible(_) => NOTHING_IN_COMMON.to_owned(),
        other => format!("TLS: {}", Printable::new(&other.to_string(), SHOWN)),
    }
}

/// Where the connection ended before TLS began.
pub fn not_begun(end: &str) -> String {
    format!("{end} before TLS began: is this the port of MQTT without TLS?")
}

const NO_PROTOCOL: &str = "the broker takes none of the protocols in `alpn`";
const NOTHING_IN_COMMON: &str =
    "the broker has no version of TLS (1.2 or 1.3) or no cipher in common with us: it may be too old";

/// What the alert may mean beside a missing certificate of ours, which has none of its own in TLS 1.2 (RFC 5246, 7.4.6).
const NO_COMMON_KIND: &str = "the broker has no certificate of a kind that we take (RSA, ECDSA with P-256 or P-384, \
                              Ed25519) or no cipher in common with us";

/// What the broker told us.
fn alerted(alert: AlertDescription, files: &Files) -> String {
    use AlertDescription as Alert;

    match (alert, &files.client) {
        (Alert::CertificateRequired, None) => {
            "the broker wants a certificate of ours: set `cert-file` and `key-file`".to_owned()
        }
        (Alert::HandshakeFailure, None) => {
            format!("the broker wants a certificate of ours: set `cert-file` and `key-file`; unless {NO_COMMON_KIND}")
        }
        (Alert::HandshakeFailure, Some(_)) => NO_COMMON_KIND.to_owned(),
        (Alert::NoApplicationProtocol, _) => NO_PROTOCOL.to_owned(),
        (Alert::ProtocolVersion | Alert::InsufficientSecurity, _) => NOTHING_IN_COMMON.to_owned(),
        (Alert::UnrecognisedName, _) => "the broker does not know the name in `server`".to_owned(),
        (Alert::CertificateExpired, Some((certificate, _))) => {
            format!("the broker says that our certificate has expired: renew {}", certificate.display())
        }
        (
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::CertificateRevoked
            | Alert::UnsupportedCertificate
            | Alert::DecryptError
            | Alert::AccessDenied,
            Some((certificate, _)),
        ) => {
            let path = certificate.display();
            format!(
                "the broker does not accept our certificate in {path} ({alert:?}): is it of an authority that the broker trusts?"
            )
        }
        _ => format!("the broker ended TLS with the alert {alert:?}"),
    }
}

/// One that was given its own certificate alone is refused as if nobody knew its authority.
const BETWEEN: &str = "or have the broker send the certificates between them too";

/// What is wrong with the broker's certificate.
fn certificate(error: &CertificateError, place: &Place, files: &Files) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!(
                "the broker's certificate expired on {}: it has to be renewed there, unless our clock is wrong",
                date(*not_after)
            )
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the broker's certificate is valid from {} on: is our clock right?", date(*not_before))
        }
        CertificateError::UnknownIssuer => {
            let what = match &files.authorities {
                Some(path) => format!("in {}: put that one into it", path.display()),
                None => "that this system trusts: name that one's in `ca-file`".to_owned(),
            };
            format!("the broker's certificate is of no authority {what}, {BETWEEN}")
        }
        CertificateError::BadSignature => match &files.authorities {
            Some(path) => format!(
                "the broker's certificate is not signed by the authority of its name in {}: that may be an old one",
                path.display()
            ),
            None => "the broker's certificate is not signed by the authority whose name it has".to_owned(),
        },
        CertificateError::NotValidForNameContext { presented, .. } => other_name(&place.host, presented),
        CertificateError::Revoked => "the broker's certificate has been revoked".to_owned(),
        other => unusable(&format!("{other:?}")),
    }
}

/// For none of these names is it called by.
fn other_name(host: &str, presented: &[String]) -> String {
    let names: Vec<String> = presented.iter().map(|name| plain_name(name)).collect();
    if names.is_empty() {
        return format!(
            "the broker's certificate is for no name at all (subjectAltName), and so not for {host}: it needs another one"
        );
    }
    let names = names.join(", ");
    let names = Printable::new(&names, SHOWN);
    format!(
        "the broker's certificate is for {names}, and not for {host}: set `server` to such a name, or have it renewed with this one"
    )
}

/// `DnsName("a")` and `IpAddress(1.2.3.4)` without what is around them.
fn plain_name(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"').to_owned()
}

/// The kinds of which people make certificates themselves, by the names that the library has for them.
fn unusable(name: &str) -> String {
    let why = if name.contains("CaUsedAsEndEntity") {
        "is one of an authority (CA:TRUE): make it one for a server, signed by that authority or with CA:FALSE"
    } else if name.contains("UnsupportedCertVersion") {
        "is of version 1: make it again with extensions (`openssl x509 -extfile`), subjectAltName among them"
    } else if name.contains("InvalidPurpose") {
        "is not for servers: make it again with extendedKeyUsage serverAuth, or without"
    } else if name.contains("UnsupportedSignatureAlgorithm") {
        "is signed in a way that we do not take, or one between it and its authority is: that may be SHA-1, or a curve \
         that does not go with its hash"
    } else {
        return format!("the broker's certificate cannot be used: {}", Printable::new(name, SHOWN));
    };
    format!("the broker's certificate {why}")
}

fn date(time: UnixTime) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}
