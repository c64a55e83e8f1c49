//! `cargo xtask tools`: the test servers and tools, from package registries into `target/tools`.
//!
//! Every version is pinned, with the digest of every file. `target/tools/bin` holds a link to each program, `target/tools/java`
//! a folder for each set of jars.

mod cargo;
mod go;
mod java;
mod node;
mod python;

use std::fs;
use std::path::Path;

use crate::failure::{Doing, Failure, Result};
use crate::workspace::Workspace;

/// Installs what is missing.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    python::install(workspace)?;
    java::install(workspace)?;
    node::install(workspace)?;
    python::install_clients(workspace)?;
    python::install_kits(workspace)?;
    go::install(workspace)?;
    cargo::install_client(workspace)?;
    cargo::install(workspace)
}

/// Installs what is missing of what comes from PyPI, which is all that the demonstration needs.
pub(crate) fn install_python(workspace: &Workspace) -> Result<()> {
    python::install(workspace)
}

/// Installs what is missing of what a release is linked with.
pub(crate) fn install_release(workspace: &Workspace) -> Result<()> {
    python::install_release(workspace)
}

/// Installs the servers in Java and their clients: those of Hadoop, HBase, Hive and Kafka.
pub(crate) fn install_java(workspace: &Workspace) -> Result<()> {
    java::install_servers(workspace)
}

/// Installs etcd, and the Go that builds it.
pub(crate) fn install_etcd(workspace: &Workspace) -> Result<()> {
    python::install_clients(workspace)?;
    go::install_etcd(workspace)
}

/// Puts a link to an installed program into `target/tools/bin`.
fn link(workspace: &Workspace, name: &str, program: &Path) -> Result<()> {
    if !program.is_file() {
        return Err(Failure::new(format!("{} was installed without {name}", workspace.shown(program))));
    }
    let link = workspace.tool(name);
    let doing = || format!("linking {}", link.display());
    if let Some(folder) = link.parent() {
        fs::create_dir_all(folder).doing(doing)?;
    }
    if link.symlink_metadata().is_ok() {
        fs::remove_file(&link).doing(doing)?;
    }
    std::os::unix::fs::symlink(program, &link).doing(doing)
}

/// Empties a folder that an earlier, perhaps interrupted, installation left.
fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).doing(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(folder).doing(|| format!("making the folder {}", folder.display()))
}
