//! Whether an instance would get the state that is kept for it.

use std::collections::BTreeMap;
use std::time::Duration;

use deputy_config::{CoordinatorFile, InstanceEntry};
use deputy_coordinator::ControlClient;
use deputy_coordinator::status::StatusQuery;
use deputy_core::{Digest, Instance, InstanceName, PolicyDenial, Principal, StateIdentity, in_one_line};
use deputy_host::state::StateDirectory;
use deputy_host::state_identity;
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::error::CommandError;

/// How long a coordinator, and the state directory, may take to answer. The rest of the check does not depend on it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Who saved the state of each instance, or why that is not known.
#[derive(Default)]
pub(super) struct KeptStates(BTreeMap<String, Result<StateIdentity, String>>);

/// The state of an instance that is granted it.
#[derive(Serialize, JsonSchema)]
pub(super) struct StateJson {
    identity: String,
    /// Who saved what is kept; absent if nothing is kept, or that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_for: Option<String>,
    /// Why it is not known whether state is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unknown: Option<String>,
    /// The lines with which it gets what is kept, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

fn is_granted_state(entry: &InstanceEntry) -> bool {
    entry.component.as_ref().is_some_and(|component| component.grant.state.is_some())
}

impl KeptStates {
    /// What a running coordinator says, or else the sealed records in the state directory.
    pub(super) async fn find(context: &Context, config: &CoordinatorFile) -> Self {
        let granted = config.instances.values().filter(|entry| is_granted_state(entry));
        let granted: Vec<InstanceName> = granted.map(|entry| entry.name.clone()).collect();
        if granted.is_empty() {
            return Self::default();
        }
        if let Some(known) = Self::of_coordinator(context).await {
            return known;
        }
        let kept = match tokio::time::timeout(ANSWER_TIMEOUT, Self::of_directory(context, config, &granted)).await {
            Ok(kept) => kept.map_err(|error| reason(&error)),
            Err(_) => Err("the state directory does not answer".to_owned()),
        };
        kept.unwrap_or_else(|why| Self(granted.iter().map(|name| (name.to_string(), Err(why.clone()))).collect()))
    }

    /// `None` if none runs here.
    async fn of_coordinator(context: &Context) -> Option<Self> {
        let (socket, peer) = context.control_socket(None).ok()?;
        let client = ControlClient::new(&socket, peer);
        let status = client.status(StatusQuery::default());
        let status = tokio::time::timeout(ANSWER_TIMEOUT, status).await.ok()?.ok()?;
        let kept = status.instances.into_iter();
        Some(Self(kept.filter_map(|it| Some((it.name, Ok(it.kept_state?.identity.parse().ok()?)))).collect()))
    }

    async fn of_directory(
        context: &Context,
        config: &CoordinatorFile,
        granted: &[InstanceName],
    ) -> Result<Self, CommandError> {
        let state = StateDirectory {
            path: context.state_dir(Some(config))?,
            key: config.coordinator.key.clone(),
            etcd: config.coordinator.store.clone(),
            platform: context.platform()?,
        };
        let owners = state.kept_state_owners(granted).await?.into_iter();
        let known = owners.filter_map(|(name, owner)| {
            let owner = owner.map_err(|error| in_one_line(&error)).transpose()?;
            Some((name.to_string(), owner))
        });
        Ok(Self(known.collect()))
    }
}

fn reason(error: &CommandError) -> String {
    let error = error.json();
    std::iter::once(error.message).chain(error.causes).collect::<Vec<_>>().join(": ")
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
        let kept = kept.0.get(instance.name.as_str());
        let kept_for = kept.and_then(|kept| kept.as_ref().ok()).copied();
        let denial: Option<PolicyDenial> = kept_for.and_then(|kept_for| grant.permit(kept_for, identity).err());
        Some(Self {
            identity: identity.to_string(),
            kept_for: kept_for.map(|kept_for| kept_for.to_string()),
            unknown: kept.and_then(|kept| kept.as_ref().err()).cloned(),
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
        let kept = KeptStates(kept_for.map(|kept_for| ("login".to_owned(), Ok(kept_for))).into_iter().collect());
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
    fn kept_state_that_cannot_be_read_is_said_to_be_unknown() {
        let config = config("state = {}");
        let kept = KeptStates([("login".to_owned(), Err("the key does not fit".to_owned()))].into());
        let entry = config.instances.values().next().unwrap();
        let checked = StateJson::check(entry, entry.component.as_ref().unwrap(), COMPONENT, &kept).unwrap();
        assert_eq!((checked.kept_for, checked.fix), (None, None));
        assert_eq!(checked.unknown.as_deref(), Some("the key does not fit"));
    }

    #[test]
    fn kept_state_is_not_asked_for_without_a_grant() {
        assert!(checked(&config(""), Some(StateIdentity::new(Digest::new([7; 32])))).is_none());
    }
}
