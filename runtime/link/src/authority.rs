//! The coordinator's own certificate authority, in two slots.
//!
//! One authority signs. At half of its life the next one is made and published, so that every worker learns to trust it;
//! it signs when a sixth of the life of the first is left, and at least two lives of a worker's certificate after it was
//! published: whoever has a good certificate has been here since. The one before is trusted until it ends, for those whose
//! certificates it signed.
//!
//! Times are arguments, so that a year passes in a test. The keys are random, and are written down by [`Authority::encode`]
//! alone, for a store that seals.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use deputy_core::{SecretBytes, Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::certificate::{COORDINATOR, at, worker_name};
use crate::join::AuthorityFingerprint;
use crate::name::{KeyDigest, WorkerId};

/// How long certificates are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateLifetimes {
    /// An authority's.
    pub authority: Span,
    /// A worker's, and the coordinator's own.
    pub worker: Span,
}

/// Who vouches for the coordinator and its workers.
pub struct Authority {
    lives: CertificateLifetimes,
    signing: Slot,
    next: Option<Slot>,
    past: Vec<Trusted>,
}

/// An authority that can sign.
struct Slot {
    trusted: Trusted,
    key: Zeroizing<Vec<u8>>,
}

/// An authority that is trusted.
#[derive(Clone)]
struct Trusted {
    certificate: CertificateDer<'static>,
    begins: Timestamp,
    ends: Timestamp,
}

/// A certificate with its key: the coordinator's own, for a while.
pub struct ServerCertificate {
    /// The certificate, and that of the authority, by whose fingerprint a new worker knows it.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivatePkcs8KeyDer<'static>,
}

/// Whether what is kept has to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationOutcome {
    /// An authority was made, took over, or ended.
    Changed,
    /// All is as it was.
    Nothing,
}

/// A certificate is not made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// What is kept is no authority.
    #[error("cannot read the saved certificate authority")]
    Kept(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request is none.
    #[error("invalid certificate request: it must be PKCS#10, signed with its own key")]
    Request(#[source] rcgen::Error),
    /// The library.
    #[error("cannot create a certificate; this is a bug, please report it")]
    Make(#[from] rcgen::Error),
}

/// A request for a certificate whose signature was checked. Nothing but its key is used.
pub struct CertificateRequest(rcgen::PublicKey);

#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    signing: KeptSlot,
    next: Option<KeptSlot>,
    past: Vec<KeptTrusted>,
}

#[derive(Serialize, Deserialize)]
struct KeptSlot {
    #[serde(flatten)]
    trusted: KeptTrusted,
    key: Zeroizing<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct KeptTrusted {
    certificate: Vec<u8>,
    begins_ms: u64,
    ends_ms: u64,
}

const FORMAT: u32 = 1;

impl CertificateRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// If it is none, or its signature is not by its key.
    pub fn new(der: &[u8]) -> Result<Self, AuthorityError> {
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der));
        request.map(|request| Self(request.public_key)).map_err(AuthorityError::Request)
    }

    /// Of the key that it is for.
    pub fn key(&self) -> KeyDigest {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &self.0.subject_public_key_info()).as_ref());
        KeyDigest(hash)
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// If the library fails.
    pub fn found(now: Timestamp, lives: CertificateLifetimes) -> Result<Self, AuthorityError> {
        Ok(Self { lives, signing: Slot::new(now, lives.authority)?, next: None, past: Vec::new() })
    }

    /// The one that was [encoded](Self::encode).
    ///
    /// # Errors
    /// If the bytes are none.
    pub fn restored(bytes: &[u8], lives: CertificateLifetimes) -> Result<Self, AuthorityError> {
        let kept: Kept = serde_json::from_slice(bytes).map_err(|error| AuthorityError::Kept(error.into()))?;
        if kept.format != FORMAT {
            let text =
                format!("it has format {}, and this deputy knows {FORMAT}: use the version that wrote it", kept.format);
            return Err(AuthorityError::Kept(text.into()));
        }
        let past = kept.past.into_iter().map(Trusted::from).collect();
        Ok(Self { lives, signing: kept.signing.into(), next: kept.next.map(Slot::from), past })
    }

    /// All of it, keys included.
    ///
    /// # Errors
    /// If the library fails.
    pub fn encode(&self) -> Result<SecretBytes, AuthorityError> {
        let kept = Kept {
            format: FORMAT,
            signing: (&self.signing).into(),
            next: self.next.as_ref().map(KeptSlot::from),
            past: self.past.iter().map(KeptTrusted::from).collect(),
        };
        // Of a size that is never outgrown: what grows leaves copies behind.
        let mut bytes = Vec::with_capacity(64 << 10);
        serde_json::to_writer(&mut bytes, &kept).map_err(|error| AuthorityError::Kept(error.into()))?;
        Ok(SecretBytes::new(bytes))
    }

    /// Does what is due.
    ///
    /// # Errors
    /// If the library fails; then all is as it was.
    pub fn rotate(&mut self, now: Timestamp) -> Result<RotationOutcome, AuthorityError> {
        let mut turned = RotationOutcome::Nothing;
        if self.next_is_ahead(now) {
            self.next = None;
            turned = RotationOutcome::Changed;
        }
        if self.next.is_none() && now >= self.signing.trusted.after(1, 2) {
            self.next = Some(Slot::new(now, self.lives.authority)?);
            turned = RotationOutcome::Changed;
        }
        if now >= self.takes_over_at()
            && let Some(next) = self.next.take()
        {
            self.past.push(self.signing.trusted.clone());
            self.signing = next;
            turned = RotationOutcome::Changed;
        }
        let before = self.past.len();
        self.past.retain(|trusted| now < trusted.ends);
        if self.past.len() != before {
            turned = RotationOutcome::Changed;
        }
        Ok(turned)
    }

    /// Whether there is something to [do](Self::turn).
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.turns_at() || self.next_is_ahead(now)
    }

    /// Whether the next authority was made by a clock that was ahead: it would begin to sign before it is valid.
    fn next_is_ahead(&self, now: Timestamp) -> bool {
        self.next.as_ref().is_some_and(|next| next.trusted.begins > now.plus(skew(self.lives.authority)))
    }

    /// When there is something to [do](Self::turn).
    pub fn turns_at(&self) -> Timestamp {
        let next = if self.next.is_some() { self.takes_over_at() } else { self.signing.trusted.after(1, 2) };
        self.past.iter().map(|trusted| trusted.ends).fold(next, Ord::min)
    }

    fn takes_over_at(&self) -> Timestamp {
        let learnt = self.next.as_ref().map(|next| next.trusted.begins.plus(self.lives.worker).plus(self.lives.worker));
        // An authority that has ended serves nobody, whoever has learnt of the next.
        learnt.map_or(self.signing.trusted.ends, |at| {
            at.max(self.signing.trusted.after(5, 6)).min(self.signing.trusted.ends)
        })
    }

    /// Whom to trust.
    pub fn trusted(&self) -> Vec<CertificateDer<'static>> {
        let next = self.next.as_ref().map(|slot| &slot.trusted);
        let all = self.past.iter().chain([&self.signing.trusted]).chain(next);
        all.map(|trusted| trusted.certificate.clone()).collect()
    }

    /// Of the one that signs: for join strings.
    pub fn fingerprint(&self) -> AuthorityFingerprint {
        crate::certificate::fingerprint(&self.signing.trusted.certificate).unwrap_or(AuthorityFingerprint([0; 32]))
    }

    /// The key of the one that signs, from which keys for other purposes may follow, each by a name of its own.
    pub(crate) fn secret(&self) -> &[u8] {
        &self.signing.key
    }

    /// A worker's certificate.
    ///
    /// # Errors
    /// If the library fails.
    pub fn certify(
        &self,
        now: Timestamp,
        worker: WorkerId,
        request: &CertificateRequest,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let params = self.params(now, now, &worker_name(worker), ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(params.signed_by(&request.0, &self.signing.issuer()?)?.der().clone())
    }

    /// A new certificate for the coordinator itself. It begins when the authority did: a clock that was ahead for a moment
    /// leaves no certificate that is not valid yet.
    ///
    /// # Errors
    /// If the library fails.
    pub fn serve(&self, now: Timestamp) -> Result<ServerCertificate, AuthorityError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
        let begins = now.min(self.signing.trusted.begins);
        let params = self.params(begins, now, COORDINATOR, ExtendedKeyUsagePurpose::ServerAuth)?;
        let certificate = params.signed_by(&key, &self.signing.issuer()?)?.der().clone();
        let chain = vec![certificate, self.signing.trusted.certificate.clone()];
        Ok(ServerCertificate { chain, key: PrivatePkcs8KeyDer::from(key.serialize_der()) })
    }

    fn params(
        &self,
        begins: Timestamp,
        now: Timestamp,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<CertificateParams, AuthorityError> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.serial_number = Some(serial()?);
        params.not_before = at(begins.minus(skew(self.lives.worker)));
        params.not_after = at(now.plus(self.lives.worker).min(self.signing.trusted.ends));
        Ok(params)
    }
}

/// Clocks of two machines differ: a certificate begins a little before it is made, but not so much that half of its life
/// would be over.
fn skew(life: Span) -> Span {
    Span::millis(life.as_millis() / 10).min(Span::secs(300))
}

/// A random serial number, of 127 bits so that it is positive.
#[expect(clippy::disallowed_methods, reason = "keys are random, too")]
fn serial() -> Result<SerialNumber, rcgen::Error> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| rcgen::Error::RingUnspecified)?;
    if let Some(first) = bytes.first_mut() {
        *first &= 0x7f;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

impl Slot {
    fn new(now: Timestamp, life: Span) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
        let ends = now.plus(life);
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("Deputy authority of {now}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.serial_number = Some(serial()?);
        params.not_before = at(now.minus(skew(life)));
        params.not_after = at(ends);
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { trusted: Trusted { certificate, begins: now, ends }, key: Zeroizing::new(key.serialize_der()) })
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, AuthorityError> {
        let key = KeyPair::try_from(self.key.as_slice())?;
        Ok(Issuer::from_ca_cert_der(&self.trusted.certificate, key)?)
    }
}

impl Trusted {
    /// When such a part of its life is over.
    fn after(&self, part: u64, of: u64) -> Timestamp {
        let life = self.ends.since(self.begins).as_millis();
        self.begins.plus(Span::millis(life / of * part))
    }
}

impl From<&Slot> for KeptSlot {
    fn from(slot: &Slot) -> Self {
        Self { trusted: (&slot.trusted).into(), key: slot.key.clone() }
    }
}

impl From<KeptSlot> for Slot {
    fn from(kept: KeptSlot) -> Self {
        Self { trusted: kept.trusted.into(), key: kept.key }
    }
}

impl From<&Trusted> for KeptTrusted {
    fn from(trusted: &Trusted) -> Self {
        let certificate = trusted.certificate.to_vec();
        Self { certificate, begins_ms: trusted.begins.as_millis(), ends_ms: trusted.ends.as_millis() }
    }
}

impl From<KeptTrusted> for Trusted {
    fn from(kept: KeptTrusted) -> Self {
        Self {
            certificate: kept.certificate.into(),
            begins: Timestamp::from_millis(kept.begins_ms),
            ends: Timestamp::from_millis(kept.ends_ms),
        }
    }
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
