//! Runs scripts, one call after the other.

use std::sync::Arc;

use deputy_audit::{Audit, AuditEvent};
use deputy_config::{TestSubject, TestedInstance};
use deputy_core::schedule::OptionalExports;
use deputy_core::{
    Delivery, Kinds, LeaseVersion, Principal, ReceiverPlan, Revision, SecretBytes, Span, Timestamp, Tokens,
};
use deputy_sandbox::{HttpTape, LoadedProvider, Sandbox, TapedExchange};
use deputy_support::timer_now;

use crate::file::{CallEntry, DeliveryEntry, ScriptFile, ScriptedFunction, decoded};
use crate::mismatch::Mismatch;
use crate::outcome::{ComponentAnswer, Outcome, kinds};
use crate::report::{CallReport, RefusedUse, ScriptReport};
use crate::script_error::ScriptError;
use crate::stage::TestStage;
use crate::subject::Subject;
use crate::uses::permitted_uses;
use crate::verdict::{ExpectedTokens, judge, judge_state};
use crate::{renewal, tokens};

/// Runs scripts on a stage, in the sandbox of that stage.
pub struct ScriptRunner {
    stage: Arc<TestStage>,
    sandbox: Sandbox,
    audit: Arc<Audit>,
}

/// What came of a call that was made whatever came of it.
pub(crate) struct Rehearsed {
    pub(crate) outcome: Outcome,
    pub(crate) sent: Vec<TapedExchange>,
    /// When the coordinator would replace what it returned.
    pub(crate) replaced_in: Option<Span>,
    pub(crate) state: Option<Arc<SecretBytes>>,
}

/// A script that runs.
pub(crate) struct RunningScript<'s> {
    runner: &'s ScriptRunner,
    subject: &'s Subject,
    now: Timestamp,
    /// What the last call obtained or renewed.
    held: Option<Tokens>,
}

impl ScriptRunner {
    /// `audit` keeps events in memory, and is that of the sandbox; the sandbox has the stage as its world.
    pub fn new(stage: Arc<TestStage>, sandbox: Sandbox, audit: Arc<Audit>) -> Self {
        Self { stage, sandbox, audit }
    }

    /// Runs a script.
    ///
    /// # Errors
    /// If it cannot be run. That something is not as expected is in the report.
    pub async fn run(&self, script: &ScriptFile) -> Result<ScriptReport, ScriptError> {
        let subject = Subject::prepare(script, self.stage.authority())?;
        if script.entries.call.is_empty() {
            let text = format!("{}: the test calls nothing: add a [[call]]", script.path().display());
            return Err(ScriptError::invalid(script.path(), text));
        }
        let mut servers = self.stage.set_up(script).await?;
        let mut running = RunningScript::new(self, &subject, script.now());
        let mut calls = Vec::new();
        for call in &script.entries.call {
            running.set_time(call);
            servers.play().begin(call);
            let began = timer_now();
            self.audit.take();
            let outcome = running.call(call).await?;
            let mut wrong = servers.finish().await;
            wrong.extend(running.judge(call, &outcome).await?);
            let millis = timer_now().saturating_duration_since(began).as_millis();
            let millis = u64::try_from(millis).unwrap_or(u64::MAX);
            calls.push(report(&subject, call, &outcome, wrong, millis));
            running.keep(outcome);
        }
        let ok = calls.iter().all(|call| call.ok);
        Ok(ScriptReport { file: script.path().display().to_string(), ok, calls })
    }

    /// Releases components that no test uses any more.
    pub async fn prune(&self) {
        self.sandbox.prune().await;
    }

    /// Makes the calls of a script up to the first that fails, and expects nothing of them.
    pub(crate) async fn rehearse(&self, script: &ScriptFile) -> Result<Vec<Rehearsed>, ScriptError> {
        let tape = Arc::new(HttpTape::default());
        self.stage.set_tape(Some(Arc::clone(&tape)));
        let rehearsed = self.rehearse_on(script, &tape).await;
        self.stage.set_tape(None);
        rehearsed
    }

    async fn rehearse_on(&self, script: &ScriptFile, tape: &HttpTape) -> Result<Vec<Rehearsed>, ScriptError> {
        let subject = Subject::prepare(script, self.stage.authority())?;
        let mut servers = self.stage.set_up(script).await?;
        let mut running = RunningScript::new(self, &subject, script.now());
        let mut rehearsed = Vec::new();
        for call in &script.entries.call {
            running.set_time(call);
            servers.play().begin(call);
            self.audit.take();
            let outcome = running.call(call).await?;
            servers.finish().await;
            let mut replaced_in = None;
            if let Ok(ComponentAnswer::Tokens(tokens)) = &outcome.answer {
                replaced_in = running.exports(call).await?.and_then(|exports| running.replaced_in(exports, tokens));
                running.held = Some(tokens::copy(tokens));
            }
            let is_failed = outcome.answer.is_err();
            rehearsed.push(Rehearsed { outcome, sent: tape.take(), replaced_in, state: subject.state.value() });
            if is_failed {
                break;
            }
        }
        Ok(rehearsed)
    }

    pub(crate) fn stage(&self) -> &TestStage {
        &self.stage
    }

    fn events(&self) -> Vec<AuditEvent> {
        self.audit.take()
    }
}

impl<'s> RunningScript<'s> {
    pub(crate) fn new(runner: &'s ScriptRunner, subject: &'s Subject, now: Timestamp) -> Self {
        Self { runner, subject, now, held: None }
    }

    pub(crate) fn subject(&self) -> &Subject {
        self.subject
    }

    pub(crate) fn set_time(&mut self, call: &CallEntry) {
        self.now = call.time(self.now);
        self.runner.stage.set_now(self.now);
    }

    pub(crate) async fn call(&self, call: &CallEntry) -> Result<Outcome, ScriptError> {
        match &self.subject.component {
            TestSubject::Provider(tested) => self.call_provider(call, tested).await,
            TestSubject::Receiver(plan) => self.call_receiver(call, plan).await,
        }
    }

    async fn call_provider(&self, call: &CallEntry, tested: &TestedInstance) -> Result<Outcome, ScriptError> {
        let sandbox = &self.runner.sandbox;
        let provider = self.subject.provider(sandbox, tested, call).await?;
        let provider = provider.ok_or_else(|| self.impossible(call, "the instance has no component"))?;
        let outcome = match call.function {
            ScriptedFunction::Obtain => {
                Outcome::new(provider.obtain().await, self.runner.events(), ComponentAnswer::Tokens)
            }
            ScriptedFunction::ServiceName => {
                let answer = |name: deputy_core::ServiceName| ComponentAnswer::ServiceName(name.to_string());
                Outcome::new(provider.service_name().await, self.runner.events(), answer)
            }
            ScriptedFunction::Kinds => {
                Outcome::new(provider.kinds().await, self.runner.events(), |found| kinds(&found))
            }
            ScriptedFunction::TokensRequired => {
                Outcome::new(provider.tokens_required().await, self.runner.events(), ComponentAnswer::TokensRequired)
            }
            ScriptedFunction::Renew => {
                let called = provider.renew(&self.tokens(call)?).await;
                let called = called.ok_or_else(|| self.impossible(call, "the component does not export `renewal`"))?;
                Outcome::new(called, self.runner.events(), ComponentAnswer::Tokens)
            }
            ScriptedFunction::Revoke => {
                let called = provider.revoke(&self.tokens(call)?).await;
                let called =
                    called.ok_or_else(|| self.impossible(call, "the component does not export `revocation`"))?;
                Outcome::new(called, self.runner.events(), |()| ComponentAnswer::Nothing)
            }
            ScriptedFunction::Accept | ScriptedFunction::Check => {
                return Err(self.impossible(call, "a provider has no such function"));
            }
        };
        Ok(outcome)
    }

    async fn call_receiver(&self, call: &CallEntry, plan: &ReceiverPlan) -> Result<Outcome, ScriptError> {
        let receiver = self.subject.receiver(&self.runner.sandbox, plan, call).await?;
        match call.function {
            ScriptedFunction::Accept => {
                let deliveries: Vec<Delivery> = call.deliveries.iter().map(|entry| delivery(entry, self.now)).collect();
                Ok(Outcome::new(receiver.accept(&deliveries).await, self.runner.events(), ComponentAnswer::Accepted))
            }
            ScriptedFunction::Check => {
                let bound: Vec<_> = call.deliveries.iter().map(bound).collect();
                Ok(Outcome::new(receiver.check(&bound).await, self.runner.events(), |()| ComponentAnswer::Nothing))
            }
            ScriptedFunction::Kinds => Ok(Outcome::new(receiver.kinds().await, self.runner.events(), receiver_kinds)),
            _ => Err(self.impossible(call, "a receiver has no such function")),
        }
    }

    /// The tokens that a call gets.
    pub(crate) fn tokens(&self, call: &CallEntry) -> Result<Tokens, ScriptError> {
        let scripted = call.tokens.as_ref().map(|entry| tokens::scripted(entry, self.now));
        let held = || self.held.as_ref().map(tokens::copy);
        scripted.or_else(held).ok_or_else(|| {
            self.impossible(call, "there are no tokens: no call before it obtained any, and it has no `tokens`")
        })
    }

    fn impossible(&self, call: &CallEntry, why: &str) -> ScriptError {
        let path = self.subject.path().to_owned();
        let text = format!("{}: {} ({}): {why}", path.display(), call.title(), call.function.word());
        ScriptError::Invalid { path, text }
    }

    pub(crate) async fn judge(&self, call: &CallEntry, outcome: &Outcome) -> Result<Vec<Mismatch>, ScriptError> {
        let exports = match call.expect.replaced_in {
            Some(_) => self.exports(call).await?,
            None => None,
        };
        let replaced_in = |obtained: &Tokens| self.replaced_in(exports?, obtained);
        let times = ExpectedTokens { now: self.now, replaced_in: &replaced_in };
        let mut wrong = judge(&call.expect, outcome, times);
        if let Some(expected) = &call.expect.state {
            wrong.extend(judge_state(expected, self.subject.state.value().as_deref()));
        }
        Ok(wrong)
    }

    pub(crate) async fn exports(&self, call: &CallEntry) -> Result<Option<OptionalExports>, ScriptError> {
        let TestSubject::Provider(tested) = &self.subject.component else { return Ok(None) };
        let provider = self.subject.provider(&self.runner.sandbox, tested, call).await?;
        Ok(provider.as_ref().map(optional_exports))
    }

    fn replaced_in(&self, exports: OptionalExports, obtained: &Tokens) -> Option<Span> {
        let TestSubject::Provider(tested) = &self.subject.component else { return None };
        renewal::replaced_in(&tested.entry.name, &tested.entry.policy, exports, tokens::copy(obtained), self.now)
    }

    /// What the calls that follow get.
    pub(crate) fn held(&self) -> Option<&Tokens> {
        self.held.as_ref()
    }

    /// Has the calls that follow get other tokens, and returns those that they would have got.
    pub(crate) fn replace_held(&mut self, held: Option<Tokens>) -> Option<Tokens> {
        std::mem::replace(&mut self.held, held)
    }

    /// Keeps what was obtained for the calls that follow.
    pub(crate) fn keep(&mut self, outcome: Outcome) {
        if let Ok(ComponentAnswer::Tokens(tokens)) = outcome.answer {
            self.held = Some(tokens);
        }
    }
}

fn optional_exports(provider: &LoadedProvider) -> OptionalExports {
    OptionalExports { renews: provider.info().renews, revokes: provider.info().revokes }
}

fn delivery(entry: &DeliveryEntry, now: Timestamp) -> Delivery {
    let payload = match (&entry.payload, &entry.json) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(json)) => json.to_string().into_bytes(),
        // It is checked when the script is read.
        (None, None) => decoded(entry.base64.as_deref()).unwrap_or_default(),
    };
    Delivery {
        instance: entry.instance.0.clone(),
        service: entry.service.0.clone(),
        kind: entry.kind.0.clone(),
        stamp: LeaseVersion { revision: Revision(entry.revision.unwrap_or(1)), obtained_at: now },
        valid_until: entry.expires_in.map_or(Timestamp::FOREVER, |span| now.plus(span.0)),
        next_at: None,
        renewable_until: None,
        payload: Arc::new(SecretBytes::new(payload)),
        trace: None,
    }
}

fn receiver_kinds(kinds: Kinds) -> ComponentAnswer {
    ComponentAnswer::Kinds(match kinds {
        Kinds::Any => vec!["*".to_owned()],
        Kinds::Named(kinds) => kinds.iter().map(ToString::to_string).collect(),
    })
}

fn bound(entry: &DeliveryEntry) -> deputy_core::BoundInstance {
    deputy_core::BoundInstance {
        instance: entry.instance.0.clone(),
        service: Some(entry.service.0.clone()),
        kinds: [entry.kind.0.clone()].into(),
    }
}

/// The lines of a fix, with the place that they have in the file of a test.
fn own_place(fix: &str) -> String {
    fix.replace("[instances.test.", "[instance.").replace("[receivers.test.", "[receiver.")
}

pub(crate) fn report(
    subject: &Subject,
    call: &CallEntry,
    outcome: &Outcome,
    mismatches: Vec<Mismatch>,
    millis: u64,
) -> CallReport {
    let principal = match &subject.component {
        TestSubject::Provider(tested) => tested.entry.component.as_ref().map(Principal::Instance),
        TestSubject::Receiver(plan) => Some(Principal::Receiver(&plan.name, &plan.limits)),
    };
    let refusals = outcome.denials.iter().map(|denial| RefusedUse {
        code: denial.code(),
        message: denial.to_string(),
        fix: principal.and_then(|principal| denial.fix(principal)).map(|fix| own_place(&fix)),
    });
    CallReport {
        name: call.title().to_owned(),
        function: call.function.word(),
        ok: mismatches.is_empty(),
        mismatches,
        uses: permitted_uses(&outcome.events),
        refusals: refusals.collect(),
        events: outcome.events.clone(),
        stderr: outcome.stderr.clone(),
        millis,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runner_delivers_what_the_script_says() {
        let entry: DeliveryEntry = toml::from_str(
            "instance = \"s3\"\nservice = \"s3\"\nkind = \"x/1\"\njson = { a = 1 }\nexpires-in = \"1h\"\nrevision = 7",
        )
        .unwrap();
        let now = Timestamp::from_millis(1000);
        let delivery = delivery(&entry, now);
        assert_eq!(delivery.payload.expose(), b"{\"a\":1}");
        assert_eq!(delivery.valid_until, now.plus(Span::secs(3600)));
        assert_eq!(delivery.stamp.revision, Revision(7));
    }
}
