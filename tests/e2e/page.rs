//! A page of `docs/` whose commands are run as they stand there, with the real wasmtime and `wac`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use deputy_test_servers::{guest, tool};
use tempfile::TempDir;

pub(crate) struct Page {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
}

impl Page {
    /// The two shell blocks below a heading, each as one script.
    pub(crate) fn blocks(&self, heading: &str) -> [&'static str; 2] {
        let (name, text) = (self.name, self.text);
        let section = text.split("\n## ").find(|section| section.starts_with(heading));
        let section = section.unwrap_or_else(|| panic!("{name} has no section {heading:?}"));
        let blocks: Vec<&str> =
            section.split("```sh\n").skip(1).map(|block| block.split("\n```").next().unwrap()).collect();
        let known = format!("{name}: the section {heading:?} has other commands than these tests know");
        blocks.try_into().expect(&known)
    }

    /// A script of the page with something replaced that must be in it.
    pub(crate) fn replace(&self, script: &str, old: &str, new: &str) -> String {
        assert!(script.contains(old), "{} no longer has {old} in:\n{script}", self.name);
        script.replace(old, new)
    }
}

/// A folder that looks like the author's: the components where the page has them.
pub(crate) fn author(components: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("target/guests")).unwrap();
    for (file, component) in components {
        symlink(guest(component).unwrap(), folder.path().join(file)).unwrap();
    }
    folder
}

/// Runs a script with the tools on the path and gives what it printed.
pub(crate) fn shell(folder: &Path, script: &str) -> String {
    heard(folder, script).0
}

/// The same with what it said on standard error.
pub(crate) fn heard(folder: &Path, script: &str) -> (String, String) {
    let tools = tool("wasmtime").unwrap();
    let output = Command::new("/bin/sh")
        .args(["-e", "-c", script])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", tools.parent().unwrap().display()))
        // Where wasmtime keeps what it compiled.
        .env("HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/wasmtime"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{script}\n{errors}");
    (String::from_utf8(output.stdout).unwrap(), errors)
}
