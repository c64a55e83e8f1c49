//! The rules of providers.

use std::collections::BTreeMap;

use deputy_config::TestedInstance;
use deputy_core::Span;
use deputy_core::failure::FailureKind;

use super::trial::{Rule, Trial};
use super::without_expectations;
use crate::file::{CallEntry, EarlyEnd, HttpExchange, Reply, ScriptedFunction};

/// Values that a setting may have by mistake.
const ODD_VALUES: [(&str, &str); 6] = [
    ("empty", ""),
    ("a space", " "),
    ("control characters", "\u{0}\u{1b}[2J\n"),
    ("not ASCII", "é\u{202e}\u{1f600}"),
    ("a number", "-1"),
    ("an odd URL", "https://[::1"),
];

/// The length of a setting that is too long for anything.
const LONG: usize = 20_000;

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
/// A good answer is read so much later.
const YEARS: Span = Span::secs(100 * 366 * 86_400);

/// Every trial of a provider.
pub(super) fn trials(tested: &TestedInstance, good: &CallEntry) -> Vec<Trial> {
    let mut trials = without_settings(good);
    trials.extend(odd_settings(tested, good));
    for at in 0..good.http.len() {
        trials.extend(bad_replies(good, at));
    }
    let late = CallEntry { after: Some(crate::file::Parsed(YEARS)), ..without_expectations(good) };
    trials.push(Trial { name: "an expiry in the past".to_owned(), call: late, rule: Rule::NoTrap });
    trials
}

fn without_settings(good: &CallEntry) -> Vec<Trial> {
    let functions = [
        ScriptedFunction::ServiceName,
        ScriptedFunction::Kinds,
        ScriptedFunction::TokensRequired,
        ScriptedFunction::Obtain,
    ];
    let trial = |function: ScriptedFunction| Trial {
        name: format!("{} without settings", function.word()),
        call: CallEntry { function, without_settings: true, ..without_expectations(good) },
        rule: Rule::NoTrap,
    };
    functions.into_iter().map(trial).collect()
}

fn odd_settings(tested: &TestedInstance, good: &CallEntry) -> Vec<Trial> {
    let settings = tested.entry.component.as_ref().map(|instance| instance.settings.clone()).unwrap_or_default();
    let long = "x".repeat(LONG);
    let odd = ODD_VALUES.into_iter().chain([("very long", long.as_str())]);
    let mut trials = Vec::new();
    for (kind, value) in odd {
        for name in settings.keys() {
            let changed = BTreeMap::from([(name.clone(), value.to_owned())]);
            for function in [ScriptedFunction::ServiceName, ScriptedFunction::TokensRequired, ScriptedFunction::Obtain]
            {
                let call = CallEntry { function, settings: changed.clone(), ..without_expectations(good) };
                let name = format!("{} where the setting {name} is {kind}", function.word());
                trials.push(Trial { name, call, rule: Rule::NoTrap });
            }
        }
    }
    let unknown = BTreeMap::from([("a-setting-that-there-is-not".to_owned(), "x".to_owned())]);
    let call = CallEntry { settings: unknown, ..without_expectations(good) };
    trials.push(Trial { name: "a setting that there is not".to_owned(), call, rule: Rule::NoTrap });
    trials
}

/// The good call with another reply to one of its requests.
fn bad_replies(good: &CallEntry, at: usize) -> Vec<Trial> {
    let status = |status: u16| Reply { status: Some(status), ..Reply::default() };
    let wait = BTreeMap::from([("retry-after".to_owned(), DELAY.to_string())]);
    let good_reply = good.http.get(at).map(|exchange| exchange.reply.clone()).unwrap_or_default();
    let html = Reply { body: Some("<html><h1>It works!</h1></html>".to_owned()), ..Reply::default() };
    let replies = [
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
        ("a body without an end", Reply { endless: true, ..Reply::default() }, Rule::Fails(TOO_MUCH)),
    ];
    let trial = |(name, reply, rule): (&str, Reply, Rule)| {
        let mut call = CallEntry { patience: Some(PATIENCE), ..without_expectations(good) };
        if let Some(exchange) = call.http.get_mut(at) {
            *exchange = HttpExchange { reply, ..exchange.clone() };
        }
        // What the first request obtained may be good without the later ones.
        let rule = if at == 0 { rule } else { Rule::NoTrapUnlessOverLimit };
        Trial { name: format!("{name} to request {}", at.saturating_add(1)), call, rule }
    };
    replies.into_iter().map(trial).collect()
}
