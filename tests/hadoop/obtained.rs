//! What `deputy obtain` obtains: its report, and the payload in a file.

use std::path::PathBuf;

use deputy_local::FactStatus;
use deputy_test_harness::{HadoopSite, exit, fact_value};
use serde::Deserialize;

/// The part of `deputy obtain --json` that the tests read.
#[derive(Deserialize)]
struct ObtainReport {
    facts: Vec<FactStatus>,
}

/// A token of one call.
pub(crate) struct Obtained {
    report: ObtainReport,
    /// The token file.
    pub(crate) file: PathBuf,
}

impl Obtained {
    /// Calls the provider of an instance once.
    #[track_caller]
    pub(crate) fn of(site: &HadoopSite, instance: &str) -> Self {
        let file = site.home.path("secrets").join(instance);
        let arguments = ["obtain", instance, "--json", "--out", file.to_str().unwrap()];
        Self { report: site.home.deputy(&arguments).ends_with(exit::OK).parsed(), file }
    }

    /// A fact; empty if there is none.
    pub(crate) fn fact(&self, name: &str) -> &str {
        fact_value(&self.report.facts, name)
    }
}
