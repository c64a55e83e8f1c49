//! TLS at the health port, as `deputy check` shows it: whether the certificate and its key can be used.

use deputy_config::CoordinatorFile;
use deputy_core::in_one_line;
use deputy_host::health_tls;
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::error::CommandError;
use crate::print::{ERROR, GOOD, sanitize, styled};

#[derive(Serialize, JsonSchema)]
pub(super) struct HealthTlsJson {
    pub(super) ok: bool,
    /// The live page.
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// `None` without TLS.
pub(super) async fn check(context: &Context, config: &CoordinatorFile) -> Result<Option<HealthTlsJson>, CommandError> {
    let Some(section) = &config.coordinator.health_tls else { return Ok(None) };
    let error = health_tls::check(section, &context.platform()?).await.err().map(|error| in_one_line(&error));
    Ok(Some(HealthTlsJson { ok: error.is_none(), url: format!("https://{}/", section.advertise), error }))
}

impl HealthTlsJson {
    pub(super) fn text(&self) -> String {
        let verdict = match &self.error {
            Some(error) => format!("{}: {}", styled(ERROR, "not ok"), sanitize(error)),
            None => styled(GOOD, "ok"),
        };
        format!("live page at {}: {verdict}\n", sanitize(&self.url))
    }
}
