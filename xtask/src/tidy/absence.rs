//! Texts that a test expects to be absent: a text that nothing prints is always absent, and its test cannot fail.

use super::Findings;
use super::tree::Tree;

/// What precedes such a text.
const CONTAINS: &str = ".contains(\"";

/// Folders with tests of printed texts.
const TESTS: [&str; 3] = ["tests/cli/", "tests/e2e/", "tests/hostile/"];

pub(super) fn check(tree: &Tree, findings: &mut Findings) {
    for folder in TESTS {
        for file in tree.below(folder).filter(|file| file.is_rust()) {
            for (number, line) in file.code() {
                for text in absent(line).filter(|text| !is_printed(tree, text)) {
                    let finding = format!(
                        "expects `{text}` to be absent, but nothing prints it: a typing error, or an old text?"
                    );
                    findings.wrong(format!("{}:{number}", file.path), finding);
                }
            }
        }
    }
}

/// The texts of several words that a line expects to be absent.
fn absent(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices(CONTAINS).filter_map(|(at, _)| {
        let subject =
            line.get(..at)?.rsplit(['(', ' ', '|', '&']).find(|part| !part.is_empty() && !part.starts_with(')'))?;
        let text = line.get(at + CONTAINS.len()..)?.split('"').next()?;
        // A number, or a name in code, is filled in.
        let words =
            text.split(|letter: char| letter == '`' || letter.is_ascii_digit()).max_by_key(|part| part.len())?;
        (subject.starts_with('!') && words.trim().contains(' ')).then_some(words)
    })
}

/// Whether the product, a guest or a server of the tests has the text.
fn is_printed(tree: &Tree, text: &str) -> bool {
    let is_test = |path: &str| TESTS.iter().any(|folder| path.starts_with(folder));
    let text = text.trim();
    tree.files().iter().any(|file| !is_test(&file.path) && !file.path.ends_with(".md") && file.text.contains(text))
}
