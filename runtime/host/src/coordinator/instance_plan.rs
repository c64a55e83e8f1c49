//! From an instance's configuration to its plan in the schedule: which upstream its calls count against, which account they
//! use, and the fingerprint whose change replaces its lease.

use std::collections::BTreeSet;

use deputy_config::InstanceEntry;
use deputy_core::schedule::{ConfigFingerprint, InstancePlan, OptionalExports, UpstreamAccount, UpstreamName};
use deputy_core::{Digest, PayloadKind, SecretSource, ServiceName};
use deputy_support::sha256;

/// What is known of an instance's component.
#[derive(Default)]
pub(crate) struct ComponentFacts {
    pub(crate) service: Option<ServiceName>,
    pub(crate) kinds: BTreeSet<PayloadKind>,
    pub(crate) exports: Option<OptionalExports>,
    pub(crate) digest: Option<Digest>,
}

pub(crate) fn instance_plan(entry: &InstanceEntry, component: ComponentFacts) -> InstancePlan {
    let fingerprint = first_half(sha256(entry.canonical(component.digest).as_bytes()));
    InstancePlan {
        policy: entry.policy.clone(),
        upstream: entry.upstream.clone().unwrap_or_else(|| derived_upstream(entry, &component)),
        account: account(entry),
        fingerprint: ConfigFingerprint(fingerprint),
        keeps_state: entry.component.as_ref().is_some_and(|instance| instance.grant.state.is_some()),
        file_kind: entry.kind.clone().or_else(|| only(&component.kinds)),
        service: component.service,
        component: component.exports,
    }
}

/// The kind of what a file holds, where the configuration does not say: that of the component, if it has one kind.
fn only(kinds: &BTreeSet<PayloadKind>) -> Option<PayloadKind> {
    if kinds.len() == 1 { kinds.first().cloned() } else { None }
}

/// Instances with the same secrets are taken to use the same account. The sources count, not the values, which are read only
/// when they are used.
fn account(entry: &InstanceEntry) -> Option<UpstreamAccount> {
    let sources: BTreeSet<String> = entry.component.as_ref()?.sources.values().map(source_text).collect();
    if sources.is_empty() {
        return None;
    }
    let sources: Vec<String> = sources.into_iter().collect();
    Some(UpstreamAccount(first_half(sha256(sources.join("\n").as_bytes()))))
}

fn first_half(digest: Digest) -> [u8; 16] {
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}

fn source_text(source: &SecretSource) -> String {
    let place = match source {
        SecretSource::Command(command) => format!("{command:?}"),
        SecretSource::Credential(name) | SecretSource::Environment(name) => name.clone(),
        SecretSource::File(path) => path.display().to_string(),
    };
    format!("{} {place}", source.kind())
}

/// A service at the endpoints that are granted. The digest is part of the name: a component's claims about its service, and
/// the delays that it asks for, affect no other component.
fn derived_upstream(entry: &InstanceEntry, component: &ComponentFacts) -> UpstreamName {
    let mut endpoints = BTreeSet::new();
    if let Some(instance) = &entry.component {
        endpoints.extend(instance.grant.http.iter().map(|rule| rule.pattern.to_string()));
        endpoints.extend(instance.grant.tcp.iter().map(ToString::to_string));
    }
    let endpoints: Vec<String> = endpoints.into_iter().collect();
    let digest: String =
        component.digest.iter().flat_map(|digest| digest.to_string().chars().take(8).collect::<Vec<_>>()).collect();
    let service = component.service.as_ref().map_or_else(|| entry.name.to_string(), ToString::to_string);
    UpstreamName::derived(&format!("{service} {digest}"), &endpoints.join(" "))
}
