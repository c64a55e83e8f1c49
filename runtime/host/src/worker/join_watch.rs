//! Watches for a join string that a running worker does not use.
//!
//! A coordinator that lost its state has another certificate authority, to which this worker's certificate means nothing. The
//! operator then replaces the configured join string. A running worker keeps its link and its identity, so it says that only
//! a restart makes it join again.

use std::sync::Arc;
use std::time::Duration;

use deputy_core::SecretSource;
use deputy_link::client::{LinkPhase, LinkState};
use deputy_sources::SourceContext;
use deputy_support::pause;
use tokio::sync::watch;

use super::enrolment::read_join_string;
use super::identity_records::IdentityRecords;
use crate::platform::Platform;

/// How often the join string is read while the worker is not connected.
const PERIOD: Duration = Duration::from_secs(10);

pub(crate) struct JoinWatch {
    source: SecretSource,
    sources: Arc<SourceContext>,
    /// They have the authorities that the worker trusts now, which rotate.
    records: Arc<IdentityRecords>,
}

impl JoinWatch {
    pub(crate) fn new(source: SecretSource, records: &Arc<IdentityRecords>, platform: &Platform) -> Self {
        Self { source, sources: Arc::clone(&platform.sources), records: Arc::clone(records) }
    }

    /// Ends when it has found such a string and logged it.
    pub(crate) async fn run(self, state: watch::Receiver<LinkState>) {
        loop {
            pause(PERIOD).await;
            let phase = state.borrow().phase;
            if phase != LinkPhase::Connected && self.is_of_another_authority().await {
                tracing::error!(
                    "`join` in [worker] has a join string of another certificate authority, and this worker is not \
                     connected: restart the worker to join that coordinator"
                );
                return;
            }
        }
    }

    async fn is_of_another_authority(&self) -> bool {
        let Ok(string) = read_join_string(&self.source, &self.sources).await else { return false };
        let identity = self.records.identity().await;
        identity.is_ok_and(|identity| identity.is_some_and(|identity| !identity.trusts_authority(string.authority)))
    }
}
