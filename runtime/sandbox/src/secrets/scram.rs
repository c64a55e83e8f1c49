//! The interface `scram`: logins with a password that the component never reads.
//!
//! The host chooses the nonce and reads what the service answers (`deputy-scram`), so that a proof is good for one login of
//! one user and for nothing else. The server's signature stays here as well: with it, a component could answer a client that
//! logs in with the same password.

pub(crate) mod login;
mod primitives;

use deputy_core::grant::SecretOperation;
use deputy_core::{SecretBytes, SecretName};
use deputy_scram::{Challenge, ClientFinal, ClientFirst, Mechanism, ScramError};
use wasmtime::component::{HasData, Linker, Resource};

use super::key::secure_random;
use super::operate::{ITERATIONS, unusable};
use super::{CallSecrets, SecretHandle, SecretUseError, SecretsView};
use crate::audit_record::AuditRecord;
use crate::bindings::delegation::tokens::scram;
use crate::secret_fault::SecretFault;
use login::{LoginHandle, LoginProgress};
use primitives::AwsLc;

/// Bytes of a nonce before it is encoded.
const NONCE: usize = 24;

/// The name of a proof in the audit log.
const PROOF: &str = "scram-proof";

/// The secret's value is no password for SCRAM.
#[derive(Debug, thiserror::Error)]
#[error(
    "a password for SCRAM has visible ASCII characters and spaces alone: services differ in how they prepare others"
)]
pub(super) struct PasswordError;

/// Whether a value can be a password for SCRAM.
pub(super) fn validate(value: &SecretBytes) -> Result<(), PasswordError> {
    if deputy_scram::is_plain_password(value.expose()) { Ok(()) } else { Err(PasswordError) }
}

fn invalid(error: ScramError) -> SecretUseError {
    SecretUseError::Invalid(error.to_string())
}

impl CallSecrets {
    /// Asks the grant, and chooses the nonce.
    fn begin_login(
        &self,
        record: &mut AuditRecord,
        name: SecretName,
        mechanism: &str,
    ) -> Result<LoginHandle, SecretUseError> {
        let grant = self.granted(&name)?.permit_scram(&name).map_err(SecretUseError::Denied)?;
        let username = grant.username().to_owned();
        let mechanism: Mechanism = mechanism.parse().map_err(invalid)?;
        let mut random = [0; NONCE];
        secure_random().fill(&mut random).map_err(|_| {
            SecretUseError::Unavailable(SecretFault::Source("the system has no random numbers".to_owned()))
        })?;
        let first = ClientFirst::new(mechanism, &username, &random).map_err(invalid)?;
        let login = LoginHandle::new(name, username, mechanism, first);
        self.scope(record, &login.scope());
        Ok(login)
    }

    async fn prove(
        &self,
        name: &SecretName,
        first: Option<ClientFirst>,
        server_first: &str,
    ) -> Result<ClientFinal, SecretUseError> {
        let first = first.ok_or_else(|| {
            SecretUseError::Invalid("a SCRAM login answers one message: begin another one".to_owned())
        })?;
        let challenge: Challenge = first.read_answer(server_first, ITERATIONS).map_err(invalid)?;
        let value = self.value(name).await?;
        validate(&value).map_err(|error| unusable(name, &error))?;
        self.off_thread(move || challenge.answer(&AwsLc, value.expose())).await
    }
}

impl scram::Host for SecretsView<'_> {}

impl scram::HostLogin for SecretsView<'_> {
    async fn begin(
        &mut self,
        secret: Resource<SecretHandle>,
        mechanism: String,
    ) -> Result<Resource<LoginHandle>, SecretUseError> {
        let (name, mut record) = SecretsView::begin(self, &secret, SecretOperation::Scram)?;
        let result = self.secrets.begin_login(&mut record, name, &mechanism);
        let result = result.and_then(|login| self.table.push(login).map_err(SecretUseError::Trap));
        self.secrets.end(record, result).await
    }

    fn username(&mut self, this: Resource<LoginHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&this)?.username.clone())
    }

    fn client_first(&mut self, this: Resource<LoginHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&this)?.client_first.clone())
    }

    async fn client_final(
        &mut self,
        this: Resource<LoginHandle>,
        server_first: String,
    ) -> Result<String, SecretUseError> {
        let login = self.table.get_mut(&this)?;
        let name = login.secret.clone();
        let scope = login.scope();
        let first = login.take_first();
        let mut record = self.secrets.begin(name.to_string(), PROOF)?;
        self.secrets.scope(&mut record, &scope);
        let result = self.secrets.prove(&name, first, &server_first).await;
        // Recorded before the component has it.
        let answer = self.secrets.end(record, result).await?;
        let message = answer.message().to_owned();
        self.table.get_mut(&this)?.progress = LoginProgress::Proven(answer);
        Ok(message)
    }

    fn verify(&mut self, this: Resource<LoginHandle>, server_final: String) -> Result<(), SecretUseError> {
        match &self.table.get(&this)?.progress {
            LoginProgress::Proven(answer) => answer.verify(&server_final).map_err(invalid),
            _ => Err(SecretUseError::Invalid("a SCRAM login is verified behind its proof".to_owned())),
        }
    }

    fn drop(&mut self, this: Resource<LoginHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

struct HasScram;

impl HasData for HasScram {
    type Data<'a> = SecretsView<'a>;
}

/// Adds the interface to a linker.
pub(crate) fn link<T: Send>(linker: &mut Linker<T>, get: fn(&mut T) -> SecretsView<'_>) -> wasmtime::Result<()> {
    scram::add_to_linker::<T, HasScram>(linker, get)
}
