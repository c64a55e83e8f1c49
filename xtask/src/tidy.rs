//! `cargo xtask tidy`: reads the tree once and tells where it is no longer what ARCHITECTURE.md says.
//!
//! A scan that sees too little fails: a rule about files that it does not find would always hold.

mod absence;
mod arrows;
mod coverage;
mod fixes;
mod names;
mod phrases;
mod shape;
mod tree;
mod unused;
mod words;

#[cfg(test)]
mod tests;

use crate::failure::{Failure, Result};
use crate::say::{self, Step};
use crate::workspace::Workspace;

use self::tree::Tree;

/// What a scan of this repository sees at the least.
const FLOORS: Floors =
    Floors { files: 800, crates: 12, dependencies: 250, guests: 135, limits: 24, codes: 28, errors: 40, tests: 1850 };

/// How much of each kind a scan has to see.
struct Floors {
    /// Text files.
    files: usize,
    /// Packages of the native workspace.
    crates: usize,
    /// Dependencies of all packages.
    dependencies: usize,
    /// Hostile guests.
    guests: usize,
    /// Limits of a call.
    limits: usize,
    /// Codes of denials.
    codes: usize,
    /// Errors of the pure crate.
    errors: usize,
    tests: usize,
}

/// Something that is not as it should be.
struct Finding {
    place: String,
    text: String,
}

/// What the rules found, and how much they saw.
#[derive(Default)]
struct Findings {
    wrong: Vec<Finding>,
    warnings: Vec<Finding>,
    seen: Vec<String>,
}

impl Findings {
    fn wrong(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.wrong.push(Finding { place: place.into(), text: text.into() });
    }

    fn warn(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.warnings.push(Finding { place: place.into(), text: text.into() });
    }

    /// Notes how much of a kind was seen; too little is wrong.
    fn saw(&mut self, count: usize, floor: usize, kind: &str) {
        self.seen.push(format!("{count} {kind}"));
        if count < floor {
            self.wrong("tidy", format!("saw {count} {kind}, of at least {floor}: is it looking in the right place?"));
        }
    }
}

pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let step = Step::silent("tidy");
    let findings = scan(&Tree::read(workspace.root())?, &FLOORS);
    for warning in &findings.warnings {
        say::note("warning", format!("{}: {}", warning.place, warning.text));
    }
    for wrong in &findings.wrong {
        say::note("wrong", format!("{}: {}", wrong.place, wrong.text));
    }
    match findings.wrong.len() {
        0 => {
            step.end(format!("{}: all in order", findings.seen.join(", ")));
            Ok(())
        }
        count => Err(Failure::new(format!("the tree is not tidy: {count} findings"))),
    }
}

/// Applies every rule.
fn scan(tree: &Tree, floors: &Floors) -> Findings {
    let mut findings = Findings::default();
    findings.saw(tree.files().len(), floors.files, "text files");
    findings.saw(tree.packages().len(), floors.crates, "crates");
    absence::check(tree, &mut findings);
    arrows::check(tree, &mut findings);
    coverage::check(tree, floors, &mut findings);
    fixes::check(tree, floors.errors, &mut findings);
    names::check(tree, floors.tests, &mut findings);
    phrases::check(tree, &mut findings);
    shape::check(tree, &mut findings);
    unused::check(tree, floors.dependencies, &mut findings);
    words::check(tree, &mut findings);
    findings
}
