//! Names, keys and validity in certificates.

use deputy_core::Timestamp;
use deputy_support::sha256;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::join::AuthorityFingerprint;
use crate::name::{KeyDigest, WorkerId};

/// The coordinator's name in its certificate, wherever it runs.
pub const COORDINATOR_NAME: &str = "coordinator.deputy.internal";

const WORKER_DOMAIN: &str = ".worker.deputy.internal";

/// A worker's certificate, as TLS verified it: on this connection, or on the one that issued the session ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCertificate {
    pub worker: WorkerId,
    pub key: KeyDigest,
    pub begins: Timestamp,
    pub ends: Timestamp,
}

/// The coordinator's own certificate.
pub struct ServerCertificate {
    /// The certificate and that of its authority, by whose fingerprint a new worker recognises it.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivatePkcs8KeyDer<'static>,
}

impl PeerCertificate {
    /// Reads a certificate. `None` if it is not a worker's.
    pub fn parse(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok()??;
        let worker = names.value.general_names.iter().find_map(|name| match name {
            GeneralName::DNSName(name) => name.strip_suffix(WORKER_DOMAIN)?.parse().ok(),
            _ => None,
        })?;
        Some(Self {
            worker,
            key: KeyDigest(public_key_digest(&parsed)),
            begins: timestamp(parsed.validity().not_before)?,
            ends: timestamp(parsed.validity().not_after)?,
        })
    }
}

/// The name of a worker in its certificate.
pub(crate) fn worker_name(worker: WorkerId) -> String {
    format!("{worker}{WORKER_DOMAIN}")
}

/// The fingerprint of an authority's key.
pub(crate) fn fingerprint(authority: &CertificateDer<'_>) -> Option<AuthorityFingerprint> {
    let (_, parsed) = X509Certificate::from_der(authority).ok()?;
    Some(AuthorityFingerprint(public_key_digest(&parsed)))
}

/// The common name of an authority.
pub(crate) fn common_name(authority: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(authority).ok()?;
    parsed.subject().iter_common_name().next()?.as_str().ok().map(str::to_owned)
}

/// When a certificate begins to be valid.
pub(crate) fn not_before(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    timestamp(parsed.validity().not_before)
}

/// A time as certificates hold it, in whole seconds.
pub(crate) fn certificate_time(time: Timestamp) -> ::time::OffsetDateTime {
    ::time::OffsetDateTime::UNIX_EPOCH + std::time::Duration::from_secs(time.as_secs())
}

fn timestamp(time: ASN1Time) -> Option<Timestamp> {
    let secs = u64::try_from(time.timestamp()).ok()?;
    Some(Timestamp::from_millis(secs.saturating_mul(1000)))
}

fn public_key_digest(certificate: &X509Certificate<'_>) -> [u8; 32] {
    *sha256(certificate.public_key().raw).as_bytes()
}
