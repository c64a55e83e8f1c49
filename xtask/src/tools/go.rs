//! What is built by the Go that PyPI has: the client of S3 in Go, and etcd.

use std::fs;

use super::link;
use crate::digest::{Digest, Stamp};
use crate::failure::{Doing, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;

/// Programs of one Go module.
struct Build {
    /// The name of the folder that they are built into, and of their stamp.
    name: &'static str,
    what: &'static str,
    /// The folder with `go.mod` and `go.sum`, which has the digest of every module.
    source: &'static str,
    /// The name of each program, and its package.
    programs: &'static [(&'static str, &'static str)],
}

const CLIENT: Build =
    Build { name: "go", what: "AWS's SDK for Go", source: "tests/clients/go", programs: &[("client-go", ".")] };

const ETCD: Build = Build {
    name: "etcd",
    what: "etcd",
    source: "xtask/tools/etcd",
    programs: &[
        ("etcd", "go.etcd.io/etcd/server/v3"),
        ("etcdctl", "go.etcd.io/etcd/etcdctl/v3"),
        ("etcdutl", "go.etcd.io/etcd/etcdutl/v3"),
    ],
};

/// Builds all of them.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    CLIENT.install(workspace)?;
    ETCD.install(workspace)
}

/// Builds etcd alone.
pub(super) fn install_etcd(workspace: &Workspace) -> Result<()> {
    ETCD.install(workspace)
}

impl Build {
    fn install(&self, workspace: &Workspace) -> Result<()> {
        let Self { name, what, source, programs } = self;
        let source = workspace.path(source);
        let folder = workspace.tools().join(name);
        let requirements = workspace.path("xtask/tools/clients.txt");
        let inputs = Digest::new().text(folder.to_string_lossy()).path(&requirements)?.path(&source)?;
        let stamp = Stamp::new(workspace.tools().join(format!("{name}.stamp")), inputs);
        if stamp.is_current() {
            say::note(name, format!("{what}: there"));
            return Ok(());
        }
        let step =
            Step::begin(*name, format!("building {what} into {}: takes a minute or two", workspace.shown(&folder)));
        let products = workspace.tools().join(format!("{name}-build"));
        for (program, package) in *programs {
            Run::new(workspace.tool("go"))
                // Modules that can be removed again, and no other Go than this one.
                .args(["build", "-trimpath", "-modcacherw", "-mod=readonly", "-ldflags=-s -w", "-o"])
                .arg(folder.join(program))
                .arg(package)
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
            link(workspace, program, &folder.join(program))?;
        }
        fs::remove_dir_all(&products).doing(|| format!("removing {}", products.display()))?;
        stamp.set()?;
        step.end(format!("{what}: built"));
        Ok(())
    }
}
