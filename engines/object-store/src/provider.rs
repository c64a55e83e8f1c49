//! Gives out the newest credentials, and says why when there are none.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use deputy_core::{Delivery, InstanceName, Stamp, Timestamp};
use deputy_link::client::{Link, Phase, State};
use deputy_link::{Code, Held, Report};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::credentials::parse;
use crate::error::LeaseError;

/// What is given out: the credentials of one lease, or nothing if it holds none.
type Parsed = Option<Arc<AwsCredential>>;

pub(crate) struct Provider {
    held: watch::Receiver<Arc<Held>>,
    state: watch::Receiver<State>,
    reports: mpsc::Sender<Report>,
    clock: fn() -> Timestamp,
    instance: InstanceName,
    patience: Duration,
    /// Of the newest lease that was asked for, so that it is parsed once.
    cached: Mutex<Option<Cached>>,
}

#[derive(Clone)]
struct Cached {
    stamp: Stamp,
    parsed: Parsed,
    report: Reported,
}

/// Whether the coordinator was told what became of a lease.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reported {
    NotYet,
    Done,
}

impl Provider {
    pub(crate) fn new(link: &Link, instance: InstanceName, patience: Duration) -> Self {
        let (held, state) = (link.held.clone(), link.state.clone());
        let (reports, clock) = (link.reports.clone(), link.clock);
        Self { held, state, reports, clock, instance, patience, cached: Mutex::default() }
    }

    /// The lease that is held; waits for the first one.
    async fn delivery(&self) -> Result<Delivery, LeaseError> {
        match timeout(self.patience, self.first()).await {
            Ok(first) => first,
            Err(_) => Err(LeaseError::Absent {
                instance: self.instance.clone(),
                waited: self.patience,
                why: why(&self.state.borrow()),
            }),
        }
    }

    async fn first(&self) -> Result<Delivery, LeaseError> {
        let (mut held, mut state) = (self.held.clone(), self.state.clone());
        loop {
            if let Some(delivery) = held.borrow_and_update().deliveries.get(&self.instance) {
                return Ok(delivery.clone());
            }
            self.hopeful(&state.borrow_and_update())?;
            let changed = tokio::select! {
                changed = held.changed() => changed,
                changed = state.changed() => changed,
            };
            if changed.is_err() {
                self.hopeful(&state.borrow())?;
                let why = "the link to the coordinator has ended".to_owned();
                return Err(LeaseError::Out { instance: self.instance.clone(), why });
            }
        }
    }

    /// Whether a lease may still come.
    fn hopeful(&self, state: &State) -> Result<(), LeaseError> {
        if state.phase == Phase::Out {
            return Err(LeaseError::Out { instance: self.instance.clone(), why: why(state) });
        }
        let not_delivered = |code: Code, subject: &str| code == Code::NotDelivered && subject == self.instance.as_str();
        let refusal = state.refused.iter().find(|refusal| not_delivered(refusal.code, &refusal.subject));
        refusal.map_or(Ok(()), |refusal| Err(LeaseError::Refused(refusal.message.clone())))
    }

    /// What is in a lease. The coordinator hears of it once.
    fn parsed(&self, delivery: &Delivery) -> Result<Arc<AwsCredential>, LeaseError> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest = match cached.take().filter(|cached| cached.stamp == delivery.stamp) {
            Some(cached) => cached,
            None => {
                let parsed = parse(delivery.payload.expose()).map(Arc::new);
                Cached { stamp: delivery.stamp, parsed, report: Reported::NotYet }
            }
        };
        let result = newest.parsed.clone().ok_or_else(|| LeaseError::NotCredentials(self.instance.clone()));
        if newest.report == Reported::NotYet {
            let said = result.as_ref().map(drop).map_err(ToString::to_string);
            let report = Report { instance: self.instance.clone(), stamp: delivery.stamp, result: said };
            // Whoever signs a request does not wait for this; the next one tries again.
            if self.reports.try_send(report).is_ok() {
                newest.report = Reported::Done;
            }
        }
        *cached = Some(newest);
        result
    }
}

#[async_trait]
impl CredentialProvider for Provider {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let delivery = self.delivery().await?;
        if !delivery.is_valid((self.clock)()) {
            let why = why(&self.state.borrow());
            return Err(LeaseError::Expired { instance: delivery.instance, ended: delivery.valid_until, why }.into());
        }
        Ok(self.parsed(&delivery)?)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// Why there is nothing newer, as far as the link knows.
fn why(state: &State) -> String {
    match (&state.error, state.phase) {
        (Some(error), _) => error.clone(),
        (None, Phase::Connected) => {
            "it has none at the moment, or does not deliver it to this worker's group".to_owned()
        }
        (None, _) => "there was no connection yet".to_owned(),
    }
}

#[cfg(test)]
#[path = "provider_tests.rs"]
mod tests;
