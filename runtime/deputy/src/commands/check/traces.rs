//! What `deputy check` says of the collector of traces. It connects to nothing: without a collector everything else works.

use deputy_core::{TracePlan, in_one_line};
use deputy_host::traces;
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::error::CommandError;
use crate::print::{ERROR, GOOD, sanitize, styled};

/// The collector of traces.
#[derive(Serialize, JsonSchema)]
pub(super) struct TracesJson {
    /// The URL.
    collector: String,
    pub(super) ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Reads the certificates and headers.
pub(super) async fn check(context: &Context, plan: Option<&TracePlan>) -> Result<Option<TracesJson>, CommandError> {
    let Some(plan) = plan else { return Ok(None) };
    let error = traces::check(plan, &context.platform()?).await.err().map(|error| in_one_line(&error));
    Ok(Some(TracesJson { collector: plan.collector.to_string(), ok: error.is_none(), error }))
}

impl TracesJson {
    pub(super) fn text(&self) -> String {
        let verdict = match &self.error {
            Some(error) => format!("{}: {}", styled(ERROR, "not ok"), sanitize(error)),
            None => styled(GOOD, "ok"),
        };
        format!("traces to {}: {verdict}\n", sanitize(&self.collector))
    }
}
