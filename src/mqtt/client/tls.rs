//! The errors of TLS with a broker, in words that say what to do.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, OtherError};

use crate::config::Place;
use crate::printable::Printable;
use crate::tls::{Between, Files};

/// How much of what comes from outside is shown, in bytes.
const SHOWN: usize = 256;

/// One line, the same at every try, so that it is recorded once. The other end of an established connection does speak
/// TLS.
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

/// The words for a connection that ended before TLS began.
pub fn not_begun(end: &str) -> String {
    format!("{end} before TLS began: is this the port of MQTT without TLS?")
}

const NO_PROTOCOL: &str = "the broker takes none of the protocols in `alpn`";
const NOTHING_IN_COMMON: &str =
    "the broker has no version of TLS (1.2 or 1.3) or no cipher in common with us: it may be too old";

/// What this alert means besides a missing client certificate, for which TLS 1.2 has no alert of its own (RFC 5246,
/// 7.4.6).
const NO_COMMON_KIND: &str = "the broker has no certificate of a kind that we take (RSA, ECDSA with P-256 or P-384, \
                              Ed25519) or no cipher in common with us";

/// The words for an alert of the broker.
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

/// A broker that sends its own certificate alone gets the same error as one of an unknown authority.
const SEND_INTERMEDIATES: &str = "or have the broker send the certificates between them too";

/// The words for an error of a certificate.
fn certificate(error: &CertificateError, place: &Place, files: &Files) -> String {
    let between = if let CertificateError::Other(OtherError(other)) = error { other.downcast_ref() } else { None };
    let (which, error) = match between {
        Some(Between(error)) => ("a certificate that the broker sends between its own and its authority's", error),
        None => ("the broker's certificate", error),
    };
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("{which} expired on {}: it has to be renewed there, unless our clock is wrong", date(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("{which} is valid from {} on: is our clock right?", date(*not_before))
        }
        CertificateError::UnknownIssuer => {
            let what = match &files.authorities {
                Some(path) => format!("in {}: put that one into it", path.display()),
                None => "that this system trusts: name that one's in `ca-file`".to_owned(),
            };
            format!("{which} is of no authority {what}, {SEND_INTERMEDIATES}")
        }
        CertificateError::BadSignature => match &files.authorities {
            Some(path) => format!(
                "{which} is not signed by the authority of its name in {}: that may be an old one",
                path.display()
            ),
            None => format!("{which} is not signed by the authority whose name it has"),
        },
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("{which} {}", other_name(&place.host, presented))
        }
        CertificateError::Revoked => format!("{which} has been revoked"),
        other => format!("{which} {}", unusable(&format!("{other:?}"))),
    }
}

/// The words for a certificate whose names do not include the host.
fn other_name(host: &str, presented: &[String]) -> String {
    if presented.is_empty() {
        return format!("is for no name at all (subjectAltName), and so not for {host}: it needs another one");
    }
    if let Some(kind) = presented.iter().find_map(|entry| wrong_kind(host, entry)) {
        let right = if host.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
        return format!(
            "has {host} in an entry of the wrong type, {kind}: make it again with {right}:{host} (subjectAltName)"
        );
    }
    let names = presented.iter().map(|entry| plain_name(entry)).collect::<Vec<_>>().join(", ");
    let names = Printable::new(&names, SHOWN);
    format!("is for {names}, and not for {host}: set `server` to such a name, or have it renewed with this one")
}

/// The type of an entry that names the host, but is ignored because of its type (RFC 6125, 6.4; RFC 2818, 3.1).
fn wrong_kind(host: &str, entry: &str) -> Option<&'static str> {
    let (kind, name) = (entry.split_once('(')?.0, plain_name(entry));
    let authority = name.split_once("://").map_or(name.as_str(), |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let (plain, bare) = (host.to_ascii_lowercase(), authority.to_ascii_lowercase());
    match kind {
        // a DNS name equal to the host would be valid
        "DnsName" if host.parse::<IpAddr>().is_ok_and(|address| name.parse() == Ok(address)) => Some("DNS"),
        "UniformResourceIdentifier" if bare == plain || bare.starts_with(&format!("{plain}:")) => Some("URI"),
        "UniformResourceIdentifier" if bare.starts_with(&format!("[{plain}]")) => Some("URI"),
        _ => None,
    }
}

/// The inner part of `DnsName("a")` and `IpAddress(1.2.3.4)`; for other entries their type (RFC 5280, 4.2.1.6).
fn plain_name(entry: &str) -> String {
    let inner = entry.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(entry);
    match entry {
        "Unsupported(0x01)" => "an email address".to_owned(),
        "DirectoryName" => "a directory name".to_owned(),
        _ if entry.starts_with("Unsupported(") => "a name of another type".to_owned(),
        _ => inner.trim_matches('"').to_owned(),
    }
}

/// The words for what is often wrong with certificates that people make themselves, by the names of rustls' errors.
fn unusable(name: &str) -> String {
    let why = if name.contains("CaUsedAsEndEntity") {
        "is one of an authority (CA:TRUE): make it one for a server, signed by that authority or with CA:FALSE"
    } else if name.contains("EndEntityUsedAsCa") {
        "is none of an authority: make it again with basicConstraints CA:TRUE"
    } else if name.contains("UnsupportedCertVersion") {
        "is of version 1: make it again with extensions (`openssl x509 -extfile`), subjectAltName among them"
    } else if name.contains("InvalidPurpose") {
        "is not for servers: make it again with extendedKeyUsage serverAuth, or without"
    } else if name.contains("UnsupportedSignatureAlgorithm") {
        "is signed in a way that we do not take, or one between it and its authority is: that may be SHA-1, or a curve \
         that does not go with its hash"
    } else {
        return format!("cannot be used: {}", Printable::new(name, SHOWN));
    };
    why.to_owned()
}

fn date(time: UnixTime) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_wrong_type_names_the_host() {
        for (host, entry, expected) in [
            ("::1", "DnsName(\"0:0:0:0:0:0:0:1\")", Some("DNS")),
            ("10.0.0.7", "DnsName(\"10.0.0.7\")", Some("DNS")),
            ("10.0.0.7", "DnsName(\"10.0.0.70\")", None),
            ("a.example", "DnsName(\"b.example\")", None),
            ("::1", "UniformResourceIdentifier(\"mqtts://[::1]:8883\")", Some("URI")),
            ("A.example", "UniformResourceIdentifier(\"a.example\")", Some("URI")),
            ("a.example", "UniformResourceIdentifier(\"mqtts://a.example.net\")", None),
            ("a.example", "Unsupported(0x01)", None),
            ("10.0.0.7", "IpAddress(10.0.0.8)", None),
            ("a.example", "DirectoryName", None),
        ] {
            assert_eq!(wrong_kind(host, entry), expected, "{host} {entry}");
        }
    }
}
