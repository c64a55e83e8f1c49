//! What comes from crates.io: `wac`, which composes components, `wit-bindgen`, which generates C and Go from WIT, and the
//! client of S3 in Rust.

use std::fs;

use super::link;
use crate::digest::{Digest, Stamp};
use crate::failure::{Doing, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;

/// The source of the client.
const CLIENT: &str = "tests/clients/rust";

/// A program of crates.io.
struct Program {
    name: &'static str,
    package: &'static str,
    version: &'static str,
    features: &'static str,
}

const PROGRAMS: [Program; 2] = [
    Program { name: "wac", package: "wac-cli", version: "0.12.0", features: "wit" },
    Program { name: "wit-bindgen", package: "wit-bindgen-cli", version: "0.63.0", features: "c,go" },
];

/// Builds and installs them.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    PROGRAMS.iter().try_for_each(|program| program.install(workspace))
}

impl Program {
    fn install(&self, workspace: &Workspace) -> Result<()> {
        let Self { name, package, version, features } = self;
        let folder = workspace.tools().join("cargo");
        let inputs = Digest::new().text(version).text(features).text(folder.to_string_lossy());
        let stamp = Stamp::new(workspace.tools().join(format!("{name}.stamp")), inputs);
        if stamp.is_current() {
            say::note(name, "there");
            return Ok(());
        }
        let doing = format!("building {package} {version} into {}: takes a minute or two", workspace.shown(&folder));
        let step = Step::begin(*name, doing);
        let products = workspace.tools().join("cargo-build");
        // Unoptimised: they read small files, and build in half the time.
        Run::new("cargo")
            .args(["install", "--locked", "--debug", "--quiet", package, "--version", version])
            .args(["--no-default-features", "--features", features, "--root"])
            .arg(&folder)
            .arg("--target-dir")
            .arg(&products)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .dir(workspace.root())
            .quiet()?;
        link(workspace, name, &folder.join("bin").join(name))?;
        // Nothing was built if a cache that moved has the program already.
        if products.exists() {
            fs::remove_dir_all(&products).doing(|| format!("removing {}", products.display()))?;
        }
        stamp.set()?;
        step.end(format!("{name} installed"));
        Ok(())
    }
}

/// Builds and installs the client.
pub(super) fn install_client(workspace: &Workspace) -> Result<()> {
    let source = workspace.path(CLIENT);
    let folder = workspace.tools().join("rust");
    let rustc = Run::new("rustc").arg("--version").quiet()?;
    let inputs = Digest::new().text(rustc).text(folder.to_string_lossy()).path(&source)?;
    let stamp = Stamp::new(workspace.tools().join("rust.stamp"), inputs);
    if stamp.is_current() {
        say::note("rust", "AWS's SDK for Rust: there");
        return Ok(());
    }
    let step = Step::begin("rust", format!("building {CLIENT} into {}: takes minutes", workspace.shown(&folder)));
    let products = workspace.tools().join("rust-build");
    Run::new("cargo")
        .args(["install", "--locked", "--debug", "--quiet", "--path"])
        .arg(&source)
        .arg("--root")
        .arg(&folder)
        .arg("--target-dir")
        .arg(&products)
        .dir(workspace.root())
        .quiet()?;
    link(workspace, "client-rust", &folder.join("bin/client-rust"))?;
    fs::remove_dir_all(&products).doing(|| format!("removing {}", products.display()))?;
    stamp.set()?;
    step.end("AWS's SDK for Rust: built");
    Ok(())
}
