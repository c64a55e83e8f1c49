//! Hadoop's providers, and the receiver that writes a token file.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::delivery_site::{Connectors, DeliverySite};
use crate::environment::TestEnvironment;

/// Hadoop's components.
pub struct Hadoop;

/// A coordinator with instances of Hadoop's providers, and a worker that writes a token file.
pub type HadoopSite = DeliverySite<Hadoop>;

impl Connectors for Hadoop {
    const RECEIVER: &'static str = "hadoop";
    const RECEIVER_COMPONENT: &'static str = "hadoop-credentials";

    fn compiled() -> &'static PathBuf {
        static COMPILED: OnceLock<PathBuf> = OnceLock::new();
        COMPILED.get_or_init(|| {
            let components = ["hadoop-credentials", "hbase", "hdfs", "hive", "kms", "webhdfs", "yarn"];
            TestEnvironment::compiled("hadoop-state", &components)
        })
    }
}

impl HadoopSite {
    /// The token file that the worker's receiver writes.
    pub fn token_file(&self) -> PathBuf {
        self.published("hadoop.tokens")
    }
}
