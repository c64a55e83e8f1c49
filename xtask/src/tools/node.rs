//! What comes from npm: test servers, and what builds connectors in JavaScript.

use std::fs;
use std::path::{Path, PathBuf};

use super::{empty, link};
use crate::digest::{Digest, Stamp};
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;

/// The folder of the kit for JavaScript.
const KIT: &str = "kit/js";

/// The folder of the client of S3 in JavaScript.
const CLIENT: &str = "tests/clients/javascript";

/// The folder of what drives a browser.
const BROWSER: &str = "tests/browser";

/// Installs all sets of packages.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    check_node()?;
    let servers = packages(workspace, "node", &workspace.path("xtask/tools"), "test servers")?;
    link(workspace, "oauth2-mock-server", &servers.join("node_modules/.bin/oauth2-mock-server"))?;
    // A library: `tests/servers/node` has the program.
    link(workspace, "oidc-provider", &servers.join("node_modules/oidc-provider/lib/index.js"))?;
    packages(workspace, "javascript", &workspace.path(KIT), "what builds connectors in JavaScript")?;
    packages(workspace, "clients-javascript", &workspace.path(CLIENT), "AWS's SDK for JavaScript")?;
    packages(workspace, "browser", &workspace.path(BROWSER), "what drives a browser")?;
    Ok(())
}

fn check_node() -> Result<()> {
    let script = "const [a, b] = process.versions.node.split('.').map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)";
    let hint = "Node 20.19 or newer is needed, with npm: `apt-get install nodejs npm` where that is new enough, else your system's like";
    if Run::new("node").args(["-e", script]).succeeds() && Run::new("npm").arg("--version").succeeds() {
        return Ok(());
    }
    Err(Failure::new("`node` or `npm` is missing or too old").hint(hint))
}

/// Installs what a folder's lock file names, beside a copy of that file and not in the source tree.
fn packages(workspace: &Workspace, name: &str, source: &Path, what: &str) -> Result<PathBuf> {
    let folder = workspace.tools().join(name);
    let stamp = Stamp::new(
        workspace.tools().join(format!("{name}.stamp")),
        Digest::new().path(&source.join("package.json"))?.path(&source.join("package-lock.json"))?,
    );
    if stamp.is_current() {
        say::note(name, format!("{what}: there"));
        return Ok(folder);
    }
    let step = Step::begin(name, format!("installing {what} into {}", workspace.shown(&folder)));
    empty(&folder)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source.join(file), folder.join(file)).doing(|| format!("copying {file} to {}", folder.display()))?;
    }
    // What the documents tell authors to run: it refuses a lock file that lacks a package. This fetches nothing.
    Run::new("npm")
        .args(["ci", "--dry-run", "--offline", "--ignore-scripts", "--no-audit", "--loglevel", "error"])
        .dir(&folder)
        .quiet()
        .map_err(|failure| failure.hint("bring the lock file up to date: `npm install --package-lock-only`"))?;
    // Not `npm ci` itself: it wants every optional package of every platform in the lock file, and a registry may lack
    // some. What the lock file names is installed as locked either way. No package's own script is run.
    Run::new("npm")
        .args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"])
        .dir(&folder)
        .quiet()
        .map_err(|failure| failure.hint("the packages come from npm's registry: is it reachable?"))?;
    stamp.set()?;
    step.end(format!("{what}: installed"));
    Ok(folder)
}
