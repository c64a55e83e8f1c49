//! A worker's request for a certificate.

use deputy_support::sha256;
use rcgen::{CertificateSigningRequestParams, PublicKeyData};
use rustls::pki_types::CertificateSigningRequestDer;

use super::AuthorityError;
use crate::name::KeyDigest;

/// A certificate request (PKCS#10) with a verified signature. Only its key is used.
pub struct CertificateRequest(rcgen::PublicKey);

impl CertificateRequest {
    /// Reads a request in DER and verifies that its own key signed it.
    pub fn new(der: &[u8]) -> Result<Self, AuthorityError> {
        CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der))
            .map(|request| Self(request.public_key))
            .map_err(AuthorityError::Request)
    }

    /// The digest of the key to certify.
    pub fn key(&self) -> KeyDigest {
        KeyDigest(*sha256(&self.0.subject_public_key_info()).as_bytes())
    }

    pub(super) fn public_key(&self) -> &rcgen::PublicKey {
        &self.0
    }
}
