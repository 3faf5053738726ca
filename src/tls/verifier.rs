//! The check of the broker's certificates, which tells faults of its own from those of one between it and its authority.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use thiserror::Error;

/// What rustls checks, and no less.
#[derive(Debug)]
pub struct Verifier(pub Arc<WebPkiServerVerifier>);

/// The fault of a certificate that the broker sends beside its own.
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
            // without the others a sound one has no more against it than that
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

/// Whether it is the fault of one certificate, not of two that do not go together.
fn is_of_one(fault: &CertificateError) -> bool {
    use CertificateError as Fault;

    matches!(
        fault,
        Fault::ExpiredContext { .. } | Fault::NotValidYetContext { .. } | Fault::BadEncoding | Fault::Other(_)
    )
}
