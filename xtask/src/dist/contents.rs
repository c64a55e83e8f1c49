//! What is in the archive.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::digest::write;
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::workspace::Workspace;

/// Folders of connectors: a folder in them has the name of its component.
const CONNECTORS: [&str; 2] = ["providers", "receivers"];

/// Examples that are packed as well.
const EXAMPLES: [&str; 2] = ["oauth2-javascript", "oauth2-python"];

/// How many connectors there are at the least.
const LEAST: usize = 14;

/// Shells with a file of completions, and the file's name.
const SHELLS: [(&str, &str); 3] = [("bash", "deputy.bash"), ("fish", "deputy.fish"), ("zsh", "_deputy")];

/// Files and folders of the tree that are packed as they are.
const DOCUMENTS: [&str; 9] = [
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "docs",
    "monitoring",
    "packaging/Containerfile",
    "packaging/deputy.sysusers",
    "packaging/deputy.tmpfiles",
    "packaging/systemd",
];

/// The folder that becomes the archive.
pub(super) struct Contents<'w> {
    workspace: &'w Workspace,
    folder: PathBuf,
}

impl<'w> Contents<'w> {
    /// Empties it.
    pub(super) fn begin(workspace: &'w Workspace, folder: &Path) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).doing(|| format!("removing {}", folder.display()))?;
        }
        Ok(Self { workspace, folder: folder.to_owned() })
    }

    pub(super) fn program(&mut self, program: &Path, is_for_here: bool) -> Result<()> {
        let file = self.folder.join("deputy");
        self.copy(program, &file)?;
        // Others are stripped by their profile. Of a test's program, what debuggers need is most of its size.
        if is_for_here {
            Run::new("strip").arg("--strip-debug").arg(&file).quiet()?;
        }
        set_mode(&file, 0o755)
    }

    /// All connectors, so that they are found by their names beside the program.
    pub(super) fn components(&mut self) -> Result<()> {
        let mut names: Vec<String> = EXAMPLES.map(str::to_owned).to_vec();
        for folder in CONNECTORS {
            names.extend(self.names(folder)?);
        }
        for name in &names {
            let component = self.workspace.guests().join(format!("{name}.wasm"));
            if !component.is_file() {
                return Err(Failure::new(format!("{name} has no component in target/guests"))
                    .hint("`cargo xtask guests` builds them"));
            }
            self.copy(&component, &self.folder.join("components").join(format!("{name}.wasm")))?;
        }
        let count = names.len();
        if count < LEAST {
            return Err(Failure::new(format!("found {count} connectors, of at least {LEAST}")));
        }
        Ok(())
    }

    fn names(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.workspace.path(folder);
        let doing = || format!("reading the folder {}", path.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).doing(doing)? {
            let entry = entry.doing(doing)?;
            if entry.path().join("Cargo.toml").is_file() {
                names.extend(entry.file_name().into_string().ok());
            }
        }
        names.sort();
        Ok(names)
    }

    /// What a program prints of itself: completions and manual pages.
    pub(super) fn generated(&mut self, program: &Path) -> Result<()> {
        for (shell, file) in SHELLS {
            let script = Run::new(program).args(["completions", shell]).quiet()?;
            self.file(&format!("completions/{file}"), script.as_bytes())?;
        }
        let pages = Run::new(program).arg("man-pages").json()?;
        let pages = pages.as_object().filter(|pages| pages.contains_key("deputy.1"));
        let pages = pages.ok_or_else(|| Failure::new("`deputy man-pages` printed no manual pages"))?;
        for (name, text) in pages {
            self.file(&format!("man/{name}"), text.as_str().unwrap_or_default().as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn documents(&mut self) -> Result<()> {
        for path in DOCUMENTS {
            let from = self.workspace.path(path);
            let to = self.folder.join(path.strip_prefix("packaging/").unwrap_or(path));
            if from.is_dir() {
                for entry in fs::read_dir(&from).doing(|| format!("reading the folder {path}"))? {
                    let entry = entry.doing(|| format!("reading the folder {path}"))?;
                    if entry.path().is_file() {
                        self.copy(&entry.path(), &to.join(entry.file_name()))?;
                    }
                }
            } else {
                self.copy(&from, &to)?;
            }
        }
        Ok(())
    }

    pub(super) fn file(&mut self, name: &str, contents: &[u8]) -> Result<()> {
        let file = self.folder.join(name);
        write(&file, contents)?;
        set_mode(&file, 0o644)
    }

    /// The checksum of each file.
    pub(super) fn sums(&mut self) -> Result<()> {
        let list = "find . -type f ! -name SHA256SUMS -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum";
        let sums = Run::new("sh").args(["-c", list]).dir(&self.folder).quiet()?;
        self.file("SHA256SUMS", sums.as_bytes())
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        let contents = fs::read(from).doing(|| format!("reading {}", from.display()))?;
        write(to, &contents)?;
        set_mode(to, 0o644)
    }
}

fn set_mode(file: &Path, mode: u32) -> Result<()> {
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(file, permissions).doing(|| format!("setting the mode of {}", file.display()))
}
