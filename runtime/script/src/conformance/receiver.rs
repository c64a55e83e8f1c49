//! The rules of receivers.

use std::collections::BTreeMap;

use deputy_core::{ReceiverPlan, Span};

use super::trial::{Rule, Trial};
use super::without_expectations;
use crate::file::{CallEntry, DeliveryEntry, Parsed, ScriptedFunction};

/// Payloads that no service gives. A receiver that does not look into payloads may take them.
const ODD_PAYLOADS: [(&str, &str); 4] = [
    ("garbage", "\u{0}\u{1}garbage"),
    ("a page of HTML", "<html></html>"),
    ("an empty object", "{}"),
    ("a line break", "\n"),
];

/// Values that a setting may have by mistake.
const ODD_VALUES: [(&str, &str); 4] = [
    ("empty", ""),
    ("control characters", "\u{0}\u{1b}[2J\n"),
    ("not ASCII", "é\u{202e}"),
    ("a path that leaves", "../../x"),
];

/// A payload that is larger than any.
const LARGE: usize = 900_000;

/// Every trial of a receiver.
pub(super) fn trials(plan: &ReceiverPlan, good: &CallEntry) -> Vec<Trial> {
    let mut trials = Vec::new();
    for function in [ScriptedFunction::Kinds, ScriptedFunction::Check, ScriptedFunction::Accept] {
        let call = CallEntry { function, without_settings: true, ..without_expectations(good) };
        trials.push(Trial { name: format!("{} without settings", function.word()), call, rule: Rule::NoTrap });
        let call = CallEntry { function, deliveries: Vec::new(), ..without_expectations(good) };
        trials.push(Trial { name: format!("{} without deliveries", function.word()), call, rule: Rule::NoTrap });
    }
    for (kind, value) in ODD_VALUES {
        for name in plan.settings.keys() {
            let settings = BTreeMap::from([(name.clone(), value.to_owned())]);
            let call = CallEntry { settings, ..without_expectations(good) };
            trials.push(Trial { name: format!("accept where the setting {name} is {kind}"), call, rule: Rule::NoTrap });
        }
    }
    let large = "x".repeat(LARGE);
    for (kind, payload) in ODD_PAYLOADS.into_iter().chain([("very large", large.as_str())]) {
        let name = format!("a payload that is {kind}");
        trials.push(changed_deliveries(good, &name, Rule::NoTrap, |delivery| with_payload(delivery, payload)));
    }
    trials.push(changed_deliveries(good, "a delivery that has expired", Rule::NoTrap, expired));
    trials.push(changed_deliveries(good, "a kind that it does not name", Rule::NoTrap, of_another_kind));
    trials
}

fn expired(delivery: &DeliveryEntry) -> DeliveryEntry {
    DeliveryEntry { expires_in: Some(Parsed(Span::millis(0))), ..delivery.clone() }
}

fn of_another_kind(delivery: &DeliveryEntry) -> DeliveryEntry {
    match "some-kind-of-another-service/9".parse() {
        Ok(kind) => DeliveryEntry { kind: Parsed(kind), ..delivery.clone() },
        Err(_) => delivery.clone(),
    }
}

fn with_payload(delivery: &DeliveryEntry, payload: &str) -> DeliveryEntry {
    DeliveryEntry { payload: Some(payload.to_owned()), json: None, base64: None, ..delivery.clone() }
}

fn changed_deliveries(
    good: &CallEntry,
    name: &str,
    rule: Rule,
    change: impl Fn(&DeliveryEntry) -> DeliveryEntry,
) -> Trial {
    let deliveries = good.deliveries.iter().map(change).collect();
    Trial { name: name.to_owned(), call: CallEntry { deliveries, ..without_expectations(good) }, rule }
}
