//! What no failure of a component may show.

use std::sync::Arc;

use deputy_config::TestSubject;
use deputy_core::{ComponentFailure, SecretBytes, Tokens};
use deputy_sandbox::{CallError, SecretVariants};
use serde_json::Value;

use crate::file::CallEntry;
use crate::mismatch::Mismatch;
use crate::outcome::{ComponentAnswer, Outcome};

/// Mock secrets, payloads and handles.
#[derive(Default)]
pub(super) struct Hidden {
    values: Vec<Vec<u8>>,
    /// Values of settings, which a failure may name.
    public: Vec<String>,
    variants: Option<SecretVariants>,
}

/// Shorter values stand in texts by chance.
const LEAST: usize = 6;
/// So do shorter texts of a payload.
const LEAST_PART: usize = 8;

impl Hidden {
    /// The mock secrets, what was delivered, and these tokens.
    pub(super) fn of(component: &TestSubject, good: &CallEntry, tokens: Option<&Tokens>) -> Self {
        let mut hidden = Self::default();
        if let TestSubject::Provider(tested) = component {
            hidden.values.extend(tested.mocks.values().map(|value| value.expose().to_vec()));
            let settings = tested.entry.component.iter().flat_map(|instance| instance.settings.values());
            hidden.public.extend(settings.chain(good.settings.values()).cloned());
        }
        for delivery in &good.deliveries {
            hidden.values.extend(delivery.payload.clone().map(String::into_bytes));
            hidden.values.extend(delivery.json.iter().map(|json| json.to_string().into_bytes()));
        }
        hidden.and(tokens)
    }

    /// These tokens as well.
    pub(super) fn and(mut self, tokens: Option<&Tokens>) -> Self {
        if let Some(tokens) = tokens {
            let payload = tokens.payload.expose();
            self.values.extend([payload.to_vec(), tokens.handle.expose().to_vec()]);
            if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_slice(payload) {
                self.add_parts(&value);
            }
        }
        let values = self.values.iter().filter(|value| value.len() >= LEAST);
        let values = values.map(|value| (String::new(), Arc::new(SecretBytes::new(value.clone()))));
        self.variants = Some(SecretVariants::of(&values.collect::<Vec<_>>()));
        self
    }

    /// The texts of a payload. The reader of JSON has bounded how deep this goes.
    fn add_parts(&mut self, value: &Value) {
        match value {
            Value::Object(members) => members.values().for_each(|value| self.add_parts(value)),
            Value::Array(values) => values.iter().for_each(|value| self.add_parts(value)),
            Value::String(text) if text.len() >= LEAST_PART && !self.public.contains(text) => {
                self.values.push(text.clone().into_bytes());
            }
            _ => {}
        }
    }

    pub(super) fn shown_by(&self, outcome: &Outcome) -> Option<Mismatch> {
        let mut texts = vec![outcome.stderr.clone()];
        match &outcome.answer {
            Err(CallError::Failure(failure)) => texts.extend(words(failure)),
            Err(error) => texts.push(error.to_string()),
            Ok(ComponentAnswer::Accepted(accepted)) => texts.extend(accepted.rejected.values().flat_map(words)),
            Ok(_) => {}
        }
        let variants = self.variants.as_ref()?;
        let is_shown = texts.iter().any(|text| variants.find(text.as_bytes()).is_some());
        is_shown.then(|| Mismatch::new("texts of the failure", "no secret", "a secret or a payload"))
    }
}

fn words(failure: &ComponentFailure) -> Vec<String> {
    let mut words = vec![failure.message.clone()];
    words.extend(failure.code.clone());
    words.extend(failure.setting.clone());
    words.extend(failure.facts.iter().flat_map(|fact| [fact.name.clone(), fact.value.clone()]));
    words
}
