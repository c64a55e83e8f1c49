//! A security context for the native exchanges: the login itself, without the capability of the sandbox.

use std::sync::Arc;

use deputy_core::KerberosPrincipal;
use deputy_kerberos::{Fault, KerberosContext, Login};
use deputy_kit_hadoop::sasl::{ContextError, ContextStep, OpenedMessage, SecurityContext};
use tokio::runtime::Handle;

/// A context with one service. Its calls block, as a component's do.
pub(crate) struct NativeContext {
    login: Arc<Login>,
    target: KerberosPrincipal,
    begun: Option<KerberosContext>,
    runtime: Handle,
}

impl NativeContext {
    pub(crate) fn new(login: &Arc<Login>, target: &KerberosPrincipal, runtime: &Handle) -> Self {
        Self { login: Arc::clone(login), target: target.clone(), begun: None, runtime: runtime.clone() }
    }

    fn established(&mut self) -> Result<(&mut KerberosContext, &Handle), ContextError> {
        Ok((self.begun.as_mut().ok_or(ContextError::WrongState)?, &self.runtime))
    }
}

impl SecurityContext for NativeContext {
    fn step(&mut self, token: &[u8]) -> Result<ContextStep, ContextError> {
        let step = match &mut self.begun {
            Some(context) => self.runtime.block_on(context.step(token.to_vec())).map_err(refused)?,
            None => {
                let (context, first) = self.runtime.block_on(self.login.begin(&self.target)).map_err(refused)?;
                self.begun = Some(context);
                first
            }
        };
        Ok(ContextStep { token: step.token, established: step.established })
    }

    fn wrap(&mut self, message: &[u8], confidential: bool) -> Result<Vec<u8>, ContextError> {
        let (context, runtime) = self.established()?;
        runtime.block_on(context.wrap(message.to_vec(), confidential)).map_err(refused)
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<OpenedMessage, ContextError> {
        let (context, runtime) = self.established()?;
        let opened = runtime.block_on(context.unwrap(token.to_vec())).map_err(refused)?;
        Ok(OpenedMessage { message: opened.message, sealed: opened.sealed })
    }
}

fn refused(fault: Fault) -> ContextError {
    ContextError::Refused(fault.to_string())
}
