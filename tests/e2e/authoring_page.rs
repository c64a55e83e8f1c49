//! `docs/authoring.md`: its commands, typed as they stand there in an empty folder, lead from nothing to a real token in a
//! file, in each language.
//!
//! Of a command only the server's address and the client's name are replaced. The environment has a home and a path: the
//! program, and what the section about tools of the folder's README.md installs.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use deputy_test_harness::{TestEnvironment, deputy_program};
use deputy_test_servers::{OidcProvider, tool};
use tempfile::TempDir;

use crate::servers;

const PAGE: &str = include_str!("../../docs/authoring.md");

/// A script may take this long on a busy machine.
const PATIENCE: &str = "600";

/// An author's machine.
struct Author {
    language: &'static str,
    /// Keeps the state, and looks for secrets in it and in what was printed.
    home: TestEnvironment,
    place: TempDir,
    /// Where the shell is.
    folder: PathBuf,
}

/// The shell blocks of the page for a language, in their order.
fn blocks(language: &str) -> Vec<&'static str> {
    let block = |text: &'static str| -> Option<&'static str> {
        let (only, script) = text.split_once('\n')?;
        let script = script.split("\n```").next()?;
        (only.is_empty() || only.trim() == language).then_some(script)
    };
    PAGE.split("```sh").skip(1).filter_map(block).collect()
}

/// The block of a README below a heading.
fn block_of<'a>(readme: &'a str, heading: &str, kind: &str) -> &'a str {
    let section = readme.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    section.split(&format!("```{kind}\n")).nth(1).unwrap().split("\n```").next().unwrap()
}

fn replaced(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "docs/authoring.md no longer has {old} in:\n{text}");
    text.replace(old, new)
}

impl Author {
    fn new(language: &'static str) -> Self {
        let home = TestEnvironment::new();
        home.register_secret(OidcProvider::SECRET);
        // Not in the home, which is searched for secrets.
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("work");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(place.path().join("bin")).unwrap();
        fs::create_dir_all(place.path().join("home")).unwrap();
        // Where compilers keep what they built.
        let caches = Path::new(env!("CARGO_TARGET_TMPDIR")).join("authors/cache");
        fs::create_dir_all(&caches).unwrap();
        symlink(caches, place.path().join("home/.cache")).unwrap();
        symlink(deputy_program(), place.path().join("bin/deputy")).unwrap();
        Self { language, home, place, folder }
    }

    /// The program, what the README has installed, and what every machine has.
    fn path(&self) -> String {
        let tools = tool("wasmtime").unwrap().ancestors().nth(2).unwrap().to_owned();
        let cargo = PathBuf::from(env::var_os("CARGO").unwrap());
        let installed = match self.language {
            "c" => vec![tools.join("kits/bin"), tools.join("cargo/bin")],
            "go" => vec![tools.join("clients-python/bin"), tools.join("kits/bin"), tools.join("cargo/bin")],
            "js" => vec![program_folder("node")],
            "python" => vec![tools.join("python/bin")],
            _ => vec![cargo.parent().unwrap().to_owned()],
        };
        let folders = [self.place.path().join("bin")].into_iter().chain(installed);
        let folders = folders.chain(["/usr/bin".into(), "/bin".into()]);
        env::join_paths(folders).unwrap().into_string().unwrap()
    }

    /// Types a script into the shell, whose folder is that of the script before.
    fn types(&mut self, script: &str) -> String {
        let secret = self.place.path().join("secret");
        fs::write(&secret, OidcProvider::SECRET).unwrap();
        let place = self.place.path().join("folder");
        let output = Command::new("timeout")
            .args([PATIENCE, "/bin/sh", "-e", "-c"])
            .arg(format!("{script}\npwd > {}", place.display()))
            .env_clear()
            .env("PATH", self.path())
            .env("HOME", self.place.path().join("home"))
            .env("DEPUTY_STATE", self.home.state())
            .envs(env::var_os("CARGO_HOME").map(|folder| ("CARGO_HOME", folder)))
            .current_dir(&self.folder)
            // What is pasted, if something is.
            .stdin(Stdio::from(fs::File::open(&secret).unwrap()))
            .output()
            .unwrap();
        let [printed, errors] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert!(output.status.success(), "{}: {script}\n{printed}\n{errors}", self.language);
        assert_eq!(self.home.leak(&output.stdout, &output.stderr), None);
        self.folder = fs::read_to_string(place).unwrap().trim_end().into();
        printed
    }

    fn readme(&self) -> String {
        fs::read_to_string(self.folder.join("README.md")).unwrap()
    }

    /// What the README's section about tools installs into the folder, and what Cargo built of crates before.
    fn prepare(&self) {
        match self.language {
            "js" => {
                // What `npm ci` installs, as the lock file that it installs from has it.
                let lock = fs::read(self.folder.join("kit/js/package-lock.json")).unwrap();
                let installed = tool("wasmtime").unwrap().ancestors().nth(2).unwrap().join("javascript");
                assert_eq!(lock, fs::read(installed.join("package-lock.json")).unwrap());
                symlink(installed.join("node_modules"), self.folder.join("kit/js/node_modules")).unwrap();
            }
            "rust" => {
                let lasting = Path::new(env!("CARGO_TARGET_TMPDIR")).join("authors/cargo");
                fs::create_dir_all(&lasting).unwrap();
                symlink(lasting, self.folder.join("target")).unwrap();
            }
            _ => {}
        }
    }

    /// Runs its test and the rules that every component keeps.
    fn tests(&mut self, script: &str) {
        assert_eq!(script, block_of(&self.readme(), "Test", "sh"));
        let printed = self.types(script);
        let counts: Vec<&str> = printed.lines().filter(|line| line.ends_with(" passed, 0 failed")).collect();
        assert_eq!(counts.len(), 2, "{printed}");
        assert!(counts.iter().all(|count| !count.starts_with("0 ")), "{printed}");
    }
}

/// The folder of a program that this machine has.
fn program_folder(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap();
    env::split_paths(&path).find(|folder| folder.join(name).is_file()).unwrap()
}

/// A script with the address of the real server and its client.
fn at_home(script: &str) -> String {
    let host = format!("http://127.0.0.1:{}", servers::oidc().port());
    let script = replaced(script, "https://login.example.com", &host);
    let script = replaced(&script, "CLIENT-ID", OidcProvider::SERVICE);
    replaced(&script, "paths = [\"/token\"]", "paths = [\"/token\"]\nnetworks = [\"loopback\"]")
}

fn page_leads_to_a_token(language: &'static str) {
    let mut blocks = blocks(language).into_iter();
    let mut next = || blocks.next().expect("docs/authoring.md has other commands than this test knows");
    let mut author = Author::new(language);
    let in_language = |script| replaced(script, "--lang python", &format!("--lang {language}"));

    author.types(&in_language(next()));
    author.prepare();
    let build = next();
    let readme = author.readme();
    assert_eq!(build, block_of(&readme, "Build", "sh"));
    author.types(build);
    if language == "go" {
        // As an editor sees it, which knows no bindings.
        author.types("go vet .");
    }
    author.tests(next());
    let inspected = author.types(next());
    assert!(inspected.contains("make HTTP requests") && inspected.contains("bearer-token/1"), "{inspected}");

    let configured = next();
    assert!(configured.contains(block_of(&readme, "Use", "toml")), "page and README configure it differently");
    author.types(&at_home(configured));
    let (put, ask) = (next(), next());
    assert_eq!(block_of(&readme, "Use", "sh"), format!("{put}\n{ask}"));
    author.types(put);
    let obtained = author.types(ask);
    assert!(obtained.contains("all ok") && obtained.contains("bearer-token/1"), "{obtained}");
    assert!(obtained.contains("in 10m") || obtained.contains("in 9m"), "the server's own expiry: {obtained}");

    if language == "c" {
        assert!(author.types(next()).ends_with("true\n"));
    }
    assert!(author.types(next()).ends_with("contract and kit are those of this program already\n"));

    author.types(&in_language(next()));
    author.prepare();
    let readme = author.readme();
    author.types(block_of(&readme, "Build", "sh"));
    author.tests(next());
    let checked = author.types(next());
    assert!(checked.contains("receiver acme-files: ok"), "{checked}");
    assert!(author.types(next()).ends_with("Authorization: Bearer "));
    assert_eq!(blocks.next(), None);
}

#[test]
fn authoring_page_in_c_leads_to_a_token() {
    page_leads_to_a_token("c");
}

#[test]
fn authoring_page_in_go_leads_to_a_token() {
    page_leads_to_a_token("go");
}

#[test]
fn authoring_page_in_javascript_leads_to_a_token() {
    page_leads_to_a_token("js");
}

#[test]
fn authoring_page_in_python_leads_to_a_token() {
    page_leads_to_a_token("python");
}

#[test]
fn authoring_page_in_rust_leads_to_a_token() {
    page_leads_to_a_token("rust");
}

/// The versions that a README names are those that these tests run with.
#[test]
fn authoring_tools_are_those_of_the_tests() {
    let pinned = concat!(include_str!("../../xtask/tools/kits.txt"), include_str!("../../xtask/tools/clients.txt"));
    let mut author = Author::new("c");
    for language in ["c", "go"] {
        author.types(&format!("deputy new provider {language} --lang {language}"));
        let readme = fs::read_to_string(author.folder.join(language).join("README.md")).unwrap();
        let tools = block_of(&readme, "Tools", "sh");
        let wanted: Vec<&str> = tools.split_whitespace().filter(|word| word.contains("==")).collect();
        assert_eq!(wanted.len(), 2, "{tools}");
        assert!(wanted.iter().all(|tool| pinned.contains(tool)), "{tools}");
        let version = tools.split("wit-bindgen-cli --version ").nth(1).unwrap().split(' ').next().unwrap();
        let installed = include_str!("../../xtask/src/tools/cargo.rs");
        assert!(installed.contains(&format!("package: \"wit-bindgen-cli\", version: \"{version}\"")), "{version}");
    }
    let python = include_str!("../../kit/python/requirements.txt").lines().last().unwrap();
    assert!(
        python.starts_with("componentize-py==") && include_str!("../../xtask/tools/requirements.in").contains(python)
    );
}

#[test]
fn new_folder_updates_contract_and_kit_alone() {
    let mut author = Author::new("python");
    author.types("deputy new provider acme --lang python\ncd acme\necho mine > provider.py\necho old > wit/types.wit");
    assert_eq!(author.types("deputy new --update ."), "written wit/types.wit\n");
    assert_eq!(fs::read_to_string(author.folder.join("provider.py")).unwrap(), "mine\n");
}
