//! Warnings that a configuration has only with the new instance.

use deputy_config::{CoordinatorFile, Finding};

/// What the checks of a configuration say of the new one and did not say of the old one. Lines moved, so texts are compared.
pub(super) fn new_warnings(old: &CoordinatorFile, new: &CoordinatorFile) -> Vec<String> {
    let mut known: Vec<String> = old.warnings.findings().map(text_of).collect();
    let mut warnings = Vec::new();
    for text in new.warnings.findings().map(text_of) {
        match known.iter().position(|other| *other == text) {
            // Two warnings may have one text.
            Some(index) => drop(known.swap_remove(index)),
            None => warnings.push(text),
        }
    }
    warnings
}

fn text_of(finding: Finding) -> String {
    match finding.expected {
        Some(expected) => format!("{}: {expected}", finding.message),
        None => finding.message,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// An instance whose rule sends a secret with every request.
    fn instance(name: &str, scheme: &str) -> String {
        format!(
            "[instances.{name}]\ncomponent = \"{name}.wasm\"\n[instances.{name}.secrets.key]\nfile = \"{name}.key\"\n\
             [[instances.{name}.http]]\nallow = \"{scheme}://{name}.example\"\nheaders = {{ x-key = {{ secret = \"key\" }} }}\n"
        )
    }

    fn parse(text: &str) -> CoordinatorFile {
        CoordinatorFile::parse(text, Path::new("deputy.toml")).unwrap()
    }

    #[test]
    fn add_warns_of_the_new_instance_alone() {
        let old = instance("a", "https");
        let open = "the component chooses which requests carry the secret: needs `methods` and `paths`";
        assert!(new_warnings(&parse(&old), &parse(&old)).is_empty());
        // The same text about another instance is another warning.
        assert_eq!(new_warnings(&parse(&old), &parse(&(old.clone() + &instance("b", "https")))), [open]);
        let plain = new_warnings(&parse(&old), &parse(&(old.clone() + &instance("b", "http"))));
        assert_eq!(plain, ["the secret is sent unencrypted: needs https://", open]);
    }
}
