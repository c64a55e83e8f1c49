//! The rules that every provider and receiver keeps, tried out from settings and one good call of each function.
//!
//! A good call is made first and has to go as its script says. Each trial is that call with one thing changed: the settings,
//! the tokens, what a server answers, the clock, what is delivered. A trial has a rule about what may come of it; a trap or an
//! invalid result is never among that, nor a failure that shows a secret.

mod good;
mod hidden;
mod provider;
mod receiver;
mod replies;
mod tokens;
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
use good::GoodCalls;
use hidden::Hidden;
use trial::Trial;

/// A script whose component is tried.
struct Trials<'s> {
    running: RunningScript<'s>,
    servers: ScriptServers,
    calls: Vec<CallReport>,
}

impl ScriptRunner {
    /// Tries every rule on the component of a script.
    ///
    /// # Errors
    /// If the script has no good call, or cannot be run. That a rule is broken is in the report.
    pub async fn conform(&self, script: &ScriptFile) -> Result<ScriptReport, ScriptError> {
        let subject = Subject::prepare(script, self.stage().authority())?;
        let good = GoodCalls::of(script, &subject)?;
        let servers = self.stage().set_up(script).await?;
        let running = RunningScript::new(self, &subject, script.now());
        let mut trials = Trials { running, servers, calls: Vec::new() };
        // Otherwise the trials would say nothing.
        if trials.good_call("the good call", &good.first).await? {
            for function in bare_questions(&subject.component) {
                trials.ask_twice(function).await?;
            }
            let held = trials.running.held().map(crate::tokens::copy);
            let hidden = Hidden::of(&subject.component, &good.first, held.as_ref());
            trials.all(first_trials(&subject.component, &good.first), &hidden).await?;
            trials.lifecycle(&subject, &good).await?;
        }
        let calls = trials.calls;
        let ok = calls.iter().all(|call| call.ok);
        Ok(ScriptReport { file: script.path().display().to_string(), ok, calls })
    }
}

impl Trials<'_> {
    /// Renewal and revocation, if the component exports them.
    async fn lifecycle(&mut self, subject: &Subject, good: &GoodCalls) -> Result<(), ScriptError> {
        let Some(exports) = self.running.exports(&good.first).await? else { return Ok(()) };
        let functions = [
            (ScriptedFunction::Renew, exports.renews, &good.renew),
            (ScriptedFunction::Revoke, exports.revokes, &good.revoke),
        ];
        for (function, is_exported, good) in functions {
            match good {
                _ if !is_exported => {}
                None => self.calls.push(missing(function)),
                Some(good) => self.of_function(subject, function, good).await?,
            }
        }
        Ok(())
    }

    async fn of_function(
        &mut self,
        subject: &Subject,
        function: ScriptedFunction,
        good: &CallEntry,
    ) -> Result<(), ScriptError> {
        let before = self.running.held().map(crate::tokens::copy);
        if !self.good_call(&format!("the good {}", function.word()), good).await? {
            return Ok(());
        }
        let returned = self.running.replace_held(before);
        let held = self.running.tokens(good)?;
        let hidden = Hidden::of(&subject.component, good, Some(&held)).and(returned.as_ref());
        self.all(tokens::trials(&subject.component, good, &held), &hidden).await?;
        if function == ScriptedFunction::Renew {
            self.running.replace_held(returned);
        }
        Ok(())
    }

    /// Makes a good call, keeps what it returned, and says whether it went as its script says.
    async fn good_call(&mut self, name: &str, good: &CallEntry) -> Result<bool, ScriptError> {
        let (outcome, mut wrong, taken) = self.make(good).await?;
        wrong.extend(self.running.judge(good, &outcome).await?);
        let is_good = wrong.is_empty();
        self.calls.push(named(name, report(self.running.subject(), good, &outcome, wrong, millis(taken))));
        self.running.keep(outcome);
        Ok(is_good)
    }

    async fn all(&mut self, trials: Vec<Trial>, hidden: &Hidden) -> Result<(), ScriptError> {
        for trial in trials {
            let (outcome, _, taken) = self.make(&trial.call).await?;
            let wrong = trial.judge(&outcome, hidden);
            let report = report(self.running.subject(), &trial.call, &outcome, wrong, millis(taken));
            self.calls.push(named(&trial.name, report));
        }
        Ok(())
    }

    async fn make(&mut self, call: &CallEntry) -> Result<(Outcome, Vec<Mismatch>, Duration), ScriptError> {
        let began = timer_now();
        self.running.set_time(call);
        self.servers.play().begin(call);
        let outcome = self.running.call(call).await?;
        let wrong = self.servers.finish().await;
        Ok((outcome, wrong, timer_now().saturating_duration_since(began)))
    }

    /// Asks the same question twice: the answers are the same.
    async fn ask_twice(&mut self, function: &ScriptedFunction) -> Result<(), ScriptError> {
        let call = CallEntry { function: *function, ..CallEntry::default() };
        let (first, _, _) = self.make(&call).await?;
        let (second, _, taken) = self.make(&call).await?;
        let (first, found) = (answer(&first), answer(&second));
        let mut wrong = Vec::new();
        if second.answer.is_err() || first != found {
            wrong.push(Mismatch::new("the second answer with the same settings", first, found));
        }
        let name = format!("{} is the same for the same settings", function.word());
        self.calls.push(named(&name, report(self.running.subject(), &call, &second, wrong, millis(taken))));
        Ok(())
    }
}

fn bare_questions(component: &TestSubject) -> &'static [ScriptedFunction] {
    match component {
        TestSubject::Provider(_) => &[ScriptedFunction::ServiceName, ScriptedFunction::Kinds],
        TestSubject::Receiver(_) => &[ScriptedFunction::Kinds],
    }
}

fn first_trials(component: &TestSubject, good: &CallEntry) -> Vec<Trial> {
    match component {
        TestSubject::Provider(tested) => provider::trials(tested, good),
        TestSubject::Receiver(plan) => receiver::trials(plan, good),
    }
}

/// A component is tried whole: what it exports has a good call in its test.
fn missing(function: ScriptedFunction) -> CallReport {
    let expected = format!("a [[call]] with function = \"{}\" that succeeds", function.word());
    CallReport {
        name: format!("the good {}", function.word()),
        function: function.word(),
        ok: false,
        mismatches: vec![Mismatch::new("the test, since the component exports the function", expected, "none")],
        uses: Vec::new(),
        refusals: Vec::new(),
        events: Vec::new(),
        stderr: String::new(),
        millis: 0,
    }
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
