//! Every sample under `samples/` is read, and what is said about it is kept beside it.

#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::{Path, PathBuf};

use deputy_config::{Colour, ConfigErrors, CoordinatorFile, Diagnostics, WorkerConfig};

/// The samples in a directory, at least `floor` of them: a test that finds none must fail.
fn samples(kind: &str, floor: usize) -> Vec<(String, String)> {
    let folder = folder(kind);
    let mut samples: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    samples.sort();
    assert!(samples.len() >= floor, "{} samples in {}", samples.len(), folder.display());
    samples
}

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(kind)
}

fn keep(kind: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder(kind));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// What is said of a file of the coordinator's, or of a worker's.
fn parse(kind: &str, text: &str) -> Result<Diagnostics, ConfigErrors> {
    if kind.starts_with("worker/") {
        WorkerConfig::parse(text, Path::new("worker.toml")).map(|config| config.warnings)
    } else {
        CoordinatorFile::parse(text, Path::new("deputy.toml")).map(|config| config.warnings)
    }
}

#[test]
fn samples_that_are_invalid_match_their_snapshots() {
    for (kind, floor) in [("invalid", 40), ("worker/invalid", 6)] {
        for (name, text) in samples(kind, floor) {
            let errors = parse(kind, &text).expect_err(&name);
            let shown = errors.render(Colour::Never);
            assert!(!shown.contains("hunter"), "{name} shows a secret");
            keep(kind, &name, &shown);
        }
    }
}

#[test]
fn samples_with_warnings_match_their_snapshots() {
    for (kind, floor) in [("warning", 6), ("worker/warning", 1)] {
        for (name, text) in samples(kind, floor) {
            let warnings = parse(kind, &text).map_err(|errors| errors.render(Colour::Never)).expect(&name);
            keep(kind, &name, &warnings.render(Colour::Never));
        }
    }
}

#[test]
fn samples_that_are_valid_have_no_warning() {
    for (kind, floor) in [("valid", 3), ("worker/valid", 3)] {
        for (name, text) in samples(kind, floor) {
            let warnings = parse(kind, &text).map_err(|errors| errors.render(Colour::Never)).expect(&name);
            assert_eq!(warnings.render(Colour::Never), "", "{name}");
        }
    }
}

#[test]
fn samples_exist_for_every_snapshot() {
    for kind in ["invalid", "warning", "worker/invalid", "worker/warning"] {
        for entry in std::fs::read_dir(folder(kind)).unwrap() {
            let path = entry.unwrap().path();
            assert!(path.with_extension("toml").exists(), "{} belongs to no sample", path.display());
        }
    }
}
