//! What the coordinator holds and why, for people and programs. Never a payload.

use deputy_core::schedule::{InstanceActivity, InstanceSnapshot, Lease, Readiness, UpstreamSnapshot};
use deputy_core::time::Now;
use deputy_core::{InstanceName, ServiceName, Span, Timestamp};
use deputy_local::{FailureStatus, signed_millis};
use deputy_metrics::LeaseMetrics;
use serde::{Deserialize, Serialize};

use crate::file_watcher::FileObservation;

/// The state of an instance whose component is being loaded.
const LOADING: &str = "loading";

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoordinatorStatus {
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
    /// Whether the first configuration is still being prepared: then no instance is shown.
    pub starting: bool,
    /// Whether all instances are ready.
    pub ready: bool,
    /// Each of them, by name.
    pub instances: Vec<InstanceStatus>,
    /// Each upstream that was called or waited for.
    pub upstreams: Vec<UpstreamStatus>,
    /// Instances that are not configured and whose lease is kept sealed for a while.
    #[serde(default)]
    pub orphans: Vec<OrphanStatus>,
}

/// An instance that is not configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrphanStatus {
    /// Its name.
    pub name: String,
    /// For how long its lease is kept, in milliseconds.
    pub kept_for_ms: u64,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Its name.
    pub name: String,
    /// Its service, if the component told.
    pub service: Option<String>,
    /// Whether those who need its lease can have it.
    pub ready: bool,
    /// Why not, or what goes on, in a sentence's half.
    pub reason: String,
    /// What goes on, in a word.
    pub state: String,
    /// The lease that is given out.
    pub lease: Option<LeaseStatus>,
    /// When it is obtained or renewed next, RFC 3339.
    pub next: Option<String>,
    /// How long that is from now, in milliseconds; negative if it is past, and something else has to end first.
    pub next_in_ms: Option<i64>,
    /// When a call last brought something, RFC 3339.
    pub last_success: Option<String>,
    /// Calls that failed since.
    pub failures: u32,
    /// The last failure.
    pub trouble: Option<FailureStatus>,
    /// Why the instance's file brings nothing, if it has one.
    pub file_trouble: Option<String>,
    /// Why the lease that is given out is not saved: a restart would lose it.
    pub unsaved: Option<String>,
    /// Leases that wait to be revoked.
    pub to_revoke: usize,
    /// What was not revoked although it should have been, since the start.
    pub not_revoked: Option<NotRevokedStatus>,
    /// How many use it.
    pub users: u32,
    /// Whose budget its calls count for.
    pub upstream: String,
    /// Whether it has a component.
    pub component: bool,
    /// Whether that can renew.
    pub renews: bool,
    /// Whether that can revoke.
    pub revokes: bool,
}

/// A lease, without what it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeaseStatus {
    /// Its number.
    pub revision: u64,
    /// When it was obtained, RFC 3339.
    pub obtained_at: String,
    /// When it ends, RFC 3339.
    pub valid_until: String,
    /// How long that is from now, in milliseconds; negative if it ended.
    pub valid_for_ms: i64,
    /// `component` or `file`.
    pub origin: String,
    /// How long the payload is.
    pub bytes: usize,
}

/// Leases that were not revoked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotRevokedStatus {
    /// How many.
    pub count: u32,
    /// The last one's number.
    pub revision: u64,
    /// `ended`, `reconfigured` or `unable`.
    pub reason: String,
    /// The same in words.
    pub message: String,
    /// When that was decided, RFC 3339.
    pub at: String,
}

/// One upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpstreamStatus {
    /// Its name.
    pub name: String,
    /// How many instances wait for it.
    pub waiting: usize,
    /// How many calls had to wait for its budget, since the start.
    pub waits: u64,
    /// How long nobody is called who does, in milliseconds.
    pub blocked_for_ms: Option<u64>,
}

impl InstanceStatus {
    pub(crate) fn of(view: &InstanceSnapshot<'_>, look: Option<&FileObservation>, now: Now) -> Self {
        let file_trouble = look.and_then(|look| file_trouble(look, now));
        let ready = matches!(view.readiness, Readiness::Ready | Readiness::NotNeeded);
        let abilities = view.plan.component.unwrap_or_default();
        Self {
            name: view.name.to_string(),
            service: view.plan.service.as_ref().map(ServiceName::to_string),
            ready,
            reason: reason(view, file_trouble.as_deref()),
            state: state(&view.doing).to_owned(),
            lease: view.lease.map(|lease| LeaseStatus::of(lease, now)),
            next: view.next.map(|time| time.to_string()),
            next_in_ms: view.next.map(|time| signed_millis(now.wall, time)),
            last_success: view.last_success.map(|time| time.to_string()),
            failures: view.failures,
            trouble: view.trouble.map(FailureStatus::from),
            file_trouble,
            unsaved: view.unsaved.filter(|_| view.given_unsaved).map(str::to_owned),
            to_revoke: view.retired,
            not_revoked: view.abandoned.map(|abandoned| NotRevokedStatus {
                count: abandoned.count,
                revision: abandoned.revision.0,
                reason: abandoned.why.word().to_owned(),
                message: abandoned.why.to_string(),
                at: abandoned.at.to_string(),
            }),
            users: view.users,
            upstream: view.plan.upstream.to_string(),
            component: view.plan.component.is_some(),
            renews: abilities.renews,
            revokes: abilities.revokes,
        }
    }
}

impl InstanceStatus {
    /// One whose component is being loaded, with the lease of an earlier process that is given out meanwhile.
    pub(crate) fn loading(name: &InstanceName, lease: Option<&Lease>, now: Now) -> Self {
        let good = lease.is_some_and(|lease| lease.is_valid(now.wall));
        let held = match lease {
            None => "no lease yet; ",
            Some(_) if good => "",
            Some(_) => "the lease ended; ",
        };
        Self {
            name: name.to_string(),
            service: lease.and_then(|lease| lease.service.as_ref()).map(ServiceName::to_string),
            ready: good,
            reason: format!("{held}its component is being loaded"),
            state: LOADING.to_owned(),
            lease: lease.map(|lease| LeaseStatus::of(lease, now)),
            next: None,
            next_in_ms: None,
            last_success: None,
            failures: 0,
            trouble: None,
            file_trouble: None,
            unsaved: None,
            to_revoke: 0,
            not_revoked: None,
            users: 0,
            upstream: String::new(),
            component: true,
            renews: false,
            revokes: false,
        }
    }

    /// Whether its component is being loaded.
    pub fn is_loading(&self) -> bool {
        self.state == LOADING
    }
}

impl LeaseStatus {
    fn of(lease: &Lease, now: Now) -> Self {
        Self {
            revision: lease.revision.0,
            obtained_at: lease.obtained_at.to_string(),
            valid_until: lease.valid_until.to_string(),
            valid_for_ms: signed_millis(now.wall, lease.valid_until),
            origin: lease.origin.word().to_owned(),
            bytes: lease.payload.len(),
        }
    }
}

impl UpstreamStatus {
    pub(crate) fn of(view: &UpstreamSnapshot<'_>) -> Self {
        Self {
            name: view.name.to_string(),
            waiting: view.waiting,
            waits: view.waits,
            blocked_for_ms: view.blocked_for.map(|span| span.as_millis()),
        }
    }
}

impl OrphanStatus {
    pub(crate) fn of(name: &InstanceName, kept: Span) -> Self {
        Self { name: name.to_string(), kept_for_ms: kept.as_millis() }
    }
}

/// An instance for the metrics.
pub(crate) fn metrics(view: &InstanceSnapshot<'_>, now: Now) -> LeaseMetrics {
    let lease = view.lease;
    LeaseMetrics {
        instance: view.name.to_string(),
        service: view.plan.service.as_ref().map(ServiceName::to_string).unwrap_or_default(),
        expiry: lease.map(|lease| lease.valid_until.as_secs()),
        obtained: lease.map(|lease| lease.obtained_at.as_secs()),
        age: lease.map(|lease| now.wall.since(lease.obtained_at).as_millis() / 1000),
        revision: lease.map(|lease| lease.revision.0),
        last_success: view.last_success.map(Timestamp::as_secs),
        failures: view.failures,
        ready: matches!(view.readiness, Readiness::Ready | Readiness::NotNeeded).into(),
        retired: view.retired,
        unsaved: view.given_unsaved.into(),
    }
}

/// An instance whose component is being loaded, for the metrics.
pub(crate) fn loading_metrics(name: &InstanceName, lease: Option<&Lease>, now: Now) -> LeaseMetrics {
    LeaseMetrics {
        instance: name.to_string(),
        service: lease.and_then(|lease| lease.service.as_ref()).map(ServiceName::to_string).unwrap_or_default(),
        expiry: lease.map(|lease| lease.valid_until.as_secs()),
        obtained: lease.map(|lease| lease.obtained_at.as_secs()),
        age: lease.map(|lease| now.wall.since(lease.obtained_at).as_millis() / 1000),
        revision: lease.map(|lease| lease.revision.0),
        last_success: None,
        failures: 0,
        ready: lease.is_some_and(|lease| lease.is_valid(now.wall)).into(),
        unsaved: 0,
        retired: 0,
    }
}

fn times(failures: u32) -> String {
    if failures == 1 { "once".to_owned() } else { format!("{failures} times in a row") }
}

/// Without milliseconds where there are seconds.
fn rough(span: Span) -> Span {
    if span >= Span::secs(1) { Span::secs(span.as_millis() / 1000) } else { span }
}

fn state(doing: &InstanceActivity) -> &'static str {
    match doing {
        InstanceActivity::Calling("obtain", _) => "obtaining",
        InstanceActivity::Calling("renew", _) => "renewing",
        InstanceActivity::Calling(..) => "revoking",
        InstanceActivity::Holding => "holding",
        InstanceActivity::Leaving => "leaving",
        InstanceActivity::NoFile => "no-file",
        InstanceActivity::NotRequired => "not-required",
        InstanceActivity::Retrying => "retrying",
        InstanceActivity::Saving(_) => "saving",
        InstanceActivity::Unused => "unused",
        InstanceActivity::Waiting(_) => "waiting",
    }
}

fn file_trouble(look: &FileObservation, now: Now) -> Option<String> {
    match look {
        Err(error) => Some(error.clone()),
        Ok(found) if found.valid_until <= now.wall => Some(format!(
            "its file was last written at {}, and what it holds ended at {}",
            found.since, found.valid_until
        )),
        Ok(_) => None,
    }
}

fn reason(view: &InstanceSnapshot<'_>, file_trouble: Option<&str>) -> String {
    let held = match view.readiness {
        Readiness::Ready => "",
        Readiness::NotNeeded => "",
        Readiness::Missing => "no lease yet; ",
        Readiness::Expired => "the lease ended; ",
    };
    let goes_on = match &view.doing {
        InstanceActivity::Calling(function, span) => format!("{function} is under way for {}", rough(*span)),
        InstanceActivity::Holding => "held".to_owned(),
        InstanceActivity::Leaving => match view.leaves_in {
            Some(span) => format!("no longer configured: its lease is kept for {}, should it come back", rough(span)),
            None => "no longer configured".to_owned(),
        },
        InstanceActivity::NoFile => file_trouble.unwrap_or("its file was not looked at yet").to_owned(),
        InstanceActivity::NotRequired => "the component needs no tokens".to_owned(),
        InstanceActivity::Retrying => match view.trouble {
            Some(trouble) => format!("{} {}: {}", trouble.kind, times(view.failures), trouble.message),
            None => "it is due".to_owned(),
        },
        InstanceActivity::Saving(0) => "being saved".to_owned(),
        InstanceActivity::Saving(failures) => {
            format!("saving it failed {}: {}", times(*failures), view.unsaved.unwrap_or("see the log"))
        }
        InstanceActivity::Unused => "on demand, and nobody uses it".to_owned(),
        InstanceActivity::Waiting(None) => "waits for its turn".to_owned(),
        InstanceActivity::Waiting(Some(span)) => {
            format!("waits for the budget of {}: {}", view.plan.upstream, rough(*span))
        }
    };
    match (view.given_unsaved, &view.doing, view.unsaved) {
        (true, InstanceActivity::Saving(_), _) => format!("{held}unsaved; {goes_on}"),
        (true, _, Some(error)) => format!("{held}{goes_on}; unsaved: {error}"),
        _ => format!("{held}{goes_on}"),
    }
}
