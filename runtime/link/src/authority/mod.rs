//! The coordinator's own certificate authority, which rotates.
//!
//! One authority signs. At half of its life the next one is generated and published, so that every worker learns to trust
//! it. The next one begins to sign when a sixth of the first one's life is left, and no sooner than two lives of a worker's
//! certificate after it was published: every worker with a valid certificate has connected since. The previous authority
//! stays trusted until it expires, for the certificates that it signed.
//!
//! An authority whose dates come from a wrong clock gets others when the clock is right, and keeps its key and its name:
//! workers that trust it go on, and join strings stay valid. A *provisional* authority, whose clock has not been steady since
//! it was generated, gets them at once. Any other keeps its first dates as well, and returns to them should the clock that
//! contradicted them have been the wrong one.
//!
//! Times are arguments, so that a year passes in a test. Only [`Authority::encode`] writes the random keys down, for a
//! store that seals them.

mod record;
mod request;
mod signing;

use deputy_core::{SecretBytes, Span, Timestamp};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::certificate::{COORDINATOR_NAME, ServerCertificate, certificate_time, fingerprint, worker_name};
use crate::join::AuthorityFingerprint;
use crate::name::WorkerId;

use self::record::AuthorityRecord;
pub use self::request::CertificateRequest;
use self::signing::{SigningAuthority, TrustedAuthority, clock_skew, serial_number};

/// How long certificates are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateLifetimes {
    pub authority: Span,
    /// Of a worker's certificate and of the coordinator's own.
    pub worker: Span,
}

/// Signs the certificates of the coordinator and its workers.
pub struct Authority {
    lifetimes: CertificateLifetimes,
    signing: SigningAuthority,
    next: Option<SigningAuthority>,
    past: Vec<TrustedAuthority>,
    /// Whether the clock that gave the signing authority its dates is still to prove itself.
    provisional: bool,
    /// The signing authority with its first dates, while it has others.
    first_dates: Option<TrustedAuthority>,
}

/// Whether a rotation changed what [`Authority::encode`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationOutcome {
    Changed,
    Unchanged,
}

#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("cannot read the saved certificate authority")]
    Record(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("invalid certificate request: it must be PKCS#10, signed with its own key")]
    Request(#[source] rcgen::Error),
    #[error("cannot create a certificate; this is a bug, please report it")]
    Make(#[from] rcgen::Error),
}

impl Authority {
    pub fn generate(now: Timestamp, lifetimes: CertificateLifetimes) -> Result<Self, AuthorityError> {
        let signing = SigningAuthority::new(now, lifetimes.authority)?;
        Ok(Self { lifetimes, signing, next: None, past: Vec::new(), provisional: true, first_dates: None })
    }

    /// Reads what [`Self::encode`] returned.
    pub fn restored(bytes: &[u8], lifetimes: CertificateLifetimes) -> Result<Self, AuthorityError> {
        Ok(AuthorityRecord::parse(bytes)?.into_authority(lifetimes))
    }

    /// The whole authority, keys included.
    pub fn encode(&self) -> Result<SecretBytes, AuthorityError> {
        // With a capacity that is never exceeded, since reallocation leaves copies of the keys behind.
        let mut bytes = Vec::with_capacity(64 << 10);
        serde_json::to_writer(&mut bytes, &AuthorityRecord::from(self))
            .map_err(|error| AuthorityError::Record(error.into()))?;
        Ok(SecretBytes::new(bytes))
    }

    /// Does the rotation steps that are due. An error leaves the authority unchanged.
    pub fn rotate(&mut self, now: Timestamp) -> Result<RotationOutcome, AuthorityError> {
        let mut outcome = RotationOutcome::Unchanged;
        if self.is_misdated(now) {
            self.redate(now)?;
            outcome = RotationOutcome::Changed;
        }
        if self.next_is_ahead(now) {
            self.next = None;
            outcome = RotationOutcome::Changed;
        }
        if self.next.is_none() && now >= self.signing.trusted.at_fraction(1, 2) {
            self.next = Some(SigningAuthority::new(now, self.lifetimes.authority)?);
            outcome = RotationOutcome::Changed;
        }
        if now >= self.next_signs_at()
            && let Some(next) = self.next.take()
        {
            self.past.push(self.signing.trusted.clone());
            self.signing = next;
            self.first_dates = None;
            self.provisional = false;
            outcome = RotationOutcome::Changed;
        }
        let before = self.past.len();
        self.past.retain(|trusted| now < trusted.ends);
        if self.past.len() != before {
            outcome = RotationOutcome::Changed;
        }
        Ok(outcome)
    }

    /// Whether [`Self::rotate`] has something to do.
    pub fn is_rotation_due(&self, now: Timestamp) -> bool {
        now >= self.next_rotation() || self.next_is_ahead(now) || self.is_misdated(now)
    }

    /// Whether the clock that gave the authority its dates is still to prove itself.
    pub fn is_provisional(&self) -> bool {
        self.provisional
    }

    /// The clock has been steady, and agrees with the dates: from now on they are kept.
    pub fn confirm(&mut self) {
        self.provisional = false;
    }

    /// Whether a wrong clock gave the signing authority its dates.
    pub fn is_misdated(&self, now: Timestamp) -> bool {
        let signing = &self.signing.trusted;
        let is_behind = self.provisional && now >= signing.at_fraction(1, 2);
        signing.is_ahead(now) || is_behind || self.first_dates.as_ref().is_some_and(|first| first.is_valid(now))
    }

    fn redate(&mut self, now: Timestamp) -> Result<(), AuthorityError> {
        if let Some(first) = self.first_dates.take_if(|first| first.is_valid(now)) {
            self.signing.trusted = first;
            return Ok(());
        }
        let redated = self.signing.redated(now, self.lifetimes.authority)?;
        let before = std::mem::replace(&mut self.signing.trusted, redated);
        if !self.provisional {
            self.first_dates.get_or_insert(before);
        }
        Ok(())
    }

    /// Whether a clock that was ahead generated the next authority: it would begin to sign before it is valid.
    fn next_is_ahead(&self, now: Timestamp) -> bool {
        self.next.as_ref().is_some_and(|next| next.trusted.is_ahead(now))
    }

    /// When [`Self::rotate`] has something to do next.
    pub fn next_rotation(&self) -> Timestamp {
        let next = if self.next.is_some() { self.next_signs_at() } else { self.signing.trusted.at_fraction(1, 2) };
        self.past.iter().map(|trusted| trusted.ends).fold(next, Ord::min)
    }

    fn next_signs_at(&self) -> Timestamp {
        let signing = &self.signing.trusted;
        let Some(next) = &self.next else { return signing.ends };
        let learnt = next.trusted.begins.plus(self.lifetimes.worker).plus(self.lifetimes.worker);
        // An expired authority serves no worker, whether or not all have learnt of the next one.
        learnt.max(signing.at_fraction(5, 6)).min(signing.ends)
    }

    /// The certificates of all authorities to trust.
    pub fn trusted(&self) -> Vec<CertificateDer<'static>> {
        let next = self.next.as_ref().map(|next| &next.trusted);
        let all = self.past.iter().chain([&self.signing.trusted]).chain(next);
        all.map(|trusted| trusted.certificate.clone()).collect()
    }

    /// The fingerprint of the authority that signs, for join strings.
    pub fn fingerprint(&self) -> AuthorityFingerprint {
        fingerprint(&self.signing.trusted.certificate).unwrap_or(AuthorityFingerprint([0; 32]))
    }

    /// The key of the authority that signs. Other keys may be derived from it, each with a label of its own.
    pub(crate) fn secret(&self) -> &[u8] {
        &self.signing.key
    }

    /// Issues a worker's certificate.
    pub fn certify(
        &self,
        now: Timestamp,
        worker: WorkerId,
        request: &CertificateRequest,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let params = self.params(now, now, &worker_name(worker), ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(params.signed_by(request.public_key(), &self.signing.issuer()?)?.der().clone())
    }

    /// Issues a certificate for the coordinator itself. It begins no later than the authority does, so that a clock that
    /// was ahead for a moment leaves no certificate that is not valid yet.
    pub fn server_certificate(&self, now: Timestamp) -> Result<ServerCertificate, AuthorityError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
        let begins = now.min(self.signing.trusted.begins);
        let params = self.params(begins, now, COORDINATOR_NAME, ExtendedKeyUsagePurpose::ServerAuth)?;
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
        params.serial_number = Some(serial_number()?);
        params.not_before = certificate_time(begins.minus(clock_skew(self.lifetimes.worker)));
        params.not_after = certificate_time(now.plus(self.lifetimes.worker).min(self.signing.trusted.ends));
        Ok(params)
    }
}

#[cfg(test)]
mod tests;
