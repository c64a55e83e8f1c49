//! Which crate may know which: the table in ARCHITECTURE.md, held against the manifests.

use super::Findings;
use super::tree::{Package, Tree};

/// The crates of Deputy, and which of the others each may depend on.
pub(super) const ARROWS: [(&str, &[&str]); 26] = [
    (
        "deputy",
        &[
            "deputy-audit",
            "deputy-config",
            "deputy-coordinator",
            "deputy-core",
            "deputy-files",
            "deputy-hadoop-conf",
            "deputy-host",
            "deputy-kerberos",
            "deputy-link",
            "deputy-local",
            "deputy-payloads",
            "deputy-sandbox",
            "deputy-scaffold",
            "deputy-script",
            "deputy-sources",
            "deputy-store",
            "deputy-support",
            "deputy-worker",
        ],
    ),
    ("deputy-audit", &["deputy-core", "deputy-support"]),
    ("deputy-config", &["deputy-core", "deputy-support"]),
    (
        "deputy-coordinator",
        &[
            "deputy-audit",
            "deputy-core",
            "deputy-http-server",
            "deputy-link",
            "deputy-local",
            "deputy-metrics",
            "deputy-sources",
            "deputy-store",
            "deputy-support",
            "deputy-traces",
        ],
    ),
    ("deputy-core", &[]),
    ("deputy-hadoop-conf", &["deputy-core", "deputy-files", "deputy-support"]),
    (
        "deputy-host",
        &[
            "deputy-audit",
            "deputy-config",
            "deputy-coordinator",
            "deputy-core",
            "deputy-etcd",
            "deputy-files",
            "deputy-http-server",
            "deputy-link",
            "deputy-local",
            "deputy-metrics",
            "deputy-page",
            "deputy-sandbox",
            "deputy-sources",
            "deputy-store",
            "deputy-support",
            "deputy-tls",
            "deputy-traces",
            "deputy-worker",
        ],
    ),
    ("deputy-http-server", &["deputy-core", "deputy-support"]),
    ("deputy-etcd", &["deputy-core", "deputy-support", "deputy-tls"]),
    ("deputy-files", &[]),
    ("deputy-kerberos", &["deputy-core", "deputy-files", "deputy-sources", "deputy-support"]),
    ("deputy-link", &["deputy-core", "deputy-support"]),
    ("deputy-local", &["deputy-core", "deputy-support"]),
    ("deputy-metrics", &["deputy-audit", "deputy-core", "deputy-support"]),
    (
        "deputy-page",
        &[
            "deputy-audit",
            "deputy-coordinator",
            "deputy-core",
            "deputy-http-server",
            "deputy-local",
            "deputy-store",
            "deputy-support",
        ],
    ),
    ("deputy-payloads", &[]),
    (
        "deputy-sandbox",
        &[
            "deputy-audit",
            "deputy-core",
            "deputy-files",
            "deputy-kerberos",
            "deputy-scram",
            "deputy-sources",
            "deputy-support",
            "deputy-tls",
        ],
    ),
    ("deputy-scaffold", &["deputy-core", "deputy-files"]),
    ("deputy-scram", &[]),
    (
        "deputy-script",
        &["deputy-audit", "deputy-config", "deputy-core", "deputy-host", "deputy-sandbox", "deputy-support"],
    ),
    ("deputy-sources", &["deputy-core", "deputy-files", "deputy-support"]),
    ("deputy-store", &["deputy-core", "deputy-etcd", "deputy-files", "deputy-sources", "deputy-support"]),
    ("deputy-support", &["deputy-core"]),
    ("deputy-tls", &["deputy-core", "deputy-files"]),
    ("deputy-traces", &["deputy-core", "deputy-sources", "deputy-support", "deputy-tls"]),
    (
        "deputy-worker",
        &[
            "deputy-audit",
            "deputy-core",
            "deputy-files",
            "deputy-http-server",
            "deputy-link",
            "deputy-local",
            "deputy-metrics",
            "deputy-payloads",
            "deputy-sources",
            "deputy-store",
            "deputy-support",
            "deputy-traces",
        ],
    ),
];

/// Crates of tests and chores: they may know every crate, and only they may know them.
const TEST_CRATES: [&str; 7] = [
    "deputy-bench",
    "deputy-fan",
    "deputy-test-harness",
    "deputy-test-servers",
    "deputy-test-stores",
    "deputy-test-support",
    "xtask",
];

/// All that the pure crate may depend on: no runtime, no network, no file format.
const CORE: [&str; 5] = ["fastrand", "ipnet", "secrecy", "thiserror", "zeroize"];

/// Dependencies that have one place: whose name begins so, and the only packages that may have them.
const PLACES: [(&str, &[&str]); 6] = [
    ("cap-", &["deputy", "deputy-files", "deputy-sandbox", "deputy-scaffold", "deputy-store", "deputy-worker"]),
    ("wasmtime", &["deputy-bench", "deputy-sandbox"]),
    ("toml", &["deputy-config", "deputy-script"]),
    (
        "hyper",
        &["deputy-bench", "deputy-etcd", "deputy-http-server", "deputy-local", "deputy-sandbox", "deputy-traces"],
    ),
    ("clap", &["deputy", "deputy-bench", "deputy-fan", "xtask"]),
    ("annotate-snippets", &["deputy-config"]),
];

pub(super) fn check(tree: &Tree, findings: &mut Findings) {
    for package in tree.packages() {
        arrows(package, findings);
        places(package, findings);
    }
    for (name, _) in ARROWS {
        if !tree.packages().iter().any(|package| package.name == name) {
            findings.wrong("Cargo.toml", format!("the crate {name} is gone: xtask/src/tidy/arrows.rs still has it"));
        }
    }
}

fn arrows(package: &Package, findings: &mut Findings) {
    let place = format!("crate {}", package.name);
    let row = ARROWS.iter().find(|(name, _)| *name == package.name);
    let is_ours = |name: &str| name == "xtask" || name == "deputy" || name.starts_with("deputy-");
    if let Some((_, allowed)) = row {
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.is_dev) {
            if is_ours(&dependency.name) && !allowed.contains(&dependency.name.as_str()) {
                findings.wrong(&place, format!("depends on {}, which ARCHITECTURE.md does not allow", dependency.name));
            }
            if package.name == "deputy-core" && !CORE.contains(&dependency.name.as_str()) {
                findings.wrong(&place, format!("depends on {}: this crate stays pure", dependency.name));
            }
        }
    } else if !TEST_CRATES.contains(&package.name.as_str()) {
        findings.wrong(place, "is new: give it a row in ARCHITECTURE.md and in xtask/src/tidy/arrows.rs");
    }
}

fn places(package: &Package, findings: &mut Findings) {
    for dependency in &package.dependencies {
        for (prefix, packages) in PLACES {
            if dependency.name.starts_with(prefix) && !packages.contains(&package.name.as_str()) {
                let text = format!("depends on {}, which only {} may", dependency.name, packages.join(" or "));
                findings.wrong(format!("crate {}", package.name), text);
            }
        }
    }
}
