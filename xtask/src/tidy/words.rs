//! Words that have no place, or only one.

use super::Findings;
use super::tree::{SourceFile, Tree};

/// Paths of one machine. In two halves, so that this file passes its own rule.
const MACHINES: [(&str, &str); 5] = [("/ho", "me/"), ("/ro", "ot/"), ("/tm", "p/"), ("/wo", "rk/"), ("/Use", "rs/")];

/// Hosts of package registries: what is installed, and from where, is for each machine's own configuration.
const REGISTRIES: [(&str, &str); 7] = [
    ("crates-io.", "proxy"),
    ("deb.debian", ".org"),
    ("index.crates", ".io"),
    ("proxy.golang", ".org"),
    ("py", "pi.org"),
    ("registry.npmjs", ".org"),
    ("repo1.maven", ".org"),
];

/// Names in code, and the folders that they have to themselves.
const HOMES: [(&str, &[&str]); 4] = [
    ("wasmtime::", &["runtime/sandbox/", "tests/bench/"]),
    ("wasmtime_wasi", &["runtime/sandbox/", "tests/bench/"]),
    ("toml::", &["runtime/config/", "runtime/script/"]),
    (
        "hyper::",
        &[
            "runtime/etcd/",
            "runtime/http-server/",
            "runtime/local/",
            "runtime/sandbox/",
            "runtime/traces/",
            "tests/bench/",
        ],
    ),
];

/// The folders in which names have homes.
const CODE: [&str; 2] = ["runtime/", "tests/"];

pub(super) fn check(tree: &Tree, findings: &mut Findings) {
    for file in tree.files() {
        for (index, line) in file.text.lines().enumerate() {
            for word in MACHINES.iter().chain(&REGISTRIES).map(|(start, end)| format!("{start}{end}")) {
                if has_word(line, &word) {
                    let text = format!("names `{word}`: nothing here depends on one machine or registry");
                    findings.wrong(format!("{}:{}", file.path, index + 1), text);
                }
            }
        }
        if file.is_rust() && CODE.iter().any(|folder| file.path.starts_with(folder)) {
            homes(file, findings);
        }
    }
}

fn homes(file: &SourceFile, findings: &mut Findings) {
    for (word, folders) in HOMES {
        if folders.iter().any(|folder| file.path.starts_with(folder)) {
            continue;
        }
        if let Some((number, _)) = file.code().find(|(_, line)| has_word(line, word)) {
            let text = format!("uses `{word}`, which only {} may", folders.join(" and "));
            findings.wrong(format!("{}:{number}", file.path), text);
        }
    }
}

/// Whether the line has the word, and not as the end of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|letter| letter.is_alphanumeric() || "_-.".contains(letter))
    })
}
