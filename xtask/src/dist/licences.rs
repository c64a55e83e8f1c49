//! The licences of what a release is made of: their texts, each once, with those that have it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::dependencies::Package;
use super::sbom::RUNTIMES;
use crate::failure::{Doing, Failure, Result};

/// How the files begin that have a licence or what it wants kept.
const BEGINNINGS: [&str; 6] = ["authors", "copying", "copyright", "licence", "license", "notice"];

pub(super) fn text(packages: &[Package]) -> Result<String> {
    let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut list = String::new();
    for package in packages {
        let name = format!("{} {}", package.name, package.version);
        let texts = texts(&package.folder)?;
        let licence = package.licence.as_deref().unwrap_or("see its text below");
        if package.licence.is_none() && texts.is_empty() {
            return Err(Failure::new(format!("{name} has no licence")));
        }
        list.push_str(&format!("{name}: {licence}\n"));
        for text in texts {
            owners.entry(text).or_default().insert(name.clone());
        }
    }
    for (name, place, licence, url) in RUNTIMES {
        list.push_str(&format!("{name} ({place}): {licence}, {url}\n"));
    }
    let mut all = format!("Deputy is under the Apache License 2.0; see LICENSE. It contains:\n\n{list}");
    for (text, names) in owners {
        let names: Vec<String> = names.into_iter().collect();
        all.push_str(&format!("\n{}\nOf {}:\n\n{}\n", "=".repeat(80), names.join(", "), text.trim()));
    }
    Ok(all)
}

fn texts(folder: &Path) -> Result<Vec<String>> {
    let doing = || format!("reading the folder {}", folder.display());
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).doing(doing)? {
        let entry = entry.doing(doing)?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if entry.path().is_file() && BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) {
            let bytes = fs::read(entry.path()).doing(|| format!("reading {}", entry.path().display()))?;
            texts.push(String::from_utf8_lossy(&bytes).replace('\r', ""));
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_text_of_several_crates_is_there_once() {
        let folder = tempfile::tempdir().unwrap();
        crate::digest::write(&folder.path().join("LICENSE-MIT"), b"Permission is granted").unwrap();
        let package = |name: &str| Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some("MIT".to_owned()),
            repository: None,
            folder: folder.path().to_owned(),
        };
        let all = text(&[package("a"), package("b")]).unwrap();
        assert_eq!(all.matches("Permission is granted").count(), 1);
        assert!(all.contains("a 1.0.0: MIT\nb 1.0.0: MIT\n"));
        assert!(all.contains("Of a 1.0.0, b 1.0.0:"));
    }
}
