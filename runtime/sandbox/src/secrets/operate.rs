//! What each operation does, once it is recorded: ask the grant, fetch the value, use it.

use std::fmt;
use std::num::{NonZero, NonZeroU32};
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;

use aws_lc_rs::{hmac, pbkdf2};
use deputy_core::SecretName;
use deputy_core::grant::{SecretOperation, SignatureAlgorithm, StringToSign, StringToSignError};

use deputy_support::try_blocking;
use tokio::sync::Semaphore;

use super::jwt::JwtRequest;
use super::key::SigningKey;
use super::sigv4;
use super::{CallSecrets, SecretUseError};
use crate::audit_record::AuditRecord;
use crate::bindings::delegation::tokens::secrets::Sigv4Signature;
use crate::secret_fault::SecretFault;
use crate::time_budget::thread_time;

/// Many times what a string to sign has.
const MAX_STRING_TO_SIGN: usize = 1024;
/// RFC 7677 asks for 4,096 at least; a million take about half a second.
pub(super) const ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=1_000_000;

impl CallSecrets {
    pub(super) async fn sigv4(
        &self,
        record: &mut AuditRecord,
        name: &SecretName,
        text: &str,
    ) -> Result<Sigv4Signature, SecretUseError> {
        let grant = self.granted(name)?;
        let invalid = |error: StringToSignError| SecretUseError::Invalid(error.to_string());
        if text.len() > MAX_STRING_TO_SIGN {
            return Err(invalid(StringToSignError));
        }
        let parsed: StringToSign = text.parse().map_err(invalid)?;
        self.scope(record, &sigv4::scope(text));
        Self::signed_time(record, parsed.time());
        let permit = grant.permit_sigv4(name, parsed, self.world.now()).map_err(SecretUseError::Denied)?;
        let value = self.value(name).await?;
        let signed = sigv4::sign(permit, &value).map_err(|error| unusable(name, &error))?;
        Ok(Sigv4Signature { access_key_id: signed.access_key_id, signature: signed.signature })
    }

    pub(super) async fn jwt(
        &self,
        record: &mut AuditRecord,
        name: &SecretName,
        algorithm: SignatureAlgorithm,
        header: &str,
        claims: &str,
    ) -> Result<String, SecretUseError> {
        let grant = self.granted(name)?;
        let request = JwtRequest::read(header, claims).map_err(|error| SecretUseError::Invalid(error.to_string()))?;
        self.scope(record, &request.scope());
        self.signed_token(record, algorithm, &request);
        let token = request.permit(grant, name, algorithm, self.world.now()).map_err(SecretUseError::Denied)?;
        let value = self.value(name).await?;
        self.off_thread(move || token.sign(&value)).await?.map_err(|error| unusable(name, &error))
    }

    pub(super) async fn hmac_sha256(&self, name: &SecretName, data: Vec<u8>) -> Result<Vec<u8>, SecretUseError> {
        self.granted(name)?.permit_bare(name, SecretOperation::HmacSha256).map_err(SecretUseError::Denied)?;
        self.sized(&data)?;
        let value = self.value(name).await?;
        self.off_thread(move || {
            let key = hmac::Key::new(hmac::HMAC_SHA256, value.expose());
            hmac::sign(&key, &data).as_ref().to_vec()
        })
        .await
    }

    pub(super) async fn pbkdf2_hmac_sha256(
        &self,
        name: &SecretName,
        salt: Vec<u8>,
        iterations: u32,
    ) -> Result<Vec<u8>, SecretUseError> {
        self.granted(name)?.permit_bare(name, SecretOperation::Pbkdf2).map_err(SecretUseError::Denied)?;
        self.sized(&salt)?;
        let (true, Some(iterations)) = (ITERATIONS.contains(&iterations), NonZeroU32::new(iterations)) else {
            return Err(SecretUseError::Invalid("iterations must be between 4,096 and 1,000,000".to_owned()));
        };
        let value = self.value(name).await?;
        self.off_thread(move || {
            let mut derived = vec![0; 32];
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, value.expose(), &mut derived);
            derived
        })
        .await
    }

    pub(super) async fn sign(
        &self,
        record: &mut AuditRecord,
        name: &SecretName,
        algorithm: SignatureAlgorithm,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, SecretUseError> {
        let grant = self.granted(name)?;
        self.scope(record, algorithm.name());
        grant.permit_sign(name, algorithm).map_err(SecretUseError::Denied)?;
        self.sized(&data)?;
        let value = self.value(name).await?;
        self.off_thread(move || SigningKey::read(&value, algorithm)?.sign(&data))
            .await?
            .map_err(|error| unusable(name, &error))
    }

    pub(super) async fn reveal(&self, name: &SecretName) -> Result<Vec<u8>, SecretUseError> {
        self.granted(name)?.permit_bare(name, SecretOperation::Reveal).map_err(SecretUseError::Denied)?;
        // The copy is the component's; the generated bindings drop it without wiping it.
        Ok(self.value(name).await?.expose().to_vec())
    }
}

pub(super) fn unusable(name: &SecretName, error: &dyn std::error::Error) -> SecretUseError {
    SecretUseError::Unavailable(SecretFault::Value(format!("secret {name}: {error}")))
}

/// One operation for each processor: more at once would only take turns, and hold a thread each.
static PROCESSORS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(2, NonZero::get)));

impl CallSecrets {
    /// Runs what takes the processor for long on a thread of its own, and charges the call for it. It need not be cancelled:
    /// arguments are bounded, so it ends within about a second, and a call has one at a time.
    pub(super) async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SecretUseError> {
        let ended_early = |error: &dyn fmt::Display| {
            SecretUseError::Unavailable(SecretFault::Source(format!("an operation on a secret ended early: {error}")))
        };
        let turn = PROCESSORS.acquire().await.map_err(|error| ended_early(&error))?;
        let time = Arc::clone(self.budget.time());
        let charged = move || {
            let _turn = turn;
            let begun = thread_time();
            let done = work();
            time.charge(thread_time().saturating_sub(begun));
            done
        };
        try_blocking(charged).await.map_err(|error| ended_early(&error))
    }
}
