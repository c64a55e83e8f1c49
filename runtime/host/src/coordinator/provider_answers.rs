//! What providers answer about their settings, each asked once: the service, and the kinds of payload.
//!
//! The answers follow from component and settings alone, so they hold for all instances that have the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use deputy_core::time::{Clock, MonotonicTime};
use deputy_core::{Digest, Instance, PayloadKind, ServiceName, Span};
use deputy_sandbox::{Call, CallError, LoadedProvider};
use deputy_support::{Backoff, LockUnpoisoned as _};

/// How long a component that failed to answer is not asked again.
const MIN_RETRY: Span = Span::secs(60);
const MAX_RETRY: Span = Span::secs(3600);

/// How many answers are remembered.
const CAPACITY: usize = 10_000;

pub(crate) struct ProviderAnswers {
    clock: Arc<dyn Clock>,
    by_component: Mutex<BTreeMap<Question, Answer>>,
}

/// What a provider says of its settings.
#[derive(Debug, Clone)]
pub(crate) struct ProviderAnswer {
    pub(crate) service: ServiceName,
    pub(crate) kinds: BTreeSet<PayloadKind>,
}

type Question = (Digest, BTreeMap<String, String>);

enum Answer {
    Given(ProviderAnswer),
    /// The call may take all the time that a call may take, so it is not repeated at once.
    Failed {
        error: String,
        retry_at: MonotonicTime,
        backoff: Backoff,
    },
}

impl ProviderAnswers {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, by_component: Mutex::default() }
    }

    pub(crate) async fn get(&self, provider: &LoadedProvider, instance: &Instance) -> Result<ProviderAnswer, String> {
        let question = (provider.info().digest, instance.settings.clone());
        match self.by_component.lock_unpoisoned().get(&question) {
            Some(Answer::Given(answer)) => return Ok(answer.clone()),
            Some(Answer::Failed { error, retry_at, .. }) if self.clock.now().mono < *retry_at => {
                return Err(error.clone());
            }
            Some(Answer::Failed { .. }) | None => {}
        }
        match ask(provider).await {
            Ok(answer) => {
                self.remember(question, Answer::Given(answer.clone()));
                Ok(answer)
            }
            Err(failed) => {
                let (error, text) = *failed;
                // A call that was ended from outside says nothing of the component.
                if !matches!(error, CallError::Interrupted(_) | CallError::Internal(_)) {
                    self.remember_failure(question, text.clone());
                }
                Err(text)
            }
        }
    }

    fn remember_failure(&self, question: Question, error: String) {
        let mut backoff = match self.by_component.lock_unpoisoned().remove(&question) {
            Some(Answer::Failed { backoff, .. }) => backoff,
            Some(Answer::Given(_)) | None => Backoff::new(MIN_RETRY, MAX_RETRY),
        };
        let retry_at = self.clock.now().mono.plus(backoff.fail(0));
        self.remember(question, Answer::Failed { error, retry_at, backoff });
    }

    fn remember(&self, question: Question, answer: Answer) {
        let mut answers = self.by_component.lock_unpoisoned();
        if answers.len() >= CAPACITY {
            answers.clear();
        }
        answers.insert(question, answer);
    }
}

async fn ask(provider: &LoadedProvider) -> Result<ProviderAnswer, Box<(CallError, String)>> {
    let service = answered(provider.service_name().await, "name its service")?;
    let kinds = answered(provider.kinds().await, "name the kinds of its payloads")?;
    Ok(ProviderAnswer { service, kinds })
}

fn answered<T>(call: Call<T>, what: &str) -> Result<T, Box<(CallError, String)>> {
    call.result.map_err(|error| {
        let text = format!("the component does not {what}: {error}");
        Box::new((error, text))
    })
}
