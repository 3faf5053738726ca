//! The check of a server's certificates. It tells whether its own certificate is at fault or an intermediate one.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use thiserror::Error;

/// Checks what rustls checks, and no less.
#[derive(Debug)]
pub struct Verifier(pub Arc<WebPkiServerVerifier>);

/// The fault of an intermediate certificate, which the server sends with its own.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Between(pub CertificateError);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify =
            |intermediates| self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verify(intermediates).map_err(|error| match error {
            // without intermediates, the only fault of a valid certificate is that its issuer is unknown
            Error::InvalidCertificate(fault)
                if is_of_one(&fault)
                    && verify(&[]).is_err_and(|alone| alone == CertificateError::UnknownIssuer.into()) =>
            {
                CertificateError::Other(OtherError(Arc::new(Between(fault)))).into()
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Whether it is the fault of a single certificate, and not of two that do not match.
fn is_of_one(fault: &CertificateError) -> bool {
    use CertificateError as Fault;

    matches!(
        fault,
        Fault::ExpiredContext { .. } | Fault::NotValidYetContext { .. } | Fault::BadEncoding | Fault::Other(_)
    )
}
