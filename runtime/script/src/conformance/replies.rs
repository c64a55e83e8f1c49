//! What a server may answer instead of the good answer, and what may come of it.

use std::collections::BTreeMap;

use deputy_core::Span;
use deputy_core::failure::FailureKind;

use super::trial::{Rule, Trial};
use super::without_expectations;
use crate::file::{CallEntry, EarlyEnd, HttpExchange, Reply, ScriptedFunction};

/// The service refused.
const REFUSED: &[FailureKind] =
    &[FailureKind::Attention, FailureKind::Denied, FailureKind::Ended, FailureKind::Misconfigured];
/// The service did not answer as it should: the cause is not always known.
const NO_ANSWER: &[FailureKind] = &[FailureKind::Denied, FailureKind::Throttled, FailureKind::Unavailable];
const LATER: &[FailureKind] = &[FailureKind::Throttled, FailureKind::Unavailable];
const TOO_MUCH: &[FailureKind] = &[FailureKind::Denied, FailureKind::OverLimit, FailureKind::Unavailable];

/// How long a server that hangs is waited for.
const PATIENCE: Span = Span::secs(1);
/// The delay of a server that asks to wait.
const DELAY: u64 = 7;

/// The good call with another reply to each of its requests.
pub(super) fn trials(good: &CallEntry) -> Vec<Trial> {
    (0..good.http.len()).flat_map(|at| bad_replies(good, at)).collect()
}

fn status(status: u16) -> Reply {
    Reply { status: Some(status), ..Reply::default() }
}

fn bad_replies(good: &CallEntry, at: usize) -> Vec<Trial> {
    let wait = BTreeMap::from([("retry-after".to_owned(), DELAY.to_string())]);
    let good_reply = good.http.get(at).map(|exchange| exchange.reply.clone()).unwrap_or_default();
    let html = Reply { body: Some("<html><h1>It works!</h1></html>".to_owned()), ..Reply::default() };
    let is_revocation = good.function == ScriptedFunction::Revoke;
    // What a service writes about a revocation need not be read.
    let endless = if is_revocation { Rule::MayFail(TOO_MUCH) } else { Rule::Fails(TOO_MUCH) };
    let mut replies = vec![
        ("status 401", status(401), Rule::Fails(REFUSED)),
        ("status 403", status(403), Rule::Fails(REFUSED)),
        ("status 429", status(429), Rule::Fails(LATER)),
        ("status 429 with Retry-After", Reply { headers: wait, ..status(429) }, Rule::Waits(Span::secs(DELAY))),
        ("status 500", status(500), Rule::Fails(LATER)),
        ("no answer", Reply { hang: true, ..Reply::default() }, Rule::Fails(LATER)),
        (
            "no response of HTTP",
            Reply { raw: Some("garbage\r\n\r\n".to_owned()), ..Reply::default() },
            Rule::Fails(NO_ANSWER),
        ),
        ("a page of HTML", html, Rule::NoTrap),
        ("an empty body", Reply::default(), Rule::NoTrap),
        ("a body that is cut off", Reply { drop: Some(EarlyEnd::InBody), ..good_reply }, Rule::NoTrap),
        ("a body without an end", Reply { endless: true, ..Reply::default() }, endless),
    ];
    if is_revocation {
        // It may mean that the service does not know the tokens any more, which is a success.
        replies.push(("status 404", status(404), Rule::MayFail(REFUSED)));
    }
    let trial = |(name, reply, rule): (&str, Reply, Rule)| {
        let mut call = CallEntry { patience: Some(PATIENCE), ..without_expectations(good) };
        if let Some(exchange) = call.http.get_mut(at) {
            *exchange = HttpExchange { reply, ..exchange.clone() };
        }
        // What the first request obtained may be good without the later ones.
        let rule = if at == 0 { rule } else { Rule::NoTrapUnlessOverLimit };
        let function = match good.function {
            ScriptedFunction::Obtain => String::new(),
            function => format!(" of {}", function.word()),
        };
        Trial { name: format!("{name} to request {}{function}", at.saturating_add(1)), call, rule }
    };
    replies.into_iter().map(trial).collect()
}
