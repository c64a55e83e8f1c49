//! Uses of secrets, each in one line.

use crate::{hex, secret_values};

pub use crate::bindings::delegation::tokens::secrets::{Secret, SecretError, open};

/// All algorithms.
pub const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];

/// A signature's digits, or why there are none.
pub fn sigv4(secret: &Secret, string_to_sign: &str) -> String {
    line(secret.sigv4(string_to_sign).map(|signed| signed.signature))
}

/// A token with an empty header, or why there is none.
pub fn jwt(secret: &Secret, algorithm: &str, claims: &str) -> String {
    jwt_with_header(secret, algorithm, "{}", claims)
}

/// A token, or why there is none.
pub fn jwt_with_header(secret: &Secret, algorithm: &str, header: &str, claims: &str) -> String {
    line(secret.jwt(algorithm, header, claims))
}

/// A digest, or why there is none.
pub fn hmac(secret: &Secret, data: &[u8]) -> String {
    line(secret.hmac_sha256(data).map(|digest| hex(&digest)))
}

/// A digest, or why there is none.
pub fn pbkdf2(secret: &Secret, salt: &[u8], iterations: u32) -> String {
    line(secret.pbkdf2_hmac_sha256(salt, iterations).map(|digest| hex(&digest)))
}

/// A signature, or why there is none.
pub fn sign(secret: &Secret, algorithm: &str, data: &[u8]) -> String {
    line(secret.sign(algorithm, data).map(|signature| hex(&signature)))
}

/// The value, or why there is none.
pub fn reveal(secret: &Secret) -> String {
    line(secret_values::reveal(secret).map(|value| String::from_utf8_lossy(&value).into_owned()))
}

/// `ok …`, `denied …`, `invalid …` or `unavailable …`.
pub fn line(result: Result<String, SecretError>) -> String {
    match result {
        Ok(value) => format!("ok {value}"),
        Err(SecretError::Denied(why)) => format!("denied {why}"),
        Err(SecretError::Invalid(why)) => format!("invalid {why}"),
        Err(SecretError::Unavailable(why)) => format!("unavailable {why}"),
    }
}

/// A string to sign for a time and a scope, with a digest of the right form.
pub fn string_to_sign(time: &str, region: &str, service: &str) -> String {
    let (day, digest) = (&time[..8], "0".repeat(64));
    format!("AWS4-HMAC-SHA256\n{time}\n{day}/{region}/{service}/aws4_request\n{digest}")
}
