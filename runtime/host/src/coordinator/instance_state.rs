//! The state of one instance in the coordinator's keeper, as the sandbox uses it.

use std::sync::Arc;

use async_trait::async_trait;
use deputy_coordinator::{KeptStateTurn, StateKeeper, StateKeeperError};
use deputy_core::{InstanceName, SecretBytes, StateGrant, StateIdentity, in_one_line};
use deputy_sandbox::{StateStore, StateStoreError, StateTurn};

/// The state of an instance under one configuration.
pub(crate) struct InstanceStateStore {
    pub(crate) keeper: Arc<StateKeeper>,
    pub(crate) instance: InstanceName,
    pub(crate) owner: StateOwner,
}

/// Who uses state, and whose it may take over.
#[derive(Clone)]
pub(crate) struct StateOwner {
    pub(crate) grant: StateGrant,
    pub(crate) identity: StateIdentity,
}

struct InstanceStateTurn {
    turn: KeptStateTurn,
    owner: StateOwner,
}

#[async_trait]
impl StateStore for InstanceStateStore {
    async fn turn(&self) -> Box<dyn StateTurn> {
        let turn = self.keeper.turn(&self.instance).await;
        Box::new(InstanceStateTurn { turn, owner: self.owner.clone() })
    }
}

#[async_trait]
impl StateTurn for InstanceStateTurn {
    async fn load(&mut self) -> Result<Option<Arc<SecretBytes>>, StateStoreError> {
        let StateOwner { grant, identity } = &self.owner;
        self.turn.load(grant, *identity).await.map_err(|error| convert_error(&error))
    }

    async fn save(&mut self, value: &SecretBytes) -> Result<(), StateStoreError> {
        let StateOwner { grant, identity } = &self.owner;
        self.turn.save(grant, *identity, value).await.map_err(|error| convert_error(&error))
    }
}

fn convert_error(error: &StateKeeperError) -> StateStoreError {
    match error {
        StateKeeperError::Denied(denial) => StateStoreError::Denied(denial.clone()),
        error => StateStoreError::Unavailable(in_one_line(error)),
    }
}
