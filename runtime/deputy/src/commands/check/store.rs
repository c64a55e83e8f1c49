//! The state in etcd, as `deputy check` shows it: whether what it needs can be read, and what it bounds.

use deputy_config::CoordinatorFile;
use deputy_core::MAX_ETCD_PAYLOAD;
use deputy_host::state::{check_etcd, check_etcd_client_certificate};
use schemars::JsonSchema;
use serde::Serialize;

use crate::commands::doctor::finding::{FindingJson, Health};
use crate::commands::doctor::saved_state;
use crate::context::Context;
use crate::error::CommandError;
use crate::print::{ERROR, HINT, sanitize, styled};

#[derive(Serialize, JsonSchema)]
pub(super) struct StoreJson {
    pub(super) ok: bool,
    etcd: Vec<String>,
    prefix: String,
    max_payload_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What fixes the error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
    /// With --online: the members, and whether the master key fits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<FindingJson>,
}

/// `None` for a state in the state directory.
pub(super) async fn check(
    context: &Context,
    config: &CoordinatorFile,
    is_online: bool,
) -> Result<Option<StoreJson>, CommandError> {
    let Some(etcd) = &config.coordinator.store else { return Ok(None) };
    let error = match check_etcd(etcd, &context.platform()?).await {
        Ok(()) => check_etcd_client_certificate(etcd).await.err(),
        error => error.err(),
    };
    let error = error.map(CommandError::from);
    let findings = if is_online && error.is_none() { saved_state::check(context, config).await? } else { Vec::new() };
    Ok(Some(StoreJson {
        ok: error.is_none() && findings.iter().all(|finding| finding.health != Health::Failed),
        etcd: etcd.endpoints.iter().map(ToString::to_string).collect(),
        prefix: etcd.prefix.to_string(),
        max_payload_bytes: MAX_ETCD_PAYLOAD.as_u64(),
        hints: error.as_ref().map(|error| error.hints().to_vec()).unwrap_or_default(),
        error: error.map(|error| error.one_line()),
        findings,
    }))
}

impl StoreJson {
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "state: in etcd at {}, under {}; a payload has at most {} KiB\n",
            self.etcd.join(", "),
            self.prefix,
            self.max_payload_bytes >> 10
        );
        if let Some(error) = &self.error {
            text.push_str(&format!("  {} {}\n", styled(ERROR, "error:"), sanitize(error)));
        }
        for hint in &self.hints {
            text.push_str(&format!("  {} {}\n", styled(HINT, "fix:"), sanitize(hint)));
        }
        for finding in &self.findings {
            text.push_str(&finding.text());
        }
        text
    }
}
