//! Who a worker is: its key, its certificate, whom it trusts, and where the coordinator is.
//!
//! The key is made here and never leaves. When it is renewed, the next key is written down before anybody hears of it:
//! who is interrupted asks again with the same key, and the coordinator knows it for a repetition.

use deputy_core::{GroupName, SecretBytes, Span, Timestamp};
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use zeroize::Zeroizing;

use crate::certificate::{self, PeerCertificate};
use crate::join::AuthorityFingerprint;
use crate::message::Certified;
use crate::name::WorkerId;

/// A key that was made here.
#[derive(Serialize, Deserialize, Clone)]
pub struct WorkerKey(Zeroizing<Vec<u8>>);

/// Who a worker is.
#[derive(Serialize, Deserialize, Clone)]
pub struct WorkerIdentity {
    format: u32,
    /// Which worker.
    pub worker: WorkerId,
    /// Of which group.
    #[serde(with = "crate::text")]
    pub group: GroupName,
    /// Where the coordinator is: `host:port`.
    pub address: String,
    /// How often the certificate was renewed.
    pub(crate) sequence: u64,
    /// The key to be certified next, if somebody may have heard of it.
    pub(crate) pending: Option<WorkerKey>,
    key: WorkerKey,
    certificate: Vec<u8>,
    authorities: Vec<Vec<u8>>,
}

/// A worker is nobody.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// What the coordinator sent makes no sense.
    #[error("the coordinator's certificate does not match the request")]
    Certified,
    /// What is kept is none.
    #[error("cannot read the saved worker identity")]
    Kept(#[source] serde_json::Error),
    /// It was written by a later version.
    #[error("the worker identity has format {0}, and this version supports {FORMAT}: use the version that wrote it")]
    Format(u32),
    /// The library.
    #[error("cannot create a key; this is a bug, please report it")]
    Key(#[from] rcgen::Error),
    /// The library.
    #[error("cannot use the certificates")]
    Tls(#[from] rustls::Error),
}

const FORMAT: u32 = 1;

/// Authorities that a coordinator may have: the one that signs, the next one, and some before.
const AUTHORITIES: usize = 16;

/// Bytes of one authority's certificate.
const AUTHORITY: usize = 4 << 10;

impl WorkerKey {
    /// A new one.
    ///
    /// # Errors
    /// If the library fails.
    pub fn new() -> Result<Self, IdentityError> {
        Ok(Self(Zeroizing::new(KeyPair::generate_for(&rcgen::PKCS_ED25519)?.serialize_der())))
    }

    /// A request to certify it: PKCS#10 in DER.
    ///
    /// # Errors
    /// If the library fails.
    pub fn request(&self) -> Result<Vec<u8>, IdentityError> {
        let key = KeyPair::try_from(self.0.as_slice())?;
        let mut params = CertificateParams::default();
        // Who it will be is for the coordinator to say.
        params.distinguished_name = rcgen::DistinguishedName::new();
        Ok(params.serialize_request(&key)?.der().to_vec())
    }
}

impl WorkerIdentity {
    /// From what the coordinator answered to a request for this key.
    pub(crate) fn new(certified: Certified, key: WorkerKey, address: String) -> Result<Self, IdentityError> {
        let certificate = CertificateDer::from(certified.certificate.as_slice());
        let peer = PeerCertificate::of(&certificate).ok_or(IdentityError::Certified)?;
        let worker = certified.worker.parse().map_err(|_| IdentityError::Certified)?;
        let group = certified.group.parse().map_err(|_| IdentityError::Certified)?;
        if peer.worker != worker || certified.authorities.is_empty() {
            return Err(IdentityError::Certified);
        }
        let identity = Self {
            format: FORMAT,
            worker,
            group,
            address,
            sequence: certified.sequence,
            pending: None,
            key,
            certificate: certified.certificate,
            authorities: certified.authorities,
        };
        // The certificate is of this key, or TLS refuses the two.
        identity.tls()?;
        bounded(&identity.authorities)?;
        Ok(identity)
    }

    /// The one that was [encoded](Self::encode).
    ///
    /// # Errors
    /// If the bytes are none.
    pub fn restored(bytes: &[u8]) -> Result<Self, IdentityError> {
        let identity: Self = serde_json::from_slice(bytes).map_err(IdentityError::Kept)?;
        if identity.format == FORMAT { Ok(identity) } else { Err(IdentityError::Format(identity.format)) }
    }

    /// All of it, the key included.
    ///
    /// # Errors
    /// If the library fails.
    pub fn encode(&self) -> Result<SecretBytes, IdentityError> {
        // Of a size that is never outgrown: what grows leaves copies behind.
        let mut bytes = Vec::with_capacity(64 << 10);
        serde_json::to_writer(&mut bytes, self).map_err(IdentityError::Kept)?;
        Ok(SecretBytes::new(bytes))
    }

    /// When the certificate ends.
    pub fn ends(&self) -> Timestamp {
        self.peer().map_or(Timestamp::from_millis(0), |peer| peer.ends)
    }

    /// When to renew: at half of the certificate's life, give or take a tenth of it. `chance` is from 0 to 1.
    pub fn renew_at(&self, chance: f64) -> Timestamp {
        let Some(peer) = self.peer() else { return Timestamp::from_millis(0) };
        let life = peer.ends.since(peer.begins).as_millis();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "days"
        )]
        let part = (life as f64 * (0.45 + 0.1 * chance.clamp(0.0, 1.0))) as u64;
        peer.begins.plus(Span::millis(part))
    }

    /// Since when the certificate is good.
    pub(crate) fn begins(&self) -> Timestamp {
        self.peer().map_or(Timestamp::from_millis(0), |peer| peer.begins)
    }

    /// How long the certificate is good in all.
    pub(crate) fn life(&self) -> Span {
        self.ends().since(self.begins())
    }

    /// Replaces whom to trust; whether that changed anything.
    ///
    /// # Errors
    /// If there is none, there are too many, or one of them is no certificate: then nothing changes.
    pub(crate) fn trust(&mut self, authorities: Vec<Vec<u8>>) -> Result<bool, IdentityError> {
        if authorities == self.authorities {
            return Ok(false);
        }
        bounded(&authorities)?;
        let before = std::mem::replace(&mut self.authorities, authorities);
        if let Err(error) = self.tls() {
            self.authorities = before;
            return Err(error);
        }
        Ok(true)
    }

    /// Whether one of its authorities issued this certificate of a coordinator.
    pub(crate) fn trusts(&self, coordinator: &CertificateDer<'_>) -> bool {
        certificate::is_issued_by(coordinator, &self.trusted())
    }

    /// Whether the authority of a join string is among those that it trusts.
    pub fn knows(&self, authority: AuthorityFingerprint) -> bool {
        self.trusted().iter().any(|certificate| certificate::fingerprint(certificate) == Some(authority))
    }

    fn trusted(&self) -> Vec<CertificateDer<'static>> {
        self.authorities.iter().map(|der| CertificateDer::from(der.clone())).collect()
    }

    /// The TLS that it speaks. Tickets are kept in it: who comes back with the same one need not shake hands in full.
    ///
    /// # Errors
    /// If the library fails.
    pub fn tls(&self) -> Result<Arc<ClientConfig>, IdentityError> {
        let key = PrivatePkcs8KeyDer::from(self.key.0.to_vec());
        Ok(certificate::client(&self.trusted(), self.certificate.clone().into(), key)?)
    }

    fn peer(&self) -> Option<PeerCertificate> {
        PeerCertificate::of(&CertificateDer::from(self.certificate.as_slice()))
    }
}

fn bounded(authorities: &[Vec<u8>]) -> Result<(), IdentityError> {
    let sound = (1..=AUTHORITIES).contains(&authorities.len()) && authorities.iter().all(|der| der.len() <= AUTHORITY);
    if sound { Ok(()) } else { Err(IdentityError::Certified) }
}

impl std::fmt::Debug for WorkerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} at {}", self.worker, self.group, self.address)
    }
}
