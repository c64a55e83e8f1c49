//! Grants to sign AWS requests: for a service, in a region, now.

use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr;

use super::SecretGrantError;
use crate::time::CivilDate;
use crate::{PolicyDenial, SecretName, Span, Timestamp};

/// How far the time of a signed request may be from now, in both directions.
///
/// A server accepts a signature while its own clock is near that time: S3, MinIO and Ceph within 15 minutes, STS and most
/// other services of AWS within 5 to 15. A component that knows the server's clock better than this machine's (from the
/// `Date` of an answer) can sign by it, and no server would accept a signature that is further away now. A signature that
/// is made ahead of time ends at most half an hour after the grant.
const TOLERANCE: Span = Span::secs(15 * 60);

/// A grant to sign requests for services and regions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sigv4Grant {
    services: BTreeSet<String>,
    regions: BTreeSet<String>,
}

/// A parsed SigV4 string to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringToSign {
    text: String,
    time: Timestamp,
    day: String,
    region: String,
    service: String,
}

/// A permit to sign one string.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Sigv4Permit(StringToSign);

impl Sigv4Grant {
    /// A grant for these services and regions, compared letter by letter.
    ///
    /// # Errors
    /// If one of the two is empty.
    pub fn new(services: Vec<String>, regions: Vec<String>) -> Result<Self, SecretGrantError> {
        if services.is_empty() {
            return Err(SecretGrantError::Empty("services"));
        }
        if regions.is_empty() {
            return Err(SecretGrantError::Empty("regions"));
        }
        Ok(Self { services: services.into_iter().collect(), regions: regions.into_iter().collect() })
    }

    pub(super) fn permit(
        &self,
        name: &SecretName,
        text: StringToSign,
        now: Timestamp,
    ) -> Result<Sigv4Permit, PolicyDenial> {
        let secret = name.clone();
        if !self.services.contains(&text.service) {
            return Err(PolicyDenial::Service { secret, service: text.service });
        }
        if !self.regions.contains(&text.region) {
            return Err(PolicyDenial::Region { secret, region: text.region });
        }
        if text.time.since(now).max(now.since(text.time)) > TOLERANCE {
            return Err(PolicyDenial::Time { secret, time: text.time, tolerance: TOLERANCE });
        }
        Ok(Sigv4Permit(text))
    }

    /// The services, in order.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(String::as_str)
    }

    /// The regions, in order.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.regions.iter().map(String::as_str)
    }
}

/// A text is not a SigV4 string to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a SigV4 string to sign: four lines, AWS4-HMAC-SHA256, YYYYMMDD'T'HHMMSS'Z', YYYYMMDD/region/service/aws4_request, \
     and 64 lower-case hexadecimal digits"
)]
pub struct StringToSignError;

impl StringToSign {
    /// The time in the string.
    pub fn time(&self) -> Timestamp {
        self.time
    }
}

impl FromStr for StringToSign {
    type Err = StringToSignError;

    /// Reads the four lines of AWS's "Create a string to sign"; the chunks of a body have others and are refused. A
    /// presigned URL has the same ones: what it may do and for how long is in the hash, which can't be read.
    fn from_str(text: &str) -> Result<Self, StringToSignError> {
        let mut lines = text.split('\n');
        let (Some("AWS4-HMAC-SHA256"), Some(time), Some(scope), Some(hash), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(StringToSignError);
        };
        let mut parts = scope.split('/');
        let (Some(day), Some(region), Some(service), Some("aws4_request"), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(StringToSignError);
        };
        let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let time = parse_time(day, time).filter(|_| is_hash && is_word(region) && is_word(service));
        Ok(Self {
            text: text.to_owned(),
            time: time.ok_or(StringToSignError)?,
            day: day.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }
}

/// Parses `YYYYMMDD'T'HHMMSS'Z'`, which must be on this day.
fn parse_time(day: &str, time: &str) -> Option<Timestamp> {
    let clock = time.strip_prefix(day)?.strip_prefix('T')?.strip_suffix('Z')?;
    let midnight =
        CivilDate { year: digits(day, 0..4)?, month: digits(day, 4..6)?, day: digits(day, 6..8)? }.midnight()?;
    let hour = digits(clock, 0..2)?;
    let minute = digits(clock, 2..4)?;
    let second = digits(clock, 4..6)?;
    let is_time = day.len() == 8 && clock.len() == 6 && hour < 24 && minute < 60 && second < 60;
    is_time.then(|| midnight.plus(Span::secs(hour * 3600 + minute * 60 + second)))
}

/// A number that consists of digits alone.
fn digits(text: &str, range: Range<usize>) -> Option<u64> {
    let text = text.get(range)?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl Sigv4Permit {
    /// What is signed.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The time of the signature.
    pub fn time(&self) -> Timestamp {
        self.0.time
    }

    /// The day of the scope, `YYYYMMDD`.
    pub fn day(&self) -> &str {
        &self.0.day
    }

    /// The region of the scope.
    pub fn region(&self) -> &str {
        &self.0.region
    }

    /// The service of the scope.
    pub fn service(&self) -> &str {
        &self.0.service
    }
}

#[cfg(test)]
mod tests;
