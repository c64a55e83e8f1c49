//! The capability `secrets`: secrets that a component uses and never reads.
//!
//! Every operation takes the same steps: it begins an audit record, takes one operation from the budget, asks the grant,
//! and only then fetches and uses the value. The value is fetched at each use, so that a rotated secret takes effect at
//! once.
//!
//! The reason why a source failed goes to the operator's log and never to the component. No value and no derived key
//! reaches a log, an audit event or an error.

mod call;
pub(crate) mod error;
mod fitness;
pub(crate) mod handle;
mod jwt;
mod key;
mod operate;
mod record;
pub(crate) mod scram;
mod sigv4;
mod store;

use std::sync::Arc;

use deputy_audit::{AuditAction, SignedContent};
use deputy_core::grant::{AlgorithmError, Grant, SecretGrant, SecretOperation};
use deputy_core::{Limit, PolicyDenial, SecretBytes, SecretName};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

pub(crate) use call::CallValues;
pub(crate) use error::SecretUseError;
pub(crate) use fitness::validate;
pub(crate) use handle::SecretHandle;
pub(crate) use store::SecretStore;

use crate::audit_record::AuditRecord;
use crate::bindings::delegation::tokens::secrets::{self, SecretError, Sigv4Signature};
use crate::call_budget::CallBudget;
use crate::secret_fault::SecretFault;
use crate::secret_provider::SecretProvider;
use crate::stand_in::World;

/// What one call may do with secrets.
pub(crate) struct CallSecrets {
    grant: Arc<Grant>,
    values: Arc<CallValues>,
    budget: Arc<CallBudget>,
    world: World,
    /// Whether the limit on operations was exceeded. Later attempts are denied without another audit event, so that a loop
    /// can't fill the operator's disk.
    spent: bool,
}

/// The capability's host side for the time of one host call.
pub(crate) struct SecretsView<'a> {
    pub(crate) secrets: &'a mut CallSecrets,
    pub(crate) table: &'a mut ResourceTable,
}

/// Bytes of a secret's name that are read: more than any name has, so that no truncated name is granted.
const MAX_NAME: usize = 1024;

impl CallSecrets {
    pub(crate) fn new(grant: Arc<Grant>, values: Arc<CallValues>, budget: Arc<CallBudget>, world: World) -> Self {
        Self { grant, values, budget, world, spent: false }
    }

    /// Begins the audit record of one operation and takes the operation from the budget.
    fn begin(&mut self, secret: String, operation: &str) -> Result<AuditRecord, SecretUseError> {
        let over_limit = PolicyDenial::Limit(Limit::SecretOperations);
        if self.spent {
            return Err(SecretUseError::Denied(over_limit));
        }
        let what = AuditAction::Secret {
            secret,
            operation: operation.to_owned(),
            scope: String::new(),
            signed: SignedContent::default(),
        };
        let mut record = AuditRecord::begin(&self.budget, what);
        self.budget.usage.take_secret_operation().map_err(|denial| {
            self.spent = true;
            SecretUseError::Denied(record.denied(denial))
        })?;
        Ok(record)
    }

    /// Ends the audit record with the operation's outcome, and reports to the operator why a secret failed.
    async fn end<T>(&self, mut record: AuditRecord, result: Result<T, SecretUseError>) -> Result<T, SecretUseError> {
        match result {
            Ok(value) => {
                record.done();
                // The component has nothing of it yet.
                let written = record.close_async().await;
                written.map_err(|error| SecretUseError::Unavailable(SecretFault::Source(error.to_string())))?;
                Ok(value)
            }
            Err(SecretUseError::Denied(denial)) => {
                Err(SecretUseError::Denied(record.denied(self.redact_denial(denial))))
            }
            Err(SecretUseError::Invalid(text)) => {
                record.failed("invalid");
                Err(SecretUseError::Invalid(text))
            }
            Err(SecretUseError::Unavailable(fault)) => {
                record.failed("unavailable");
                let reason = self.budget.note_fault(fault.clone());
                tracing::warn!(instance = %self.budget.audit.subject(), %reason, "using a secret failed");
                Err(SecretUseError::Unavailable(fault))
            }
            Err(SecretUseError::Trap(error)) => {
                record.denied(PolicyDenial::Limit(Limit::Handles));
                Err(SecretUseError::Trap(error))
            }
        }
    }

    /// The grant of an open secret.
    fn granted(&self, name: &SecretName) -> Result<&SecretGrant, SecretUseError> {
        self.grant.secret(name.as_str()).map(|(_, grant)| grant).map_err(SecretUseError::Denied)
    }

    async fn value(&self, name: &SecretName) -> Result<Arc<SecretBytes>, SecretUseError> {
        let value = self.values.value(name).await;
        value.map_err(|error| SecretUseError::Unavailable(SecretFault::Source(error.to_string())))
    }

    /// Refuses an argument that is over the limit.
    fn sized(&self, argument: &[u8]) -> Result<(), SecretUseError> {
        if argument.len() > self.budget.limits().argument.as_usize() {
            return Err(SecretUseError::Denied(PolicyDenial::Limit(Limit::Argument)));
        }
        Ok(())
    }
}

impl SecretsView<'_> {
    /// Begins one operation on an open secret. A handle that does not exist is a trap, as for every resource.
    fn begin(
        &mut self,
        secret: &Resource<SecretHandle>,
        operation: SecretOperation,
    ) -> Result<(SecretName, AuditRecord), SecretUseError> {
        let name = self.table.get(secret)?.name.clone();
        let record = self.secrets.begin(name.to_string(), operation.key())?;
        Ok((name, record))
    }

    /// The operation of `secret-values`.
    pub(crate) async fn value(&mut self, secret: Resource<SecretHandle>) -> Result<Vec<u8>, SecretUseError> {
        let (name, record) = self.begin(&secret, SecretOperation::Reveal)?;
        let result = self.secrets.reveal(&name).await;
        self.secrets.end(record, result).await
    }
}

impl secrets::Host for SecretsView<'_> {
    async fn open(&mut self, mut name: String) -> Result<Resource<SecretHandle>, SecretUseError> {
        name.truncate(self.secrets.budget.audit.excerpt(&name, MAX_NAME).len());
        let granted = self.secrets.grant.secret(&name).map(|(name, _)| name.clone());
        let printable = match &granted {
            Ok(name) => name.to_string(),
            Err(_) => self.secrets.values.redactor().clean(&name, 80),
        };
        let record = self.secrets.begin(printable, "open")?;
        let handle = match granted {
            Ok(name) => self.table.push(SecretHandle { name }).map_err(SecretUseError::Trap),
            Err(denial) => Err(SecretUseError::Denied(denial)),
        };
        self.secrets.end(record, handle).await
    }

    /// The only place that knows the contract's error variants.
    fn convert_secret_error(&mut self, error: SecretUseError) -> wasmtime::Result<SecretError> {
        match error {
            SecretUseError::Invalid(text) => Ok(SecretError::Invalid(text)),
            SecretUseError::Denied(denial @ PolicyDenial::Limit(Limit::Argument)) => {
                Ok(SecretError::Invalid(denial.guest()))
            }
            SecretUseError::Denied(denial) => Ok(SecretError::Denied(denial.guest())),
            // The reason is for the operator: a path or a program's name tells the component about the machine.
            SecretUseError::Unavailable(_) => Ok(SecretError::Unavailable("the secret is not available".to_owned())),
            SecretUseError::Trap(error) => Err(error.into()),
        }
    }
}

impl secrets::HostSecret for SecretsView<'_> {
    async fn sigv4(
        &mut self,
        secret: Resource<SecretHandle>,
        string_to_sign: String,
    ) -> Result<Sigv4Signature, SecretUseError> {
        let (name, mut record) = self.begin(&secret, SecretOperation::Sigv4)?;
        let result = self.secrets.sigv4(&mut record, &name, &string_to_sign).await;
        self.secrets.end(record, result).await
    }

    async fn jwt(
        &mut self,
        secret: Resource<SecretHandle>,
        algorithm: String,
        header: String,
        claims: String,
    ) -> Result<String, SecretUseError> {
        let (name, mut record) = self.begin(&secret, SecretOperation::Jwt)?;
        let result = match algorithm.parse() {
            Ok(algorithm) => self.secrets.jwt(&mut record, &name, algorithm, &header, &claims).await,
            Err(error) => Err(unknown_algorithm(&error)),
        };
        self.secrets.end(record, result).await
    }

    async fn hmac_sha256(&mut self, secret: Resource<SecretHandle>, data: Vec<u8>) -> Result<Vec<u8>, SecretUseError> {
        let (name, record) = self.begin(&secret, SecretOperation::HmacSha256)?;
        let result = self.secrets.hmac_sha256(&name, data).await;
        self.secrets.end(record, result).await
    }

    async fn pbkdf2_hmac_sha256(
        &mut self,
        secret: Resource<SecretHandle>,
        salt: Vec<u8>,
        iterations: u32,
    ) -> Result<Vec<u8>, SecretUseError> {
        let (name, record) = self.begin(&secret, SecretOperation::Pbkdf2)?;
        let result = self.secrets.pbkdf2_hmac_sha256(&name, salt, iterations).await;
        self.secrets.end(record, result).await
    }

    async fn sign(
        &mut self,
        secret: Resource<SecretHandle>,
        algorithm: String,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, SecretUseError> {
        let (name, mut record) = self.begin(&secret, SecretOperation::Sign)?;
        let result = match algorithm.parse() {
            Ok(algorithm) => self.secrets.sign(&mut record, &name, algorithm, data).await,
            Err(error) => Err(unknown_algorithm(&error)),
        };
        self.secrets.end(record, result).await
    }

    fn drop(&mut self, secret: Resource<SecretHandle>) -> wasmtime::Result<()> {
        self.table.delete(secret)?;
        Ok(())
    }
}

fn unknown_algorithm(error: &AlgorithmError) -> SecretUseError {
    SecretUseError::Invalid(error.to_string())
}

struct HasSecrets;

impl HasData for HasSecrets {
    type Data<'a> = SecretsView<'a>;
}

/// Adds the interface to a linker.
pub(crate) fn link<T: Send>(linker: &mut Linker<T>, get: fn(&mut T) -> SecretsView<'_>) -> wasmtime::Result<()> {
    secrets::add_to_linker::<T, HasSecrets>(linker, get)
}

#[cfg(test)]
mod tests;
