//! What docs/configuration.md says of each key: the comments of its blocks.

use std::collections::BTreeMap;

const REFERENCE: &str = include_str!("../../../../docs/configuration.md");

/// Keys below which the operator chooses names.
const NAMED: [&str; 8] = ["claims", "form", "groups", "headers", "instances", "logins", "receivers", "upstreams"];

/// The part about `deputy.toml`, and that about `worker.toml`.
pub(crate) fn parts() -> (&'static str, &'static str) {
    REFERENCE.split_once("\n# worker.toml\n").unwrap()
}

/// The comment of each key, by its path.
pub(crate) fn descriptions(reference: &str) -> BTreeMap<String, String> {
    let mut descriptions = BTreeMap::new();
    let mut is_inside = false;
    let mut table = String::new();
    // The last key, and a comment that belongs to it, or to the next key if that has none of its own.
    let mut last: Option<String> = None;
    let mut pending = String::new();
    for line in reference.lines() {
        match line {
            "```toml" => is_inside = true,
            "```" => is_inside = false,
            _ => {}
        }
        if !is_inside || line == "```toml" {
            continue;
        }
        let (code, comment) = split(line);
        let code = code.trim();
        if code.is_empty() && !comment.is_empty() {
            pending.extend([" ", comment]);
            continue;
        }
        let rest = std::mem::take(&mut pending);
        let is_header = code.starts_with('[');
        let key = match code.split_once(" = ") {
            Some((key, _)) if !is_header => Some(join(&table, &path(key))),
            _ => None,
        };
        // A comment below a line goes on about it, or is about the next one, which then has none of its own.
        let is_about_next = key.is_some()
            && comment.is_empty()
            && (rest.starts_with(" the ")
                || last.as_ref().is_none_or(|last| *last == table || !descriptions.contains_key(last)));
        if let (false, Some(last)) = (is_about_next, &last) {
            descriptions.entry(last.clone()).and_modify(|text: &mut String| text.push_str(&rest));
        }
        let key = match key {
            Some(key) => key,
            None if is_header => {
                table = path(code.trim_matches(['[', ']']));
                table.clone()
            }
            None => continue,
        };
        let own = if is_about_next { rest } else { comment.to_owned() };
        if !own.trim().is_empty() {
            descriptions.entry(key.clone()).or_insert(own);
        }
        last = Some(key);
    }
    let tidy = |text: &String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    descriptions.iter().map(|(key, text)| (key.clone(), tidy(text))).collect()
}

/// A line's code, and its comment without the mark.
fn split(line: &str) -> (&str, &str) {
    let mut is_quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            '#' if !is_quoted => return (&line[..at], line[at + 1..].trim()),
            _ => {}
        }
    }
    (line, "")
}

/// A path with `*` for each name that the operator chose.
fn path(written: &str) -> String {
    let mut is_name = false;
    let parts = written.split('.').map(|part| {
        let part = if is_name { "*" } else { part };
        is_name = !is_name && (NAMED.contains(&part) || part == "secrets");
        part
    });
    parts.collect::<Vec<_>>().join(".")
}

fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}
