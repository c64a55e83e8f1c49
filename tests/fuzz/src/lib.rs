//! What the targets share.

pub mod hadoop;

use deputy_config::{Colour, ConfigErrors};

/// What must hold of every configuration that is refused: each finding is at a place of the text, and nothing of the text acts on a terminal.
pub fn shown(text: &str, errors: &ConfigErrors) {
    let lines = text.split('\n').count();
    let mut findings = errors.findings().into_iter().peekable();
    assert!(findings.peek().is_some(), "an error without a finding");
    assert!(findings.all(|finding| finding.line >= 1 && finding.column >= 1 && finding.line <= lines));
    let shown = errors.render(Colour::Never);
    let odd = shown.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(odd, None, "{shown:?}");
    errors.render(Colour::Always);
}
