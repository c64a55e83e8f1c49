//! A tidy tree passes, and each rule finds its fault in a bad one.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::arrows::ARROWS;
use super::tree::Tree;
use super::{Findings, Floors, scan};
use crate::process::Run;

const NO_FLOORS: Floors =
    Floors { files: 0, crates: 0, dependencies: 0, guests: 0, limits: 0, codes: 0, errors: 0, tests: 0 };

const FLOOD: &str = "#[test]\nfn log_lines_flood() {}\n";
const CODE: &str = "const CODE: &str = \"host-not-granted\";\n";

/// A small tree in which all is in order.
struct Repository(TempDir);

impl Repository {
    fn tidy() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        let members = ARROWS.map(|(name, _)| name.strip_prefix("deputy-").unwrap_or(name));
        repository.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"runtime/*\"]\nexclude = [\"tests/guests\"]\n",
        );
        for member in members {
            let name = if member == "deputy" { "deputy".to_owned() } else { format!("deputy-{member}") };
            repository.write(&format!("runtime/{member}/Cargo.toml"), &manifest(&name, ""));
            repository.write(&format!("runtime/{member}/src/lib.rs"), "//! A crate.\n");
        }
        repository.write(
            "ARCHITECTURE.md",
            &format!(
                "{}\n`tests/guests` `tests/hostile`\n",
                members.map(|member| format!("`runtime/{member}`")).join(" ")
            ),
        );
        repository.write("runtime/core/src/lib.rs", "//! Pure.\nmod denial;\nmod limits;\n");
        repository.write(
            "runtime/core/src/limits/table.rs",
            "//! Limits.\nLogLines log_lines \"log-lines\" log_lines: u32 = 1;\n",
        );
        repository.write("runtime/core/src/limits/mod.rs", "//! Limits.\nmod table;\n");
        repository.write(
            "runtime/core/src/denial.rs",
            "//! Refusals.\n    fn code(&self) -> &str {\n        match self { Self::Host => \"host-not-granted\",\n        }\n    }\n",
        );
        let example = "[[example]]\nname = \"log_lines_flood\"\npath = \"examples/log_lines_flood.rs\"\ncrate-type = [\"cdylib\"]\n";
        repository.write("tests/guests/Cargo.toml", &format!("{}\n{example}", manifest("guests", "")));
        repository.write("tests/guests/src/lib.rs", "//! Shared.\n");
        repository.write("tests/guests/examples/log_lines_flood.rs", "//! Hostile.\n");
        repository.write(
            "runtime/deputy/Cargo.toml",
            &format!(
                "{}\n[[test]]\nname = \"hostile\"\npath = \"../../tests/hostile/main.rs\"\n",
                manifest("deputy", "")
            ),
        );
        repository.write("tests/hostile/main.rs", "//! Tests.\nmod attempts;\n");
        repository.write("tests/hostile/attempts.rs", &format!("//! Attempts.\n{FLOOD}{CODE}"));
        Run::new("git").args(["init", "--quiet"]).dir(repository.0.path()).quiet().unwrap();
        repository
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::digest::write(&path, text.as_bytes()).unwrap();
    }

    fn append(&self, path: &str, text: &str) {
        let old = fs::read_to_string(self.0.path().join(path)).unwrap();
        self.write(path, &(old + text));
    }

    fn scan(&self, floors: &Floors) -> Vec<String> {
        let findings: Findings = scan(&Tree::read(self.0.path()).unwrap(), floors);
        findings.wrong.into_iter().map(|finding| format!("{}: {}", finding.place, finding.text)).collect()
    }

    /// Asserts that there is one finding, and that it has these words.
    #[track_caller]
    fn finds(&self, words: &[&str]) {
        let found = self.scan(&NO_FLOORS);
        assert_eq!(found.len(), 1, "{found:#?}");
        let finding = found.concat();
        assert!(words.iter().all(|word| finding.contains(word)), "{finding}");
    }
}

fn manifest(name: &str, dependencies: &str) -> String {
    format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n[dependencies]\n{dependencies}\n")
}

#[test]
fn tidy_tree_passes() {
    let found = Repository::tidy().scan(&NO_FLOORS);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn tidy_scan_that_sees_too_little_fails() {
    let floors =
        Floors { files: 1000, crates: 100, dependencies: 9, guests: 2, limits: 2, codes: 2, errors: 9, tests: 2 };
    let found = Repository::tidy().scan(&floors);
    for kind in [
        "text files",
        "crates",
        "dependencies",
        "hostile guests",
        "limits",
        "codes of denials",
        "errors of core",
        "tests",
    ] {
        assert!(found.iter().any(|finding| finding.contains(kind)), "nothing about {kind}: {found:#?}");
    }
}

#[test]
fn tidy_finds_a_dependency_against_the_arrows() {
    let tree = Repository::tidy();
    tree.write("runtime/config/Cargo.toml", &manifest("deputy-config", "deputy-audit = { path = \"../audit\" }"));
    tree.append("runtime/config/src/lib.rs", "use deputy_audit;\n");
    tree.finds(&["crate deputy-config", "depends on deputy-audit"]);
}

#[test]
fn tidy_finds_a_runtime_in_the_pure_crate() {
    let tree = Repository::tidy();
    tree.write("runtime/core/Cargo.toml", &manifest("deputy-core", "tokio = \"1\""));
    tree.append("runtime/core/src/lib.rs", "use tokio as _;\n");
    tree.finds(&["crate deputy-core", "tokio", "stays pure"]);
}

#[test]
fn tidy_finds_wasmtime_outside_the_sandbox() {
    let tree = Repository::tidy();
    tree.write("runtime/audit/Cargo.toml", &manifest("deputy-audit", "wasmtime-environ = \"48\""));
    tree.append("runtime/audit/src/lib.rs", "extern crate wasmtime_environ;\n");
    tree.finds(&["crate deputy-audit", "wasmtime-environ"]);
    let tree = Repository::tidy();
    tree.append("runtime/audit/src/lib.rs", "use wasmtime::Engine;\n");
    tree.finds(&["runtime/audit/src/lib.rs:2", "wasmtime::"]);
}

#[test]
fn tidy_finds_toml_outside_the_configuration() {
    let tree = Repository::tidy();
    tree.write("runtime/audit/Cargo.toml", &manifest("deputy-audit", "toml = \"1\""));
    tree.append("runtime/audit/src/lib.rs", "extern crate toml;\n");
    tree.finds(&["crate deputy-audit", "toml"]);
}

#[test]
fn tidy_finds_an_unused_dependency() {
    for text in ["", "//! bytes::Bytes\n", "// use bytes::Bytes;\n", "fn bytes() {}\n", "use my_bytes::Bytes;\n"] {
        let tree = Repository::tidy();
        tree.write("runtime/store/Cargo.toml", &manifest("deputy-store", "bytes = \"1\""));
        tree.append("runtime/store/src/lib.rs", text);
        tree.write("runtime/store/tests/other.rs", "//! A test.\nuse bytes::Bytes;\n");
        tree.finds(&["crate deputy-store", "depends on bytes, which none of its code names"]);
    }
    for text in ["use bytes::Bytes;\n", "fn f(_: bytes::Bytes) {}\n", "extern crate bytes;\n", "bytes!(1);\n"] {
        let tree = Repository::tidy();
        tree.write("runtime/store/Cargo.toml", &manifest("deputy-store", "bytes = \"1\""));
        tree.write("runtime/store/src/inner.rs", &format!("//! Inner.\n{text}"));
        tree.write("runtime/store/src/lib.rs", "//! A crate.\nmod inner;\n");
        assert_eq!(tree.scan(&NO_FLOORS), [""; 0], "{text}");
    }
}

#[test]
fn tidy_looks_for_dev_dependencies_in_tests() {
    let tree = Repository::tidy();
    let manifest = manifest("deputy-store", "[dev-dependencies]\nbytes = \"1\"");
    tree.write("runtime/store/Cargo.toml", &manifest);
    tree.finds(&["crate deputy-store", "bytes"]);
    tree.write("runtime/store/tests/other.rs", "//! A test.\nuse bytes::Bytes;\n");
    assert_eq!(tree.scan(&NO_FLOORS), [""; 0]);
    tree.write("runtime/store/Cargo.toml", &manifest.replace("[dev-", "bytes = \"1\"\n[dev-"));
    tree.append("runtime/store/src/lib.rs", "use bytes::Bytes;\n");
    tree.finds(&["crate deputy-store", "bytes twice"]);
}

#[test]
fn tidy_finds_a_crate_without_a_row() {
    let tree = Repository::tidy();
    tree.write("runtime/extra/Cargo.toml", &manifest("deputy-extra", ""));
    tree.write("runtime/extra/src/lib.rs", "//! New.\n");
    let found = tree.scan(&NO_FLOORS);
    assert!(found.iter().any(|finding| finding.contains("crate deputy-extra: is new")), "{found:#?}");
    assert!(found.iter().any(|finding| finding.contains("does not name the folder `runtime/extra`")), "{found:#?}");
}

#[test]
fn tidy_finds_a_limit_that_no_guest_tries() {
    let tree = Repository::tidy();
    tree.append("runtime/core/src/limits/table.rs", "WallTime wall_time \"wall-time\" wall_ms: Span = 1;\n");
    tree.finds(&["tests/guests/examples/wall_time_*.rs", "WallTime"]);
}

#[test]
fn tidy_finds_a_guest_that_no_test_runs() {
    let tree = Repository::tidy();
    tree.append("tests/guests/Cargo.toml", "[[example]]\nname = \"cpu_loop\"\npath = \"examples/cpu_loop.rs\"\n");
    tree.write("tests/guests/examples/cpu_loop.rs", "//! Hostile.\n");
    tree.finds(&["tests/guests/examples/cpu_loop.rs", "no test"]);
}

#[test]
fn tidy_finds_a_guest_that_is_not_built() {
    let tree = Repository::tidy();
    tree.write("tests/guests/examples/more/cpu_loop.rs", "//! Hostile.\n");
    tree.append("tests/hostile/attempts.rs", "fn cpu_loop() {}\n");
    let found = tree.scan(&NO_FLOORS);
    assert!(found.iter().any(|finding| finding.contains("cpu_loop.rs: is no target")), "{found:#?}");
}

#[test]
fn tidy_finds_a_code_that_no_test_expects() {
    let tree = Repository::tidy();
    tree.write("tests/hostile/attempts.rs", &format!("//! Attempts.\n{FLOOD}// {CODE}"));
    tree.finds(&["host-not-granted"]);
}

#[test]
fn tidy_finds_a_file_that_is_too_long() {
    let tree = Repository::tidy();
    tree.append("runtime/audit/src/lib.rs", &"// line\n".repeat(900));
    tree.finds(&["runtime/audit/src/lib.rs", "901 lines"]);
}

#[test]
fn tidy_finds_a_file_without_documentation() {
    let tree = Repository::tidy();
    tree.write("runtime/audit/src/lib.rs", "fn undocumented() {}\n");
    tree.finds(&["runtime/audit/src/lib.rs", "`//! `"]);
}

#[test]
fn tidy_finds_a_file_that_is_not_compiled() {
    let tree = Repository::tidy();
    tree.write("runtime/audit/src/forgotten.rs", "//! Forgotten.\n");
    tree.finds(&["runtime/audit/src/forgotten.rs", "is not compiled"]);
    tree.append("runtime/audit/src/lib.rs", "mod forgotten;\n");
    assert!(tree.scan(&NO_FLOORS).is_empty());
}

#[test]
fn tidy_finds_machine_paths_and_registry_hosts() {
    let tree = Repository::tidy();
    tree.write("notes.md", &format!("see {}{}notes\n", "/ro", "ot/"));
    tree.finds(&["notes.md:1", "machine"]);
    let tree = Repository::tidy();
    tree.write("notes.md", &format!("from https://{}{}\n", "py", "pi.org"));
    tree.finds(&["notes.md:1", "registry"]);
}

#[test]
fn tidy_finds_a_large_file() {
    let tree = Repository::tidy();
    tree.write("data.bin", &"\u{0}".repeat((1 << 20) + 1));
    tree.finds(&["data.bin", "1048577 bytes"]);
}

#[test]
fn tidy_finds_a_small_file_that_is_not_text() {
    let tree = Repository::tidy();
    fs::write(tree.0.path().join("runtime/audit/src/package.deb"), b"!<arch>\n\xff").unwrap();
    tree.finds(&["runtime/audit/src/package.deb", "is not text"]);
}

#[test]
fn tidy_skips_what_git_ignores() {
    let tree = Repository::tidy();
    tree.write(".gitignore", "/target/\n");
    tree.write("target/bad.rs", "no documentation\n");
    assert!(tree.scan(&NO_FLOORS).is_empty());
    assert!(Path::new(tree.0.path()).join("target/bad.rs").is_file());
}

#[test]
fn tidy_finds_a_phrase_also_across_lines() {
    let (first, second) = ("no", "body");
    for text in [format!("// For {first}{second}.\n"), format!("// Two {}\n// {}, one is old.\n", "of", "which")] {
        let tree = Repository::tidy();
        tree.append("runtime/audit/src/lib.rs", &text);
        tree.finds(&["runtime/audit/src/lib.rs:2", "says"]);
    }
    let tree = Repository::tidy();
    tree.append("runtime/audit/src/lib.rs", "// A nobodyish word, whose parts are fine.\n");
    assert!(tree.scan(&NO_FLOORS).is_empty());
}

#[test]
fn tidy_finds_an_error_of_core_with_two_colons() {
    let tree = Repository::tidy();
    let errors = "#[error(\"it is {0}: write \\\"a\\\"\")]\n#[error(\n    \"not a mode: it is open: write 0600\"\n)]\n";
    tree.append("runtime/core/src/lib.rs", errors);
    tree.finds(&["runtime/core/src/lib.rs", "not a mode: it is open", "two colons"]);
}

#[test]
fn tidy_finds_a_public_type_that_is_defined_twice() {
    let tree = Repository::tidy();
    tree.append("runtime/audit/src/lib.rs", "pub(crate) struct Lease<T>(T);\nstruct Slot;\n");
    tree.append("runtime/store/src/lib.rs", "pub enum Lease {}\npub struct Slot;\n");
    tree.finds(&["runtime/audit/src/lib.rs", "public type Lease", "runtime/store/src/lib.rs"]);
}

#[test]
fn tidy_finds_a_test_whose_name_is_long_or_has_no_subject() {
    for name in ["a_lease_is_kept", "x".repeat(61).as_str()] {
        let tree = Repository::tidy();
        tree.append("runtime/store/src/lib.rs", &format!("#[test]\n#[ignore]\nfn {name}() {{}}\nfn a_helper() {{}}\n"));
        tree.finds(&["runtime/store/src/lib.rs:4", name]);
    }
}

#[test]
fn tidy_finds_an_absent_text_that_nothing_prints() {
    let tree = Repository::tidy();
    tree.append("runtime/store/src/lib.rs", "const TEXT: &str = \"lease expired\";\n");
    tree.append("tests/hostile/attempts.rs", "fn f(log: &str) { assert!(!log.contains(\"lease expired\")); }\n");
    assert!(tree.scan(&NO_FLOORS).is_empty());
    tree.append(
        "tests/hostile/attempts.rs",
        "fn g(log: &str) { assert!(!log.contains(\"lease ended\"), \"{log}\"); }\n",
    );
    tree.finds(&["tests/hostile/attempts.rs:6", "lease ended"]);
}
