//! `deputy test --record`: a script from calls against real servers.
//!
//! The calls are made in a [`RecordedWorld`], with the real secrets and servers, and everything that is said over HTTP is kept.
//! Then each real value gets one that stands for it, and the same calls are rehearsed with these, against servers that answer
//! by the script. What the script expects is what was seen in the rehearsal, as far as it is the same in the real call: so what
//! depends on a secret is found out, and no real value is written. The rehearsal has another seed, so that what is random is not
//! written either. At last the script is run, and searched for every real
//! value in its usual encodings; a script that does not pass, or shows one, is not given away.
//!
//! **Never** shows a real value, or writes a file.

mod body;
mod leak_search;
mod markup;
mod mock_value;
mod mocks;
mod names;
mod record_error;
mod request_text;
mod script_text;
mod secret_mock;
mod subject_text;
mod toml_text;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use deputy_audit::AuditAction;
use deputy_core::{ByteSize, Instance, SecretBytes, SecretName, Timestamp, Tokens, is_secret_setting};
use deputy_sandbox::{Call, LoadedProvider, StandIn as _, TapedExchange};

use crate::file::{ScriptFile, ScriptedFunction};
use crate::mismatch::Mismatch;
use crate::outcome::ComponentAnswer;
use crate::runner::{Rehearsed, ScriptRunner};
use crate::subject::MockState;
use crate::tokens;
use mocks::{MAX_TEXTS, MAX_VALUES, Mocks, Replacement};
pub use record_error::RecordError;
pub use subject_text::RecordedInstance;
pub use world::RecordedWorld;

/// Calls of one component that become a script.
pub struct Recording {
    world: Arc<RecordedWorld>,
    instance: Instance,
    written: RecordedInstance,
    secrets: BTreeMap<SecretName, Arc<SecretBytes>>,
    state: Arc<MockState>,
    calls: Vec<RecordedCall>,
    seed: u64,
}

/// A function that can be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordedFunction {
    Obtain,
    Renew,
    Revoke,
}

/// A real call.
struct RecordedCall {
    function: ScriptedFunction,
    tokens: Option<Tokens>,
    exchanges: Vec<TapedExchange>,
}

/// The largest script, as large as one that can be read.
const MAX_SCRIPT: ByteSize = ByteSize::kib(1024);

impl Recording {
    /// A recording of an instance that is loaded in this world. `secrets` are the values of its secrets, and `seed` is that of
    /// the script: that of the world would give away the random numbers of the real calls.
    ///
    /// # Errors
    /// If what it is granted cannot be recorded.
    pub fn new(
        world: Arc<RecordedWorld>,
        instance: Instance,
        written: RecordedInstance,
        secrets: BTreeMap<SecretName, Arc<SecretBytes>>,
        seed: u64,
    ) -> Result<Self, RecordError> {
        let rules = &instance.grant.http;
        if instance.grant.kerberos.is_some() || rules.iter().any(|rule| rule.send.negotiate.is_some()) {
            return Err(RecordError::Kerberos);
        }
        if rules.iter().any(|rule| rule.send.tls.client.is_some()) {
            return Err(RecordError::ClientCertificate);
        }
        Ok(Self { world, instance, written, secrets, state: Arc::default(), calls: Vec::new(), seed })
    }

    /// The provider with a state of its own, which begins empty.
    #[must_use]
    pub fn with_state(&self, provider: LoadedProvider) -> LoadedProvider {
        provider.with_state(MockState::store(&self.state))
    }

    /// Calls a function; `renew` and `revoke` get what the last call returned. `None` if the component does not export it, or
    /// there is nothing to renew.
    pub async fn call(&mut self, provider: &LoadedProvider, function: RecordedFunction) -> Option<Call<()>> {
        self.world.taped().take();
        let held = self.calls.iter().rev().find_map(|call| call.tokens.as_ref());
        let (call, returned) = match (function, held) {
            (RecordedFunction::Obtain, _) => split(provider.obtain().await),
            (RecordedFunction::Renew, Some(held)) => split(provider.renew(held).await?),
            (RecordedFunction::Revoke, Some(held)) => (provider.revoke(held).await?, None),
            (_, None) => return None,
        };
        if call.result.is_ok() {
            self.calls.push(RecordedCall {
                function: function.scripted(),
                tokens: returned,
                exchanges: self.world.taped().take(),
            });
        }
        Some(call)
    }

    /// The script. `path` is where it will be, and `component` the path in it.
    ///
    /// # Errors
    /// If no script can be made of the calls that passes and shows no real value.
    pub async fn script(&self, runner: &ScriptRunner, path: &Path, component: &str) -> Result<String, RecordError> {
        check_size(self.calls.iter().flat_map(|call| &call.exchanges))?;
        match self.attempt(Replacement::Everything, runner, path, component).await {
            // A component that looks into an answer needs some of it.
            Err(RecordError::Differs(_) | RecordError::Fails(_) | RecordError::Shown(_)) => {
                self.attempt(Replacement::Likely, runner, path, component).await
            }
            made => made,
        }
    }

    async fn attempt(
        &self,
        scope: Replacement,
        runner: &ScriptRunner,
        path: &Path,
        component: &str,
    ) -> Result<String, RecordError> {
        let mut mocks = Mocks::new(scope, &self.instance.settings);
        for rule in &self.instance.grant.http {
            mocks.note_public(&rule.pattern.to_string());
        }
        let head = self.head(&mut mocks, component)?;
        self.learn(&mut mocks);
        if mocks.is_full() {
            return Err(RecordError::TooManyValues { values: MAX_VALUES, texts: MAX_TEXTS });
        }
        // Each of these steps may take a while, and a signal ends it.
        tokio::task::yield_now().await;
        let draft = self.text(&head, &mocks, None)?;
        let rehearsed = runner.rehearse(&ScriptFile::parse(draft, path)?).await?;
        self.compare(&rehearsed)?;
        let text = self.text(&head, &mocks, Some(&rehearsed))?;
        if text.len() as u64 > MAX_SCRIPT.as_u64() {
            return Err(RecordError::TooLarge(MAX_SCRIPT));
        }
        let tokens = self.calls.iter().filter_map(|call| call.tokens.as_ref());
        let settings = &self.instance.settings;
        leak_search::search(&text, leak_search::searched(&mocks, &self.secrets, settings, tokens)).await?;
        let report = runner.run(&ScriptFile::parse(text.clone(), path)?).await?;
        match report.calls.iter().find(|call| !call.ok) {
            Some(call) => Err(RecordError::Fails(places(call.function, &call.mismatches))),
            None => Ok(text),
        }
    }

    /// Everything before the calls.
    fn head(&self, mocks: &mut Mocks, component: &str) -> Result<String, RecordError> {
        let mut secrets = BTreeMap::new();
        for (name, real) in &self.secrets {
            let grant = self.instance.grant.secrets.get(name).cloned().unwrap_or_default();
            secrets.insert(name.to_string(), secret_mock::mock_secret(mocks, name, &grant, real)?);
        }
        let mut settings = self.instance.settings.clone();
        for (name, value) in &mut settings {
            let is_secret = is_secret_setting(name) && !secrets.contains_key(value) && !value.is_empty();
            *value = if is_secret { mocks.add(name, value) } else { mocks.replaced(value) };
        }
        let mut head = "\
# Recorded by `deputy test --record` from calls of the component against its real servers.
# Secrets, tokens and what looks like one are made up: values such as `mock-…`. A `regex` stands for a value that depends on a
# secret or on random numbers. The clock is that of the calls, the seed is not.
# Change what you like: docs/testing.md has every key, and `deputy test` shows what differs.

"
        .to_owned();
        let now = self.world.now();
        // Writing to a string does not fail.
        writeln!(head, "now = \"{}\"\nseed = {}\n", now.to_string().replace(".000Z", "Z"), self.seed).ok();
        head.push_str(&self.written.lines(component, &settings, &secrets, &|text: &str| mocks.replaced(text)));
        Ok(head)
    }

    fn learn(&self, mocks: &mut Mocks) {
        let state = self.state.value();
        let tokens = self.calls.iter().filter_map(|call| call.tokens.as_ref());
        let returned = tokens.flat_map(|tokens| [("payload", &tokens.payload), ("handle", &tokens.handle)]);
        let returned: Vec<_> = returned.chain(state.iter().map(|state| ("state", &**state))).collect();
        for (_, value) in &returned {
            mocks.note_returned(value.expose());
        }
        let exchanges = self.calls.iter().flat_map(|call| &call.exchanges);
        let responses = exchanges.filter_map(|exchange| exchange.response.as_ref());
        let answers: Vec<_> =
            responses.filter_map(|it| Some((script_text::text(it)?, script_text::headers(it)))).collect();
        // What an answer has a name for gets that name.
        for (body, headers) in answers.iter().filter(|(body, _)| body.has_names()) {
            mocks.learn_answer(body, headers);
        }
        for (name, value) in &returned {
            mocks.learn_returned(name, value.expose());
        }
        for (body, headers) in answers.iter().filter(|(body, _)| !body.has_names()) {
            mocks.learn_answer(body, headers);
        }
    }

    fn text(&self, head: &str, mocks: &Mocks, rehearsed: Option<&[Rehearsed]>) -> Result<String, RecordError> {
        let mut text = head.to_owned();
        for (at, call) in self.calls.iter().enumerate() {
            let rehearsed = rehearsed.and_then(|all| all.get(at)).map(|rehearsed| (rehearsed, self.world.now()));
            text.push_str(&script_text::call(call.function, &call.exchanges, mocks, rehearsed)?);
        }
        Ok(text)
    }

    /// Whether the component did the same with made-up secrets and answers.
    fn compare(&self, rehearsed: &[Rehearsed]) -> Result<(), RecordError> {
        for (real, rehearsed) in self.calls.iter().zip(rehearsed) {
            let events = &rehearsed.outcome.events;
            if events.iter().any(|event| matches!(event.action, AuditAction::Tcp { .. })) {
                return Err(RecordError::Tcp);
            }
            if let Some(text) = real.differs_from(rehearsed) {
                return Err(RecordError::Differs(format!("{}: {text}", real.function.word())));
            }
        }
        Ok(())
    }
}

impl RecordedFunction {
    fn scripted(self) -> ScriptedFunction {
        match self {
            Self::Obtain => ScriptedFunction::Obtain,
            Self::Renew => ScriptedFunction::Renew,
            Self::Revoke => ScriptedFunction::Revoke,
        }
    }
}

impl RecordedCall {
    /// What is not the same in the rehearsal, without a value of the real call.
    fn differs_from(&self, rehearsed: &Rehearsed) -> Option<String> {
        let tokens = match &rehearsed.outcome.answer {
            Err(error) => return Some(error.to_string()),
            Ok(ComponentAnswer::Tokens(tokens)) => Some(tokens),
            Ok(_) => None,
        };
        let (real, sent) = (&self.exchanges, &rehearsed.sent);
        let targets = real.iter().map(|exchange| (&exchange.method, &exchange.origin));
        if targets.ne(sent.iter().map(|exchange| (&exchange.method, &exchange.origin))) {
            return Some("it sends other requests".to_owned());
        }
        match (&self.tokens, tokens) {
            (Some(real), Some(mock)) if real.kind != mock.kind => Some("it returns another kind of payload".to_owned()),
            (Some(real), Some(mock)) if times(real) != times(mock) => Some("it returns another expiry".to_owned()),
            (Some(real), Some(mock)) if real.facts.len() != mock.facts.len() => {
                Some("it returns other facts".to_owned())
            }
            _ => None,
        }
    }
}

/// Whether answers are as small as a script that has them: before anything is done with each value.
fn check_size<'e>(exchanges: impl Iterator<Item = &'e TapedExchange>) -> Result<(), RecordError> {
    let bodies = exchanges.filter_map(|exchange| exchange.response.as_ref()).map(|response| response.body.len());
    if bodies.fold(0, usize::saturating_add) as u64 > MAX_SCRIPT.as_u64() {
        return Err(RecordError::TooLarge(MAX_SCRIPT));
    }
    Ok(())
}

fn times(tokens: &Tokens) -> (deputy_core::TokenExpiry, Option<Timestamp>, Option<Timestamp>) {
    (tokens.expiry, tokens.next_at, tokens.renewable_until)
}

/// The call without what it returned, and a copy of that.
fn split(call: Call<Tokens>) -> (Call<()>, Option<Tokens>) {
    let Call { id, result, denials, timeouts, secret_faults, usage, requests, log_tail } = call;
    let (result, returned) = match result {
        Ok(returned) => (Ok(()), Some(tokens::copy(&returned))),
        Err(error) => (Err(error), None),
    };
    (Call { id, result, denials, timeouts, secret_faults, usage, requests, log_tail }, returned)
}

fn places(function: &str, mismatches: &[Mismatch]) -> String {
    let places: Vec<_> = mismatches.iter().map(|mismatch| mismatch.place.as_str()).collect();
    format!("{function}: {}", places.join("; "))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use deputy_core::Limits;
    use deputy_core::grant::Grant;
    use deputy_sandbox::TapedResponse;

    use super::*;

    fn recording(world_seed: u64, seed: u64) -> Recording {
        let instance = Instance {
            name: "api".parse().unwrap(),
            component: PathBuf::from("a.wasm").into(),
            sha256: None,
            settings: BTreeMap::new(),
            grant: Grant::default(),
            sources: BTreeMap::new(),
            limits: Limits::default(),
        };
        let world = Arc::new(RecordedWorld::new(Timestamp::from_millis(0), world_seed));
        let secrets = BTreeMap::from([("key".parse().unwrap(), Arc::new(SecretBytes::new(b"hunter2!".to_vec())))]);
        Recording::new(world, instance, RecordedInstance::default(), secrets, seed).unwrap()
    }

    #[test]
    fn record_writes_another_seed_than_that_of_the_calls() {
        let mut mocks = Mocks::new(Replacement::Everything, &BTreeMap::new());
        let head = recording(8_141_592_653, 7).head(&mut mocks, "a.wasm").unwrap();
        assert!(head.contains("seed = 7\n") && !head.contains("8141592653"), "{head}");
    }

    #[test]
    fn record_refuses_answers_that_are_larger_than_a_script() {
        let exchange = |size: usize| TapedExchange {
            response: Some(TapedResponse { status: 200, headers: Vec::new(), body: vec![b'a'; size].into() }),
            ..TapedExchange::default()
        };
        assert!(check_size([exchange(1 << 19), exchange(1 << 19)].iter()).is_ok());
        let refused = check_size([exchange(1 << 19), exchange((1 << 19) + 1)].iter());
        assert!(matches!(refused, Err(RecordError::TooLarge(_))));
    }
}
