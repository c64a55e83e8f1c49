//! What an expression of Prometheus names: metrics, and labels.

use std::collections::BTreeSet;

/// The words of an expression, texts in quotes left out.
fn words(expression: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in expression.chars() {
        is_quoted ^= c == '"';
        if c.is_alphanumeric() || c == '_' {
            if let Some(word) = words.last_mut().filter(|_| !is_quoted) {
                word.push(c);
            }
        } else if !is_quoted && !c.is_whitespace() {
            words.extend([c.to_string(), String::new()]);
        } else {
            words.push(String::new());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The metrics of Deputy that it names.
pub(super) fn metrics_of(expression: &str) -> BTreeSet<String> {
    words(expression).into_iter().filter(|word| word.starts_with("deputy_")).collect()
}

/// Each metric of Deputy with the labels by which its samples are selected.
pub(super) fn selections(expression: &str) -> Vec<(String, Vec<String>)> {
    let words = words(expression);
    let named = words.iter().enumerate().filter(|(_, word)| word.starts_with("deputy_"));
    named.map(|(at, word)| (word.clone(), listed(&words[at + 1..], "{", "}"))).collect()
}

/// The labels by which it groups or joins.
pub(super) fn grouped_labels(expression: &str) -> BTreeSet<String> {
    const CLAUSES: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
    let words = words(expression);
    let clauses = words.iter().enumerate().filter(|(_, word)| CLAUSES.contains(&word.as_str()));
    clauses.flat_map(|(at, _)| listed(&words[at + 1..], "(", ")")).collect()
}

/// The names between two brackets, if the words begin with the first one.
fn listed(words: &[String], open: &str, close: &str) -> Vec<String> {
    if words.first().is_none_or(|first| first != open) {
        return Vec::new();
    }
    let inner = words.iter().skip(1).take_while(|word| *word != close);
    inner.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic())).cloned().collect()
}

#[test]
fn expression_names_metrics_and_labels() {
    let text =
        "sum by (le, function) (rate(deputy_a_bucket{instance=~\"$c,b\",x!=\"y\"}[5m])) / on (job) deputy_b offset 1h";
    assert_eq!(metrics_of(text), ["deputy_a_bucket", "deputy_b"].map(str::to_owned).into());
    let (a, b) = (vec!["instance".to_owned(), "x".to_owned()], Vec::new());
    assert_eq!(selections(text), [("deputy_a_bucket".to_owned(), a), ("deputy_b".to_owned(), b)]);
    assert_eq!(grouped_labels(text), ["function", "job", "le"].map(str::to_owned).into());
}
