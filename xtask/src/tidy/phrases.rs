//! Phrases that say less than a noun would: comments, messages and documentation name the subject that they mean.

use super::Findings;
use super::tree::{SourceFile, Tree};

/// Phrases, in halves so that this file passes its own rule, and what to write instead.
const PHRASES: [(&str, &str, &str); 19] = [
    ("no", "body", "name the subject: no worker, no component, no operator"),
    ("some", "body", "name the subject"),
    ("who", "ever", "name the subject: the caller, the peer, the owner"),
    ("who ", "has", "name the subject: a worker that has"),
    ("who ", "is", "name the subject: the worker that is"),
    ("of ", "which", "make it two sentences, or use `whose` or `that`"),
    ("so ", "many", "give the number or name the limit"),
    ("as it ", "was", "say `unchanged`"),
    ("is ", "told", "say who tells what: the worker receives, the operator sees"),
    ("are ", "told", "say who tells what: the worker receives, the operator sees"),
    ("was ", "told", "say who tells what: the worker received, the operator saw"),
    ("all ", "that is", "name what is meant"),
    ("all the ", "same", "say `nevertheless`, or nothing"),
    ("an", "ew", "say `again`"),
    ("for ", "whom", "name the subject: the user that the token is for"),
    ("give ", "out", "say what is done: serve, issue, assign, distribute"),
    ("gives ", "out", "say what is done: serves, issues, assigns, distributes"),
    ("in the ", "midst", "say `in the middle`, or `during`"),
    ("log", "-in", "the noun is `login`, the verb `log in`"),
];

/// Where people read.
const READ: [&str; 13] = [
    ".ci/",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "README.md",
    "docs/",
    "engines/",
    "kit/",
    "providers/",
    "receivers/",
    "runtime/",
    "tests/",
    "wit/",
    "xtask/",
];

pub(super) fn check(tree: &Tree, findings: &mut Findings) {
    let files = tree.files().iter().filter(|file| READ.iter().any(|folder| file.path.starts_with(folder)));
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            for (phrase, instead) in found(line) {
                findings.wrong(format!("{}:{}", file.path, index + 1), format!("says `{phrase}`: {instead}"));
            }
        }
        across_lines(file, findings);
    }
}

/// The phrases that a line has as whole words.
fn found(line: &str) -> impl Iterator<Item = (String, &'static str)> {
    let line = line.to_lowercase();
    PHRASES.into_iter().filter_map(move |(start, end, instead)| {
        let phrase = format!("{start}{end}");
        has_words(&line, &phrase).then_some((phrase, instead))
    })
}

/// Finds a phrase that a line break divides.
fn across_lines(file: &SourceFile, findings: &mut Findings) {
    let lines = file.text.lines().map(|line| line.trim_start().trim_start_matches(['/', '!', '#', '>', ' ']));
    let pairs = lines.clone().zip(lines.skip(1)).enumerate();
    for (index, (line, next)) in pairs {
        let last = line.rsplit(' ').next().unwrap_or_default();
        let first = next.split(' ').next().unwrap_or_default();
        for (phrase, instead) in found(&format!("{last} {first}")).filter(|(phrase, _)| phrase.contains(' ')) {
            findings.wrong(format!("{}:{}", file.path, index + 1), format!("says `{phrase}`: {instead}"));
        }
    }
}

fn has_words(line: &str, words: &str) -> bool {
    line.match_indices(words).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        let after = line.get(at + words.len()..).and_then(|after| after.chars().next());
        // In backticks, it is a name of the reader's.
        let is_quoted = before == Some('`') && after == Some('`');
        !is_quoted && !is_part(before) && !is_part(after)
    })
}

fn is_part(letter: Option<char>) -> bool {
    letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
}
