//! One authority: its certificate, and its key while it signs.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use deputy_core::{Span, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber};
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::AuthorityError;
use crate::certificate::{certificate_time, common_name};

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
        let trusted = certify(&key, &format!("Deputy authority of {now}"), now, lifetime)?;
        Ok(Self { trusted, key: Zeroizing::new(key.serialize_der()) })
    }

    /// A certificate with other dates for the same key and the same name: a peer that trusts the one trusts the other.
    pub(super) fn redated(&self, now: Timestamp, lifetime: Span) -> Result<TrustedAuthority, AuthorityError> {
        let key = KeyPair::try_from(self.key.as_slice())?;
        let name = common_name(&self.trusted.certificate).unwrap_or_default();
        Ok(certify(&key, &name, now, lifetime)?)
    }

    pub(super) fn issuer(&self) -> Result<Issuer<'static, KeyPair>, AuthorityError> {
        let key = KeyPair::try_from(self.key.as_slice())?;
        Ok(Issuer::from_ca_cert_der(&self.trusted.certificate, key)?)
    }
}

/// An authority's certificate of its own key.
fn certify(key: &KeyPair, name: &str, now: Timestamp, lifetime: Span) -> Result<TrustedAuthority, rcgen::Error> {
    let ends = now.plus(lifetime);
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.serial_number = Some(serial_number()?);
    params.not_before = certificate_time(now.minus(clock_skew(lifetime)));
    params.not_after = certificate_time(ends);
    let certificate = params.self_signed(key)?.der().clone();
    Ok(TrustedAuthority { certificate, begins: now, ends })
}

impl TrustedAuthority {
    /// Whether it is valid, or will be within the time that two clocks may differ.
    pub(super) fn is_valid(&self, now: Timestamp) -> bool {
        !self.is_ahead(now) && now < self.ends
    }

    /// Whether a clock that was ahead gave it its dates.
    pub(super) fn is_ahead(&self, now: Timestamp) -> bool {
        self.begins > now.plus(clock_skew(self.ends.since(self.begins)))
    }

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
