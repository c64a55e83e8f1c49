//! What `deputy check --online` tries: the way to each granted host, and one call of each provider. What it obtains is discarded.

use deputy_config::{CoordinatorFile, SettingsOwner};
use deputy_core::{Instance, Tokens};
use deputy_sandbox::{Call, RequiredObtain, Sandbox};
use schemars::JsonSchema;
use serde::Serialize;

use crate::call_report::{self, CallErrorJson};
use crate::commands::doctor::finding::{FindingJson, Health};
use crate::commands::doctor::hosts;
use crate::context::Context;
use crate::error::CommandError;
use crate::failed_setting::OwnSettings;
use crate::print::{GOOD, HEADING, styled};

#[derive(Serialize, JsonSchema)]
pub(super) struct OnlineJson {
    instance: String,
    pub(super) ok: bool,
    findings: Vec<FindingJson>,
    /// Whether the provider returned tokens. `null` if its settings require none.
    obtained: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<CallErrorJson>,
}

pub(super) async fn check(
    context: &Context,
    config: &CoordinatorFile,
    sandbox: &Sandbox,
    json: bool,
) -> Result<Vec<OnlineJson>, CommandError> {
    let mut checked = Vec::new();
    for entry in config.instances.values().filter(|entry| entry.enabled) {
        let Some(instance) = &entry.component else { continue };
        let online = check_instance(context, config, sandbox, instance, json).await?;
        checked.push(online);
    }
    Ok(checked)
}

async fn check_instance(
    context: &Context,
    config: &CoordinatorFile,
    sandbox: &Sandbox,
    instance: &Instance,
    json: bool,
) -> Result<OnlineJson, CommandError> {
    if !json {
        context.stdout(&format!("online {}\n", styled(HEADING, &instance.name)))?;
    }
    let findings = hosts::check(context, [instance]).await;
    // All of this is about one instance.
    let findings: Vec<_> = findings.into_iter().map(|finding| finding.of_instances(&[])).collect();
    if !json {
        for finding in &findings {
            context.stdout(&finding.text())?;
        }
    }
    let is_reached = !findings.iter().any(|finding| finding.health == Health::Failed);
    let mut online =
        OnlineJson { instance: instance.name.to_string(), ok: is_reached, findings, obtained: None, error: None };
    // That it cannot be loaded is reported already.
    let Ok(provider) = sandbox.load(instance).await else { return Ok(OnlineJson { ok: false, ..online }) };
    match provider.obtain_if_required().await {
        RequiredObtain::Called(call) => {
            online.obtained = Some(call.result.is_ok());
            online.ok &= call.result.is_ok();
            report(context, config, instance, &call, json)?;
            online.error = error(config, instance, &call);
        }
        RequiredObtain::NotRequired(call) => {
            online.ok &= call.result.is_ok();
            online.error = error(config, instance, &call);
            if !json {
                call_report::print(context, &call, instance, config);
            }
        }
    }
    Ok(online)
}

fn report(
    context: &Context,
    config: &CoordinatorFile,
    instance: &Instance,
    call: &Call<Tokens>,
    json: bool,
) -> Result<(), CommandError> {
    if json {
        return Ok(());
    }
    call_report::print(context, call, instance, config);
    if let Ok(tokens) = &call.result {
        let text = format!("{} bytes of {}, discarded", tokens.payload.len(), tokens.kind);
        context.stdout(&format!("{} {:<9} {text}\n\n", styled(GOOD, format!("{:<8}", "ok")), "obtain"))?;
    }
    Ok(())
}

fn error<T>(config: &CoordinatorFile, instance: &Instance, call: &Call<T>) -> Option<CallErrorJson> {
    let owner = SettingsOwner::Instance(instance.name.clone());
    call_report::error_json(call, OwnSettings::new(&config.setting_lines, &owner))
}
