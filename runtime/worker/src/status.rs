//! What a worker holds, what it applied, and why not, for people and programs. Never a payload.

use std::collections::BTreeMap;

use deputy_core::time::Now;
use deputy_core::{InstanceName, ReceiverName, Timestamp};
use deputy_local::{FailureStatus, SCHEMA, signed_millis};
use deputy_metrics::{DeliveryMetrics, WorkerSnapshot};
use serde::{Deserialize, Serialize};

use crate::connection::{ConnectionPhase, ConnectionSnapshot};
use crate::receiver_policy::{ReceiverPolicies, ReceiverPolicy};
use crate::receiver_runner::ReceiverRunner;
use crate::reconciler::{Absence, DeliverySnapshot, ReceiverActivity, ReceiverSnapshot, Reconciler};

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// The version of this form. It grows when a field goes or changes its meaning.
    pub schema: u32,
    /// The program's version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// When it began, RFC 3339.
    pub since: String,
    /// When this was so, RFC 3339.
    pub now: String,
    /// Who it is, and how its link is.
    pub connection: ConnectionStatus,
    /// Whether all that the coordinator has for it is there, now or from before.
    pub complete: bool,
    /// Whether a lease of every instance that is needed is there and none has ended, every receiver is there and has applied
    /// what is held, and the worker is one that the coordinator lets in: else nothing newer will come.
    pub ready: bool,
    /// Instances that are needed, and of which there is no lease.
    #[serde(default)]
    pub absent: Vec<AbsentStatus>,
    /// What of the configuration has no effect, each in a sentence.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Whether the coordinator has said that the group of this worker gets no instance.
    #[serde(default)]
    pub group_is_empty: bool,
    /// Each delivery, by its instance.
    pub instances: Vec<DeliveryStatus>,
    /// Each receiver, by name.
    pub receivers: Vec<ReceiverStatus>,
    /// Receivers of its group that the coordinator can't load at the moment, and of which there is nothing from before.
    pub missing: Vec<String>,
}

/// An instance of which there is no lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AbsentStatus {
    /// Its name.
    pub name: String,
    /// `no-lease` or `not-delivered`.
    pub reason: String,
    /// The same for people, with what mends it.
    pub message: String,
}

/// The link to the coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Which worker.
    pub worker: String,
    /// Of which group.
    pub group: String,
    /// Where the coordinator is.
    pub coordinator: String,
    /// `connected`, `connecting` or `out`.
    pub state: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// When the coordinator was last heard of, RFC 3339.
    pub last_contact: Option<String>,
    /// How long ago that was, in milliseconds.
    pub last_contact_age_ms: Option<u64>,
    /// Why the last connection ended or did not begin.
    pub error: Option<String>,
    /// When the worker's certificate ends, RFC 3339.
    pub certificate_ends: Option<String>,
    /// What the coordinator refused.
    pub refused: Vec<String>,
}

/// What is held of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryStatus {
    /// Its name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// The number of the lease.
    pub revision: u64,
    /// When it was obtained, RFC 3339.
    pub obtained_at: String,
    /// When it ends, RFC 3339.
    pub valid_until: String,
    /// How long that is from now, in milliseconds; negative if it ended.
    pub valid_for_ms: i64,
    /// When it came to this process, RFC 3339.
    pub received_at: String,
    /// How long ago that was, in milliseconds.
    pub age_ms: u64,
    /// How long the payload is.
    pub bytes: usize,
    /// `applied`, `pending` or `failed`.
    pub state: String,
    /// Why it is not applied, if somebody knows.
    pub reason: Option<String>,
}

/// One receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceiverStatus {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its component, if it is bound.
    pub component: Option<String>,
    /// Whose deliveries it gets.
    pub instances: Vec<String>,
    /// `applied`, `applying`, `nothing`, `leaving`, `retrying` or `waiting`.
    pub state: String,
    /// Whether the workload has what it should have of it.
    pub ready: bool,
    /// What is wrong with it.
    #[serde(default)]
    pub reason: Option<String>,
    /// Where the workload looks.
    pub path: String,
    /// What is there, as far as this process knows.
    pub unit: Option<UnitStatus>,
    /// Runs that failed since the last that did not.
    pub failures: u32,
    /// The last failure.
    pub trouble: Option<FailureStatus>,
    /// When it is tried again, in milliseconds from now.
    pub retry_in_ms: Option<u64>,
    /// How the workload was last told, if it has a hook that ran.
    pub hook: Option<HookStatus>,
}

/// What is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitStatus {
    /// Its number.
    pub number: u64,
    /// When it was published, RFC 3339.
    pub published_at: Option<String>,
    /// Its files.
    pub files: Vec<String>,
}

/// How the workload was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HookStatus {
    /// Whether it is being told just now.
    pub running: bool,
    /// When that last ended, RFC 3339.
    pub at: Option<String>,
    /// What went wrong then.
    pub error: Option<String>,
    /// Times that it failed in a row.
    #[serde(default)]
    pub failures: u32,
    /// When it is tried again, in milliseconds from now.
    #[serde(default)]
    pub retry_in_ms: Option<u64>,
}

impl WorkerReport {
    pub(crate) fn of(
        machine: &Reconciler,
        plans: &ReceiverPolicies,
        seats: &BTreeMap<ReceiverName, ReceiverRunner>,
        connection: &ConnectionSnapshot,
        since: Timestamp,
        now: Now,
    ) -> Self {
        let instances: Vec<_> = machine.instances().map(|view| DeliveryStatus::of(&view, now)).collect();
        let receivers: Vec<_> = machine
            .receivers(now)
            .map(|view| ReceiverStatus::of(&view, plans.plan(view.name), seats.get(view.name), now))
            .collect();
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since: since.to_string(),
            now: now.wall.to_string(),
            connection: ConnectionStatus::of(connection, now),
            complete: machine.is_complete(),
            ready: is_ready(machine, seats, connection, now),
            absent: machine.absent().into_iter().map(|(name, why)| AbsentStatus::of(name, &why)).collect(),
            warnings: machine.unknown_receivers().map(unknown_receiver).collect(),
            group_is_empty: machine.is_for_nothing(),
            instances,
            receivers,
            missing: machine.missing().map(ToString::to_string).collect(),
        }
    }

    /// The same for the metrics.
    pub(crate) fn snapshot(
        machine: &Reconciler,
        seats: &BTreeMap<ReceiverName, ReceiverRunner>,
        connection: &ConnectionSnapshot,
        now: Now,
    ) -> WorkerSnapshot {
        let delivery = |view: DeliverySnapshot<'_>| DeliveryMetrics {
            instance: view.delivery.instance.to_string(),
            service: view.delivery.service.to_string(),
            expiry: view.delivery.valid_until.as_secs(),
            revision: view.delivery.stamp.revision.0,
            applied: matches!(view.applied, Some(Ok(()))).then_some(view.delivery.stamp.revision.0),
        };
        WorkerSnapshot {
            connected: (connection.phase == ConnectionPhase::Connected).into(),
            contact_age: connection.heard.map(|heard| now.wall.since(heard).as_millis() / 1000),
            ready: is_ready(machine, seats, connection, now).into(),
            deliveries: machine.instances().map(delivery).collect(),
            failures: machine.receivers(now).map(|view| (view.name.to_string(), view.failures)).collect(),
        }
    }
}

fn is_ready(
    machine: &Reconciler,
    seats: &BTreeMap<ReceiverName, ReceiverRunner>,
    connection: &ConnectionSnapshot,
    now: Now,
) -> bool {
    let is_good = machine.instances().all(|view| view.delivery.is_valid(now.wall));
    let is_let_in = connection.phase != ConnectionPhase::Out;
    let is_there = machine.is_complete() && machine.missing().next().is_none();
    let has_all = machine.absent().is_empty() && !machine.is_for_nothing();
    let answers = |view: &ReceiverSnapshot<'_>| seats.get(view.name).is_none_or(|seat| seat.hangs(now.mono).is_none());
    let receives = machine.receivers(now).all(|view| view.is_ready() && answers(&view));
    is_let_in && is_there && has_all && is_good && receives
}

fn unknown_receiver(name: &ReceiverName) -> String {
    format!("[receivers.{name}] has no effect: neither the coordinator nor this worker has a receiver of this name")
}

impl AbsentStatus {
    fn of(name: &InstanceName, absence: &Absence) -> Self {
        Self { name: name.to_string(), reason: absence.code().to_owned(), message: absence.to_string() }
    }
}

impl ConnectionStatus {
    fn of(connection: &ConnectionSnapshot, now: Now) -> Self {
        Self {
            worker: connection.worker.clone(),
            group: connection.group.clone(),
            coordinator: connection.coordinator.clone(),
            state: connection.phase.word().to_owned(),
            since: connection.since.to_string(),
            last_contact: connection.heard.map(|heard| heard.to_string()),
            last_contact_age_ms: connection.heard.map(|heard| now.wall.since(heard).as_millis()),
            error: connection.error.clone(),
            certificate_ends: connection.certificate_ends.map(|ends| ends.to_string()),
            refused: connection.refused.clone(),
        }
    }
}

impl DeliveryStatus {
    fn of(view: &DeliverySnapshot<'_>, now: Now) -> Self {
        let delivery = view.delivery;
        let (state, reason) = match &view.applied {
            Some(Ok(())) => ("applied", None),
            Some(Err(why)) => ("failed", Some(why.clone())),
            None => ("pending", None),
        };
        Self {
            name: delivery.instance.to_string(),
            service: delivery.service.to_string(),
            revision: delivery.stamp.revision.0,
            obtained_at: delivery.stamp.obtained_at.to_string(),
            valid_until: delivery.valid_until.to_string(),
            valid_for_ms: signed_millis(now.wall, delivery.valid_until),
            received_at: view.received.to_string(),
            age_ms: now.wall.since(view.received).as_millis(),
            bytes: delivery.payload.len(),
            state: state.to_owned(),
            reason,
        }
    }
}

impl ReceiverStatus {
    fn of(view: &ReceiverSnapshot<'_>, plan: &ReceiverPolicy, seat: Option<&ReceiverRunner>, now: Now) -> Self {
        let hangs = seat.and_then(|seat| seat.hangs(now.mono)).map(|span| {
            let folder = plan.directory.display();
            format!("{folder} has not answered for {span}: does its file system hang?")
        });
        let unit = view.published.and_then(|published| {
            let number = published.unit?.number();
            let files = seat.map(ReceiverRunner::files).unwrap_or_default();
            Some(UnitStatus { number, published_at: published.since.map(|since| since.to_string()), files })
        });
        let hook = (view.is_telling || view.told.is_some()).then(|| HookStatus {
            running: view.is_telling,
            at: view.told.map(|(at, _)| at.to_string()),
            error: view.told.and_then(|(_, result)| result.as_ref().err().cloned()),
            failures: view.retelling.map_or(0, |(failures, _)| failures),
            retry_in_ms: view.retelling.filter(|_| !view.is_telling).map(|(_, wait)| wait.as_millis()),
        });
        Self {
            name: view.name.to_string(),
            component: view.binding.map(|binding| binding.component.to_string()),
            instances: view.binding.iter().flat_map(|it| &it.instances).map(ToString::to_string).collect(),
            state: word(view.doing).to_owned(),
            ready: view.is_ready() && hangs.is_none(),
            reason: hangs.or_else(|| view.reason()),
            path: plan.directory.join(view.name.as_str()).display().to_string(),
            unit,
            failures: view.failures,
            trouble: view.trouble.map(FailureStatus::from),
            retry_in_ms: match view.doing {
                ReceiverActivity::Retrying(wait) => Some(wait.as_millis()),
                _ => None,
            },
            hook,
        }
    }
}

fn word(doing: ReceiverActivity) -> &'static str {
    match doing {
        ReceiverActivity::Applied => "applied",
        ReceiverActivity::Applying(_) => "applying",
        ReceiverActivity::Leaving => "leaving",
        ReceiverActivity::Nothing => "nothing",
        ReceiverActivity::Retrying(_) => "retrying",
        ReceiverActivity::Waiting => "waiting",
    }
}
