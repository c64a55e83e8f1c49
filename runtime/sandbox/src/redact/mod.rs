//! Makes texts of a component safe to show to the operator: known secrets blanked, control characters escaped, bounded.
//!
//! Blanking protects from mistakes, not from attacks: a component that may read a value can always write it in another
//! form. The protection is that it may not read it.

mod escape;
mod secret_variants;

use std::fmt;
use std::sync::{Arc, Mutex};

use deputy_core::{SecretBytes, SecretName};
use deputy_support::LockUnpoisoned as _;

pub(crate) use escape::escape;
pub use secret_variants::SecretVariants;

/// Knows the secrets of one call.
pub(crate) struct Redactor {
    state: Mutex<RedactorState>,
}

struct RedactorState {
    /// Each value with the name that the operator knows: of the secret, or of the instance for a payload.
    values: Vec<(String, Arc<SecretBytes>)>,
    /// Built when first needed: most calls print nothing.
    variants: Option<Arc<SecretVariants>>,
}

impl Redactor {
    /// Knows these values from the start, whatever the call uses.
    pub(crate) fn new(values: Vec<(SecretName, Arc<SecretBytes>)>) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        Self { state: Mutex::new(RedactorState { values, variants: None }) }
    }

    /// Knows one more value. None is forgotten, so that a value that was rotated away stays blanked.
    pub(crate) fn learn(&self, name: &impl fmt::Display, value: &Arc<SecretBytes>) {
        let mut state = self.state.lock_unpoisoned();
        if !state.values.iter().any(|(_, old)| Arc::ptr_eq(old, value) || old.expose() == value.expose()) {
            state.values.push((name.to_string(), Arc::clone(value)));
            state.variants = None;
        }
    }

    /// A text of a component on one line: blanked, escaped, and cut to `max` bytes.
    pub(crate) fn clean(&self, text: &str, max: usize) -> String {
        let variants = self.variants();
        let (raw, cut) = match text.as_bytes().get(..max.saturating_add(variants.longest())) {
            Some(head) => (head, true),
            None => (text.as_bytes(), false),
        };
        // A secret that begins before the end is blanked whole; nothing that begins after it is shown.
        let upto = if cut { max } else { raw.len() };
        bounded(escape(&String::from_utf8_lossy(&variants.blank(raw, upto))), max, cut)
    }

    /// The bytes with every known secret blanked that begins before `upto`, and nothing that begins after it.
    pub(crate) fn blank(&self, raw: &[u8], upto: usize) -> Vec<u8> {
        self.variants().blank(raw, upto)
    }

    /// The bytes of a text that was cut at its end, with every known secret blanked. What may be the beginning of one there
    /// is left out.
    pub(crate) fn blank_cut(&self, raw: &[u8]) -> Vec<u8> {
        self.variants().blank_cut(raw)
    }

    /// Bytes of the longest form that a known secret may have.
    pub(crate) fn longest(&self) -> usize {
        self.variants().longest()
    }

    fn variants(&self) -> Arc<SecretVariants> {
        let mut state = self.state.lock_unpoisoned();
        let RedactorState { values, variants } = &mut *state;
        Arc::clone(variants.get_or_insert_with(|| Arc::new(SecretVariants::of(values))))
    }
}

/// A text cut to `max` bytes at a character's border, which is shown by an ellipsis inside of them.
pub(crate) fn bounded(mut text: String, max: usize, cut: bool) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() <= max && !cut {
        return text;
    }
    text.truncate(text.floor_char_boundary(max.saturating_sub(ELLIPSIS.len())));
    if max >= ELLIPSIS.len() {
        text.push_str(ELLIPSIS);
    }
    text
}

#[cfg(test)]
mod tests;
