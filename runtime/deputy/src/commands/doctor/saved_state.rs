//! The state: the members of etcd that keep it, if it is there, and whether the configured master key opens it.

use deputy_config::{CoordinatorFile, EtcdSection};
use deputy_core::{SecretSource, in_one_line};
use deputy_host::ProcessError;
use deputy_host::state::{StateDirectory, ask_etcd_members, check_etcd_client_certificate};
use deputy_store::{KeyFit, MasterKey, MasterKeyError, StoreError};

use super::finding::{FindingJson, Health};
use crate::context::Context;
use crate::error::{CommandError, etcd_hint};

/// Whether each member answers and the master key fits, and what fixes that they do not.
pub(in crate::commands) async fn check(
    context: &Context,
    config: &CoordinatorFile,
) -> Result<Vec<FindingJson>, CommandError> {
    let state = StateDirectory {
        path: context.state_dir(Some(config))?,
        key: config.coordinator.key.clone(),
        etcd: config.coordinator.store.clone(),
        platform: context.platform()?,
    };
    let (mut findings, is_readable) = match &state.etcd {
        Some(etcd) => members(etcd, &state).await,
        None => (Vec::new(), true),
    };
    match state.configured_key().await {
        Ok(Some(key)) if is_readable => findings.extend(fit(&state, key).await),
        Ok(Some(_)) => findings.push(FindingJson::new(
            "key",
            "",
            Health::Ok,
            "the master key can be read; etcd does not answer, so whether it fits is not known",
        )),
        Ok(None) => {}
        Err(error) => findings.extend(unreadable(&state, error)),
    }
    Ok(findings)
}

/// Also returns whether one of them answers.
async fn members(etcd: &EtcdSection, state: &StateDirectory) -> (Vec<FindingJson>, bool) {
    let members = match ask_etcd_members(etcd, &state.platform).await {
        Ok(members) => members,
        Err(error) => return (vec![FindingJson::of_error("etcd", Health::Failed, error.into())], false),
    };
    let has_answer = members.iter().any(|(_, answer)| answer.is_ok());
    // Deputy uses another member meanwhile, and an etcd that asks for no certificate does not look at one.
    let health = if has_answer { Health::Warning } else { Health::Failed };
    let certificate = check_etcd_client_certificate(etcd).await.err();
    let certificate = certificate.map(|error| FindingJson::of_error("etcd", health, error.into()));
    let answers = members.into_iter().map(|(member, answer)| {
        let member = member.to_string();
        match answer {
            Ok(()) => FindingJson::new("etcd", member, Health::Ok, "answers, and etcd has a quorum"),
            Err(error) => FindingJson::new("etcd", member, health, in_one_line(&error)).fix(etcd_hint(&error)),
        }
    });
    (certificate.into_iter().chain(answers).collect(), has_answer)
}

/// `None` if the state directory is closed to this user, which its own line says.
async fn fit(state: &StateDirectory, key: MasterKey) -> Option<FindingJson> {
    let text = match (state.check_key(key).await, &state.etcd) {
        (Ok(KeyFit::Fits), Some(_)) => "the master key opens the state in etcd",
        (Ok(KeyFit::NoState), Some(_)) => "the master key can be used; there is no state in etcd yet",
        (Ok(KeyFit::Fits), None) => "the master key opens the state",
        (Ok(KeyFit::NoState), None) => "the master key can be used; there is no state yet",
        (Err(ProcessError::State(StoreError::File(_))), _) => return None,
        (Err(error), _) => return Some(FindingJson::of_error("key", Health::Failed, error.into())),
    };
    Some(FindingJson::new("key", "", Health::Ok, text))
}

/// `None` for a file, whose own line says why it cannot be read.
fn unreadable(state: &StateDirectory, error: ProcessError) -> Option<FindingJson> {
    let health = match (&error, &state.key) {
        (ProcessError::MasterKey(MasterKeyError::Source(_)), Some(source)) => match source {
            SecretSource::File(_) => return None,
            // The service has them, and a command beside it may not.
            SecretSource::Credential(_) | SecretSource::Environment(_) => Health::Note,
            SecretSource::Command(_) => Health::Warning,
        },
        _ => Health::Failed,
    };
    Some(FindingJson::of_error("key", health, error.into()))
}
