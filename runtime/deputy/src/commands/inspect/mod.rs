//! `deputy inspect`

mod described;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clap::{Args, ValueHint};
use deputy_audit::{Audit, AuditSubject};
use deputy_core::grant::Grant;
use deputy_core::{ComponentDescription, ComponentRef, Instance, Limits, NameError, ReceiverPlan, in_one_line};
use deputy_sandbox::{Call, CallError, ComponentInfo, ComponentKind, Import, LoadError, Sandbox};
use schemars::JsonSchema;
use serde::Serialize;

use crate::capability::{Capability, Decision, unknown_imports};
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::{ERROR, HEADING, bytes, sanitize, styled};
use crate::setting_arg::{SettingArg, settings};
use crate::table::Table;
use described::DescriptionJson;

/// The name of the instance that is inspected.
const INSPECTED: &str = "inspected";

/// Show what a component is, what it can do and what it can never do
///
/// A component can only do what it imports. So its imports say what it can never do, whatever it is granted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy inspect s3-sts
  deputy inspect ./s3-sts.wasm --set region=eu-west-1
  deputy inspect s3-sts --json | jq -r .sha256")]
pub(crate) struct InspectArgs {
    /// The name of an installed component, or a file
    #[arg(value_name = "NAME|FILE.wasm", value_hint = ValueHint::FilePath)]
    component: ComponentRef,
    /// A setting with which the component says what it wants; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<SettingArg>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct ComponentJson {
    pub(crate) path: String,
    pub(crate) kind: String,
    pub(crate) sha256: String,
    pub(crate) size: u64,
    pub(crate) exports: ExportsJson,
    /// Beside the contract's.
    pub(crate) other_exports: Vec<String>,
    pub(crate) imports: Vec<ImportJson>,
}

/// The contract's optional interfaces.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ExportsJson {
    pub(crate) renewal: bool,
    pub(crate) revocation: bool,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct ImportJson {
    interface: String,
    functions: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct InspectJson<'a> {
    schema: u32,
    /// `null` for a receiver, and if it depends on settings.
    service: Option<&'a str>,
    /// The kinds of payload that it obtains or takes, `*` for all; `null` if they depend on settings.
    kinds: Option<&'a [String]>,
    #[serde(flatten)]
    component: ComponentJson,
    can_if_granted: Vec<&'static str>,
    /// Without a grant.
    can: Vec<&'static str>,
    /// Imported, and given to no component.
    in_vain: Vec<&'static str>,
    cannot: Vec<&'static str>,
    unknown_imports: Vec<&'a str>,
    /// Not empty: the component cannot run here.
    missing_imports: &'a [String],
    /// `null` if it does not describe itself.
    description: Option<DescriptionJson<'a>>,
}

impl From<&ComponentInfo> for ComponentJson {
    fn from(info: &ComponentInfo) -> Self {
        Self {
            path: info.path.display().to_string(),
            kind: info.kind.to_string(),
            sha256: info.digest.to_string(),
            size: info.size,
            exports: ExportsJson { renewal: info.renews, revocation: info.revokes },
            other_exports: info.other_exports.clone(),
            imports: info.imports.iter().map(ImportJson::from).collect(),
        }
    }
}

impl From<&Import> for ImportJson {
    fn from(import: &Import) -> Self {
        Self { interface: import.interface.clone(), functions: import.functions.clone() }
    }
}

pub(crate) async fn run(context: &Context, arguments: &InspectArgs) -> Result<Exit, CommandError> {
    let found = context.found_config()?;
    let component = arguments.component.clone().of_configuration(Path::new(""), found.components.as_deref());
    let sandbox = context.open_sandbox(found.state_dir, found.key.as_ref(), Arc::new(Audit::nowhere())).await?;
    let inspected = inspect(&sandbox, &component, &settings(&arguments.set)).await?;
    if arguments.json {
        context.json(&json(&inspected))?;
    } else {
        context.stdout(&text(&inspected, !arguments.set.is_empty()))?;
    }
    let info = inspected.info;
    if info.missing_imports.is_empty() {
        return Ok(Exit::Done);
    }
    let error = LoadError::MissingImports { path: info.path, imports: info.missing_imports };
    context.printer.labelled(ERROR, "error", &error.to_string());
    Ok(Exit::Misconfigured)
}

/// What a component is, and what it answers without settings.
pub(crate) struct Inspected {
    pub(crate) info: ComponentInfo,
    /// Of a provider.
    pub(crate) service: Option<Result<String, String>>,
    pub(crate) kinds: Result<Vec<String>, String>,
    /// `None` if it does not describe itself.
    pub(crate) description: Option<Result<ComponentDescription, String>>,
}

impl Inspected {
    fn silent(info: ComponentInfo, why: &str) -> Self {
        let service = (info.kind == ComponentKind::Provider).then(|| Err(why.to_owned()));
        Self { info, service, kinds: Err(why.to_owned()), description: None }
    }
}

/// Inspects a component, and asks it what it answers with these settings and without grants: most answers depend on
/// settings.
pub(crate) async fn inspect(
    sandbox: &Sandbox,
    component: &ComponentRef,
    settings: &BTreeMap<String, String>,
) -> Result<Inspected, LoadError> {
    let info = sandbox.inspect(component).await?;
    if !info.missing_imports.is_empty() {
        return Ok(Inspected::silent(info, "unknown: the component cannot run here"));
    }
    let asked = match info.kind {
        ComponentKind::Provider => ask_provider(sandbox, &info, settings).await,
        ComponentKind::Receiver => ask_receiver(sandbox, &info, settings).await,
    };
    let description = describe(sandbox, &info, settings).await?;
    Ok(match asked {
        Ok((service, kinds)) => Inspected { info, service, kinds, description },
        Err(error) => Inspected { description, ..Inspected::silent(info, &format!("unknown: {error}")) },
    })
}

async fn describe(
    sandbox: &Sandbox,
    info: &ComponentInfo,
    settings: &BTreeMap<String, String>,
) -> Result<Option<Result<ComponentDescription, String>>, LoadError> {
    let Ok(name) = INSPECTED.parse() else { return Ok(None) };
    let component = info.path.clone().into();
    let call = sandbox.describe(&component, Some(info.digest), settings, AuditSubject::Instance(name)).await?;
    Ok(call.map(|call| call.result.map_err(|error| error.to_string())))
}

/// The service and the kinds of payload, or why one of them is not known.
type KnownAnswers = (Option<Result<String, String>>, Result<Vec<String>, String>);

async fn ask_provider(
    sandbox: &Sandbox,
    info: &ComponentInfo,
    settings: &BTreeMap<String, String>,
) -> Result<KnownAnswers, String> {
    let instance = Instance {
        name: INSPECTED.parse().map_err(|error: NameError| error.to_string())?,
        component: info.path.clone().into(),
        sha256: Some(info.digest),
        settings: settings.clone(),
        grant: Grant::default(),
        sources: BTreeMap::new(),
        limits: Limits::default(),
    };
    let provider = sandbox.load(&instance).await.map_err(|error| in_one_line(&error))?;
    let service = provider.service_name().await;
    if let Err(error @ (CallError::Limit(_) | CallError::Trap { .. })) = &service.result {
        return Err(error.to_string());
    }
    let service = answer(service).map(|service| service.to_string());
    let kinds = answer(provider.kinds().await).map(|kinds| kinds.iter().map(ToString::to_string).collect());
    Ok((Some(service), kinds))
}

async fn ask_receiver(
    sandbox: &Sandbox,
    info: &ComponentInfo,
    settings: &BTreeMap<String, String>,
) -> Result<KnownAnswers, String> {
    let plan = ReceiverPlan {
        name: INSPECTED.parse().map_err(|error: NameError| error.to_string())?,
        component: info.path.clone().into(),
        sha256: Some(info.digest),
        settings: settings.clone(),
        limits: Limits::default(),
        host_facts: Vec::new(),
    };
    let receiver = sandbox.load_receiver(&plan).await.map_err(|error| in_one_line(&error))?;
    Ok((None, answer(receiver.kinds().await).map(|kinds| kinds.texts())))
}

fn answer<T>(call: Call<T>) -> Result<T, String> {
    call.result.map_err(|error| match error {
        CallError::Failure(_) => "depends on settings".to_owned(),
        error => format!("unknown: {error}"),
    })
}

fn json(inspected: &Inspected) -> InspectJson<'_> {
    let info = &inspected.info;
    InspectJson {
        schema: SCHEMA,
        service: inspected.service.as_ref().and_then(|service| service.as_deref().ok()),
        kinds: inspected.kinds.as_deref().ok(),
        component: ComponentJson::from(info),
        can_if_granted: keys(&imported(info, Decision::ByGrant)),
        can: keys(&imported(info, Decision::Always)),
        in_vain: keys(&imported(info, Decision::Never)),
        cannot: keys(&not_imported(info)),
        unknown_imports: unknown_imports(info).collect(),
        missing_imports: &info.missing_imports,
        description: inspected.description.as_ref().map(DescriptionJson::from),
    }
}

fn keys(capabilities: &[Capability]) -> Vec<&'static str> {
    capabilities.iter().map(|capability| capability.key()).collect()
}

fn imported(info: &ComponentInfo, decision: Decision) -> Vec<Capability> {
    Capability::ALL.into_iter().filter(|c| c.decision(info.kind) == decision && c.is_imported(info)).collect()
}

/// Capabilities that a component of this kind could have and does not import.
fn not_imported(info: &ComponentInfo) -> Vec<Capability> {
    Capability::ALL
        .into_iter()
        .filter(|c| !c.is_imported(info))
        .filter(|c| *c != Capability::Outputs || info.kind == ComponentKind::Receiver)
        .collect()
}

/// `has_settings` if it was asked with some.
fn text(inspected: &Inspected, has_settings: bool) -> String {
    let info = &inspected.info;
    let mut text = format!("{}\n", styled(HEADING, sanitize(&info.path.display().to_string())));
    text.push_str(&facts(inspected).render(2));
    let never = match info.kind {
        ComponentKind::Provider => "Cannot, whatever it is granted",
        ComponentKind::Receiver => "Cannot",
    };
    text.push_str(&described::text(inspected.description.as_ref(), has_settings));
    text.push_str(&section("Can, where the operator grants it", words(&imported(info, Decision::ByGrant))));
    text.push_str(&section("Can", words(&imported(info, Decision::Always))));
    text.push_str(&section(never, words(&not_imported(info))));
    text.push_str(&section("Imports, but no component may", words(&imported(info, Decision::Never))));
    text.push_str(&section("Imports that nothing provides here", info.missing_imports.clone()));
    text.push_str(&section("Exports beside the contract", info.other_exports.clone()));
    text
}

fn facts(inspected: &Inspected) -> Table {
    let info = &inspected.info;
    let mut table = Table::default();
    if let Some(Ok(description)) = &inspected.description {
        for name in ["title", "version"] {
            if let Some(text) = description.about(name) {
                table.row([name, text]);
            }
        }
    }
    table.row(["kind", &info.kind.to_string()]);
    if let Some(service) = &inspected.service {
        table.row(["service", service.as_ref().unwrap_or_else(|why| why)]);
    }
    match &inspected.kinds {
        Ok(kinds) if kinds.iter().any(|kind| kind == "*") => table.row(["payloads", "of all kinds"]),
        Ok(kinds) => table.row(["payloads", &kinds.join(", ")]),
        Err(why) => table.row(["payloads", why]),
    }
    if info.kind == ComponentKind::Provider {
        table.row(["renews", yes_or_no(info.renews)]);
        table.row(["revokes", yes_or_no(info.revokes)]);
    }
    table.row(["size", &bytes(info.size)]);
    table.row(["sha256", &info.digest.to_string()]);
    table
}

fn section(title: &str, lines: Vec<String>) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("  {}\n", sanitize(line))).collect();
    format!("\n{}\n{lines}", styled(HEADING, title))
}

fn words(capabilities: &[Capability]) -> Vec<String> {
    capabilities.iter().map(|capability| capability.words().to_owned()).collect()
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
