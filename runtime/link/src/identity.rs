//! A worker's identity: its key, its certificate, the authorities that it trusts, and the coordinator's addresses.
//!
//! The worker creates the key and keeps it. Before it requests a certificate for the next key, it saves that key, so that an
//! interrupted renewal is repeated with the same key and the coordinator recognises the repetition.

use deputy_core::{AdvertisedAddresses, GroupName, SecretBytes, Span, Timestamp};
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use zeroize::Zeroizing;

use crate::certificate::{PeerCertificate, fingerprint};
use crate::join::AuthorityFingerprint;
use crate::message::Certified;
use crate::name::WorkerId;
use crate::tls;

/// A worker's private key. Wiped when dropped.
#[derive(Serialize, Deserialize, Clone)]
pub struct WorkerKey(Zeroizing<Vec<u8>>);

#[derive(Serialize, Deserialize, Clone)]
pub struct WorkerIdentity {
    format: u32,
    pub worker: WorkerId,
    #[serde(with = "crate::text")]
    pub group: GroupName,
    /// Where to reach the coordinator, or each of those that share its state. The name is from when there was one.
    #[serde(with = "crate::text", rename = "address")]
    pub addresses: AdvertisedAddresses,
    /// The number of renewals.
    pub(crate) sequence: u64,
    /// The key of a renewal that may have been requested.
    pub(crate) pending: Option<WorkerKey>,
    key: WorkerKey,
    certificate: Vec<u8>,
    authorities: Vec<Vec<u8>>,
}

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("the coordinator's certificate does not match the request")]
    Mismatch,
    #[error("cannot read the saved worker identity")]
    Record(#[source] serde_json::Error),
    #[error("the worker identity has format {0}, and this version supports {FORMAT}: use the version that wrote it")]
    Format(u32),
    #[error("cannot create a key; this is a bug, please report it")]
    Key(#[from] rcgen::Error),
    #[error("cannot use the certificates")]
    Tls(#[from] rustls::Error),
}

const FORMAT: u32 = 1;

/// Authorities of one coordinator: the one that signs, the next one, and previous ones.
const MAX_AUTHORITIES: usize = 16;

/// Bytes of one authority's certificate.
const MAX_CERTIFICATE: usize = 4 << 10;

impl WorkerKey {
    pub fn new() -> Result<Self, IdentityError> {
        Ok(Self(Zeroizing::new(KeyPair::generate_for(&rcgen::PKCS_ED25519)?.serialize_der())))
    }

    /// A certificate request for this key: PKCS#10 in DER.
    pub fn request(&self) -> Result<Vec<u8>, IdentityError> {
        let key = KeyPair::try_from(self.0.as_slice())?;
        let mut params = CertificateParams::default();
        // The coordinator decides about the name.
        params.distinguished_name = rcgen::DistinguishedName::new();
        Ok(params.serialize_request(&key)?.der().to_vec())
    }
}

impl WorkerIdentity {
    /// The identity in the coordinator's answer to a request for this key.
    pub(crate) fn new(
        certified: Certified,
        key: WorkerKey,
        addresses: AdvertisedAddresses,
    ) -> Result<Self, IdentityError> {
        let certificate = CertificateDer::from(certified.certificate.as_slice());
        let peer = PeerCertificate::parse(&certificate).ok_or(IdentityError::Mismatch)?;
        let worker = certified.worker.parse().map_err(|_| IdentityError::Mismatch)?;
        let group = certified.group.parse().map_err(|_| IdentityError::Mismatch)?;
        if peer.worker != worker || certified.authorities.is_empty() {
            return Err(IdentityError::Mismatch);
        }
        let identity = Self {
            format: FORMAT,
            worker,
            group,
            addresses,
            sequence: certified.sequence,
            pending: None,
            key,
            certificate: certified.certificate,
            authorities: certified.authorities,
        };
        // Fails if the certificate is for another key.
        identity.tls()?;
        check_bounds(&identity.authorities)?;
        Ok(identity)
    }

    /// Reads what [`Self::encode`] returned.
    pub fn restored(bytes: &[u8]) -> Result<Self, IdentityError> {
        let identity: Self = serde_json::from_slice(bytes).map_err(IdentityError::Record)?;
        if identity.format == FORMAT { Ok(identity) } else { Err(IdentityError::Format(identity.format)) }
    }

    /// The whole identity, the key included.
    pub fn encode(&self) -> Result<SecretBytes, IdentityError> {
        // With a capacity that is never exceeded, since reallocation leaves copies of the key behind.
        let mut bytes = Vec::with_capacity(64 << 10);
        serde_json::to_writer(&mut bytes, self).map_err(IdentityError::Record)?;
        Ok(SecretBytes::new(bytes))
    }

    /// The end of the certificate.
    pub fn ends(&self) -> Timestamp {
        self.peer().map_or(Timestamp::from_millis(0), |peer| peer.ends)
    }

    /// When to renew: at half of the certificate's life ± 5 %. `jitter` is from 0 to 1.
    pub fn renew_at(&self, jitter: f64) -> Timestamp {
        let Some(peer) = self.peer() else { return Timestamp::from_millis(0) };
        let life = peer.ends.since(peer.begins).as_millis();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "days"
        )]
        let part = (life as f64 * (0.45 + 0.1 * jitter.clamp(0.0, 1.0))) as u64;
        peer.begins.plus(Span::millis(part))
    }

    /// When the certificate becomes valid.
    pub(crate) fn begins(&self) -> Timestamp {
        self.peer().map_or(Timestamp::from_millis(0), |peer| peer.begins)
    }

    pub(crate) fn life(&self) -> Span {
        self.ends().since(self.begins())
    }

    /// Replaces the trusted authorities. Returns whether that changed anything. An error leaves them unchanged.
    pub(crate) fn set_authorities(&mut self, authorities: Vec<Vec<u8>>) -> Result<bool, IdentityError> {
        if authorities == self.authorities {
            return Ok(false);
        }
        check_bounds(&authorities)?;
        let before = std::mem::replace(&mut self.authorities, authorities);
        if let Err(error) = self.tls() {
            self.authorities = before;
            return Err(error);
        }
        Ok(true)
    }

    /// Whether a trusted authority issued this certificate of a coordinator.
    pub(crate) fn trusts_coordinator(&self, coordinator: &CertificateDer<'_>) -> bool {
        tls::is_issued_by(coordinator, &self.trusted())
    }

    /// Whether it trusts the authority of a join string.
    pub fn trusts_authority(&self, authority: AuthorityFingerprint) -> bool {
        self.trusted().iter().any(|certificate| fingerprint(certificate) == Some(authority))
    }

    fn trusted(&self) -> Vec<CertificateDer<'static>> {
        self.authorities.iter().map(|der| CertificateDer::from(der.clone())).collect()
    }

    /// The TLS configuration for this identity. It holds the session tickets: reconnecting with the same one resumes the
    /// session.
    pub fn tls(&self) -> Result<Arc<ClientConfig>, IdentityError> {
        let key = PrivatePkcs8KeyDer::from(self.key.0.to_vec());
        Ok(tls::client(&self.trusted(), self.certificate.clone().into(), key)?)
    }

    fn peer(&self) -> Option<PeerCertificate> {
        PeerCertificate::parse(&CertificateDer::from(self.certificate.as_slice()))
    }
}

fn check_bounds(authorities: &[Vec<u8>]) -> Result<(), IdentityError> {
    let is_valid = (1..=MAX_AUTHORITIES).contains(&authorities.len())
        && authorities.iter().all(|der| der.len() <= MAX_CERTIFICATE);
    if is_valid { Ok(()) } else { Err(IdentityError::Mismatch) }
}

impl std::fmt::Debug for WorkerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} at {}", self.worker, self.group, self.addresses)
    }
}
