//! The capability `secrets`: secrets that a component uses and never reads.
//!
//! Every operation goes the same way: the audit record is begun, one operation is taken from the account, the grant is
//! asked, and only then is the value fetched, used and let go. The value is fetched at each use, so that a secret that
//! was rotated after it was opened is used in its new form.
//!
//! What a component is told never holds why a source failed: the operator's log does. No value, no derived key and no
//! key's text reaches a log, an audit event or an error.

mod call;
mod fitness;
mod jwt;
mod key;
mod operate;
mod sigv4;
mod store;

use std::sync::Arc;

use deputy_core::grant::{Grant, SecretGrant, SecretOperation, SignatureAlgorithm};
use deputy_core::{Limit, PolicyDenial, SecretBytes, SecretName, Timestamp};
use deputy_observe::AuditAction;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

pub(crate) use call::CallValues;
pub(crate) use fitness::judge;
pub(crate) use store::SecretStore;

use crate::bindings::delegation::tokens::secrets::{self, SecretError, Sigv4Signature};
use crate::call_budget::CallBudget;
use crate::record::Record;
use crate::secret_fault::SecretFault;
use crate::secret_provider::SecretProvider;

/// An open secret, as a component holds it: its name, not its value.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct SecretHandle {
    name: SecretName,
}

/// What one call may do with secrets.
pub(crate) struct Secrets {
    grant: Arc<Grant>,
    values: Arc<CallValues>,
    account: Arc<CallBudget>,
    now: fn() -> Timestamp,
    /// Whether the limit on operations was passed. What is tried after that is refused without another audit event, so
    /// that a loop can't fill the operator's disk.
    spent: bool,
}

/// The capability's host side for the time of one host call.
pub(crate) struct SecretsView<'a> {
    pub(crate) secrets: &'a mut Secrets,
    pub(crate) table: &'a mut ResourceTable,
}

/// Bytes of a secret's name that are looked at: more than any has, so that none is granted that was cut off.
const LONGEST_NAME: usize = 1024;

/// Why an operation did not succeed.
enum Error {
    /// The argument is not what the operation takes.
    Invalid(String),
    /// Not granted, or over a limit.
    Refused(PolicyDenial),
    /// The operator's part fails; the text is for the operator alone.
    Unavailable(SecretFault),
}

impl Secrets {
    pub(crate) fn new(
        grant: Arc<Grant>,
        values: Arc<CallValues>,
        account: Arc<CallBudget>,
        now: fn() -> Timestamp,
    ) -> Self {
        Self { grant, values, account, now, spent: false }
    }

    /// Begins the audit record of one operation and takes the operation from the account.
    fn begin(&mut self, secret: String, operation: &str) -> Result<Record, SecretError> {
        let over = PolicyDenial::Limit(Limit::SecretOperations);
        if self.spent {
            return Err(convert_error(Error::Refused(over)));
        }
        let what = AuditAction::Secret { secret, operation: operation.to_owned(), scope: String::new() };
        let mut record = Record::begin(&self.account, what);
        self.account.take_secret_operation().map_err(|refusal| {
            self.spent = true;
            convert_error(Error::Refused(record.refused(refusal)))
        })?;
        Ok(record)
    }

    /// Ends the audit record with what became of the operation, tells the operator why a secret failed, and the
    /// component what it may know.
    fn end<T>(&self, mut record: Record, result: Result<T, Error>) -> Result<T, SecretError> {
        match result {
            Ok(value) => {
                record.done();
                // The component has nothing of it yet.
                record
                    .close()
                    .map(|()| value)
                    .map_err(|error| convert_error(Error::Unavailable(SecretFault::Source(error.to_string()))))
            }
            Err(Error::Refused(refusal)) => {
                let refusal = record.refused(self.cleaned(refusal));
                Err(convert_error(Error::Refused(refusal)))
            }
            Err(Error::Invalid(text)) => {
                record.failed("invalid");
                Err(convert_error(Error::Invalid(text)))
            }
            Err(Error::Unavailable(fault)) => {
                record.failed("unavailable");
                tracing::warn!(instance = %self.account.actor(), reason = %fault, "using a secret failed");
                self.account.note_fault(fault.clone());
                Err(convert_error(Error::Unavailable(fault)))
            }
        }
    }

    /// What was granted of an open secret.
    fn granted(&self, name: &SecretName) -> Result<&SecretGrant, Error> {
        self.grant.secret(name.as_str()).map(|(_, grant)| grant).map_err(Error::Refused)
    }

    /// Its value.
    async fn value(&self, name: &SecretName) -> Result<Arc<SecretBytes>, Error> {
        self.values.value(name).await.map_err(|error| Error::Unavailable(SecretFault::Source(error.to_string())))
    }

    /// Refuses an argument that is over the limit.
    fn sized(&self, argument: &[u8]) -> Result<(), Error> {
        if argument.len() > self.account.limits().argument.as_usize() {
            return Err(Error::Refused(PolicyDenial::Limit(Limit::Argument)));
        }
        Ok(())
    }

    /// Notes in the record what the grant is asked for.
    fn scope(&self, record: &mut Record, text: &str) {
        if let Some(AuditAction::Secret { scope, .. }) = record.what() {
            *scope = self.values.redactor().clean(text, 200);
        }
    }

    /// The refusal with the component's own texts bounded, escaped and blanked: it goes into the operator's report, and
    /// a component that may read one secret could put its value into the issuer that it asks another to sign for.
    fn cleaned(&self, refusal: PolicyDenial) -> PolicyDenial {
        let clean = |text: String| self.values.redactor().clean(&text, 200);
        match refusal {
            PolicyDenial::Audience { secret, audience } => PolicyDenial::Audience { secret, audience: clean(audience) },
            PolicyDenial::Day { secret, day } => PolicyDenial::Day { secret, day: clean(day) },
            PolicyDenial::Issuer { secret, issuer } => PolicyDenial::Issuer { secret, issuer: clean(issuer) },
            PolicyDenial::Region { secret, region } => PolicyDenial::Region { secret, region: clean(region) },
            PolicyDenial::Secret { name } => PolicyDenial::Secret { name: clean(name) },
            PolicyDenial::Service { secret, service } => PolicyDenial::Service { secret, service: clean(service) },
            other => other,
        }
    }
}

/// One operation on an open secret, from its record to its outcome.
macro_rules! operation {
    ($view:ident, $secret:ident, $operation:expr, |$name:ident, $record:ident| $body:expr) => {{
        let $name = &$view.name(&$secret)?;
        let mut record = match $view.secrets.begin($name.to_string(), $operation.key()) {
            Ok(record) => record,
            Err(error) => return Ok(Err(error)),
        };
        let $record = &mut record;
        let result = $body.await;
        Ok($view.secrets.end(record, result))
    }};
}

impl SecretsView<'_> {
    /// The name of an open secret. A handle that does not exist is a trap, as for every resource.
    fn name(&self, secret: &Resource<SecretHandle>) -> wasmtime::Result<SecretName> {
        Ok(self.table.get(secret)?.name.clone())
    }

    /// The operation of `secret-values`.
    pub(crate) async fn value(
        &mut self,
        secret: Resource<SecretHandle>,
    ) -> wasmtime::Result<Result<Vec<u8>, SecretError>> {
        operation!(self, secret, SecretOperation::Reveal, |name, _record| self.secrets.reveal(name))
    }
}

impl secrets::Host for SecretsView<'_> {
    async fn open(&mut self, mut name: String) -> wasmtime::Result<Result<Resource<SecretHandle>, SecretError>> {
        name.truncate(name.floor_char_boundary(LONGEST_NAME));
        let granted = self.secrets.grant.secret(&name).map(|(name, _)| name.clone()).map_err(Error::Refused);
        let shown = match &granted {
            Ok(name) => name.to_string(),
            Err(_) => self.secrets.values.redactor().clean(&name, 80),
        };
        let mut record = match self.secrets.begin(shown, "open") {
            Ok(record) => record,
            Err(error) => return Ok(Err(error)),
        };
        let result = match granted {
            Ok(name) => match self.table.push(SecretHandle { name }) {
                Ok(handle) => Ok(handle),
                Err(full) => {
                    record.refused(PolicyDenial::Limit(Limit::Handles));
                    return Err(full.into());
                }
            },
            Err(error) => Err(error),
        };
        Ok(self.secrets.end(record, result))
    }
}

impl secrets::HostSecret for SecretsView<'_> {
    async fn sigv4(
        &mut self,
        secret: Resource<SecretHandle>,
        string_to_sign: String,
    ) -> wasmtime::Result<Result<Sigv4Signature, SecretError>> {
        operation!(self, secret, SecretOperation::Sigv4, |name, record| self.secrets.sigv4(
            record,
            name,
            &string_to_sign
        ))
    }

    async fn jwt(
        &mut self,
        secret: Resource<SecretHandle>,
        algorithm: secrets::Algorithm,
        claims: String,
        key_id: Option<String>,
    ) -> wasmtime::Result<Result<String, SecretError>> {
        operation!(self, secret, SecretOperation::Jwt, |name, record| self.secrets.jwt(
            record,
            name,
            convert_algorithm(algorithm),
            &claims,
            key_id.as_deref()
        ))
    }

    async fn hmac_sha256(
        &mut self,
        secret: Resource<SecretHandle>,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, SecretError>> {
        operation!(self, secret, SecretOperation::HmacSha256, |name, _record| self.secrets.hmac_sha256(name, data))
    }

    async fn pbkdf2_hmac_sha256(
        &mut self,
        secret: Resource<SecretHandle>,
        salt: Vec<u8>,
        iterations: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, SecretError>> {
        operation!(self, secret, SecretOperation::Pbkdf2, |name, _record| self
            .secrets
            .pbkdf2_hmac_sha256(name, salt, iterations))
    }

    async fn sign(
        &mut self,
        secret: Resource<SecretHandle>,
        algorithm: secrets::Algorithm,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, SecretError>> {
        operation!(self, secret, SecretOperation::Sign, |name, record| self.secrets.sign(
            record,
            name,
            convert_algorithm(algorithm),
            data
        ))
    }

    fn drop(&mut self, secret: Resource<SecretHandle>) -> wasmtime::Result<()> {
        self.table.delete(secret)?;
        Ok(())
    }
}

/// The only place that knows the contract's error variants.
fn convert_error(error: Error) -> SecretError {
    match error {
        Error::Invalid(text) => SecretError::Invalid(text),
        Error::Refused(refusal @ PolicyDenial::Limit(Limit::Argument)) => SecretError::Invalid(refusal.guest()),
        Error::Refused(refusal) => SecretError::Denied(refusal.guest()),
        // Why is the operator's business: a path or a program's name tells the component about the machine.
        Error::Unavailable(_) => SecretError::Unavailable("the secret is not available".to_owned()),
    }
}

fn convert_algorithm(algorithm: secrets::Algorithm) -> SignatureAlgorithm {
    match algorithm {
        secrets::Algorithm::Rs256 => SignatureAlgorithm::Rs256,
        secrets::Algorithm::Es256 => SignatureAlgorithm::Es256,
        secrets::Algorithm::Eddsa => SignatureAlgorithm::EdDsa,
    }
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
