//! `cargo xtask guests`: every WebAssembly component of the tree, into `target/guests/<name>.wasm`.

mod kits;
mod rust;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, Stamp, write_if_changed};
use crate::failure::{Doing, Failure, Result};
use crate::say::{self, Step};
use crate::workspace::Workspace;

/// How many components there are at the least: a build that finds fewer has lost sight of a folder.
const LEAST: usize = 170;

/// The components of one build, by name.
pub(crate) struct Guests {
    folder: PathBuf,
    built: BTreeMap<String, PathBuf>,
    written: usize,
}

/// Builds them all, and removes what no source stands for any more.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let step = Step::silent("guests");
    rust::ensure_targets()?;
    let mut guests = Guests { folder: workspace.guests(), built: BTreeMap::new(), written: 0 };
    let mut missing = Vec::new();
    for folder in rust::folders(workspace) {
        if folder.join("Cargo.toml").is_file() {
            rust::build(workspace, &folder, &mut guests)?;
        } else {
            missing.push(workspace.shown(&folder).to_string());
        }
    }
    kits::build(workspace, &mut guests)?;
    if !missing.is_empty() {
        return Err(Failure::new(format!("no Cargo.toml, so no guests, in {}", missing.join(", "))));
    }
    guests.remove_others()?;
    let count = guests.built.len();
    if count < LEAST {
        let names: Vec<_> = guests.built.keys().map(String::as_str).collect();
        return Err(Failure::new(format!("only {count} guests were built, of at least {LEAST}: {}", names.join(", "))));
    }
    step.end(format!(
        "{count} components in {}, {} of them new or changed",
        workspace.shown(&guests.folder),
        guests.written
    ));
    Ok(())
}

/// Builds what the demonstration needs.
pub(crate) fn build_connectors(workspace: &Workspace) -> Result<()> {
    let step = Step::begin("guests", "building the Rust providers and receivers");
    rust::ensure_targets()?;
    let mut guests = Guests { folder: workspace.guests(), built: BTreeMap::new(), written: 0 };
    for folder in ["providers", "receivers"] {
        rust::build(workspace, &workspace.path(folder), &mut guests)?;
    }
    step.end(format!("{} components in {}", guests.built.len(), workspace.shown(&guests.folder)));
    Ok(())
}

impl Guests {
    /// Takes a component in. Two of one name would hide each other.
    fn add(&mut self, name: &str, component: &[u8], source: &Path) -> Result<()> {
        if write_if_changed(&self.file(name), component)? {
            self.written += 1;
        }
        self.note(name, source)
    }

    /// Builds a component from a folder, unless it was built from the same inputs: what is slow to build is left alone.
    fn build(
        &mut self,
        workspace: &Workspace,
        name: &str,
        folder: &Path,
        inputs: &[&Path],
        make: impl FnOnce(&Path, &Path) -> Result<String>,
    ) -> Result<()> {
        let component = self.file(name);
        self.note(name, folder)?;
        let inputs = inputs.iter().try_fold(Digest::new().path(folder)?, |digest, input| digest.path(input))?;
        let stamp = Stamp::new(self.folder.join(format!("{name}.stamp")), inputs);
        if stamp.is_current() && component.is_file() {
            say::note("guests", format!("{name}: unchanged"));
            return Ok(());
        }
        let step = Step::begin("guests", format!("building {name}"));
        fs::create_dir_all(&self.folder).doing(|| format!("making the folder {}", self.folder.display()))?;
        make(folder, &component)?;
        if !component.is_file() {
            return Err(Failure::new(format!("building {name} left no {}", workspace.shown(&component))));
        }
        self.written += 1;
        stamp.set()?;
        step.end(format!("{name} built"));
        Ok(())
    }

    /// Takes in a component that lies there already.
    fn note(&mut self, name: &str, source: &Path) -> Result<()> {
        match self.built.insert(name.to_owned(), source.to_owned()) {
            None => Ok(()),
            Some(other) => Err(Failure::new(format!(
                "two guests are called {name}: one of {}, one of {}",
                other.display(),
                source.display()
            ))),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.wasm"))
    }

    /// Removes components whose source is gone, so that no test finds them.
    fn remove_others(&self) -> Result<()> {
        let doing = || format!("tidying {}", self.folder.display());
        for entry in fs::read_dir(&self.folder).doing(doing)? {
            let path = entry.doing(doing)?.path();
            let is_wasm = path.extension().is_some_and(|extension| extension == "wasm");
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            if is_wasm && !self.built.contains_key(&name) {
                fs::remove_file(&path).doing(doing)?;
            }
        }
        Ok(())
    }
}
