//! The shape of files and folders: length, size, what each begins with, and whether anyone reads it.

use std::collections::BTreeSet;

use super::Findings;
use super::tree::{SourceFile, Tree};

/// Lines from which a file asks to be taken apart, and above which it must be.
const LONG: usize = 500;
const TOO_LONG: usize = 900;

/// Bytes that no file needs.
const LARGE: u64 = 1 << 20;

/// Products that are kept on purpose: components of earlier builds.
const HELD: &str = "tests/held/";

/// Where files that are not text are kept on purpose.
const BINARY: [&str; 3] = [HELD, "tests/fuzz/seeds/", "runtime/store/src/seal/tests.sealed"];

/// Folders whose files say at the top what they are.
const DOCUMENTED: [&str; 8] =
    ["engines/", "kit/", "providers/", "receivers/", "runtime/", "tests/guests/", "tests/servers/", "xtask/"];

/// Folders each of whose folders is named in ARCHITECTURE.md.
const MAPPED: [&str; 6] = ["engines/", "kit/", "providers/", "receivers/", "runtime/", "tests/"];

pub(super) fn check(tree: &Tree, findings: &mut Findings) {
    for blob in tree.blobs().iter().filter(|blob| blob.size > LARGE && !blob.path.starts_with(HELD)) {
        findings.wrong(&blob.path, format!("has {} bytes: keep products and packages out of the tree", blob.size));
    }
    for blob in tree.blobs().iter().filter(|blob| !blob.is_text && !BINARY.iter().any(|it| blob.path.starts_with(it))) {
        findings.wrong(&blob.path, "is not text: keep products and packages out of the tree");
    }
    let declarations = declarations(tree);
    for file in tree.files().iter().filter(|file| file.is_rust()) {
        length(file, findings);
        documentation(file, findings);
        if !is_read(tree, &declarations, file) {
            findings.wrong(&file.path, "is not compiled: no `mod` names it, and it is not a target");
        }
    }
    folders(tree, findings);
}

fn length(file: &SourceFile, findings: &mut Findings) {
    let lines = file.text.lines().count();
    if lines > TOO_LONG {
        findings.wrong(&file.path, format!("has {lines} lines, more than {TOO_LONG}"));
    } else if lines > LONG {
        findings.warn(&file.path, format!("has {lines} lines, more than {LONG}: can it be two?"));
    }
}

fn documentation(file: &SourceFile, findings: &mut Findings) {
    let is_documented = DOCUMENTED.iter().any(|folder| file.path.starts_with(folder));
    let is_tests = file.stem().ends_with("tests") || file.path.contains("/tests/");
    if is_documented && !is_tests && !file.text.starts_with("//! ") {
        findings.wrong(&file.path, "does not begin with `//! `: what is it, and what does it never do?");
    }
}

/// A line that has another file compiled, and the file that it stands in.
struct Declaration<'a> {
    by: &'a SourceFile,
    line: &'a str,
}

fn declarations(tree: &Tree) -> Vec<Declaration<'_>> {
    let rust = tree.files().iter().filter(|file| file.is_rust());
    let lines = rust.flat_map(|by| by.code().map(move |(_, line)| Declaration { by, line }));
    lines.filter(|it| it.line.contains("path = \"") || (it.line.contains("mod ") && it.line.ends_with(';'))).collect()
}

/// Whether Cargo starts at the file, or a file beside it or above it has it as a module.
fn is_read(tree: &Tree, declarations: &[Declaration<'_>], file: &SourceFile) -> bool {
    if tree.is_entry(&file.path) {
        return true;
    }
    let (stem, folder) = if file.stem() == "mod" {
        let (above, name) = file.folder().rsplit_once('/').unwrap_or(("", file.folder()));
        (name, above)
    } else {
        (file.stem(), file.folder())
    };
    let declaration = format!("mod {stem};");
    let by_path = format!("{stem}.rs\"");
    declarations.iter().filter(|it| it.by.path != file.path).any(|Declaration { by, line }| {
        let is_near = by.folder() == folder || folder == format!("{}/{}", by.folder(), by.stem());
        (is_near && line.ends_with(&declaration)) || (line.contains("path = \"") && line.contains(&by_path))
    })
}

fn folders(tree: &Tree, findings: &mut Findings) {
    let Some(map) = tree.file("ARCHITECTURE.md") else {
        findings.wrong("ARCHITECTURE.md", "is missing");
        return;
    };
    let mut folders = BTreeSet::new();
    for file in tree.files() {
        for above in MAPPED {
            if let Some((folder, _)) = file.path.strip_prefix(above).and_then(|rest| rest.split_once('/')) {
                folders.insert(format!("{above}{folder}"));
            }
        }
    }
    for folder in folders {
        if !map.text.contains(&format!("`{folder}`")) {
            findings.wrong("ARCHITECTURE.md", format!("does not name the folder `{folder}`"));
        }
    }
}
