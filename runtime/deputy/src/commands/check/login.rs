//! What `deputy check` says of a Kerberos login: whether it gets a ticket, and if not, what mends that.

use std::collections::BTreeMap;

use deputy_config::CoordinatorFile;
use deputy_core::{LoginName, LoginPlan};
use deputy_sandbox::Sandbox;
use futures::future::join_all;
use schemars::JsonSchema;
use serde::Serialize;

use crate::login_text::clock_warning;
use crate::print::{ERROR, GOOD, WARNING, sanitize, styled};

/// One login that an enabled instance has.
#[derive(Serialize, JsonSchema)]
pub(super) struct LoginJson {
    name: String,
    principal: String,
    pub(super) ok: bool,
    /// When the ticket expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry: Option<String>,
    /// When it got that ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_login: Option<String>,
    /// By how many seconds the KDC's clock is ahead of this machine's.
    clock_offset_seconds: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

/// Logs in with each login of the enabled instances, with all at once: KDCs that are silent are waited for once.
pub(super) async fn check(sandbox: &Sandbox, config: &CoordinatorFile) -> Vec<LoginJson> {
    join_all(plans(config).into_values().map(|plan| check_login(sandbox, plan))).await
}

async fn check_login(sandbox: &Sandbox, plan: &LoginPlan) -> LoginJson {
    let status = sandbox.check_login(plan).await;
    let fault = status.fault.as_ref();
    LoginJson {
        name: plan.name.to_string(),
        principal: plan.principal.to_string(),
        ok: fault.is_none() && status.expiry.is_some(),
        expiry: status.expiry.map(|expiry| expiry.to_string()),
        last_login: status.last_login.map(|at| at.to_string()),
        clock_offset_seconds: status.clock_offset_seconds,
        code: fault.map(|fault| fault.cause.code()),
        error: fault.map(ToString::to_string),
        hint: fault.map(|fault| fault.cause.fix()),
    }
}

fn plans(config: &CoordinatorFile) -> BTreeMap<&LoginName, &LoginPlan> {
    let enabled = config.instances.values().filter(|entry| entry.enabled);
    let grants = enabled.filter_map(|entry| entry.component.as_ref()?.grant.kerberos.as_ref());
    grants.map(|grant| (&grant.login.name, &grant.login)).collect()
}

impl LoginJson {
    pub(super) fn text(&self) -> String {
        let head = format!("login {}: {}", self.name, self.principal);
        let mut text = match (&self.error, &self.expiry) {
            (Some(error), _) => {
                let hint = self.hint.unwrap_or_default();
                format!("{head}: {}: {}\n  hint: {hint}\n", styled(ERROR, "not ok"), sanitize(error))
            }
            (None, Some(expiry)) => format!("{head}: {}, ticket until {expiry}\n", styled(GOOD, "ok")),
            (None, None) => format!("{head}: {}\n", styled(ERROR, "no ticket")),
        };
        if let Some(warning) = clock_warning(self.clock_offset_seconds) {
            text.push_str(&format!("  {}: {warning}\n", styled(WARNING, "warning")));
        }
        text
    }
}
