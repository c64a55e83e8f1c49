//! `cargo xtask dist`: a release. One archive with the program, all connectors and what belongs to them, and a Debian package.
//!
//! The optimised one is linked against glibc 2.28 by cargo-zigbuild, so that it runs where that or a newer one is. It is
//! built by hand, since it compiles everything once more. With `--profile dev` the program of the last test or build is
//! packed as it is, and `cargo xtask test` uses that archive as a user would.

mod contents;
mod debian;
mod dependencies;
mod glibc;
mod licences;
mod sbom;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use self::contents::Contents;
use crate::digest::write;
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::Step;
use crate::workspace::Workspace;
use crate::{guests, tools};

/// The only machine that releases are made for so far.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What the program is linked against at the newest.
const GLIBC: &str = "2.28";

/// How the program is built.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Unoptimised, linked with this machine's glibc: what tests build anyway. Not for others
    Dev,
    /// Optimised as a whole, stripped, linked with an old glibc: a release
    Dist,
}

/// A release as it lies in `target/dist`.
pub(crate) struct Release {
    /// The contents of the archive, in a folder.
    folder: PathBuf,
    archive: PathBuf,
    version: String,
}

/// Builds everything, and packs it.
pub(crate) fn run(workspace: &Workspace, profile: Profile) -> Result<()> {
    guests::build(workspace)?;
    let program = match profile {
        Profile::Dev => built(workspace)?,
        Profile::Dist => build(workspace)?,
    };
    let release = pack(workspace, &program, profile)?;
    debian::pack(workspace, &release)?;
    sums(&release)
}

/// Packs what the tests built, and uses the archive in an empty folder.
pub(crate) fn test(workspace: &Workspace) -> Result<()> {
    let program = built(workspace)?;
    let release = pack(workspace, &program, Profile::Dev)?;
    debian::pack(workspace, &release)?;
    sums(&release)?;
    trial::run(workspace, &release)
}

/// The program of the last build, or that of a new one.
fn built(workspace: &Workspace) -> Result<PathBuf> {
    let program = workspace.target("debug/deputy");
    if !program.is_file() {
        Run::new("cargo").args(["build", "--locked", "--package", "deputy"]).dir(workspace.root()).shown()?;
    }
    Ok(program)
}

/// The optimised program.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    tools::install_release(workspace)?;
    let step = Step::begin("cargo", format!("building an optimised deputy for glibc {GLIBC}: takes half an hour"));
    Run::new(workspace.tool("cargo-zigbuild"))
        .args(["zigbuild", "--locked", "--package", "deputy", "--profile", "dist", "--target"])
        .arg(format!("{TARGET}.{GLIBC}"))
        .env("CARGO_ZIGBUILD_PYTHON_PATH", workspace.tools().join("release/bin/python"))
        .dir(workspace.root())
        .shown()?;
    step.end("deputy built");
    Ok(workspace.target(&format!("{TARGET}/dist/deputy")))
}

fn pack(workspace: &Workspace, program: &Path, profile: Profile) -> Result<Release> {
    let step = Step::silent("dist");
    let version = version(program)?;
    let newest = glibc::newest(program)?;
    match profile {
        Profile::Dist if newest > glibc::version(GLIBC)? => {
            let text = format!("the program needs glibc {newest}, and a release may need {GLIBC} at the most");
            return Err(Failure::new(text).hint("was it linked by cargo-zigbuild?"));
        }
        // It was linked here, for here.
        Profile::Dev | Profile::Dist => {}
    }
    let name = format!("deputy-{version}-{TARGET}");
    let folder = workspace.target("dist").join(&name);
    let mut contents = Contents::begin(workspace, &folder)?;
    contents.program(program, profile)?;
    contents.components()?;
    contents.generated()?;
    contents.documents()?;
    let packages = dependencies::all(workspace)?;
    contents.file("SBOM.cdx.json", sbom::text(&version, &packages)?.as_bytes())?;
    contents.file("THIRD-PARTY-LICENSES.txt", licences::text(&packages)?.as_bytes())?;
    contents.sums()?;
    let archive = folder.with_file_name(format!("{name}.tar.gz"));
    // Owners and times of this machine are left out, so that the same contents are the same archive.
    let level = if profile == Profile::Dist { "gzip -9n" } else { "gzip -1n" };
    Run::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "-I", level, "-cf"])
        .arg(&archive)
        .arg(&name)
        .dir(&workspace.target("dist"))
        .quiet()?;
    let size = fs::metadata(&archive).doing(|| format!("reading {}", archive.display()))?.len() >> 20;
    step.end(format!("{} ({size} MiB), which needs glibc {newest}", workspace.shown(&archive)));
    Ok(Release { folder, archive, version })
}

fn version(program: &Path) -> Result<String> {
    let said = Run::new(program).arg("--version").quiet()?;
    let version = said.split_whitespace().nth(1).map(str::to_owned);
    version.ok_or_else(|| Failure::new(format!("{} does not say its version", program.display())))
}

/// The checksums of what is published.
fn sums(release: &Release) -> Result<()> {
    let folder = release.archive.parent().unwrap_or(Path::new("."));
    let files = [release.archive.clone(), release.debian()];
    let names = files.iter().filter_map(|file| file.file_name());
    let sums = Run::new("sha256sum").args(names).dir(folder).quiet()?;
    write(&folder.join("SHA256SUMS"), sums.as_bytes())
}

impl Release {
    /// The Debian package.
    fn debian(&self) -> PathBuf {
        self.archive.with_file_name(format!("deputy_{}_amd64.deb", self.version))
    }
}
