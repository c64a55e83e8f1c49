//! What a page shows: parts of the coordinator's status, named one by one, so that nothing else gets there.

use deputy_coordinator::status::{CoordinatorStatus, InstanceStatus};
use deputy_coordinator::{AppliedStatus, Attention, GroupCount, WorkerPage, WorkerStatus};
use deputy_core::{GroupName, excerpt};
use serde::Serialize;

use crate::query::{MAX_ROWS, PageQuery};

/// Deliveries of a worker's row; the others are counted.
const MAX_APPLIED: usize = 8;

/// Groups that are listed.
const MAX_GROUPS: usize = 200;

/// Characters of a text that a component or a worker chose.
const MAX_WORDS: usize = 500;

#[derive(Serialize)]
pub(crate) struct View {
    pub(crate) coordinator: CoordinatorRow,
    pub(crate) instances: InstanceTable,
    /// `None` if the coordinator serves no workers.
    pub(crate) workers: Option<WorkerTable>,
}

#[derive(Clone, Serialize)]
pub(crate) struct CoordinatorRow {
    version: String,
    since: String,
    starting: bool,
    ready: bool,
    instances: usize,
    ready_instances: usize,
    /// Why the audit log cannot be written.
    pub(crate) audit_trouble: Option<String>,
    pub(crate) audit_lost: u64,
}

#[derive(Serialize)]
pub(crate) struct InstanceTable {
    /// How many are selected.
    selected: usize,
    skip: usize,
    rows: Vec<InstanceRow>,
}

/// An instance, never its payload.
#[derive(Clone, Serialize)]
pub(crate) struct InstanceRow {
    name: String,
    service: Option<String>,
    attention: Attention,
    state: String,
    reason: String,
    revision: Option<u64>,
    obtained: Option<String>,
    /// RFC 3339, or `never`.
    until: Option<String>,
    next: Option<String>,
    workers: u32,
    failures: u32,
    failure: Option<FailureRow>,
    /// What else is wrong: a file, or the store.
    trouble: Option<String>,
}

#[derive(Clone, Serialize)]
struct FailureRow {
    kind: String,
    message: String,
    code: Option<String>,
    at: String,
}

#[derive(Serialize)]
pub(crate) struct WorkerTable {
    groups: Vec<GroupRow>,
    rows: Vec<WorkerRow>,
    /// The value of `after` for the next page.
    next: Option<String>,
}

#[derive(Clone, Serialize)]
pub(crate) struct GroupRow {
    name: String,
    #[serde(flatten)]
    count: GroupCount,
}

#[derive(Serialize)]
struct WorkerRow {
    id: String,
    group: String,
    attention: Attention,
    state: &'static str,
    host: Option<String>,
    version: Option<String>,
    /// First those that need attention.
    applied: Vec<AppliedRow>,
    /// Deliveries that are not listed.
    more: usize,
}

#[derive(Serialize)]
struct AppliedRow {
    instance: String,
    attention: Attention,
    revision: Option<u64>,
    newest: Option<u64>,
    obtained: Option<String>,
    failure: Option<String>,
}

impl CoordinatorRow {
    pub(crate) fn of(status: &CoordinatorStatus) -> Self {
        Self {
            version: status.version.clone(),
            since: status.since.clone(),
            starting: status.starting,
            ready: status.ready,
            instances: status.instance_count,
            ready_instances: status.ready_count,
            audit_trouble: None,
            audit_lost: 0,
        }
    }
}

impl InstanceRow {
    pub(crate) fn of(instance: InstanceStatus) -> Self {
        let attention = Attention::of_instance(&instance);
        let lease = instance.lease;
        Self {
            attention,
            name: instance.name,
            service: instance.service,
            state: instance.state,
            reason: excerpt(&instance.reason, MAX_WORDS),
            revision: lease.as_ref().map(|lease| lease.revision),
            obtained: lease.as_ref().map(|lease| lease.obtained_at.clone()),
            until: lease.map(|lease| lease.valid_until),
            next: instance.next,
            workers: instance.users,
            failures: instance.failures,
            failure: instance.trouble.map(|failure| FailureRow {
                kind: failure.kind,
                message: excerpt(&failure.message, MAX_WORDS),
                code: failure.code,
                at: failure.at,
            }),
            trouble: instance.file_trouble.or(instance.unsaved).map(|text| excerpt(&text, MAX_WORDS)),
        }
    }

    fn is_selected(&self, query: &PageQuery) -> bool {
        let is_named =
            || self.name.contains(&query.name) || self.service.as_ref().is_some_and(|name| name.contains(&query.name));
        (!query.attention || self.attention < Attention::Busy) && is_named()
    }

    /// What needs no attention is in the order of names, so that a row stays where it is while it works.
    pub(crate) fn order(&self) -> (Attention, &str) {
        (self.attention.min(Attention::Busy), &self.name)
    }
}

impl InstanceTable {
    /// `all` is in the order in which it is shown.
    pub(crate) fn of(all: &[InstanceRow], query: &PageQuery) -> Self {
        let selected: Vec<_> = all.iter().filter(|row| row.is_selected(query)).collect();
        let rows = selected.iter().skip(query.skip).take(MAX_ROWS).map(|row| (*row).clone()).collect();
        Self { selected: selected.len(), skip: query.skip, rows }
    }
}

impl WorkerTable {
    pub(crate) fn of(groups: Vec<GroupRow>, page: WorkerPage) -> Self {
        let rows = page.workers.into_iter().map(WorkerRow::of).collect();
        Self { groups, rows, next: page.next.map(|next| next.to_string()) }
    }
}

impl GroupRow {
    pub(crate) fn all(counts: impl IntoIterator<Item = (GroupName, GroupCount)>) -> Vec<Self> {
        let rows = counts.into_iter().map(|(name, count)| Self { name: name.to_string(), count });
        rows.take(MAX_GROUPS).collect()
    }
}

impl WorkerRow {
    fn of(worker: WorkerStatus) -> Self {
        let attention = Attention::of_worker(&worker);
        let state = worker.condition().word();
        let mut applied: Vec<_> = worker.applied.into_iter().map(AppliedRow::of).collect();
        applied.sort_by_key(|row| row.attention);
        let more = applied.len().saturating_sub(MAX_APPLIED);
        applied.truncate(MAX_APPLIED);
        Self {
            id: worker.id,
            group: worker.group,
            attention,
            state,
            host: worker.host,
            version: worker.version,
            applied,
            more,
        }
    }
}

impl AppliedRow {
    fn of(applied: AppliedStatus) -> Self {
        Self {
            attention: Attention::of_applied(&applied),
            instance: applied.instance,
            revision: applied.revision,
            newest: applied.newest,
            obtained: applied.obtained_at,
            failure: applied.failure.map(|failure| excerpt(&failure, MAX_WORDS)),
        }
    }
}

#[cfg(test)]
mod tests;
