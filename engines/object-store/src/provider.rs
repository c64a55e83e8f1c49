//! Gives `object_store` the newest credentials, and an error that says why when there are none.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use deputy_core::time::Clock;
use deputy_core::{Delivery, InstanceName, LeaseVersion};
use deputy_link::client::{Link, LinkPhase, LinkState};
use deputy_link::{DeliveredState, DeliveryReport, ErrorCode};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::credentials::parse;
use crate::error::LeaseError;

pub(crate) struct LeaseCredentialProvider {
    held: watch::Receiver<Arc<DeliveredState>>,
    state: watch::Receiver<LinkState>,
    reports: mpsc::Sender<DeliveryReport>,
    clock: Arc<dyn Clock>,
    instance: InstanceName,
    wait_limit: Duration,
    /// The newest lease that was requested, so that each lease is parsed once.
    cached: Mutex<Option<CachedLease>>,
}

#[derive(Clone)]
struct CachedLease {
    version: LeaseVersion,
    /// `None` if the payload holds no credentials.
    credential: Option<Arc<AwsCredential>>,
    is_reported: bool,
}

impl LeaseCredentialProvider {
    pub(crate) fn new(link: &Link, instance: InstanceName, wait_limit: Duration) -> Self {
        Self {
            held: link.held.clone(),
            state: link.state.clone(),
            reports: link.reports.clone(),
            clock: Arc::clone(&link.clock),
            instance,
            wait_limit,
            cached: Mutex::default(),
        }
    }

    /// The lease that is held. Waits for the first one.
    async fn delivery(&self) -> Result<Delivery, LeaseError> {
        match timeout(self.wait_limit, self.first_delivery()).await {
            Ok(first) => first,
            Err(_) => Err(LeaseError::Absent {
                instance: self.instance.clone(),
                waited: self.wait_limit,
                why: why(&self.state.borrow()),
            }),
        }
    }

    async fn first_delivery(&self) -> Result<Delivery, LeaseError> {
        let mut held = self.held.clone();
        let mut state = self.state.clone();
        loop {
            if let Some(delivery) = held.borrow_and_update().deliveries.get(&self.instance) {
                return Ok(delivery.clone());
            }
            self.check_can_arrive(&state.borrow_and_update())?;
            let changed = tokio::select! {
                changed = held.changed() => changed,
                changed = state.changed() => changed,
            };
            if changed.is_err() {
                self.check_can_arrive(&state.borrow())?;
                let why = "the link to the coordinator has ended".to_owned();
                return Err(LeaseError::Out { instance: self.instance.clone(), why });
            }
        }
    }

    fn check_can_arrive(&self, state: &LinkState) -> Result<(), LeaseError> {
        if state.phase == LinkPhase::Rejected {
            return Err(LeaseError::Out { instance: self.instance.clone(), why: why(state) });
        }
        let refusal = state
            .refusals
            .iter()
            .find(|refusal| refusal.code == ErrorCode::NotDelivered && refusal.subject == self.instance.as_str());
        refusal.map_or(Ok(()), |refusal| Err(LeaseError::Refused(refusal.message.clone())))
    }

    /// The credentials in a lease. Reports each lease once.
    fn credential(&self, delivery: &Delivery) -> Result<Arc<AwsCredential>, LeaseError> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest = match cached.take().filter(|cached| cached.version == delivery.stamp) {
            Some(cached) => cached,
            None => CachedLease {
                version: delivery.stamp,
                credential: parse(delivery.payload.expose()).map(Arc::new),
                is_reported: false,
            },
        };
        let result = newest.credential.clone().ok_or_else(|| LeaseError::NotCredentials(self.instance.clone()));
        if !newest.is_reported {
            let report = DeliveryReport {
                instance: self.instance.clone(),
                stamp: delivery.stamp,
                result: result.as_ref().map(|_| ()).map_err(ToString::to_string),
            };
            // Signing a request does not wait for the queue: the next request tries again.
            newest.is_reported = self.reports.try_send(report).is_ok();
        }
        *cached = Some(newest);
        result
    }
}

#[async_trait]
impl CredentialProvider for LeaseCredentialProvider {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let delivery = self.delivery().await?;
        if !delivery.is_valid(self.clock.now().wall) {
            let why = why(&self.state.borrow());
            return Err(LeaseError::Expired { instance: delivery.instance, ended: delivery.valid_until, why }.into());
        }
        Ok(self.credential(&delivery)?)
    }
}

impl fmt::Debug for LeaseCredentialProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseCredentialProvider").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// Why there is no newer lease, as far as the link knows.
fn why(state: &LinkState) -> String {
    match (&state.error, state.phase) {
        (Some(error), _) => error.clone(),
        (None, LinkPhase::Connected) => {
            "the coordinator has no lease of it at the moment, or does not deliver it to the group of this worker"
                .to_owned()
        }
        (None, _) => "the link has not connected yet".to_owned(),
    }
}

#[cfg(test)]
mod tests;
