//! `deputy components`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use deputy_audit::Audit;
use deputy_core::{ComponentName, ComponentRef};
use deputy_sandbox::Sandbox;
use schemars::JsonSchema;
use serde::Serialize;

use super::inspect::{Inspected, inspect};
use crate::context::{Context, SCHEMA};
use crate::error::{CommandError, ErrorJson};
use crate::exit::Exit;
use crate::print::{ERROR, styled};
use crate::table::Table;

/// List the installed components, which a configuration can name
///
/// A component is found by name in the folder of DEPUTY_COMPONENTS, in that of [components] in the configuration, in
/// `components` beside the program, and in `../lib/deputy/components`; the first folder that has the name decides. The first
/// listing compiles the components, which can take a minute.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy components
  deputy components --config /etc/deputy/deputy.toml
  deputy components --json | jq -r .components[].name")]
pub(crate) struct ComponentsArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ComponentsJson {
    schema: u32,
    /// Where components are found by name, the first one first.
    folders: Vec<PathBuf>,
    components: Vec<InstalledJson>,
}

#[derive(Serialize, JsonSchema)]
struct InstalledJson {
    name: String,
    path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// The contract's version that it was built with.
    #[serde(skip_serializing_if = "Option::is_none")]
    contract: Option<String>,
    /// `null` for a receiver, and if it depends on settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    /// The kinds of payload that it obtains or takes, `*` for all; `null` if they depend on settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    kinds: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorJson>,
}

pub(crate) async fn run(context: &Context, arguments: &ComponentsArgs) -> Result<Exit, CommandError> {
    let audit = Arc::new(Audit::nowhere());
    let found = context.found_config()?;
    let sandbox = context.open_sandbox(found.state_dir, found.key.as_ref(), audit).await?;
    let folders = context.platform()?.components;
    let mut components = Vec::new();
    for (name, path) in folders.list(found.components.as_deref()).await? {
        components.push(installed(&sandbox, name, path, found.components.as_deref()).await);
    }
    let ok = components.iter().all(|component| component.error.is_none());
    let listed = ComponentsJson { schema: SCHEMA, folders: folders.all(found.components.as_deref()), components };
    if arguments.json {
        context.json(&listed)?;
    } else {
        context.stdout(&text(&listed, context.width()))?;
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

async fn installed(
    sandbox: &Sandbox,
    name: ComponentName,
    path: PathBuf,
    folder: Option<&std::path::Path>,
) -> InstalledJson {
    let component = ComponentRef::Installed { name: name.clone(), folder: folder.map(ToOwned::to_owned) };
    let inspected = inspect(sandbox, &component, &BTreeMap::new()).await.map_err(CommandError::from);
    let (inspected, error) = match inspected {
        Ok(inspected) => (Some(inspected), None),
        Err(error) => (None, Some(error.json())),
    };
    let answered = |inspected: &Inspected| inspected.kinds.clone().ok();
    InstalledJson {
        name: name.to_string(),
        path,
        kind: inspected.as_ref().map(|inspected| inspected.info.kind.to_string()),
        contract: inspected.as_ref().map(|inspected| inspected.info.contract.clone()),
        service: inspected.as_ref().and_then(|inspected| inspected.service.clone()?.ok()),
        kinds: inspected.as_ref().and_then(answered),
        sha256: inspected.as_ref().map(|inspected| inspected.info.digest.to_string()),
        error,
    }
}

fn text(listed: &ComponentsJson, width: Option<usize>) -> String {
    if listed.components.is_empty() {
        let folders: Vec<String> = listed.folders.iter().map(|folder| format!("  {}\n", folder.display())).collect();
        return format!("no component is installed in\n{}", folders.concat());
    }
    let mut table = Table::default();
    table.row(["NAME", "KIND", "CONTRACT", "PAYLOADS", "SHA256", "PATH"]);
    for component in &listed.components {
        let kinds = component.kinds.as_ref().map(|kinds| kinds.join(", "));
        let digest = component.sha256.as_ref().map(|digest| digest.chars().take(12).collect());
        table.row([
            component.name.clone(),
            component.kind.clone().unwrap_or_else(|| "-".to_owned()),
            component.contract.clone().unwrap_or_else(|| "-".to_owned()),
            kinds.unwrap_or_else(|| "by settings".to_owned()),
            digest.unwrap_or_else(|| "-".to_owned()),
            component.path.display().to_string(),
        ]);
    }
    let mut text = table.render_with_heading(width);
    for component in &listed.components {
        if let Some(error) = &component.error {
            text.push_str(&format!("{}: {}\n", styled(ERROR, &component.name), error.message));
            error.causes.iter().for_each(|cause| text.push_str(&format!("  because {cause}\n")));
        }
    }
    text
}
