//! The functions that SCRAM is made of, for a token's login: its HMAC is the component's own.

use deputy_scram::{Mechanism, Primitives, ScramKey};
use hmac::digest::KeyInit;
use hmac::{Mac, SimpleHmac};
use sha2::{Digest, Sha256, Sha512};

/// The functions of the `RustCrypto` crates.
pub(super) struct RustCrypto;

impl Primitives for RustCrypto {
    fn derive(&self, mechanism: Mechanism, password: &[u8], salt: &[u8], iterations: u32) -> ScramKey {
        match mechanism {
            Mechanism::Sha256 => hi::<SimpleHmac<Sha256>>(password, salt, iterations),
            Mechanism::Sha512 => hi::<SimpleHmac<Sha512>>(password, salt, iterations),
        }
    }

    fn hmac(&self, mechanism: Mechanism, key: &[u8], data: &[u8]) -> ScramKey {
        match mechanism {
            Mechanism::Sha256 => mac::<SimpleHmac<Sha256>>(key, data),
            Mechanism::Sha512 => mac::<SimpleHmac<Sha512>>(key, data),
        }
    }

    fn hash(&self, mechanism: Mechanism, data: &[u8]) -> ScramKey {
        match mechanism {
            Mechanism::Sha256 => ScramKey::new(Sha256::digest(data).to_vec()),
            Mechanism::Sha512 => ScramKey::new(Sha512::digest(data).to_vec()),
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> ScramKey {
    keyed::<M>(key).map_or_else(ScramKey::default, |mac| output(mac.chain_update(data)))
}

/// `Hi` of RFC 5802. The key is prepared once.
fn hi<M: Mac + KeyInit + Clone>(password: &[u8], salt: &[u8], iterations: u32) -> ScramKey {
    let Some(mac) = keyed::<M>(password) else { return ScramKey::default() };
    let mut block = output(mac.clone().chain_update(salt).chain_update(1_u32.to_be_bytes()));
    let mut sum = block.clone();
    for _ in 1..iterations {
        block = output(mac.clone().chain_update(&*block));
        sum.iter_mut().zip(block.iter()).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

/// A key of any length is one for HMAC: there is always some.
fn keyed<M: KeyInit>(key: &[u8]) -> Option<M> {
    <M as KeyInit>::new_from_slice(key).ok()
}

fn output<M: Mac>(mac: M) -> ScramKey {
    ScramKey::new(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6070's case with SHA-256 and SHA-512, as OpenSSL computes them.
    #[test]
    fn primitives_derive_as_others_do() {
        for (mechanism, expected) in [
            (Mechanism::Sha256, "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"),
            (
                Mechanism::Sha512,
                "d197b1b33db0143e018b12f3d1d1479e6cdebdcc97c5c0f87f6902e072f457b5143f30602641b3d55cd335988cb36b84\
                 376060ecd532e039b742a239434af2d5",
            ),
        ] {
            let key = RustCrypto.derive(mechanism, b"password", b"salt", 4096);
            assert_eq!(crate::testing::hex(&key), expected);
            assert_eq!(key.len(), mechanism.size());
        }
    }
}
