//! The TLS configuration of both sides: TLS 1.3 only.
//!
//! A worker trusts the coordinator's authorities and no others, and verifies the one name that they give the coordinator,
//! wherever it runs. A worker that enrols has no certificate. It knows the coordinator by its authority's fingerprint, and
//! the coordinator accepts nothing but `Join` from it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use deputy_core::time::Clock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ProducesTickets, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::certificate::{COORDINATOR_NAME, ServerCertificate, fingerprint, not_before};
use crate::clock::TlsClock;
use crate::join::AuthorityFingerprint;

/// The ALPN protocol.
const PROTOCOL: &[u8] = b"deputy/1";

/// AES-128 with SHA-256 comes first: processors have instructions for both. They have none for SHA-384, the library's
/// choice, and a handshake hashes so much that it would cost a tenth more.
fn crypto() -> Arc<CryptoProvider> {
    static CRYPTO: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let cipher_suites = vec![TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256, TLS13_AES_256_GCM_SHA384];
        Arc::new(CryptoProvider { cipher_suites, ..provider::default_provider() })
    });
    Arc::clone(&CRYPTO)
}

fn roots(trusted: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    trusted.iter().try_for_each(|certificate| roots.add(certificate.clone()))?;
    Ok(Arc::new(roots))
}

fn verifier(trusted: &[CertificateDer<'static>]) -> Result<Arc<WebPkiServerVerifier>, Error> {
    WebPkiServerVerifier::builder_with_provider(roots(trusted)?, crypto())
        .build()
        .map_err(|error| Error::General(error.to_string()))
}

/// The coordinator's side. Session tickets spare a returning worker a full handshake; the certificate in the ticket is
/// checked against the enrolment on every connection.
pub(crate) fn server(
    trusted: &[CertificateDer<'static>],
    certificate: ServerCertificate,
    tickets: Arc<dyn ProducesTickets>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<ServerConfig>, Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(trusted)?, crypto())
        .allow_unauthenticated()
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_details(crypto(), Arc::new(TlsClock(clock)))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificate.chain, certificate.key.into())?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.ticketer = tickets;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// The side of an enrolled worker.
pub(crate) fn client(
    trusted: &[CertificateDer<'static>],
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
) -> Result<Arc<ClientConfig>, Error> {
    let mut config = ClientConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots(trusted)?)
        .with_client_auth_cert(vec![certificate], key.into())?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = Resumption::in_memory_sessions(2);
    Ok(Arc::new(config))
}

/// The side of a worker that enrols.
pub(crate) fn unauthenticated_client(authority: AuthorityFingerprint) -> Result<Arc<ClientConfig>, Error> {
    let mut config = ClientConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedAuthorityVerifier { authority, crypto: crypto() }))
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}

/// Whether one of these authorities issued a coordinator's certificate, which may have expired since the handshake.
pub(crate) fn is_issued_by(coordinator: &CertificateDer<'_>, trusted: &[CertificateDer<'static>]) -> bool {
    verify_issuer(coordinator, trusted).is_some()
}

fn verify_issuer(coordinator: &CertificateDer<'_>, trusted: &[CertificateDer<'static>]) -> Option<ServerCertVerified> {
    let then = UnixTime::since_unix_epoch(Duration::from_secs(not_before(coordinator)?.as_secs()));
    let name = ServerName::try_from(COORDINATOR_NAME).ok()?;
    verifier(trusted).ok()?.verify_server_cert(coordinator, &[], &name, &[], then).ok()
}

/// Trusts the one authority that has the fingerprint. Its certificate comes with the coordinator's.
#[derive(Debug)]
struct PinnedAuthorityVerifier {
    authority: AuthorityFingerprint,
    crypto: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedAuthorityVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = chain
            .iter()
            .find(|certificate| fingerprint(certificate) == Some(self.authority))
            .ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        verifier(&[authority.clone().into_owned()])?.verify_server_cert(leaf, &[], name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not supported".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.crypto.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.crypto.signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}
