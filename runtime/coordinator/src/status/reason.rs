//! What an instance is doing and why it is not ready, in words.

use deputy_core::Span;
use deputy_core::failure::FailureRecord;
use deputy_core::schedule::{InstanceActivity, InstanceSnapshot, Readiness};
use deputy_core::time::Now;

use crate::file_watcher::FileObservation;

pub(super) const NO_LEASE: &str = "no lease yet; ";
pub(super) const EXPIRED: &str = "lease expired; ";

/// The activity in one word.
pub(super) fn state(activity: &InstanceActivity) -> &'static str {
    match activity {
        InstanceActivity::Calling("obtain", _) => "obtaining",
        InstanceActivity::Calling("renew", _) => "renewing",
        InstanceActivity::Calling(..) => "revoking",
        InstanceActivity::Holding => "holding",
        InstanceActivity::Leaving => "leaving",
        InstanceActivity::NeedsAttention => "needs-attention",
        InstanceActivity::NoFile => "no-file",
        InstanceActivity::NotRequired => "not-required",
        InstanceActivity::Retrying => "retrying",
        InstanceActivity::Saving(_) => "saving",
        InstanceActivity::Unused => "unused",
        InstanceActivity::Waiting(_) => "waiting",
    }
}

pub(super) fn reason(snapshot: &InstanceSnapshot<'_>, file_trouble: Option<&str>) -> String {
    let lease = match snapshot.readiness {
        Readiness::Ready | Readiness::NotNeeded => "",
        Readiness::Missing => NO_LEASE,
        Readiness::Expired => EXPIRED,
    };
    let activity = activity(snapshot, file_trouble);
    match (snapshot.published_unsaved, &snapshot.activity, snapshot.unsaved) {
        (true, InstanceActivity::Saving(_), _) => format!("{lease}unsaved; {activity}"),
        (true, _, Some(error)) => format!("{lease}{activity}; unsaved: {error}"),
        _ => format!("{lease}{activity}"),
    }
}

fn activity(snapshot: &InstanceSnapshot<'_>, file_trouble: Option<&str>) -> String {
    match &snapshot.activity {
        InstanceActivity::Calling(function, span) => format!("{function} in progress for {}", in_seconds(*span)),
        InstanceActivity::Holding => "held".to_owned(),
        InstanceActivity::Leaving => match snapshot.leaves_in {
            Some(span) => format!("no longer configured; its lease is kept for {}", in_seconds(span)),
            None => "no longer configured".to_owned(),
        },
        InstanceActivity::NoFile => file_trouble.unwrap_or("its file was not read yet").to_owned(),
        InstanceActivity::NotRequired => "the component needs no tokens".to_owned(),
        InstanceActivity::NeedsAttention => {
            let message = snapshot.failure.map_or("", |record| record.failure.message.as_str());
            format!("{message}; when that is done, run `deputy renew {}`", snapshot.name)
        }
        InstanceActivity::Retrying => match snapshot.failure {
            Some(FailureRecord { failure, .. }) => {
                format!("{} {}: {}", failure.kind, times(snapshot.failures), failure.message)
            }
            None => "due".to_owned(),
        },
        InstanceActivity::Saving(0) => "being saved".to_owned(),
        InstanceActivity::Saving(failures) => {
            format!("saving it failed {}: {}", times(*failures), snapshot.unsaved.unwrap_or("see the log"))
        }
        InstanceActivity::Unused => "on demand, and not in use".to_owned(),
        InstanceActivity::Waiting(None) => "waiting for other calls to end".to_owned(),
        InstanceActivity::Waiting(Some(span)) => {
            format!("waiting for the rate limit of {}: {}", snapshot.plan.upstream, in_seconds(*span))
        }
    }
}

pub(super) fn file_trouble(file: &FileObservation, now: Now) -> Option<String> {
    match file {
        Err(error) => Some(error.clone()),
        Ok(payload) if payload.valid_until <= now.wall => Some(format!(
            "its file was last written at {}, and its payload expired at {}",
            payload.since, payload.valid_until
        )),
        Ok(_) => None,
    }
}

fn times(failures: u32) -> String {
    if failures == 1 { "once".to_owned() } else { format!("{failures} times in a row") }
}

/// Drops the milliseconds of anything longer than a second.
fn in_seconds(span: Span) -> Span {
    if span >= Span::secs(1) { Span::secs(span.as_millis() / 1000) } else { span }
}
