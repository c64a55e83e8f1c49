//! Reloads of the configuration, as the control socket and SIGHUP ask for them.

use async_trait::async_trait;
use deputy_core::InstanceName;
use deputy_local::ControlError;
use deputy_local::reply::SCHEMA;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::configuration::ReloadSummary;

/// Reads the configuration file again and applies it.
#[async_trait]
pub trait Reload: Send + Sync + 'static {
    /// Applies all of the file, or nothing of it and returns the reason.
    async fn reload(&self, removals: Removals) -> Result<ReloadReply, ControlError>;
}

/// How much of what is in use a reload may remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removals {
    /// Not so much that the file looks cut short.
    Few,
    /// Everything: the operator has confirmed it.
    Any,
}

/// What a reload changed, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReloadReply {
    pub schema: u32,
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
    pub unchanged: usize,
    /// What has no effect, or another one than it seems.
    pub warnings: Vec<String>,
}

impl ReloadReply {
    pub fn new(summary: ReloadSummary, warnings: Vec<String>) -> Self {
        Self {
            schema: SCHEMA,
            added: to_strings(summary.added),
            changed: to_strings(summary.changed),
            removed: to_strings(summary.removed),
            unchanged: summary.unchanged,
            warnings,
        }
    }
}

fn to_strings(names: Vec<InstanceName>) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
