//! The client of S3 in Go, built by the Go that PyPI has.

use std::fs;

use super::link;
use crate::digest::{Digest, Stamp};
use crate::failure::{Doing, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;

/// Its source, whose `go.sum` has the digest of every module.
const CLIENT: &str = "tests/clients/go";

/// Builds it.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    let source = workspace.path(CLIENT);
    let folder = workspace.tools().join("go");
    let requirements = workspace.path("xtask/tools/clients.txt");
    let inputs = Digest::new().text(folder.to_string_lossy()).path(&requirements)?.path(&source)?;
    let stamp = Stamp::new(workspace.tools().join("go.stamp"), inputs);
    if stamp.is_current() {
        say::note("go", "AWS's SDK for Go: there");
        return Ok(());
    }
    let step = Step::begin("go", format!("building {CLIENT} into {}: takes a minute", workspace.shown(&folder)));
    let products = workspace.tools().join("go-build");
    Run::new(workspace.tool("go"))
        // Modules that can be removed again, and no other Go than this one.
        .args(["build", "-trimpath", "-modcacherw", "-mod=readonly", "-o"])
        .arg(folder.join("client-go"))
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-buildvcs=false")
        .env("CGO_ENABLED", "0")
        .env("GOMODCACHE", products.join("modules"))
        .env("GOCACHE", products.join("cache"))
        .dir(&source)
        .quiet()
        .map_err(|failure| {
            failure.hint("the modules come from Go's proxy: is it reachable, or is GOPROXY set elsewhere?")
        })?;
    link(workspace, "client-go", &folder.join("client-go"))?;
    fs::remove_dir_all(&products).doing(|| format!("removing {}", products.display()))?;
    stamp.set()?;
    step.end("AWS's SDK for Go: built");
    Ok(())
}
