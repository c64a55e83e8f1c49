//! One authority: its certificate, and its key while it signs.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use deputy_core::{Span, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber};
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::AuthorityError;
use crate::certificate::certificate_time;

pub(super) struct SigningAuthority {
    pub(super) trusted: TrustedAuthority,
    pub(super) key: Zeroizing<Vec<u8>>,
}

#[derive(Clone)]
pub(super) struct TrustedAuthority {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) begins: Timestamp,
    pub(super) ends: Timestamp,
}

impl SigningAuthority {
    pub(super) fn new(now: Timestamp, lifetime: Span) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
        let ends = now.plus(lifetime);
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("Deputy authority of {now}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.serial_number = Some(serial_number()?);
        params.not_before = certificate_time(now.minus(clock_skew(lifetime)));
        params.not_after = certificate_time(ends);
        let certificate = params.self_signed(&key)?.der().clone();
        let trusted = TrustedAuthority { certificate, begins: now, ends };
        Ok(Self { trusted, key: Zeroizing::new(key.serialize_der()) })
    }

    pub(super) fn issuer(&self) -> Result<Issuer<'static, KeyPair>, AuthorityError> {
        let key = KeyPair::try_from(self.key.as_slice())?;
        Ok(Issuer::from_ca_cert_der(&self.trusted.certificate, key)?)
    }
}

impl TrustedAuthority {
    /// When this fraction of its life is over.
    pub(super) fn at_fraction(&self, numerator: u64, denominator: u64) -> Timestamp {
        let life = self.ends.since(self.begins).as_millis();
        self.begins.plus(Span::millis(life / denominator * numerator))
    }
}

/// How much earlier a certificate begins than it is issued, since the clocks of two machines differ. It is a small part of
/// its life, so that renewal at half life stays in the future.
pub(super) fn clock_skew(lifetime: Span) -> Span {
    Span::millis(lifetime.as_millis() / 10).min(Span::secs(300))
}

/// A random serial number of 127 bits, so that it is positive.
#[expect(clippy::disallowed_methods, reason = "keys are random, too")]
pub(super) fn serial_number() -> Result<SerialNumber, rcgen::Error> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| rcgen::Error::RingUnspecified)?;
    if let Some(first) = bytes.first_mut() {
        *first &= 0x7f;
    }
    Ok(SerialNumber::from_slice(&bytes))
}
