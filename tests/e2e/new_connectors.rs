//! From `deputy new` in an empty folder to a real token, by the commands of the folder's own README.md alone.
//!
//! Its test passes on the way. Of a command nothing is changed. What the section about tools installs is there already.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use deputy_test_harness::{TestEnvironment, deputy_program, exit};
use deputy_test_servers::{OidcProvider, tool};
use tempfile::TempDir;

use crate::servers;

/// An author's machine with a new connector.
struct Author {
    home: TestEnvironment,
    /// Not in the home, which is searched for secrets.
    _place: TempDir,
    folder: PathBuf,
    component: PathBuf,
    readme: String,
}

impl Author {
    fn new(kind: &str, language: &str) -> Self {
        let home = TestEnvironment::in_target("authors-state");
        let place = tempfile::tempdir().unwrap();
        // Not one name for both: what Cargo builds of them lies in one folder.
        let name = if kind == "provider" { "acme" } else { "acme-files" };
        let created = Command::new(deputy_program())
            .args(["new", kind, name, "--lang", language])
            .env_clear()
            .current_dir(place.path())
            .output()
            .unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        let folder = place.path().join(name);
        let component = folder.join(name).with_extension("wasm");
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        Self { home, _place: place, folder, component, readme }
    }

    /// The block below a heading of the README.
    fn block(&self, heading: &str, language: &str) -> &str {
        let section = self.readme.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
        section.split(&format!("```{language}\n")).nth(1).unwrap().split("\n```").next().unwrap()
    }

    /// Builds it as the README says, with the tools on the path and their caches in the target directory.
    fn build(&self) {
        let tools = tool("wasmtime").unwrap().parent().unwrap().to_owned();
        let lasting = Path::new(env!("CARGO_TARGET_TMPDIR")).join("authors");
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("/bin/sh")
            .args(["-e", "-c", self.block("Build", "sh")])
            .env("PATH", format!("{}:{path}", tools.display()))
            .env("CC", format!("{} cc", tools.join("python-zig").display()))
            .env("ZIG_GLOBAL_CACHE_DIR", lasting.join("zig"))
            .env("GOCACHE", lasting.join("go"))
            .envs([("GOFLAGS", ""), ("GOTOOLCHAIN", "local"), ("GOPROXY", "off")])
            // The author's own choice, and not that of this repository.
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTFLAGS")
            .current_dir(&self.folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(self.component.is_file());
        self.test();
    }

    /// Runs the test that came with it.
    fn test(&self) {
        let output = Command::new(deputy_program())
            .args(["test", "."])
            .env_clear()
            .env("HOME", self.home.state())
            .current_dir(&self.folder)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
        assert!(printed.ends_with(" passed, 0 failed\n") && !printed.ends_with("\n0 passed, 0 failed\n"), "{printed}");
    }

    /// Obtains a real token with the configuration that the README shows.
    fn obtain(mut self) {
        let host = format!("http://127.0.0.1:{}", servers::oidc().port());
        let lines = self.block("Use", "toml");
        let lines = replaced(lines, "acme/acme.wasm", self.component.to_str().unwrap());
        let lines = replaced(&lines, "https://login.example.com", &host);
        let lines = replaced(&lines, "CLIENT-ID", OidcProvider::SERVICE);
        let lines = replaced(&lines, "scope = \"read\"\n", "");
        // The server is on this machine.
        let lines = replaced(&lines, "paths = [\"/token\"]", "paths = [\"/token\"]\nnetworks = [\"loopback\"]");
        self.home.put_secret("client-secret", OidcProvider::SECRET);
        self.home.register_secret(OidcProvider::SECRET);
        self.home.append(&lines);
        let home = &self.home;
        home.deputy(&["check"]).ends_with(exit::OK);
        let run = home.deputy(&["obtain", "acme", "--reveal"]).ends_with(exit::OK);
        assert!(!run.stdout.trim().is_empty());
    }
}

fn replaced(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "the README no longer has {old} in:\n{text}");
    text.replace(old, new)
}

/// What is built of crates is kept, so that only the first run builds it.
fn keep_crates(folder: &Path) {
    let lasting = Path::new(env!("CARGO_TARGET_TMPDIR")).join("authors/cargo");
    fs::create_dir_all(&lasting).unwrap();
    symlink(lasting, folder.join("target")).unwrap();
}

#[test]
fn new_provider_in_c_obtains() {
    let author = Author::new("provider", "c");
    author.build();
    author.obtain();
}

#[test]
fn new_provider_in_go_obtains() {
    let author = Author::new("provider", "go");
    author.build();
    author.obtain();
}

#[test]
fn new_provider_in_javascript_obtains() {
    let author = Author::new("provider", "js");
    // What `npm ci` of the README installs, as the lock file that it installs from has it.
    let lock = fs::read(author.folder.join("kit/js/package-lock.json")).unwrap();
    let installed = tool("wasmtime").unwrap().parent().unwrap().with_file_name("javascript");
    assert_eq!(lock, fs::read(installed.join("package-lock.json")).unwrap());
    symlink(installed.join("node_modules"), author.folder.join("kit/js/node_modules")).unwrap();
    author.build();
    author.obtain();
}

#[test]
fn new_provider_in_python_obtains() {
    let author = Author::new("provider", "python");
    author.build();
    author.obtain();
}

#[test]
fn new_provider_in_rust_obtains() {
    let author = Author::new("provider", "rust");
    keep_crates(&author.folder);
    author.build();
    author.obtain();
}

#[test]
fn new_receiver_in_go_builds() {
    let author = Author::new("receiver", "go");
    author.build();
    let inspected = author.home.deputy(&["inspect", author.component.to_str().unwrap()]);
    assert!(inspected.ends_with(exit::OK).stdout.contains("receiver"));
}

#[test]
fn new_receiver_in_rust_builds() {
    let author = Author::new("receiver", "rust");
    keep_crates(&author.folder);
    author.build();
    let inspected = author.home.deputy(&["inspect", author.component.to_str().unwrap()]);
    assert!(inspected.ends_with(exit::OK).stdout.contains("receiver"));
}

/// What the page for authors says to type, as it stands there.
#[test]
fn new_commands_of_the_page_work() {
    let page = include_str!("../../docs/authoring.md");
    let begin = page.split("\n## ").find(|section| section.starts_with("Begin\n")).unwrap();
    let blocks: Vec<&str> = begin.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    let program = deputy_program();
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let output = Command::new("/bin/sh")
        .args(["-e", "-c", &blocks.concat()])
        .env_clear()
        .env("PATH", path)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("python3 kit/python/componentize.py provider.py -o acme.wasm"), "{printed}");
    assert!(printed.ends_with("contract and kit are those of this program already\n"), "{printed}");
}

#[test]
fn new_folder_updates_contract_and_kit_alone() {
    let author = Author::new("provider", "python");
    fs::write(author.folder.join("provider.py"), "mine").unwrap();
    fs::write(author.folder.join("wit/types.wit"), "old").unwrap();
    let run = author.home.deputy(&["new", "--update", author.folder.to_str().unwrap()]).ends_with(exit::OK);
    assert_eq!(run.stdout, "written wit/types.wit\n");
    assert_eq!(fs::read_to_string(author.folder.join("provider.py")).unwrap(), "mine");
}
