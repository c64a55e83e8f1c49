//! Stands in for the host's secrets, so that a provider can be tried with the wasmtime CLI alone. For tests only: it
//! grants everything that it has.
//!
//! Secret `aws-key` is the environment variable `SECRET_AWS_KEY`. For `sigv4` it holds what Deputy's file does, the bare
//! secret key or the JSON with `AccessKeyId` and `SecretAccessKey`. It has `sigv4` and `hmac-sha256` alone.

use bindings::exports::delegation::tokens::secrets::{Guest, GuestSecret, Secret, SecretError, Sigv4Signature};
use hmac::{Hmac, Mac};
use sha2::Sha256;

mod bindings {
    #![allow(missing_docs, unsafe_code, reason = "generated from the contract, documented there")]
    #![allow(clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package deputy:secrets-plug;
            world secrets-plug { export delegation:tokens/secrets@0.2.0; }
        ",
        world: "deputy:secrets-plug/secrets-plug",
        generate_all,
    });

    export!(Plug with_types_in self);
    use super::Plug;
}

struct Plug;

struct Value(String);

impl Guest for Plug {
    type Secret = Value;

    fn open(name: String) -> Result<Secret, SecretError> {
        let variable = format!("SECRET_{}", name.to_ascii_uppercase().replace('-', "_"));
        let found = wasip2::cli::environment::get_environment().into_iter().find(|(known, _)| *known == variable);
        let (_, value) = found.ok_or_else(|| SecretError::Denied(format!("{variable} is not in the environment")))?;
        Ok(Secret::new(Value(value)))
    }
}

impl GuestSecret for Value {
    fn sigv4(&self, string_to_sign: String) -> Result<Sigv4Signature, SecretError> {
        let invalid = || SecretError::Invalid("not a string to sign of AWS4-HMAC-SHA256".to_owned());
        let scope = string_to_sign.lines().nth(2).ok_or_else(invalid)?;
        let (access_key_id, secret_key) = self.key_pair()?;
        // The chain of keys: day, region, service, then the scope's last word.
        let mut key = format!("AWS4{secret_key}").into_bytes();
        for part in scope.split('/').chain([string_to_sign.as_str()]) {
            key = hmac(&key, part.as_bytes())?;
        }
        let signature = key.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Sigv4Signature { access_key_id, signature })
    }

    fn hmac_sha256(&self, data: Vec<u8>) -> Result<Vec<u8>, SecretError> {
        hmac(self.0.as_bytes(), &data)
    }

    fn jwt(&self, _: String, _: String, _: String) -> Result<String, SecretError> {
        Err(missing("jwt"))
    }

    fn pbkdf2_hmac_sha256(&self, _: Vec<u8>, _: u32) -> Result<Vec<u8>, SecretError> {
        Err(missing("pbkdf2-hmac-sha256"))
    }

    fn sign(&self, _: String, _: Vec<u8>) -> Result<Vec<u8>, SecretError> {
        Err(missing("sign"))
    }
}

impl Value {
    fn key_pair(&self) -> Result<(Option<String>, String), SecretError> {
        if !self.0.trim_start().starts_with('{') {
            return Ok((None, self.0.trim().to_owned()));
        }
        let unusable = || SecretError::Unavailable("the JSON needs AccessKeyId and SecretAccessKey".to_owned());
        let pair: serde_json::Value = serde_json::from_str(&self.0).map_err(|_| unusable())?;
        let field = |name: &str| pair.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        Ok((Some(field("AccessKeyId").ok_or_else(unusable)?), field("SecretAccessKey").ok_or_else(unusable)?))
    }
}

fn hmac(key: &[u8], data: &[u8]) -> Result<Vec<u8>, SecretError> {
    let mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| SecretError::Invalid("not a key".to_owned()))?;
    Ok(mac.chain_update(data).finalize().into_bytes().to_vec())
}

fn missing(operation: &str) -> SecretError {
    SecretError::Denied(format!("the plug for tests has no {operation}"))
}
