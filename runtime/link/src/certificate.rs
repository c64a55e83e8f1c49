//! What a certificate says, and the TLS that it is shown in.
//!
//! TLS 1.3 and nothing older, in both directions. A worker trusts the coordinator's authorities and nobody else, and
//! knows the coordinator by one name that only its authority gives, wherever it runs. Who joins has no certificate: it
//! knows the coordinator by the authority's fingerprint, and the coordinator lets it say one thing.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use deputy_core::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
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
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::authority::ServerCertificate;
use crate::clock::TlsClock;
use crate::join::AuthorityFingerprint;
use crate::name::{KeyDigest, WorkerId};
use deputy_core::time::Clock;

/// The coordinator's name in its certificate, wherever it runs.
pub const COORDINATOR: &str = "coordinator.deputy.internal";

const OF_WORKERS: &str = ".worker.deputy.internal";

/// The protocol, as TLS negotiates it (ALPN).
const PROTOCOL: &[u8] = b"deputy/1";

/// Who somebody is, by its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Which worker.
    pub worker: WorkerId,
    /// Its key.
    pub key: KeyDigest,
    /// Since when the certificate is good.
    pub begins: Timestamp,
    /// Until when.
    pub ends: Timestamp,
}

/// A worker's name in its certificate.
pub(crate) fn worker_name(worker: WorkerId) -> String {
    format!("{worker}{OF_WORKERS}")
}

/// A time as certificates have it, in whole seconds.
pub(crate) fn at(time: Timestamp) -> ::time::OffsetDateTime {
    ::time::OffsetDateTime::UNIX_EPOCH + std::time::Duration::from_secs(time.as_secs())
}

impl PeerCertificate {
    /// What a certificate says. It was checked by TLS, now or when the ticket was made that brought it.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok()??;
        let worker = names.value.general_names.iter().find_map(|name| match name {
            GeneralName::DNSName(name) => name.strip_suffix(OF_WORKERS)?.parse().ok(),
            _ => None,
        })?;
        let time = |time: x509_parser::time::ASN1Time| {
            u64::try_from(time.timestamp()).ok().map(|secs| Timestamp::from_millis(secs.saturating_mul(1000)))
        };
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, parsed.public_key().raw).as_ref());
        let (begins, ends) = (time(parsed.validity().not_before)?, time(parsed.validity().not_after)?);
        Some(Self { worker, key: KeyDigest(key), begins, ends })
    }
}

/// Of an authority's key.
pub(crate) fn fingerprint(authority: &CertificateDer<'_>) -> Option<AuthorityFingerprint> {
    let (_, parsed) = X509Certificate::from_der(authority).ok()?;
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, parsed.public_key().raw).as_ref());
    Some(AuthorityFingerprint(hash))
}

/// Whether one of these authorities issued a coordinator's certificate, which may have ended since it was shown.
pub(crate) fn is_issued_by(coordinator: &CertificateDer<'_>, trusted: &[CertificateDer<'static>]) -> bool {
    verify_issuer(coordinator, trusted).is_some()
}

fn verify_issuer(coordinator: &CertificateDer<'_>, trusted: &[CertificateDer<'static>]) -> Option<ServerCertVerified> {
    let (_, parsed) = X509Certificate::from_der(coordinator).ok()?;
    let begins = u64::try_from(parsed.validity().not_before.timestamp()).ok()?;
    let then = UnixTime::since_unix_epoch(std::time::Duration::from_secs(begins));
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(trusted).ok()?, crypto()).build().ok()?;
    let name = ServerName::try_from(COORDINATOR).ok()?;
    verifier.verify_server_cert(coordinator, &[], &name, &[], then).ok()
}

/// AES-128 with SHA-256 first, which processors have instructions for. SHA-384, which the library would take, they have
/// none for, and a handshake hashes so much that it would cost a tenth more.
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

/// The coordinator's side. Tickets let a worker come back without a full handshake; whether it is still let in is asked
/// each time, from the certificate that the ticket brings.
pub(crate) fn server(
    trusted: &[CertificateDer<'static>],
    served: ServerCertificate,
    tickets: Arc<dyn ProducesTickets>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<ServerConfig>, Error> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(trusted)?, crypto()).allow_unauthenticated().build();
    let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_details(crypto(), Arc::new(TlsClock(clock)))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(served.chain, served.key.into())?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.ticketer = tickets;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// The side of a worker that has a certificate.
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
    config.resumption = rustls::client::Resumption::in_memory_sessions(2);
    Ok(Arc::new(config))
}

/// The side of a worker that joins.
pub(crate) fn stranger(authority: AuthorityFingerprint) -> Result<Arc<ClientConfig>, Error> {
    let mut config = ClientConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { authority, crypto: crypto() }))
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}

/// Trusts the authority of one fingerprint, which comes with the coordinator's certificate.
#[derive(Debug)]
struct Pinned {
    authority: AuthorityFingerprint,
    crypto: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = chain.iter().find(|certificate| fingerprint(certificate) == Some(self.authority));
        let authority = authority.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let roots = roots(&[authority.clone().into_owned()])?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.crypto)).build();
        let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(leaf, &[], name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
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
