//! Writing a connector's folder, and renewing what in it is not the author's.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use deputy_files::{FileRead, ambient, read_regular};
use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_PROXY_ADAPTER;

use crate::embedded::below;
use crate::{Language, NewConnector, ScaffoldError, readme, script};

/// The list of files that are this crate's, so that an update knows which it may remove.
const LIST: &str = "kit/FILES";

/// The largest list that is read.
const MAX_LIST: usize = 64 * 1024;

/// What Go compiles to becomes a component with it.
const ADAPTER: &str = "kit/go/wasi_snapshot_preview1.proxy.wasm";

/// The files of a folder by their paths.
type Files = BTreeMap<String, Vec<u8>>;

/// What an update did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Updated {
    /// Files that were written.
    pub written: Vec<String>,
    /// Files that are no longer part of contract and kit.
    pub removed: Vec<String>,
}

/// Writes a connector into a new folder of its name.
///
/// # Errors
/// If the folder is there, or cannot be written.
pub fn create(parent: &Path, connector: &NewConnector) -> Result<PathBuf, ScaffoldError> {
    let NewConnector { name, kind, language } = connector;
    let folder = parent.join(name.as_str());
    let example = kind.example(*language);
    let mut files: Files = below(&example)
        .map(|(path, text)| (path.trim_start_matches(&example).to_owned(), own(text, connector)))
        .collect();
    // What shows something else than the connector of this name.
    files.retain(|path, _| !path.starts_with("signed."));
    files.insert("README.md".to_owned(), readme::text(connector).into_bytes());
    files.insert(format!("{name}.test.toml"), script::text(connector).into_bytes());
    files.insert(".gitignore".to_owned(), readme::IGNORED.as_bytes().to_vec());
    files.append(&mut not_the_authors(*language));
    let failed = |error| ScaffoldError::Io(folder.clone(), error);
    match create_new_folder(&folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(ScaffoldError::Exists(folder)),
        created => created.map_err(failed)?,
    }
    let dir = ambient::open_dir(&folder).map_err(|error| failed(io::Error::other(error)))?;
    for (path, text) in &files {
        write(&dir, path, text).map_err(|error| ScaffoldError::Io(folder.join(path), error))?;
    }
    Ok(folder)
}

/// Renews contract and kit in a folder, and touches nothing else.
///
/// # Errors
/// If it is no folder that [`create`] made.
pub fn update(folder: &Path) -> Result<Updated, ScaffoldError> {
    let not_ours = || ScaffoldError::NotAConnector(folder.to_owned());
    let dir = ambient::open_dir(folder).map_err(|_| not_ours())?;
    let FileRead::Bytes(list) = read_regular(&dir, LIST, MAX_LIST).map_err(|_| not_ours())? else {
        return Err(not_ours());
    };
    let list = String::from_utf8(list).map_err(|_| not_ours())?;
    let has_kit = |language: &Language| list.lines().any(|path| path.starts_with(&format!("kit/{language}/")));
    let language = Language::ALL.into_iter().find(has_kit).ok_or_else(not_ours)?;
    let files = not_the_authors(language);
    let mut updated = Updated::default();
    // The list comes last: an update that was interrupted knows what the one before it wrote.
    for (path, text) in files.iter().filter(|(path, _)| *path != LIST).chain(files.get_key_value(LIST)) {
        let failed = |error| ScaffoldError::Io(folder.join(path), error);
        if !is_there(&dir, path, text) {
            write(&dir, path, text).map_err(failed)?;
            updated.written.push(path.clone());
        }
    }
    // The list may have been edited: nothing but contract and kit is removed.
    let is_ours = |path: &&str| (path.starts_with("kit/") || path.starts_with("wit/")) && !path.contains("..");
    for path in list.lines().filter(is_ours).filter(|path| !files.contains_key(*path)) {
        if dir.remove_file(path).is_ok() {
            updated.removed.push(path.to_owned());
        }
    }
    Ok(updated)
}

/// Contract and kit, with their list.
fn not_the_authors(language: Language) -> Files {
    let kit = format!("kit/{language}/");
    let folders = [kit.as_str(), "kit/wit/", "wit/"];
    let mut files: Files =
        folders.into_iter().flat_map(below).map(|(path, text)| (path.to_owned(), text.to_vec())).collect();
    if language == Language::Go {
        files.insert(ADAPTER.to_owned(), WASI_SNAPSHOT_PREVIEW1_PROXY_ADAPTER.to_vec());
    }
    let list = files.keys().fold(String::new(), |list, path| list + path + "\n");
    files.insert(LIST.to_owned(), list.into_bytes());
    files
}

/// A file of an example, as it is at the root of a folder of its own.
fn own(text: &[u8], connector: &NewConnector) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(text) else { return text.to_vec() };
    let name = connector.name.as_str();
    let examples = ["oauth2-rust", "headers-rust"];
    examples.iter().fold(text.replace("../../../", "./"), |text, example| text.replace(example, name)).into_bytes()
}

/// Whether a file has this text already. One that cannot be read is written again.
fn is_there(dir: &Dir, path: &str, text: &[u8]) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    let found = dir.open_dir(folder).and_then(|folder| read_regular(&folder, name, text.len()));
    matches!(found, Ok(FileRead::Bytes(found)) if found == text)
}

#[expect(clippy::disallowed_methods, reason = "an edge: the folder that the author names")]
fn create_new_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir(folder)
}

fn write(dir: &Dir, path: &str, text: &[u8]) -> io::Result<()> {
    if let Some((folder, _)) = path.rsplit_once('/') {
        dir.create_dir_all(folder)?;
    }
    if dir.symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        return Err(io::Error::other("it is a link, which may lead to a file of the author: remove it"));
    }
    let is_program = text.starts_with(b"#!");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(if is_program { 0o755 } else { 0o644 });
    dir.open_with(path, &options)?.write_all(text)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]
mod tests {
    use std::fs;

    use super::*;
    use crate::ConnectorKind;

    fn connector(kind: ConnectorKind, language: Language) -> NewConnector {
        NewConnector { name: "acme".parse().unwrap(), kind, language }
    }

    #[test]
    fn folder_has_example_kit_contract_and_test() {
        for kind in [ConnectorKind::Provider, ConnectorKind::Receiver] {
            for language in Language::ALL {
                let home = tempfile::tempdir().unwrap();
                let connector = connector(kind, language);
                let folder = create(home.path(), &connector).unwrap();
                let source = readme::source(&connector);
                let files = ["README.md", "acme.test.toml", "wit/types.wit", "kit/wit/http-client.wit", "kit/FILES"];
                for file in files.into_iter().chain([source.as_str()]) {
                    assert!(folder.join(file).is_file(), "{kind} {language}: {file}");
                }
                let refused = create(home.path(), &connector).unwrap_err();
                assert!(matches!(refused, ScaffoldError::Exists(_)));
            }
        }
    }

    #[test]
    fn folder_names_nothing_outside_of_itself() {
        for language in Language::ALL {
            let home = tempfile::tempdir().unwrap();
            let folder = create(home.path(), &connector(ConnectorKind::Provider, language)).unwrap();
            for entry in fs::read_dir(&folder).unwrap() {
                let Ok(text) = fs::read_to_string(entry.unwrap().path()) else { continue };
                assert!(!text.contains("../../../") && !text.contains("oauth2-rust"), "{language}: {text}");
            }
        }
    }

    #[test]
    fn folder_update_renews_kit_and_contract_alone() {
        let home = tempfile::tempdir().unwrap();
        let folder = create(home.path(), &connector(ConnectorKind::Provider, Language::Python)).unwrap();
        assert_eq!(update(&folder).unwrap(), Updated::default());
        fs::write(folder.join("provider.py"), "mine").unwrap();
        fs::write(folder.join("wit/mine.wit"), "package my:own;").unwrap();
        fs::write(folder.join("wit/types.wit"), "old").unwrap();
        fs::write(folder.join("kit/python/old.py"), "old").unwrap();
        let list = fs::read_to_string(folder.join(LIST)).unwrap();
        fs::write(folder.join(LIST), list + "kit/python/old.py\nprovider.py\nwit/../README.md\n").unwrap();
        let updated = update(&folder).unwrap();
        assert_eq!(updated.written, ["wit/types.wit", "kit/FILES"]);
        assert_eq!(updated.removed, ["kit/python/old.py"]);
        assert_eq!(fs::read_to_string(folder.join("provider.py")).unwrap(), "mine");
        assert!(folder.join("wit/mine.wit").is_file() && folder.join("README.md").is_file());
    }

    #[test]
    fn folder_update_writes_through_no_link() {
        let home = tempfile::tempdir().unwrap();
        let folder = create(home.path(), &connector(ConnectorKind::Provider, Language::Python)).unwrap();
        fs::write(folder.join("provider.py"), "mine").unwrap();
        fs::remove_file(folder.join("wit/types.wit")).unwrap();
        std::os::unix::fs::symlink("../provider.py", folder.join("wit/types.wit")).unwrap();
        let refused = update(&folder).unwrap_err();
        assert!(matches!(refused, ScaffoldError::Io(path, _) if path.ends_with("wit/types.wit")));
        assert_eq!(fs::read_to_string(folder.join("provider.py")).unwrap(), "mine");
    }

    #[test]
    fn folder_update_needs_a_list() {
        let home = tempfile::tempdir().unwrap();
        assert!(matches!(update(home.path()).unwrap_err(), ScaffoldError::NotAConnector(_)));
    }
}
