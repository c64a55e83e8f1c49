//! The state in etcd, as `deputy check` shows it: whether what it needs can be read, and what it bounds.

use deputy_config::CoordinatorFile;
use deputy_core::{MAX_ETCD_PAYLOAD, in_one_line};
use deputy_host::state::check_etcd;
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::error::CommandError;
use crate::print::{ERROR, sanitize, styled};

#[derive(Serialize, JsonSchema)]
pub(super) struct StoreJson {
    pub(super) ok: bool,
    etcd: Vec<String>,
    prefix: String,
    max_payload_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// `None` for a state in the state directory.
pub(super) async fn check(context: &Context, config: &CoordinatorFile) -> Result<Option<StoreJson>, CommandError> {
    let Some(etcd) = &config.coordinator.store else { return Ok(None) };
    let error = check_etcd(etcd, &context.platform()?).await.err().map(|error| in_one_line(&error));
    Ok(Some(StoreJson {
        ok: error.is_none(),
        etcd: etcd.endpoints.iter().map(ToString::to_string).collect(),
        prefix: etcd.prefix.to_string(),
        max_payload_bytes: MAX_ETCD_PAYLOAD.as_u64(),
        error,
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
        text
    }
}
