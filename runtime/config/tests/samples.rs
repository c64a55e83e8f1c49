//! Every sample under `samples/` is read, and what is said about it is kept beside it.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::{Path, PathBuf};

use deputy_config::{Colour, Config, ConfigErrors};

/// A folder that could not be seen must not pass: at least so many samples are in it.
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

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("deputy.toml"))
}

#[test]
fn every_invalid_sample_is_refused_as_its_snapshot_says() {
    for (name, text) in samples("invalid", 35) {
        let errors = parse(&text).expect_err(&name);
        let shown = errors.render(Colour::Never);
        assert!(!shown.contains("hunter"), "{name} shows a secret");
        keep("invalid", &name, &shown);
    }
}

#[test]
fn every_warning_is_shown_as_its_snapshot_says() {
    for (name, text) in samples("warning", 4) {
        let config = parse(&text).map_err(|errors| errors.render(Colour::Never)).expect(&name);
        keep("warning", &name, &config.warnings.render(Colour::Never));
    }
}

#[test]
fn no_valid_sample_draws_a_warning() {
    for (name, text) in samples("valid", 3) {
        let config = parse(&text).map_err(|errors| errors.render(Colour::Never)).expect(&name);
        assert_eq!(config.warnings.render(Colour::Never), "", "{name}");
    }
}

#[test]
fn every_snapshot_has_its_sample() {
    for kind in ["invalid", "warning"] {
        for entry in std::fs::read_dir(folder(kind)).unwrap() {
            let path = entry.unwrap().path();
            assert!(path.with_extension("toml").exists(), "{} belongs to no sample", path.display());
        }
    }
}
