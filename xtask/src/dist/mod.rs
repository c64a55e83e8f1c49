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

/// Which machines a release is for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Machine {
    #[value(name = "x86_64")]
    X86_64,
    Aarch64,
}

impl Machine {
    /// What rustc calls it.
    fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// What Debian calls it.
    fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// Whether its programs run here.
    fn is_this(self) -> bool {
        self.target().starts_with(std::env::consts::ARCH)
    }
}

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
    machine: Machine,
}

/// Builds everything, and packs it.
pub(crate) fn run(workspace: &Workspace, profile: Profile, machine: Machine) -> Result<()> {
    guests::build(workspace)?;
    let program = match profile {
        Profile::Dev if machine.is_this() => built(workspace)?,
        Profile::Dev | Profile::Dist => build(workspace, profile, machine)?,
    };
    let release = pack(workspace, &program, profile, machine)?;
    debian::pack(workspace, &release)?;
    sums(&release)
}

/// Packs what the tests built, and uses the archive in an empty folder.
pub(crate) fn test(workspace: &Workspace) -> Result<()> {
    let program = built(workspace)?;
    let release = pack(workspace, &program, Profile::Dev, this_machine()?)?;
    debian::pack(workspace, &release)?;
    sums(&release)?;
    trial::run(workspace, &release)
}

fn this_machine() -> Result<Machine> {
    let machine = Machine::value_variants().iter().find(|machine| machine.is_this());
    machine.copied().ok_or_else(|| Failure::new(format!("no release is for {}", std::env::consts::ARCH)))
}

/// The program of the last build, or that of a new one.
fn built(workspace: &Workspace) -> Result<PathBuf> {
    let program = workspace.target("debug/deputy");
    if !program.is_file() {
        Run::new("cargo").args(["build", "--locked", "--package", "deputy"]).dir(workspace.root()).shown()?;
    }
    Ok(program)
}

/// The program, linked with an old glibc.
fn build(workspace: &Workspace, profile: Profile, machine: Machine) -> Result<PathBuf> {
    tools::install_release(workspace)?;
    let target = machine.target();
    if !machine.is_this() {
        Run::new("rustup").args(["target", "add", target]).dir(workspace.root()).quiet()?;
    }
    let step = Step::begin("cargo", format!("building deputy for {target} and glibc {GLIBC}"));
    // What `cargo` calls them, and where it puts what it builds.
    let (name, folder) = match profile {
        Profile::Dev => ("dev", "debug"),
        Profile::Dist => ("dist", "dist"),
    };
    Run::new(workspace.tool("cargo-zigbuild"))
        .args(["zigbuild", "--locked", "--package", "deputy", "--profile", name, "--target"])
        .arg(format!("{target}.{GLIBC}"))
        // A `strip` knows this machine's programs alone.
        .env("CARGO_PROFILE_DEV_STRIP", "debuginfo")
        .env("CARGO_ZIGBUILD_PYTHON_PATH", workspace.tools().join("release/bin/python"))
        .dir(workspace.root())
        .shown()?;
    step.end("deputy built");
    Ok(workspace.target(&format!("{target}/{folder}/deputy")))
}

fn pack(workspace: &Workspace, program: &Path, profile: Profile, machine: Machine) -> Result<Release> {
    let step = Step::silent("dist");
    // What a program says of itself is asked of one that runs here.
    let asked = if machine.is_this() { program.to_owned() } else { built(workspace)? };
    let version = version(&asked)?;
    let newest = glibc::newest(program)?;
    // What was not linked here, for here, was linked by cargo-zigbuild.
    let is_for_here = profile == Profile::Dev && machine.is_this();
    if !is_for_here && newest > glibc::version(GLIBC)? {
        let text = format!("the program needs glibc {newest}, and a release may need {GLIBC} at the most");
        return Err(Failure::new(text).hint("was it linked by cargo-zigbuild?"));
    }
    let name = format!("deputy-{version}-{}", machine.target());
    let folder = workspace.target("dist").join(&name);
    let mut contents = Contents::begin(workspace, &folder)?;
    contents.program(program, is_for_here)?;
    contents.components()?;
    contents.generated(&asked)?;
    contents.documents()?;
    let packages = dependencies::all(workspace, machine.target())?;
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
    Ok(Release { folder, archive, version, machine })
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
        self.archive.with_file_name(format!("deputy_{}_{}.deb", self.version, self.machine.debian()))
    }
}
