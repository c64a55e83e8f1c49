//! The rules of providers.

use std::collections::BTreeMap;

use deputy_config::TestedInstance;
use deputy_core::Span;

use super::trial::{Rule, Trial};
use super::{replies, without_expectations};
use crate::file::{CallEntry, Parsed, ScriptedFunction};

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

/// A good answer is read so much later.
const YEARS: Span = Span::secs(100 * 366 * 86_400);

/// Every trial of a provider.
pub(super) fn trials(tested: &TestedInstance, good: &CallEntry) -> Vec<Trial> {
    let functions = [
        ScriptedFunction::ServiceName,
        ScriptedFunction::Kinds,
        ScriptedFunction::TokensRequired,
        ScriptedFunction::Obtain,
    ];
    let mut trials = without_settings(good, &functions);
    let functions = [ScriptedFunction::ServiceName, ScriptedFunction::TokensRequired, ScriptedFunction::Obtain];
    trials.extend(odd_settings(tested, good, &functions));
    trials.extend(replies::trials(good));
    trials.push(late(good));
    trials
}

/// The good call when its good answer has long expired.
pub(super) fn late(good: &CallEntry) -> Trial {
    let name = match good.function {
        ScriptedFunction::Obtain => "an expiry in the past".to_owned(),
        function => format!("{} with an expiry in the past", function.word()),
    };
    let call = CallEntry { at: None, after: Some(Parsed(YEARS)), ..without_expectations(good) };
    Trial { name, call, rule: Rule::NoTrap }
}

pub(super) fn without_settings(good: &CallEntry, functions: &[ScriptedFunction]) -> Vec<Trial> {
    let trials = functions.iter().map(|function| Trial {
        name: format!("{} without settings", function.word()),
        call: CallEntry { function: *function, without_settings: true, ..without_expectations(good) },
        rule: Rule::NoTrap,
    });
    trials.collect()
}

pub(super) fn odd_settings(tested: &TestedInstance, good: &CallEntry, functions: &[ScriptedFunction]) -> Vec<Trial> {
    let settings = tested.entry.component.as_ref().map(|instance| instance.settings.clone()).unwrap_or_default();
    let long = "x".repeat(LONG);
    let odd = ODD_VALUES.into_iter().chain([("very long", long.as_str())]);
    let mut trials = Vec::new();
    for (kind, value) in odd {
        for name in settings.keys() {
            let changed = BTreeMap::from([(name.clone(), value.to_owned())]);
            for function in functions {
                let call = CallEntry { function: *function, settings: changed.clone(), ..without_expectations(good) };
                let name = format!("{} where the setting {name} is {kind}", function.word());
                trials.push(Trial { name, call, rule: Rule::NoTrap });
            }
        }
    }
    let unknown = BTreeMap::from([("a-setting-that-there-is-not".to_owned(), "x".to_owned())]);
    let call = CallEntry { settings: unknown, ..without_expectations(good) };
    let name = format!("{} with a setting that there is not", good.function.word());
    trials.push(Trial { name, call, rule: Rule::NoTrap });
    trials
}
