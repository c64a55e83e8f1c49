//! Signing keys: PEM (PKCS#8, PKCS#1 for RSA, SEC 1 for EC) and JWK (RFC 7517, RFC 8037), for RS256, ES256 and EdDSA.
//!
//! A key is read for one algorithm and used for it alone. It has no `Debug`, lives as long as one operation, and is wiped
//! with it: AWS-LC wipes all memory that it gives back.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::rsa::{self, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deputy_core::SecretBytes;
use deputy_core::grant::SignatureAlgorithm;
use serde::Deserialize;
use zeroize::Zeroizing;

use deputy_tls::{PemError, PrivateKey, private_key};

/// A key for one algorithm.
pub(super) enum SigningKey {
    Ed25519(Box<Ed25519KeyPair>),
    P256(Box<EcdsaKeyPair>),
    Rsa(Box<rsa::KeyPair>),
}

/// Why a secret's value is not a signing key, or did not sign. Never quotes it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SigningKeyError {
    /// Neither PEM nor a JWK.
    #[error("the secret is not a private key: provide one in PEM or as a JWK")]
    Form,
    /// A JWK for something else.
    #[error("the secret's JWK does not fit {0}: {1} is required")]
    Jwk(SignatureAlgorithm, &'static str),
    #[error(transparent)]
    Pem(#[from] PemError),
    #[error("the secret's key does not fit {0}, is damaged or too small ({1})")]
    Rejected(SignatureAlgorithm, aws_lc_rs::error::KeyRejected),
    /// The RNG failed, or a fault of the key shows only when it signs.
    #[error("signing with the secret's key failed")]
    Sign,
}

impl SigningKey {
    /// Reads a key for one algorithm.
    pub(super) fn read(value: &SecretBytes, algorithm: SignatureAlgorithm) -> Result<Self, SigningKeyError> {
        let text = std::str::from_utf8(value.expose()).map_err(|_| SigningKeyError::Form)?;
        if text.trim_start().starts_with('{') {
            return Self::from_jwk(text, algorithm);
        }
        if !text.contains("-----BEGIN ") {
            return Err(SigningKeyError::Form);
        }
        let key = private_key(text)?;
        match (algorithm, &key) {
            (SignatureAlgorithm::Rs256, PrivateKey::Pkcs1(der)) => rsa::KeyPair::from_der(der).map(Self::rsa),
            // A key of another kind is rejected with the library's reason.
            (SignatureAlgorithm::Rs256, PrivateKey::Pkcs8(der) | PrivateKey::Sec1(der)) => {
                rsa::KeyPair::from_pkcs8(der).map(Self::rsa)
            }
            (SignatureAlgorithm::Es256, PrivateKey::Sec1(der)) => {
                EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Self::p256)
            }
            (SignatureAlgorithm::Es256, PrivateKey::Pkcs8(der) | PrivateKey::Pkcs1(der)) => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Self::p256)
            }
            (SignatureAlgorithm::EdDsa, PrivateKey::Pkcs8(der) | PrivateKey::Pkcs1(der) | PrivateKey::Sec1(der)) => {
                // openssl writes the first version of PKCS#8, which has no public key to check the private one against.
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Self::ed25519)
            }
        }
        .map_err(|error| SigningKeyError::Rejected(algorithm, error))
    }

    fn from_jwk(text: &str, algorithm: SignatureAlgorithm) -> Result<Self, SigningKeyError> {
        // serde_json's own error would quote the value.
        let jwk: Jwk = serde_json::from_str(text).map_err(|_| SigningKeyError::Form)?;
        let rejected = |error| SigningKeyError::Rejected(algorithm, error);
        if jwk.alg.as_deref().is_some_and(|alg| alg != algorithm.name()) {
            return Err(SigningKeyError::Jwk(algorithm, "the right \"alg\", or none,"));
        }
        match (algorithm, jwk.kty.as_str(), jwk.crv.as_deref()) {
            (SignatureAlgorithm::Rs256, "RSA", _) => {
                let need = |part: &Option<JwkBytes>| {
                    part.as_ref()
                        .map(|p| p.0.clone())
                        .ok_or(SigningKeyError::Jwk(algorithm, "n, e, d, p, q, dp, dq and qi"))
                };
                let components = KeyPairComponents {
                    public_key: PublicKeyComponents { n: need(&jwk.n)?, e: need(&jwk.e)? },
                    d: need(&jwk.d)?,
                    p: need(&jwk.p)?,
                    q: need(&jwk.q)?,
                    dP: need(&jwk.dp)?,
                    dQ: need(&jwk.dq)?,
                    qInv: need(&jwk.qi)?,
                };
                rsa::KeyPair::from_components(&components).map(Self::rsa).map_err(rejected)
            }
            (SignatureAlgorithm::Es256, "EC", Some("P-256")) => {
                let (Some(d), Some(x), Some(y)) = (&jwk.d, &jwk.x, &jwk.y) else {
                    return Err(SigningKeyError::Jwk(algorithm, "d, x and y"));
                };
                let point = [[4].as_slice(), &x.0, &y.0].concat();
                EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &d.0, &point)
                    .map(Self::p256)
                    .map_err(rejected)
            }
            (SignatureAlgorithm::EdDsa, "OKP", Some("Ed25519")) => {
                let (Some(d), Some(x)) = (&jwk.d, &jwk.x) else {
                    return Err(SigningKeyError::Jwk(algorithm, "d and x"));
                };
                Ed25519KeyPair::from_seed_and_public_key(&d.0, &x.0).map(Self::ed25519).map_err(rejected)
            }
            (SignatureAlgorithm::Rs256, ..) => Err(SigningKeyError::Jwk(algorithm, "\"kty\": \"RSA\"")),
            (SignatureAlgorithm::Es256, ..) => {
                Err(SigningKeyError::Jwk(algorithm, "\"kty\": \"EC\" and \"crv\": \"P-256\""))
            }
            (SignatureAlgorithm::EdDsa, ..) => {
                Err(SigningKeyError::Jwk(algorithm, "\"kty\": \"OKP\" and \"crv\": \"Ed25519\""))
            }
        }
    }

    pub(super) fn sign(&self, data: &[u8]) -> Result<Vec<u8>, SigningKeyError> {
        match self {
            Self::Ed25519(key) => Ok(key.sign(data).as_ref().to_vec()),
            Self::P256(key) => key
                .sign(secure_random(), data)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SigningKeyError::Sign),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, secure_random(), data, &mut signature)
                    .map_err(|_| SigningKeyError::Sign)?;
                Ok(signature)
            }
        }
    }

    fn ed25519(key: Ed25519KeyPair) -> Self {
        Self::Ed25519(Box::new(key))
    }

    fn p256(key: EcdsaKeyPair) -> Self {
        Self::P256(Box::new(key))
    }

    fn rsa(key: rsa::KeyPair) -> Self {
        Self::Rsa(Box::new(key))
    }
}

/// The parts of a private JWK. Unknown ones (`kid`, `use`, …) are ignored.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<JwkBytes>,
    e: Option<JwkBytes>,
    d: Option<JwkBytes>,
    p: Option<JwkBytes>,
    q: Option<JwkBytes>,
    dp: Option<JwkBytes>,
    dq: Option<JwkBytes>,
    qi: Option<JwkBytes>,
    x: Option<JwkBytes>,
    y: Option<JwkBytes>,
}

/// A number or point in base64url.
struct JwkBytes(Zeroizing<Vec<u8>>);

impl<'de> Deserialize<'de> for JwkBytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let mut bytes = Zeroizing::new(vec![0; text.len()]);
        let length = URL_SAFE_NO_PAD
            .decode_slice(text.trim_end_matches('='), &mut bytes)
            .map_err(|_| serde::de::Error::custom("not base64url"))?;
        bytes.truncate(length);
        Ok(Self(bytes))
    }
}

/// Where the nonces of ECDSA and SCRAM and the blinding of RSA come from.
#[expect(
    clippy::disallowed_methods,
    reason = "no argument: a chosen nonce of ECDSA would reveal the key, and the library lets no test choose it"
)]
pub(super) fn secure_random() -> &'static dyn SecureRandom {
    static SECURE_RANDOM: std::sync::LazyLock<SystemRandom> = std::sync::LazyLock::new(SystemRandom::new);
    &*SECURE_RANDOM
}

#[cfg(test)]
pub(super) mod tests;
