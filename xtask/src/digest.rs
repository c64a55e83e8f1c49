//! Digests that tell whether the inputs of a step changed since it last ran.
//!
//! They guard a cache below the target directory against stale contents, never against a person.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use crate::failure::{Doing, Result};

/// Folders that hold products, never inputs.
const PRODUCTS: [&str; 4] = ["target", "node_modules", "__pycache__", "build"];

/// A digest that grows as inputs are added.
pub(crate) struct Digest(DefaultHasher);

impl Digest {
    /// A digest of nothing yet.
    pub(crate) fn new() -> Self {
        Self(DefaultHasher::new())
    }

    /// Adds a text, such as a version or an option.
    pub(crate) fn text(mut self, text: impl AsRef<str>) -> Self {
        self.add(text.as_ref().as_bytes());
        self
    }

    /// Adds a file, or every file below a folder except products.
    pub(crate) fn path(mut self, path: &Path) -> Result<Self> {
        for file in files_below(path)? {
            let contents = fs::read(&file).doing(|| format!("reading {}", file.display()))?;
            self.add(file.strip_prefix(path).unwrap_or(&file).as_os_str().as_encoded_bytes());
            self.add(&contents);
        }
        Ok(self)
    }

    /// The digest as text.
    pub(crate) fn finish(self) -> String {
        format!("{:016x}", self.0.finish())
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.write_usize(bytes.len());
        self.0.write(bytes);
    }
}

/// A note below the target directory of the inputs with which a step last succeeded.
pub(crate) struct Stamp {
    file: PathBuf,
    digest: String,
}

impl Stamp {
    /// The stamp kept in `file` for these inputs.
    pub(crate) fn new(file: PathBuf, digest: Digest) -> Self {
        Self { file, digest: digest.finish() }
    }

    /// Whether the step last succeeded with the same inputs.
    pub(crate) fn is_current(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|text| text == self.digest)
    }

    /// Notes that the step succeeded.
    pub(crate) fn set(&self) -> Result<()> {
        write(&self.file, self.digest.as_bytes())
    }
}

/// Writes a file, whole at once, making the folders above it. What has the old file open, or linked, keeps that.
#[expect(clippy::disallowed_methods, reason = "a build product: no one else's to read, cheap to make again")]
pub(crate) fn write(file: &Path, contents: &[u8]) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).doing(|| format!("making the folder {}", folder.display()))?;
    }
    let beside = file.with_extension("new");
    fs::write(&beside, contents).doing(|| format!("writing {}", beside.display()))?;
    fs::rename(&beside, file).doing(|| format!("renaming {} to {}", beside.display(), file.display()))
}

/// Writes a file unless it already holds the same contents. Says whether it wrote.
pub(crate) fn write_if_changed(file: &Path, contents: &[u8]) -> Result<bool> {
    if fs::read(file).is_ok_and(|old| old == contents) {
        return Ok(false);
    }
    write(file, contents)?;
    Ok(true)
}

/// The file itself, or all files below a folder in a fixed order, products left out.
fn files_below(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).doing(|| format!("reading the folder {}", path.display()))? {
        entries.push(entry.doing(|| format!("reading the folder {}", path.display()))?.path());
    }
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        let is_product = entry.file_name().is_some_and(|name| PRODUCTS.iter().any(|product| name == *product));
        if !is_product {
            files.extend(files_below(&entry)?);
        }
    }
    Ok(files)
}
