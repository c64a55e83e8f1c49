//! `deputy inspect`

use std::sync::Arc;

use std::collections::BTreeMap;
use std::path::Path;

use deputy_core::grant::Grant;
use deputy_core::{Instance, Limits, ReceiverPlan, Services, in_one_line};
use deputy_sandbox::{ComponentInfo, ComponentKind, Sandbox};
use serde::Serialize;

use crate::capability::{Capability, Permission, strange};
use crate::cli;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::{HEADING, bytes, sanitize, styled};
use crate::sandbox;
use crate::table::Table;

/// What a component is, for a program to read.
#[derive(Serialize)]
pub(crate) struct ComponentJson {
    pub(crate) kind: &'static str,
    pub(crate) sha256: String,
    pub(crate) size: u64,
    pub(crate) exports: ExportsJson,
    pub(crate) imports: Vec<ImportJson>,
}

/// Which of the contract's optional interfaces a component exports.
#[derive(Serialize)]
pub(crate) struct ExportsJson {
    pub(crate) renewal: bool,
    pub(crate) revocation: bool,
}

#[derive(Serialize)]
pub(crate) struct ImportJson {
    interface: String,
    functions: Vec<String>,
}

#[derive(Serialize)]
struct InspectJson<'a> {
    schema: u32,
    path: String,
    /// A provider's.
    service: Option<&'a str>,
    /// A receiver's: names, or `*` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<&'a [String]>,
    #[serde(flatten)]
    component: ComponentJson,
    /// What it can do if it is granted.
    can_if_granted: Vec<&'static str>,
    /// What it can do anyway.
    can: Vec<&'static str>,
    /// What it asks for and nobody gets.
    in_vain: Vec<&'static str>,
    /// What it can never do.
    cannot: Vec<&'static str>,
    unknown_imports: Vec<&'a str>,
}

impl From<&ComponentInfo> for ComponentJson {
    fn from(inspection: &ComponentInfo) -> Self {
        let import = |import: &deputy_sandbox::Import| ImportJson {
            interface: import.interface.clone(),
            functions: import.functions.clone(),
        };
        Self {
            kind: kind(inspection),
            sha256: inspection.digest.to_string(),
            size: inspection.size,
            exports: ExportsJson { renewal: inspection.renews, revocation: inspection.revokes },
            imports: inspection.imports.iter().map(import).collect(),
        }
    }
}

pub(crate) async fn run(context: &Context, arguments: &cli::InspectArgs) -> Result<Exit, CommandError> {
    let config = context.named_configuration()?;
    let key = config.as_ref().and_then(|config| config.coordinator.key.as_ref());
    let sandbox = sandbox::open_beside(context.state_dir(config.as_ref()), key, Arc::new(sandbox::nobody())).await?;
    let inspection = sandbox.inspect(&arguments.file).await?;
    let services = services(&sandbox, &arguments.file, &inspection).await;
    if arguments.json {
        let of = |kind: ComponentKind| services.as_deref().ok().filter(|_| inspection.kind == kind);
        let keys = |capabilities: Vec<Capability>| capabilities.into_iter().map(Capability::key).collect();
        context.json(&InspectJson {
            schema: SCHEMA,
            path: arguments.file.display().to_string(),
            service: of(ComponentKind::Provider).and_then(<[String]>::first).map(String::as_str),
            services: of(ComponentKind::Receiver),
            component: ComponentJson::from(&inspection),
            can_if_granted: keys(imported(&inspection, Permission::Granted)),
            can: keys(imported(&inspection, Permission::Always)),
            in_vain: keys(imported(&inspection, Permission::Never)),
            cannot: keys(missing(&inspection)),
            unknown_imports: strange(&inspection).collect(),
        })?;
    } else {
        context.data(&shown(&arguments.file, &inspection, &services))?;
    }
    Ok(Exit::Done)
}

/// The services by the component's own word, called without a grant, or why there are none.
async fn services(sandbox: &Sandbox, path: &Path, inspection: &ComponentInfo) -> Result<Vec<String>, String> {
    let unnamed = |error: deputy_core::NameError| error.to_string();
    let unloaded = |error| in_one_line(&error);
    let (component, sha256, settings) = (path.to_owned(), Some(inspection.digest), BTreeMap::new());
    let limits = Limits::default();
    match inspection.kind {
        ComponentKind::Provider => {
            let name = "inspected".parse().map_err(unnamed)?;
            let (grant, sources) = (Grant::default(), BTreeMap::new());
            let instance = Instance { name, component, sha256, settings, grant, sources, limits };
            let provider = sandbox.load(&instance).await.map_err(unloaded)?;
            let service = provider.service_name().await.result.map_err(|error| error.to_string())?;
            Ok(vec![service.to_string()])
        }
        ComponentKind::Receiver => {
            let name = "inspected".parse().map_err(unnamed)?;
            let plan = ReceiverPlan { name, component, sha256, settings, limits };
            let receiver = sandbox.load_receiver(&plan).await.map_err(unloaded)?;
            Ok(match receiver.services().await.result.map_err(|error| error.to_string())? {
                Services::Any => vec!["*".to_owned()],
                Services::Named(names) => names.iter().map(ToString::to_string).collect(),
            })
        }
    }
}

fn imported(inspection: &ComponentInfo, leave: Permission) -> Vec<Capability> {
    Capability::ALL.into_iter().filter(|c| c.leave(inspection.kind) == leave && c.imported(inspection)).collect()
}

fn missing(inspection: &ComponentInfo) -> Vec<Capability> {
    let possible = |c: &Capability| *c != Capability::Outputs || inspection.kind == ComponentKind::Receiver;
    Capability::ALL.into_iter().filter(|c| !c.imported(inspection)).filter(possible).collect()
}

pub(crate) fn kind(inspection: &ComponentInfo) -> &'static str {
    match inspection.kind {
        ComponentKind::Provider => "provider",
        ComponentKind::Receiver => "receiver",
    }
}

fn shown(path: &Path, inspection: &ComponentInfo, services: &Result<Vec<String>, String>) -> String {
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    let mut table = Table::default();
    table.row(["kind", kind(inspection)]);
    let (title, never) = match inspection.kind {
        ComponentKind::Provider => ("service", "Never, whatever it is granted"),
        ComponentKind::Receiver => ("services", "Never"),
    };
    match services {
        Ok(names) if names.iter().any(|name| name == "*") => table.row([title, "all"]),
        Ok(names) => table.row([title, &names.join(", ")]),
        Err(reason) => table.row([title, &format!("unknown: {reason}")]),
    }
    if inspection.kind == ComponentKind::Provider {
        table.row(["renews", yes(inspection.renews)]);
        table.row(["revokes", yes(inspection.revokes)]);
    }
    table.row(["size", &bytes(inspection.size)]);
    table.row(["sha256", &inspection.digest.to_string()]);

    let mut text = format!("{}\n{}", styled(HEADING, sanitize(&path.display().to_string())), table.render(2));
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("\n{}\n", styled(HEADING, title)));
            lines.iter().for_each(|line| text.push_str(&format!("  {}\n", sanitize(line))));
        }
    };
    let words = |capabilities: Vec<Capability>, before: &str| {
        capabilities.into_iter().map(|c| format!("{before}{}", c.words())).collect::<Vec<_>>()
    };
    section("Can, where the operator grants it", words(imported(inspection, Permission::Granted), ""));
    section("Can", words(imported(inspection, Permission::Always), ""));
    section(never, words(missing(inspection), "cannot "));
    section("Asks for in vain, as nobody is given it", words(imported(inspection, Permission::Never), ""));
    section("Imports that deputy does not know", strange(inspection).map(str::to_owned).collect());
    text
}
