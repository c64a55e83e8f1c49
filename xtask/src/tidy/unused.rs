//! Dependencies that no code names.
//!
//! A package's own sources are read, not what a compiler makes of them: a crate is taken for used where its name stands as
//! the beginning of a path, as a macro, or behind `use` or `extern crate`.

use super::Findings;
use super::tree::{Dependency, Package, Tree};

/// Dependencies that are there for their features alone, or for a source of another package that is included by its path;
/// with the package that has them.
const UNNAMED: [(&str, &str); 3] =
    [("deputy-fuzz", "thiserror"), ("deputy-object-store", "reqwest"), ("deputy-sandbox", "semver")];

pub(super) fn check(tree: &Tree, floor: usize, findings: &mut Findings) {
    let mut count = 0;
    for package in tree.packages().iter().chain(tree.other_packages()) {
        for dependency in &package.dependencies {
            count += 1;
            if let Some(text) = fault(tree, package, dependency) {
                findings.wrong(format!("crate {}", package.name), text);
            }
        }
    }
    findings.saw(count, floor, "dependencies");
}

fn fault(tree: &Tree, package: &Package, dependency: &Dependency) -> Option<String> {
    let name = &dependency.name;
    if UNNAMED.contains(&(package.name.as_str(), name.as_str())) {
        return None;
    }
    let is_twice = |other: &Dependency| !other.is_dev && other.code_name == dependency.code_name;
    if dependency.is_dev && !dependency.has_features && package.dependencies.iter().any(is_twice) {
        return Some(format!("depends on {name} twice: tests and examples have it as the crate itself does"));
    }
    let folders = if dependency.is_dev { &package.all_code } else { &package.product_code };
    let mut files = tree.files().iter().filter(|file| {
        file.is_rust() && folders.iter().any(|folder| file.path.strip_prefix(folder.as_str()).is_some_and(is_below))
    });
    let used = files.any(|file| file.code().any(|(_, line)| names(line, &dependency.code_name)));
    (!used).then(|| format!("depends on {name}, which none of its code names: remove it"))
}

/// What stands behind the path of a file or of a folder.
fn is_below(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// Whether a line of code names a crate.
fn names(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (line.get(..at).unwrap_or_default(), line.get(at + name.len()..).unwrap_or_default());
        let begins = !before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        let declared = ["use ", "use ::", "extern crate "].iter().any(|word| before.ends_with(word));
        let ends = !after.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        begins && ends && (after.starts_with("::") || after.starts_with('!') || declared)
    })
}
