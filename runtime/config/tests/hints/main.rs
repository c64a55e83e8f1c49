//! The fix of a denial, applied to the configuration as an operator would, permits what was denied.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod network;
mod secrets;

use std::path::Path;

use deputy_config::{Colour, ConfigDocument, CoordinatorFile};
use deputy_core::{Digest, Instance, Limit, PolicyDenial, Principal, SecretName, StateIdentity};

/// Hints that are followed one after the other at the most.
const STEPS: usize = 4;

/// A configuration of the instance `a`, to which hints are applied as `deputy grant` does.
struct Editor(ConfigDocument);

impl Editor {
    fn open(lines: &str) -> Self {
        let text = format!("[instances.a]\ncomponent = \"a.wasm\"\n{lines}");
        Self(ConfigDocument::parse(&text).unwrap())
    }

    fn instance(&self) -> Instance {
        let text = self.0.to_string();
        let config = CoordinatorFile::parse(&text, Path::new("deputy.toml"));
        let config = config.unwrap_or_else(|errors| panic!("{}\n{text}", errors.render(Colour::Never)));
        assert!(!config.warnings.render(Colour::Never).contains("never acts"), "{text}");
        config.instances.values().next().unwrap().component.clone().unwrap()
    }

    /// Does what the comment before the lines says. `fill` is what the operator puts where there is `…`.
    fn apply(&mut self, hint: &str, fill: &dyn Fn(&str) -> String) {
        self.0.apply(&fill(hint)).unwrap_or_else(|error| panic!("{error}: {hint}"));
    }
}

/// Follows hints until `attempt` is allowed.
#[track_caller]
fn mended(lines: &str, attempt: impl Fn(&Instance) -> Result<(), PolicyDenial>) -> Vec<String> {
    mended_with(lines, attempt, &str::to_owned)
}

#[track_caller]
fn mended_with(
    lines: &str,
    attempt: impl Fn(&Instance) -> Result<(), PolicyDenial>,
    fill: &dyn Fn(&str) -> String,
) -> Vec<String> {
    let mut editor = Editor::open(lines);
    let mut hints = Vec::new();
    while let Err(refusal) = attempt(&editor.instance()) {
        let hint = refusal.fix(Principal::Instance(&editor.instance()));
        let hint = hint.unwrap_or_else(|| panic!("no hint for: {refusal}"));
        assert!(!hints.contains(&hint), "the same hint twice: {hint}");
        editor.apply(&hint, fill);
        hints.push(hint);
        assert!(hints.len() <= STEPS, "{hints:#?}");
    }
    assert!(!hints.is_empty(), "it was allowed from the beginning");
    hints
}

fn key() -> SecretName {
    "key".parse().unwrap()
}

#[test]
fn hint_for_state_grants_it_and_names_whose() {
    let [own, former] = [1, 2].map(|byte| StateIdentity::new(Digest::new([byte; 32])));
    let load = move |instance: &Instance| instance.grant.state.as_ref().ok_or(PolicyDenial::State)?.permit(former, own);
    assert_eq!(mended("", load).len(), 2);
    assert_eq!(mended("[instances.a.state]", load).len(), 1);
    assert_eq!(mended(&format!("[instances.a.state]\ninherit = \"{own}\""), load).len(), 1);
}

#[test]
fn hint_for_a_limit_raises_it_until_its_greatest_value() {
    for limit in Limit::ALL {
        for lines in ["", "[instances.a.limits]\nwall = \"61s\"\nlog-lines = 3"] {
            let mut editor = Editor::open(lines);
            for _ in 0..40 {
                let instance = editor.instance();
                let before = instance.limits.value(limit).number();
                let hint = PolicyDenial::Limit(limit).fix(Principal::Instance(&instance)).unwrap();
                if hint.contains("is already the maximum") {
                    assert_eq!(before, *limit.bounds().end(), "{hint}");
                    break;
                }
                editor.apply(&hint, &str::to_owned);
                assert!(editor.instance().limits.value(limit).number() > before, "{hint}");
            }
            assert_eq!(editor.instance().limits.value(limit).number(), *limit.bounds().end(), "{limit}");
        }
    }
}
