//! The functions that SCRAM is made of, from the host's library.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use deputy_scram::{Mechanism, Primitives, ScramKey};

pub(super) struct AwsLc;

impl Primitives for AwsLc {
    fn derive(&self, mechanism: Mechanism, password: &[u8], salt: &[u8], iterations: u32) -> ScramKey {
        let algorithm = match mechanism {
            Mechanism::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Mechanism::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        let mut key = ScramKey::new(vec![0; mechanism.size()]);
        // A challenge has at least one.
        let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
        pbkdf2::derive(algorithm, iterations, salt, password, &mut key);
        key
    }

    fn hmac(&self, mechanism: Mechanism, key: &[u8], data: &[u8]) -> ScramKey {
        let algorithm = match mechanism {
            Mechanism::Sha256 => hmac::HMAC_SHA256,
            Mechanism::Sha512 => hmac::HMAC_SHA512,
        };
        ScramKey::new(hmac::sign(&hmac::Key::new(algorithm, key), data).as_ref().to_vec())
    }

    fn hash(&self, mechanism: Mechanism, data: &[u8]) -> ScramKey {
        let algorithm = match mechanism {
            Mechanism::Sha256 => &digest::SHA256,
            Mechanism::Sha512 => &digest::SHA512,
        };
        ScramKey::new(digest::digest(algorithm, data).as_ref().to_vec())
    }
}
