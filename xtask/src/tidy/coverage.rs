//! Whether every limit and every refusal has somebody who tries it, and every hostile guest somebody who runs it.

use super::tree::{SourceFile, Tree};
use super::{Findings, Floors};

const LIMITS: &str = "runtime/core/src/limits.rs";
const REFUSALS: &str = "runtime/core/src/refusal.rs";
const GUESTS: &str = "tests/guests/examples/";
const TESTS: &str = "tests/hostile/";

pub(super) fn check(tree: &Tree, floors: &Floors, findings: &mut Findings) {
    let guests: Vec<&SourceFile> = guests(tree).collect();
    let limits = tree.file(LIMITS).map(|file| variants(&file.text, "enum Limit")).unwrap_or_default();
    let codes = tree.file(REFUSALS).map(|file| codes(&file.text)).unwrap_or_default();
    findings.saw(guests.len(), floors.guests, "hostile guests");
    findings.saw(limits.len(), floors.limits, "limits");
    findings.saw(codes.len(), floors.codes, "codes of refusals");

    for guest in &guests {
        if !has(tree, &format!("fn {}()", guest.stem())) {
            findings.wrong(&guest.path, format!("no test in {TESTS} has its name"));
        }
        if !tree.is_entry(&guest.path) {
            findings.wrong(&guest.path, "is no target of tests/guests/Cargo.toml, so nobody builds it");
        }
    }
    for limit in limits {
        let prefix = format!("{}_", snake(&limit));
        if !guests.iter().any(|guest| guest.stem().starts_with(&prefix)) {
            findings.wrong(LIMITS, format!("no guest {GUESTS}{prefix}*.rs tries the limit {limit}"));
        }
    }
    for code in codes {
        // Limits are expected as limits: see above.
        if code != "over-limit" && !has(tree, &format!("\"{code}\"")) {
            findings.wrong(REFUSALS, format!("no test in {TESTS} expects the code {code:?}"));
        }
    }
}

/// Each file there is one guest, but for those that do no harm.
fn guests(tree: &Tree) -> impl Iterator<Item = &SourceFile> {
    tree.below(GUESTS).filter(|file| file.is_rust() && !file.stem().starts_with("benign"))
}

/// Whether a test has these words; the list of all codes is none.
fn has(tree: &Tree, words: &str) -> bool {
    let mut tests = tree.below(TESTS).filter(|file| file.is_rust() && file.stem() != "main");
    tests.any(|file| file.code().any(|(_, line)| line.contains(words)))
}

/// The variants of an enum without fields.
fn variants(text: &str, declaration: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let body = lines.skip_while(|line| !line.ends_with(&format!("{declaration} {{"))).skip(1);
    let body = body.take_while(|line| *line != "}");
    let names = body.filter(|line| !line.starts_with("//") && !line.starts_with('#') && !line.is_empty());
    names.map(|line| line.trim_end_matches(',').to_owned()).collect()
}

/// The texts that `fn code` gives.
fn codes(text: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| !line.contains("fn code(")).skip(1);
    let body = lines.take_while(|line| *line != "    }");
    body.filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect()
}

fn snake(camel: &str) -> String {
    let mut snake = String::new();
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
