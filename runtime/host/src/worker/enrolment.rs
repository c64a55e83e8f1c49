//! How a worker gets its identity at its start: from its state, or by joining the coordinator.

use deputy_core::{SecretSource, Timestamp, in_one_line};
use deputy_link::client::join_until;
use deputy_link::{JoinString, MAX_JOIN_STRING, WorkerIdentity};
use deputy_sources::{SourceContext, ValueShape};

use super::identity_records::IdentityRecords;
use crate::enrolment_failure::EnrolmentFailure;

/// Where a worker may find a join string.
pub(crate) struct JoinStrings<'a> {
    /// From the command line.
    pub(crate) argument: Option<JoinString>,
    pub(crate) configured: Option<&'a SecretSource>,
    pub(crate) sources: &'a SourceContext,
}

/// The identity of this worker.
///
/// A join string on the command line is used unless its token was used before. The configured one is used only without a
/// good identity, since some deployments generate such strings again and again, and a restart must not enrol a worker again
/// that is enrolled. If joining fails, the worker keeps the identity that it has.
pub(crate) async fn identity(
    records: &IdentityRecords,
    strings: JoinStrings<'_>,
    seed: u64,
    now: Timestamp,
) -> Result<WorkerIdentity, EnrolmentFailure> {
    let current = records.identity().await?;
    let string = match choose(records, strings, current.as_ref(), now).await? {
        Some(string) if !records.is_used(&string).await? => Some(string),
        _ => None,
    };
    match (string, current) {
        (None, None) => Err(EnrolmentFailure::NotEnrolled),
        (None, Some(current)) => Ok(current),
        (Some(string), None) => enrol(records, &string, seed).await,
        (Some(string), Some(current)) => enrol(records, &string, seed).await.or_else(|error| {
            tracing::warn!(error = in_one_line(&error), "enrolment failed; keeping the current identity");
            Ok(current)
        }),
    }
}

async fn choose(
    records: &IdentityRecords,
    strings: JoinStrings<'_>,
    current: Option<&WorkerIdentity>,
    now: Timestamp,
) -> Result<Option<JoinString>, EnrolmentFailure> {
    if strings.argument.is_some() {
        return Ok(strings.argument);
    }
    let Some(source) = strings.configured else { return Ok(None) };
    let configured = read_join_string(source, strings.sources).await;
    let Some(current) = current else { return configured.map(Some) };
    let is_good = now < current.ends() && !records.is_ended(current).await?;
    match configured {
        Ok(string) if is_good && current.trusts_authority(string.authority) => Ok(None),
        Ok(string) => {
            if is_good {
                tracing::warn!(
                    "the join string belongs to a coordinator with another certificate authority; the worker joins again"
                );
            }
            Ok(Some(string))
        }
        // A used join string may be gone.
        Err(_) if is_good => Ok(None),
        Err(EnrolmentFailure::JoinStringSource(error)) => {
            tracing::warn!(%error, "the worker must join again, and its configured join string cannot be read");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn read_join_string(
    source: &SecretSource,
    sources: &SourceContext,
) -> Result<JoinString, EnrolmentFailure> {
    let text = deputy_sources::read(source, ValueShape::text(MAX_JOIN_STRING), sources).await?;
    Ok(std::str::from_utf8(text.expose()).unwrap_or_default().parse()?)
}

/// Joins the coordinator, and tries again for as long as it is away.
async fn enrol(records: &IdentityRecords, string: &JoinString, seed: u64) -> Result<WorkerIdentity, EnrolmentFailure> {
    let key = records.pending_key(string.token).await?;
    let identity = join_until(string, &key, None, seed, |error| {
        tracing::warn!("enrolment failed; retrying: {error}");
    });
    let identity = identity.await?;
    records.enrolled(&identity, string).await?;
    tracing::info!(worker = %identity.worker, group = %identity.group, "worker enrolled");
    Ok(identity)
}
