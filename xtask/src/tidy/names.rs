//! Names: a public type has its own, and a test's begins with its subject and is short.

use std::collections::BTreeMap;

use super::Findings;
use super::tree::{SourceFile, Tree};

/// Folders of the product.
const PRODUCT: [&str; 5] = ["engines/", "kit/", "providers/", "receivers/", "runtime/"];

/// Letters of a test's name.
const LONGEST_TEST: usize = 60;

/// Articles and pronouns, with which the name of a test does not begin: a search for a feature finds its tests.
const NO_SUBJECTS: [&str; 22] = [
    "a", "after", "all", "an", "any", "at", "each", "every", "if", "in", "it", "no", "not", "of", "one", "only",
    "that", "the", "what", "when", "who", "without",
];

pub(super) fn check(tree: &Tree, floor: usize, findings: &mut Findings) {
    types(tree, findings);
    let mut count = 0;
    for file in tree.files().iter().filter(|file| file.is_rust()) {
        for (number, name) in tests(file) {
            count += 1;
            if let Some(fault) = fault(name) {
                findings.wrong(format!("{}:{number}", file.path), format!("the test {name} {fault}"));
            }
        }
    }
    findings.saw(count, floor, "tests");
}

/// Finds public types of one name in two files.
fn types(tree: &Tree, findings: &mut Findings) {
    let mut homes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in tree.files().iter().filter(|file| is_product(file)) {
        for name in file.code().filter_map(|(_, line)| public_type(line)) {
            let files = homes.entry(name).or_default();
            if !files.contains(&file.path.as_str()) {
                files.push(&file.path);
            }
        }
    }
    for (name, files) in homes {
        if let [first, others @ ..] = files.as_slice()
            && !others.is_empty()
        {
            findings.wrong(*first, format!("defines the public type {name}, as {} does", others.join(" and ")));
        }
    }
}

fn is_product(file: &SourceFile) -> bool {
    let is_test = file.stem().ends_with("tests") || file.stem() == "testing" || file.path.contains("/tests/");
    file.is_rust() && !is_test && PRODUCT.iter().any(|folder| file.path.starts_with(folder))
}

/// The name of a type that a line defines and other files may use.
fn public_type(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub")?;
    let rest = rest.strip_prefix('(').map_or(rest, |rest| rest.split_once(')').map_or(rest, |(_, rest)| rest));
    let (kind, rest) = rest.trim_start().split_once(' ')?;
    let is_type = matches!(kind, "enum" | "struct" | "trait" | "type" | "union");
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    is_type.then(|| rest.get(..end)).flatten()
}

/// The tests of a file, with the lines of their names.
fn tests(file: &SourceFile) -> impl Iterator<Item = (usize, &str)> {
    let mut is_test = false;
    file.code().filter_map(move |(number, line)| {
        if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            return None;
        }
        let name = line.trim_start_matches("async ").strip_prefix("fn ")?.split(['(', '<']).next()?;
        std::mem::take(&mut is_test).then_some((number, name))
    })
}

fn fault(name: &str) -> Option<String> {
    let first = name.split('_').next().unwrap_or_default();
    if name.len() > LONGEST_TEST {
        return Some(format!("has {} letters, more than {LONGEST_TEST}", name.len()));
    }
    NO_SUBJECTS
        .contains(&first)
        .then(|| format!("begins with `{first}`: begin with the feature, so that a search finds it"))
}
