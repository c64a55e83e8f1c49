//! The rules that every provider and receiver keeps, tried out from settings and one good call.
//!
//! The good call is made first and has to go as its script says. Each trial is that call with one thing changed: the settings,
//! what a server answers, the clock, what is delivered. A trial has a rule about what may come of it; a trap or an invalid
//! result is never among that, nor a failure that shows a secret.

mod provider;
mod receiver;
mod trial;

use std::time::Duration;

use deputy_config::TestSubject;
use deputy_support::timer_now;

use crate::file::{CallEntry, Expect, ScriptFile, ScriptedFunction};
use crate::mismatch::Mismatch;
use crate::outcome::{ComponentAnswer, Outcome};
use crate::report::{CallReport, ScriptReport};
use crate::runner::{RunningScript, ScriptRunner, report};
use crate::script_error::ScriptError;
use crate::stage::ScriptServers;
use crate::subject::Subject;
use trial::{Hidden, Trial};

impl ScriptRunner {
    /// Tries every rule on the component of a script.
    ///
    /// # Errors
    /// If the script has no call, or cannot be run. That a rule is broken is in the report.
    pub async fn conform(&self, script: &ScriptFile) -> Result<ScriptReport, ScriptError> {
        let subject = Subject::prepare(script, self.stage().authority())?;
        let good = good_call(script, &subject)?;
        let mut servers = self.stage().set_up(script).await?;
        let mut running = RunningScript::new(self, &subject, script.now());
        let mut calls = Vec::new();
        let (outcome, mut wrong, taken) = make(&mut running, good, &mut servers).await?;
        wrong.extend(running.judge(good, &outcome).await?);
        let hidden = Hidden::of(&subject.component, good, &outcome);
        let is_good = wrong.is_empty();
        calls.push(named("the good call", report(&subject, good, &outcome, wrong, millis(taken))));
        running.keep(outcome);
        // Otherwise the trials would say nothing.
        if is_good {
            for function in bare_questions(&subject.component) {
                calls.push(ask_twice(&mut running, function, &mut servers).await?);
            }
            for trial in trials(&subject.component, good) {
                let (outcome, _, taken) = make(&mut running, &trial.call, &mut servers).await?;
                let wrong = trial.judge(&outcome, &hidden);
                calls.push(named(&trial.name, report(&subject, &trial.call, &outcome, wrong, millis(taken))));
            }
        }
        let ok = calls.iter().all(|call| call.ok);
        Ok(ScriptReport { file: script.path().display().to_string(), ok, calls })
    }
}

/// The first `obtain` or `accept` that is expected to succeed.
fn good_call<'s>(script: &'s ScriptFile, subject: &Subject) -> Result<&'s CallEntry, ScriptError> {
    let function = match subject.component {
        TestSubject::Provider(_) => ScriptedFunction::Obtain,
        TestSubject::Receiver(_) => ScriptedFunction::Accept,
    };
    let is_good = |call: &&CallEntry| {
        call.function == function && call.expect.failure.is_none() && call.expect.rejected.is_empty()
    };
    script.entries.call.iter().find(is_good).ok_or_else(|| ScriptError::Invalid {
        path: script.path().to_owned(),
        text: format!("{}: no `{}` that is expected to succeed", script.path().display(), function.word()),
    })
}

fn bare_questions(component: &TestSubject) -> &'static [ScriptedFunction] {
    match component {
        TestSubject::Provider(_) => &[ScriptedFunction::ServiceName, ScriptedFunction::Kinds],
        TestSubject::Receiver(_) => &[ScriptedFunction::Kinds],
    }
}

fn trials(component: &TestSubject, good: &CallEntry) -> Vec<Trial> {
    match component {
        TestSubject::Provider(tested) => provider::trials(tested, good),
        TestSubject::Receiver(plan) => receiver::trials(plan, good),
    }
}

async fn make(
    running: &mut RunningScript<'_>,
    call: &CallEntry,
    servers: &mut ScriptServers,
) -> Result<(Outcome, Vec<Mismatch>, Duration), ScriptError> {
    let began = timer_now();
    running.set_time(call);
    servers.play().begin(call);
    let outcome = running.call(call).await?;
    let wrong = servers.finish().await;
    Ok((outcome, wrong, timer_now().saturating_duration_since(began)))
}

/// Asks the same question twice: the answers are the same.
async fn ask_twice(
    running: &mut RunningScript<'_>,
    function: &ScriptedFunction,
    servers: &mut ScriptServers,
) -> Result<CallReport, ScriptError> {
    let call = CallEntry { function: *function, ..CallEntry::default() };
    let (first, _, _) = make(running, &call, servers).await?;
    let (second, _, taken) = make(running, &call, servers).await?;
    let (first, found) = (answer(&first), answer(&second));
    let mut wrong = Vec::new();
    if second.answer.is_err() || first != found {
        wrong.push(Mismatch::new("the second answer with the same settings", first, found));
    }
    let name = format!("{} is the same for the same settings", function.word());
    Ok(named(&name, report(running.subject(), &call, &second, wrong, millis(taken))))
}

fn answer(outcome: &Outcome) -> String {
    match &outcome.answer {
        Ok(ComponentAnswer::ServiceName(name)) => name.clone(),
        Ok(ComponentAnswer::Kinds(kinds)) => kinds.join(", "),
        Ok(_) => "an answer of another kind".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn named(name: &str, report: CallReport) -> CallReport {
    CallReport { name: name.to_owned(), ..report }
}

fn millis(taken: Duration) -> u64 {
    u64::try_from(taken.as_millis()).unwrap_or(u64::MAX)
}

/// The good call without what it expects.
fn without_expectations(good: &CallEntry) -> CallEntry {
    CallEntry { expect: Expect::default(), ..good.clone() }
}
