//! Whether an instance would get the state that a running coordinator keeps for it.

use std::collections::BTreeMap;
use std::time::Duration;

use deputy_config::{CoordinatorFile, InstanceEntry};
use deputy_coordinator::ControlClient;
use deputy_coordinator::status::StatusQuery;
use deputy_core::{Digest, Instance, PolicyDenial, Principal, StateIdentity};
use deputy_host::state_identity;
use serde::Serialize;

use crate::context::Context;

/// How long a coordinator may take to answer. The rest of the check does not depend on it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who saved the state of each instance, as far as it is known.
#[derive(Default)]
pub(super) struct KeptStates(BTreeMap<String, StateIdentity>);

/// The state of an instance that is granted it.
#[derive(Serialize)]
pub(super) struct StateJson {
    identity: String,
    /// Who saved what is kept; absent if nothing is kept, or no coordinator runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_for: Option<String>,
    /// The lines with which it gets what is kept, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

fn is_granted_state(entry: &InstanceEntry) -> bool {
    entry.component.as_ref().is_some_and(|component| component.grant.state.is_some())
}

impl KeptStates {
    /// Asks the coordinator of this configuration, if an instance is granted state and the coordinator runs.
    pub(super) async fn ask(context: &Context, config: &CoordinatorFile) -> Self {
        if !config.instances.values().any(is_granted_state) {
            return Self::default();
        }
        let Ok((socket, peer)) = context.control_socket(None) else { return Self::default() };
        let client = ControlClient::new(&socket, peer);
        let status = client.status(StatusQuery::default());
        let Ok(Ok(status)) = tokio::time::timeout(PATIENCE, status).await else { return Self::default() };
        let kept = status.instances.into_iter();
        Self(kept.filter_map(|it| Some((it.name, it.kept_state?.identity.parse().ok()?))).collect())
    }
}

impl StateJson {
    /// `None` if it is granted no state.
    pub(super) fn check(
        entry: &InstanceEntry,
        instance: &Instance,
        component: Digest,
        kept: &KeptStates,
    ) -> Option<Self> {
        let grant = instance.grant.state.as_ref()?;
        let identity = state_identity(entry, component)?;
        let kept_for = kept.0.get(instance.name.as_str()).copied();
        let denial: Option<PolicyDenial> = kept_for.and_then(|kept_for| grant.permit(kept_for, identity).err());
        Some(Self {
            identity: identity.to_string(),
            kept_for: kept_for.map(|kept_for| kept_for.to_string()),
            fix: denial.and_then(|denial| denial.fix(Principal::Instance(instance))),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const COMPONENT: Digest = Digest::new([1; 32]);

    fn config(state: &str) -> CoordinatorFile {
        let text = format!("[instances.login]\ncomponent = \"a.wasm\"\n{state}");
        CoordinatorFile::parse(&text, Path::new("deputy.toml")).unwrap()
    }

    /// What `check` finds out where state is kept for this identity.
    fn checked(config: &CoordinatorFile, kept_for: Option<StateIdentity>) -> Option<StateJson> {
        let kept = KeptStates(kept_for.map(|kept_for| ("login".to_owned(), kept_for)).into_iter().collect());
        let entry = config.instances.values().next().unwrap();
        StateJson::check(entry, entry.component.as_ref().unwrap(), COMPONENT, &kept)
    }

    fn own(config: &CoordinatorFile) -> StateIdentity {
        checked(config, None).unwrap().identity.parse().unwrap()
    }

    #[test]
    fn kept_state_of_the_instance_itself_is_no_warning() {
        let config = config("state = {}");
        let checked_without = checked(&config, None).unwrap();
        assert_eq!((checked_without.kept_for, checked_without.fix), (None, None));
        let own = own(&config);
        let checked = checked(&config, Some(own)).unwrap();
        assert_eq!((checked.kept_for, checked.fix), (Some(own.to_string()), None));
    }

    #[test]
    fn kept_state_of_another_comes_with_the_lines_that_inherit_it() {
        let other = StateIdentity::new(Digest::new([7; 32]));
        let warned = checked(&config("state = {}"), Some(other)).unwrap();
        let fix = warned.fix.unwrap();
        assert!(fix.contains(&format!("[instances.login.state]\ninherit = \"{other}\"")), "{fix}");
        let config = config(&format!("state = {{ inherit = \"{other}\" }}"));
        assert_eq!(checked(&config, Some(other)).unwrap().fix, None, "the lines are there");
        let third = StateIdentity::new(Digest::new([9; 32]));
        assert!(checked(&config, Some(third)).unwrap().fix.is_some(), "they name another one");
    }

    #[test]
    fn kept_state_is_not_asked_for_without_a_grant() {
        assert!(checked(&config(""), Some(StateIdentity::new(Digest::new([7; 32])))).is_none());
    }
}
