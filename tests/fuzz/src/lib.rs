//! What the targets share.

pub mod hadoop;

// The parsers of `deputy-kerberos` alone: the rest of that crate would build a cryptographic library a second time.
#[path = "../../../runtime/kerberos/src/key_type.rs"]
mod key_type;
#[path = "../../../runtime/kerberos/src/keytab.rs"]
pub mod keytab;
#[path = "../../../runtime/kerberos/src/spnego.rs"]
pub mod spnego;

pub use key_type::KeyType;

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
