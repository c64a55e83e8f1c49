//! Whether a hostile guest tries every limit, a test expects every denial, and a test runs every hostile guest.

use super::tree::{SourceFile, Tree};
use super::{Findings, Floors};

const LIMITS: &str = "runtime/core/src/limits/table.rs";
const DENIALS: &str = "runtime/core/src/denial.rs";
const GUESTS: &str = "tests/guests/examples/";
const TESTS: &str = "tests/hostile/";

pub(super) fn check(tree: &Tree, floors: &Floors, findings: &mut Findings) {
    let guests: Vec<&SourceFile> = guests(tree).collect();
    let limits = tree.file(LIMITS).map(|file| limits(&file.text)).unwrap_or_default();
    let codes = tree.file(DENIALS).map(|file| codes(&file.text)).unwrap_or_default();
    findings.saw(guests.len(), floors.guests, "hostile guests");
    findings.saw(limits.len(), floors.limits, "limits");
    findings.saw(codes.len(), floors.codes, "codes of denials");

    for guest in &guests {
        if !has(tree, &format!("fn {}()", guest.stem())) {
            findings.wrong(&guest.path, format!("no test in {TESTS} has its name"));
        }
        if !tree.is_entry(&guest.path) {
            findings.wrong(&guest.path, "is no target of tests/guests/Cargo.toml, so it is not built");
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
            findings.wrong(DENIALS, format!("no test in {TESTS} expects the code {code:?}"));
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

/// The variants of the table's rows: `Variant field "key" …`.
fn limits(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| limit(line.trim())).map(str::to_owned).collect()
}

fn limit(line: &str) -> Option<&str> {
    let mut words = line.split(' ');
    let (name, _field, key) = (words.next()?, words.next()?, words.next()?);
    let is_variant = name.starts_with(|letter: char| letter.is_ascii_uppercase());
    (is_variant && key.starts_with('"') && key.ends_with('"')).then_some(name)
}

/// The texts that `fn code` returns.
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
