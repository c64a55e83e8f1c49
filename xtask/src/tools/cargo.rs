//! What comes from crates.io: `wac`, which composes components, and the client of S3 in Rust.

use std::fs;

use super::link;
use crate::digest::{Digest, Stamp};
use crate::failure::{Doing, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;

/// The version of `wac-cli`.
const WAC: &str = "0.12.0";

/// The source of the client.
const CLIENT: &str = "tests/clients/rust";

/// Builds and installs `wac`.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    let folder = workspace.tools().join("cargo");
    let stamp =
        Stamp::new(workspace.tools().join("cargo.stamp"), Digest::new().text(WAC).text(folder.to_string_lossy()));
    if stamp.is_current() {
        say::note("wac", "there");
        return Ok(());
    }
    let step =
        Step::begin("wac", format!("building wac-cli {WAC} into {}: takes a minute or two", workspace.shown(&folder)));
    let products = workspace.tools().join("cargo-build");
    // Unoptimised: it composes two small components, and builds in half the time.
    Run::new("cargo")
        .args(["install", "--locked", "--debug", "--quiet", "wac-cli", "--version", WAC])
        .args(["--no-default-features", "--features", "wit", "--root"])
        .arg(&folder)
        .arg("--target-dir")
        .arg(&products)
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .dir(workspace.root())
        .quiet()?;
    link(workspace, "wac", &folder.join("bin/wac"))?;
    // Nothing was built if a cache that moved has the program already.
    if products.exists() {
        fs::remove_dir_all(&products).doing(|| format!("removing {}", products.display()))?;
    }
    stamp.set()?;
    step.end("wac installed");
    Ok(())
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
