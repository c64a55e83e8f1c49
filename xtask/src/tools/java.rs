//! What comes from Maven Central, each server with its clients in a folder of its own; what the tests run with them,
//! compiled; and the programs of the system that both need.

use std::fs;
use std::path::{Path, PathBuf};

use super::empty;
use crate::digest::{Digest, Stamp};
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;

/// The sets of jars of servers and their clients: each is a folder in `xtask/tools/java`, and one with sources in
/// `tests/servers/java`.
const SERVERS: [&str; 4] = ["hadoop", "hbase", "hive", "kafka"];

/// The set of clients of S3, whose sources are beside those of the other clients.
const CLIENTS: &str = "clients";

/// What copies the jars that a POM names.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// Programs of the system, and the Debian package of each.
const PROGRAMS: [(&str, &str); 7] = [
    ("java", "openjdk-17-jdk-headless"),
    ("javac", "openjdk-17-jdk-headless"),
    ("mvn", "maven"),
    ("krb5kdc", "krb5-kdc"),
    ("kdb5_util", "krb5-kdc"),
    ("kadmin.local", "krb5-admin-server"),
    ("kinit", "krb5-user"),
];

/// Where Debian keeps programs of servers, which are not in every user's path.
const FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Installs all sets.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    install_sets(workspace, &[CLIENTS])?;
    install_servers(workspace)
}

/// Installs the servers, each with its clients.
pub(super) fn install_servers(workspace: &Workspace) -> Result<()> {
    install_sets(workspace, &SERVERS)
}

fn install_sets(workspace: &Workspace, sets: &[&str]) -> Result<()> {
    check_programs()?;
    let java = Run::new("java").arg("-version").quiet_stderr()?;
    check_version(&java)?;
    // One that is thrown away: what is kept are the jars, once.
    let repository = workspace.tools().join("java/repository");
    for set in sets {
        jars(workspace, set, &repository)?;
        classes(workspace, set, &java)?;
    }
    if repository.exists() {
        fs::remove_dir_all(&repository).doing(|| format!("removing {}", repository.display()))?;
    }
    Ok(())
}

fn check_programs() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from)).collect();
    let is_missing = |program: &str| !folders.iter().any(|folder| folder.join(program).is_file());
    let missing: Vec<_> = PROGRAMS.iter().filter(|(program, _)| is_missing(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<_> = missing.iter().map(|(program, _)| format!("`{program}`")).collect();
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    Err(Failure::new(format!("missing for the servers of Hadoop and Kerberos: {}", programs.join(", ")))
        .hint(format!("`apt-get install {}` or your system's like", packages.join(" "))))
}

/// Refuses a Java that is older than the servers need. It says `openjdk version "17.0.21" 2026-11-17`.
fn check_version(said: &str) -> Result<()> {
    let version = said.split('"').nth(1).and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    if version.is_some_and(|version| version >= 17) {
        return Ok(());
    }
    let said = said.lines().next().unwrap_or_default();
    Err(Failure::new(format!("Java 17 or newer is needed, and `java -version` says {said}"))
        .hint("`apt-get install openjdk-17-jdk-headless` or your system's like, and have PATH name it first"))
}

/// Downloads what a set's POM names, and compares each file with the set's list of digests.
fn jars(workspace: &Workspace, set: &str, repository: &Path) -> Result<()> {
    let source = workspace.path(&format!("xtask/tools/java/{set}"));
    let folder = workspace.tools().join("java").join(set).join("jars");
    let stamp = stamp(workspace, set, "jars", Digest::new().path(&source)?);
    if stamp.is_current() {
        say::note("java", format!("jars of {set}: there"));
        return Ok(());
    }
    let step = Step::begin("java", format!("downloading the jars of {set} into {}", workspace.shown(&folder)));
    empty(&folder)?;
    Run::new("mvn")
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(source.join("pom.xml"))
        .arg(format!("-Dmaven.repo.local={}", repository.display()))
        .args([COPY, "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", folder.display()))
        .quiet()
        .map_err(|failure| failure.hint("the jars come from Maven Central: can `mvn` reach it?"))?;
    let list = source.join("jars.sha256");
    Run::new("sha256sum").args(["--check", "--strict", "--quiet"]).arg(&list).dir(&folder).quiet()?;
    let wanted = fs::read_to_string(&list).doing(|| format!("reading {}", list.display()))?.lines().count();
    let found = fs::read_dir(&folder).doing(|| format!("reading {}", folder.display()))?.count();
    if found != wanted {
        return Err(Failure::new(format!("{found} files in {}, {wanted} in jars.sha256", workspace.shown(&folder))));
    }
    stamp.set()?;
    step.end(format!("jars of {set}: downloaded"));
    Ok(())
}

/// Compiles what the tests start with a set.
fn classes(workspace: &Workspace, set: &str, java: &str) -> Result<()> {
    let source = match set {
        CLIENTS => workspace.path("tests/clients/java"),
        server => workspace.path(&format!("tests/servers/java/{server}")),
    };
    let folder = workspace.tools().join("java").join(set);
    let inputs = Digest::new().text(java).path(&source)?.path(&workspace.path(&format!("xtask/tools/java/{set}")))?;
    let stamp = stamp(workspace, set, "classes", inputs);
    if stamp.is_current() {
        return Ok(());
    }
    let classes = folder.join("classes");
    empty(&classes)?;
    let doing = || format!("reading {}", source.display());
    // Not what javac has to say of other people's jars.
    let lints = "-Xlint:all,-classfile,-path,-processing";
    let mut javac = Run::new("javac").args(["-proc:none", lints, "-Werror", "-implicit:none", "-cp"]);
    javac = javac.arg(folder.join("jars/*")).arg("-d").arg(&classes);
    for file in fs::read_dir(&source).doing(doing)? {
        javac = javac.arg(file.doing(doing)?.path());
    }
    javac.quiet()?;
    stamp.set()
}

/// The note that a set's jars or classes were made from these inputs.
fn stamp(workspace: &Workspace, set: &str, what: &str, inputs: Digest) -> Stamp {
    Stamp::new(workspace.tools().join("java").join(set).join(format!("{what}.stamp")), inputs)
}
