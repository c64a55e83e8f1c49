//! The services that components name, each asked for once.
//!
//! A component gets nothing by which it could answer differently to different instances, so its answer holds for all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use deputy_core::time::{Clock, MonotonicTime};
use deputy_core::{Digest, ServiceName, Span};
use deputy_sandbox::{CallError, LoadedProvider};
use deputy_support::{Backoff, LockUnpoisoned as _};

/// How long a component that failed to name its service is not asked again.
const MIN_RETRY: Span = Span::secs(60);
const MAX_RETRY: Span = Span::secs(3600);

/// How many components are remembered.
const CAPACITY: usize = 10_000;

pub(crate) struct ServiceNames {
    clock: Arc<dyn Clock>,
    by_component: Mutex<BTreeMap<Digest, NamedService>>,
}

enum NamedService {
    Named(ServiceName),
    /// The call may take all the time that a call may take, so it is not repeated at once.
    Failed {
        error: String,
        retry_at: MonotonicTime,
        backoff: Backoff,
    },
}

impl ServiceNames {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, by_component: Mutex::default() }
    }

    pub(crate) async fn get(&self, provider: &LoadedProvider) -> Result<ServiceName, String> {
        let digest = provider.info().digest;
        match self.by_component.lock_unpoisoned().get(&digest) {
            Some(NamedService::Named(service)) => return Ok(service.clone()),
            Some(NamedService::Failed { error, retry_at, .. }) if self.clock.now().mono < *retry_at => {
                return Err(error.clone());
            }
            Some(NamedService::Failed { .. }) | None => {}
        }
        match provider.service_name().await.result {
            Ok(service) => {
                self.by_component.lock_unpoisoned().insert(digest, NamedService::Named(service.clone()));
                Ok(service)
            }
            Err(error) => {
                let text = format!("the component does not name its service: {error}");
                // A call that was ended from outside says nothing of the component.
                if !matches!(error, CallError::Interrupted(_) | CallError::Internal(_)) {
                    self.remember_failure(digest, text.clone());
                }
                Err(text)
            }
        }
    }

    fn remember_failure(&self, digest: Digest, error: String) {
        let mut services = self.by_component.lock_unpoisoned();
        if services.len() >= CAPACITY {
            services.clear();
        }
        let mut backoff = match services.remove(&digest) {
            Some(NamedService::Failed { backoff, .. }) => backoff,
            Some(NamedService::Named(_)) | None => Backoff::new(MIN_RETRY, MAX_RETRY),
        };
        let retry_at = self.clock.now().mono.plus(backoff.fail(0));
        services.insert(digest, NamedService::Failed { error, retry_at, backoff });
    }
}
