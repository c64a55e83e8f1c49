//! The Debian package, made with `dpkg-deb` of what is in the archive.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Release;
use super::glibc;
use crate::digest::write;
use crate::failure::{Doing, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;

/// From the archive to where Debian has it. What ends in a slash is a folder.
const PLACES: [(&str, &str); 12] = [
    ("deputy", "usr/bin/deputy"),
    ("components/", "usr/lib/deputy/components/"),
    ("completions/deputy.bash", "usr/share/bash-completion/completions/deputy"),
    ("completions/deputy.fish", "usr/share/fish/vendor_completions.d/deputy.fish"),
    ("completions/_deputy", "usr/share/zsh/vendor-completions/_deputy"),
    ("man/", "usr/share/man/man1/"),
    ("systemd/", "usr/lib/systemd/system/"),
    ("deputy.sysusers", "usr/lib/sysusers.d/deputy.conf"),
    ("deputy.tmpfiles", "usr/lib/tmpfiles.d/deputy.conf"),
    ("docs/", "usr/share/doc/deputy/"),
    ("SBOM.cdx.json", "usr/share/doc/deputy/SBOM.cdx.json"),
    ("THIRD-PARTY-LICENSES.txt", "usr/share/doc/deputy/copyright"),
];

/// Programs that run when the package is installed or removed.
const SCRIPTS: [&str; 2] = ["postinst", "prerm"];

/// Packs it, and has the units checked where systemd is.
pub(super) fn pack(workspace: &Workspace, release: &Release) -> Result<()> {
    let step = Step::silent("debian");
    let root = workspace.target("dist").join("debian");
    if root.exists() {
        fs::remove_dir_all(&root).doing(|| format!("removing {}", root.display()))?;
    }
    for (from, to) in PLACES {
        let from_path = release.folder.join(from);
        if from.ends_with('/') {
            for file in files(&from_path)? {
                copy(&file, &root.join(to).join(file.file_name().unwrap_or_default()))?;
            }
        } else {
            copy(&from_path, &root.join(to))?;
        }
    }
    let size = Run::new("du").args(["-sk"]).arg(&root).quiet()?;
    let control = fs::read_to_string(workspace.path("packaging/debian/control"));
    let control = control.doing(|| "reading packaging/debian/control".into())?;
    let control = control
        .replace("@VERSION@", &release.version)
        .replace("@ARCHITECTURE@", release.machine.debian())
        .replace("@GLIBC@", &glibc::newest(&release.folder.join("deputy"))?.to_string())
        .replace("@SIZE@", size.split_whitespace().next().unwrap_or("0"));
    write(&root.join("DEBIAN/control"), control.as_bytes())?;
    for script in SCRIPTS {
        let to = root.join("DEBIAN").join(script);
        copy(&workspace.path("packaging/debian").join(script), &to)?;
        set_mode(&to, 0o755)?;
    }
    let package = release.debian();
    // Fast: most of what is in it is code that was compressed in the archive already.
    let build = Run::new("dpkg-deb").args(["--root-owner-group", "-Zgzip", "-z1", "--build"]).arg(&root).arg(&package);
    if !Run::new("dpkg-deb").arg("--version").succeeds() {
        say::note("debian", "no dpkg-deb on this machine: no Debian package is made");
        return Ok(());
    }
    build.env("SOURCE_DATE_EPOCH", "0").quiet()?;
    verify(workspace, &root)?;
    step.end(workspace.shown(&package).to_string());
    Ok(())
}

/// Has systemd read the units as they would be installed, with the drop-in of the examples.
fn verify(workspace: &Workspace, root: &Path) -> Result<()> {
    if !Run::new("systemd-analyze").arg("--version").succeeds() {
        say::note("systemd", "no systemd-analyze on this machine: the units are not checked");
        return Ok(());
    }
    let units = files(&root.join("usr/lib/systemd/system"))?;
    // What the units run has to be there, and nothing of it is run.
    let stage = root.with_file_name("verified");
    for unit in &units {
        copy(unit, &stage.join("usr/lib/systemd/system").join(unit.file_name().unwrap_or_default()))?;
    }
    let drop_in = "etc/systemd/system/deputy.service.d/example.conf";
    copy(&workspace.path("examples/systemd/deputy.service.d.conf"), &stage.join(drop_in))?;
    for program in ["usr/bin/deputy", "bin/sh"] {
        write(&stage.join(program), b"")?;
        set_mode(&stage.join(program), 0o755)?;
    }
    let names = units.iter().filter_map(|unit| unit.file_name());
    let names = names.map(|name| name.to_string_lossy().replace("@.", "@a."));
    let verify =
        Run::new("systemd-analyze").args(["verify", "--man=no", "--recursive-errors=no", "--root"]).arg(&stage);
    verify.args(names).quiet()?;
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let doing = || format!("reading the folder {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).doing(doing)? {
        files.push(entry.doing(doing)?.path());
    }
    files.sort();
    Ok(files)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let contents = fs::read(from).doing(|| format!("reading {}", from.display()))?;
    let mode = fs::metadata(from).doing(|| format!("reading {}", from.display()))?.permissions().mode();
    write(to, &contents)?;
    set_mode(to, mode & 0o777)
}

fn set_mode(file: &Path, mode: u32) -> Result<()> {
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(file, permissions).doing(|| format!("setting the mode of {}", file.display()))
}
