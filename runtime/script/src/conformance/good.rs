//! The calls of a script from which trials are made.

use deputy_config::TestSubject;

use crate::file::{CallEntry, Parsed, ScriptFile, ScriptTime, ScriptedFunction};
use crate::script_error::ScriptError;
use crate::subject::Subject;

/// The first call of each function that is expected to succeed, at its time.
pub(super) struct GoodCalls {
    /// `obtain`, or `accept`.
    pub(super) first: CallEntry,
    pub(super) renew: Option<CallEntry>,
    pub(super) revoke: Option<CallEntry>,
}

impl GoodCalls {
    pub(super) fn of(script: &ScriptFile, subject: &Subject) -> Result<Self, ScriptError> {
        let function = match subject.component {
            TestSubject::Provider(_) => ScriptedFunction::Obtain,
            TestSubject::Receiver(_) => ScriptedFunction::Accept,
        };
        let calls = timed(script);
        let Some(first) = first_good(&calls, function) else {
            let text = format!("{}: no `{}` that is expected to succeed", script.path().display(), function.word());
            return Err(ScriptError::Invalid { path: script.path().to_owned(), text });
        };
        Ok(Self {
            first,
            renew: first_good(&calls, ScriptedFunction::Renew),
            revoke: first_good(&calls, ScriptedFunction::Revoke),
        })
    }
}

fn is_good(call: &CallEntry) -> bool {
    call.expect.failure.is_none() && call.expect.rejected.is_empty()
}

fn first_good(calls: &[CallEntry], function: ScriptedFunction) -> Option<CallEntry> {
    calls.iter().find(|call| call.function == function && is_good(call)).cloned()
}

/// The calls, each with the time at which the script makes it.
fn timed(script: &ScriptFile) -> Vec<CallEntry> {
    let mut now = script.now();
    let calls = script.entries.call.iter().map(|call| {
        now = call.time(now);
        CallEntry { at: Some(Parsed(ScriptTime(now))), after: None, ..call.clone() }
    });
    calls.collect()
}
