//! What `deputy obtain` obtains: its report, and the payload in a file.

use std::path::PathBuf;

use serde_json::Value;

use crate::deputy::exit;
use crate::site::HadoopSite;

/// A token of one call.
pub(crate) struct Obtained {
    report: Value,
    /// The token file.
    pub(crate) file: PathBuf,
}

impl Obtained {
    /// Calls the provider of an instance once.
    #[track_caller]
    pub(crate) fn of(site: &HadoopSite, instance: &str) -> Self {
        let file = site.home.path("secrets").join(instance);
        let arguments = ["obtain", instance, "--json", "--out", file.to_str().unwrap()];
        Self { report: site.home.deputy(&arguments).ends_with(exit::OK).json(), file }
    }

    /// A fact; empty if there is none.
    pub(crate) fn fact(&self, name: &str) -> &str {
        let facts = self.report["facts"].as_array().map(Vec::as_slice).unwrap_or_default();
        facts.iter().find(|fact| fact["name"] == name).and_then(|fact| fact["value"].as_str()).unwrap_or_default()
    }
}
