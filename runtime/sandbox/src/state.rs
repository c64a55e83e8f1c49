//! The capability `state`: one value of an instance that outlives its leases.
//!
//! The first use takes the instance's turn, and the call has it until its end: what one call loads, no other call replaces
//! meanwhile. Each use is recorded before it takes effect. No value reaches a log, an audit event or an error; the call's
//! texts are blanked of each value that it loaded or saved.

use std::sync::Arc;

use deputy_audit::AuditAction;
use deputy_core::{Limit, PolicyDenial, SecretBytes};
use deputy_support::timer_now;
use wasmtime::component::{HasSelf, Linker};

use crate::audit_record::AuditRecord;
use crate::bindings::delegation::tokens::state::{self, StateError};
use crate::call_audit::Unrecorded;
use crate::call_budget::CallBudget;
use crate::redact::Redactor;
use crate::secret_fault::SecretFault;
use crate::state_store::{StateStore, StateStoreError, StateTurn};

/// The part of a call's remaining time that it waits for its turn.
const TURN_SHARE: f64 = 0.9;

const NOWHERE: &str = "it is kept by `deputy run` alone, so that a single call uses up nothing that is good once; \
                       `deputy get` and `deputy renew` ask the coordinator";
const IN_USE: &str = "another call of the instance has it";

/// Where a call's state is.
#[derive(Clone)]
pub(crate) enum StateSource {
    /// It was granted none, or it is not a call of `obtain`, `renew` or `revoke`.
    Denied,
    /// Nothing is kept here: a single call could use up what is good once.
    Nowhere,
    Store(Arc<dyn StateStore>),
}

/// One call's access to the state of its instance.
pub(crate) struct StateAccess {
    source: StateSource,
    budget: Arc<CallBudget>,
    redactor: Arc<Redactor>,
    turn: Option<Box<dyn StateTurn>>,
    /// Whether the limit on operations was exceeded. Later attempts are denied without another audit event, so that a loop
    /// can't fill the operator's disk.
    spent: bool,
}

/// Why a load or a save did not succeed.
enum StateUseError {
    Denied(PolicyDenial),
    /// The text is for the operator.
    Unavailable(String),
}

impl StateAccess {
    pub(crate) fn new(source: StateSource, budget: Arc<CallBudget>, redactor: Arc<Redactor>) -> Self {
        Self { source, budget, redactor, turn: None, spent: false }
    }

    /// Begins the audit record of one operation and takes the operation from the budget.
    fn begin(&mut self, operation: &'static str) -> Result<AuditRecord, StateUseError> {
        if self.spent {
            return Err(StateUseError::Denied(PolicyDenial::Limit(Limit::StateOperations)));
        }
        let mut record = AuditRecord::begin(&self.budget, AuditAction::State { operation });
        match self.budget.usage.take_state_operation() {
            Ok(()) => Ok(record),
            Err(denial) => {
                self.spent = true;
                Err(StateUseError::Denied(record.denied(denial)))
            }
        }
    }

    async fn load_recorded(&mut self) -> Result<Option<Arc<SecretBytes>>, StateUseError> {
        let mut record = self.begin("load")?;
        match self.load_in_turn().await {
            Ok(value) => {
                record.done();
                // The component has nothing of it yet.
                record.close_async().await?;
                self.learn(value.as_ref());
                Ok(value)
            }
            Err(error) => Err(self.fail(record, error)),
        }
    }

    async fn load_in_turn(&mut self) -> Result<Option<Arc<SecretBytes>>, StateUseError> {
        Ok(self.turn().await?.load().await?)
    }

    async fn save_recorded(&mut self, value: Arc<SecretBytes>) -> Result<(), StateUseError> {
        let mut record = self.begin("save")?;
        // The component knows it, whether it is kept or not. One that is too large would cost the host as much.
        self.learn(Some(&value).filter(|value| value.len() <= self.budget.limits().state.as_usize()));
        match self.save_in_turn(&record, &value).await {
            Ok(()) => {
                // It is saved, so nothing waits for this event.
                record.done();
                Ok(())
            }
            Err(error) => Err(self.fail(record, error)),
        }
    }

    async fn save_in_turn(&mut self, record: &AuditRecord, value: &SecretBytes) -> Result<(), StateUseError> {
        let limit = self.budget.limits().state.as_usize();
        let turn = self.turn().await?;
        if value.len() > limit {
            return Err(StateUseError::Denied(PolicyDenial::Limit(Limit::State)));
        }
        record.announce().await?;
        Ok(turn.save(value).await?)
    }

    /// The call's turn, which it waits for at its first use, and leaves itself time to say that it waited in vain.
    async fn turn(&mut self) -> Result<&mut Box<dyn StateTurn>, StateUseError> {
        let store = match &self.source {
            StateSource::Denied => return Err(StateUseError::Denied(PolicyDenial::State)),
            StateSource::Nowhere => return Err(StateUseError::Unavailable(NOWHERE.to_owned())),
            StateSource::Store(store) => store,
        };
        let turn = match self.turn.take() {
            Some(turn) => turn,
            None => {
                let left = self.budget.time().ends().saturating_duration_since(timer_now());
                let turn = tokio::time::timeout(left.mul_f64(TURN_SHARE), store.turn()).await;
                turn.map_err(|_| StateUseError::Unavailable(IN_USE.to_owned()))?
            }
        };
        Ok(self.turn.insert(turn))
    }

    /// Blanks a value in the call's texts. An empty one removes what is kept, and is no secret.
    fn learn(&self, value: Option<&Arc<SecretBytes>>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.redactor.learn(&"state", value);
        }
    }

    /// Ends the audit record of an operation that failed, and reports to the operator why.
    fn fail(&self, mut record: AuditRecord, error: StateUseError) -> StateUseError {
        match error {
            StateUseError::Denied(denial) => StateUseError::Denied(record.denied(denial)),
            StateUseError::Unavailable(reason) => {
                record.failed("unavailable");
                tracing::warn!(instance = %self.budget.audit.subject(), reason, "using state failed");
                self.budget.note_fault(SecretFault::Source(format!("state: {reason}")));
                StateUseError::Unavailable(reason)
            }
        }
    }
}

impl state::Host for StateAccess {
    async fn load(&mut self) -> wasmtime::Result<Result<Option<Vec<u8>>, StateError>> {
        // The copy is the component's; the generated bindings drop it without wiping it.
        let loaded = self.load_recorded().await.map(|value| value.map(|value| value.expose().to_vec()));
        Ok(loaded.map_err(convert_error))
    }

    async fn save(&mut self, value: Vec<u8>) -> wasmtime::Result<Result<(), StateError>> {
        Ok(self.save_recorded(Arc::new(SecretBytes::new(value))).await.map_err(convert_error))
    }
}

/// The only place that knows the contract's error variants.
fn convert_error(error: StateUseError) -> StateError {
    match error {
        StateUseError::Denied(denial @ PolicyDenial::Limit(Limit::State)) => StateError::TooLarge(denial.guest()),
        StateUseError::Denied(denial) => StateError::Denied(denial.guest()),
        // The reason is for the operator: it tells about the machine.
        StateUseError::Unavailable(_) => StateError::Unavailable("the state is not available".to_owned()),
    }
}

impl From<StateStoreError> for StateUseError {
    fn from(error: StateStoreError) -> Self {
        match error {
            StateStoreError::Denied(denial) => Self::Denied(denial),
            StateStoreError::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

impl From<Unrecorded> for StateUseError {
    fn from(error: Unrecorded) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Adds the interface to a linker.
pub(crate) fn link<T: Send>(linker: &mut Linker<T>, get: fn(&mut T) -> &mut StateAccess) -> wasmtime::Result<()> {
    state::add_to_linker::<T, HasSelf<StateAccess>>(linker, get)
}

#[cfg(test)]
mod tests;
