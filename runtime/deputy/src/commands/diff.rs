//! `deputy diff`

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use clap::{Args, ValueHint};
use deputy_audit::Audit;
use deputy_core::{ComponentDescription, ComponentRef, DescribedSetting, GrantRequest, InstanceName, OperatorFacts};
use deputy_sandbox::{ComponentInfo, Sandbox};
use serde::Serialize;

use crate::capability::{Capability, unknown_imports};
use crate::commands::inspect::{Inspected, inspect};
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::{HEADING, sanitize, styled};
use crate::setting_arg::{SettingArg, settings};

/// Say what a new version of a component could do or want that the old one could not
///
/// Compares imports, exports, kinds of payload, settings, and what both want with the same settings: those of --set, or of an
/// instance in the configuration.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy diff s3-sts ./s3-sts-new.wasm
  deputy diff s3-sts ./s3-sts-new.wasm --instance s3-prod
  deputy diff old.wasm new.wasm --set region=eu-west-1 --json | jq .same")]
pub(crate) struct DiffArgs {
    /// The name of an installed component, or a file
    #[arg(value_name = "OLD", value_hint = ValueHint::FilePath)]
    old: ComponentRef,
    /// The same for the new version
    #[arg(value_name = "NEW", value_hint = ValueHint::FilePath)]
    new: ComponentRef,
    /// A setting with which both say what they want
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<SettingArg>,
    /// Take the settings of this instance
    #[arg(long, value_name = "NAME", conflicts_with = "set")]
    instance: Option<InstanceName>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct DiffJson<'a> {
    schema: u32,
    /// Whether nothing below was found.
    same: bool,
    old: SideJson,
    new: SideJson,
    /// Sentences about the new version.
    sections: &'a [Section],
}

#[derive(Serialize)]
struct SideJson {
    path: String,
    sha256: String,
    version: Option<String>,
}

/// Differences of one sort.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Section {
    title: &'static str,
    lines: Vec<String>,
}

pub(crate) async fn run(context: &Context, arguments: &DiffArgs) -> Result<Exit, CommandError> {
    let found = context.found_config()?;
    let sandbox = context.open_sandbox(found.state_dir, found.key.as_ref(), Arc::new(Audit::nowhere())).await?;
    let settings = match &arguments.instance {
        None => settings(&arguments.set),
        Some(name) => of_instance(context, name)?,
    };
    let side =
        |component: &ComponentRef| component.clone().of_configuration(Path::new(""), found.components.as_deref());
    let old = inspected(&sandbox, &side(&arguments.old), &settings).await?;
    let new = inspected(&sandbox, &side(&arguments.new), &settings).await?;
    let sections = compare(&old, &new);
    if arguments.json {
        let same = sections.is_empty();
        context.json(&DiffJson { schema: SCHEMA, same, old: of(&old), new: of(&new), sections: &sections })?;
    } else {
        context.stdout(&text(&old, &new, &sections))?;
    }
    Ok(Exit::Done)
}

fn of_instance(context: &Context, name: &InstanceName) -> Result<BTreeMap<String, String>, CommandError> {
    let config = context.configuration()?;
    let instance = config.instances.get(name).and_then(|entry| entry.component.as_ref());
    instance.map(|instance| instance.settings.clone()).ok_or_else(|| {
        let error = format!("{} has no instance `{name}` with a component", config.path.display());
        CommandError::new(Exit::Misconfigured, error)
    })
}

async fn inspected(
    sandbox: &Sandbox,
    component: &ComponentRef,
    settings: &BTreeMap<String, String>,
) -> Result<Inspected, CommandError> {
    Ok(inspect(sandbox, component, settings).await?)
}

fn of(side: &Inspected) -> SideJson {
    SideJson {
        path: side.info.path.display().to_string(),
        sha256: side.info.digest.to_string(),
        version: description(side).and_then(|described| described.about("version")).map(str::to_owned),
    }
}

fn description(side: &Inspected) -> Option<&ComponentDescription> {
    side.description.as_ref().and_then(|described| described.as_ref().ok())
}

fn compare(old: &Inspected, new: &Inspected) -> Vec<Section> {
    let (could, can) = (capabilities(&old.info), capabilities(&new.info));
    let (wanted, wants) = (wants(old), wants(new));
    let (had, has) = (imports(&old.info), imports(&new.info));
    let sections = [
        ("It is now", kinds_of_component(old, new)),
        ("It could, where it is granted", added(&could, &can)),
        ("It can no longer", added(&can, &could)),
        ("It wants with these settings, and did not", added(&wanted, &wants)),
        ("It no longer wants", added(&wants, &wanted)),
        ("It obtains or takes, and did not", added(&kinds(old), &kinds(new))),
        ("It no longer obtains or takes", added(&kinds(new), &kinds(old))),
        ("Its settings", changed_settings(description(old), description(new))),
        ("It imports, and did not", added(&had, &has)),
        ("It no longer imports", added(&has, &had)),
        ("It cannot run here: nothing provides", added(&missing(&old.info), &missing(&new.info))),
    ];
    let sections = sections.into_iter().map(|(title, lines)| Section { title, lines });
    sections.filter(|section| !section.lines.is_empty()).collect()
}

/// What is in the second set and not in the first.
fn added(old: &BTreeSet<String>, new: &BTreeSet<String>) -> Vec<String> {
    new.difference(old).cloned().collect()
}

fn kinds_of_component(old: &Inspected, new: &Inspected) -> Vec<String> {
    let mut lines = Vec::new();
    if old.info.kind != new.info.kind {
        lines.push(format!("a {}, and was a {}", new.info.kind, old.info.kind));
    }
    for (before, now, what) in [
        (old.info.renews, new.info.renews, "prolongs tokens"),
        (old.info.revokes, new.info.revokes, "revokes tokens"),
        (old.info.describes, new.info.describes, "describes itself"),
    ] {
        match (before, now) {
            (false, true) => lines.push(format!("one that {what}")),
            (true, false) => lines.push(format!("one that no longer {what}")),
            _ => {}
        }
    }
    lines
}

fn capabilities(info: &ComponentInfo) -> BTreeSet<String> {
    let imported = Capability::ALL.into_iter().filter(|capability| capability.is_imported(info));
    imported.map(|capability| capability.words().to_owned()).collect()
}

/// Interfaces and functions, without the versions of WASI, whose patches add nothing that was not granted.
fn imports(info: &ComponentInfo) -> BTreeSet<String> {
    let known = info.imports.iter().flat_map(|import| {
        let functions = import.functions.iter().map(|function| format!("{}#{function}", import.name()));
        functions.collect::<Vec<_>>()
    });
    known.chain(unknown_imports(info).map(str::to_owned)).collect()
}

fn missing(info: &ComponentInfo) -> BTreeSet<String> {
    info.missing_imports.iter().cloned().collect()
}

fn kinds(side: &Inspected) -> BTreeSet<String> {
    side.kinds.iter().flatten().cloned().collect()
}

/// What it wants, one text for each part of a grant.
fn wants(side: &Inspected) -> BTreeSet<String> {
    let Some(Ok(wants)) = description(side).map(|described| &described.wants) else { return BTreeSet::new() };
    let request = match GrantRequest::read(wants, OperatorFacts::default()) {
        Ok(request) => request,
        Err(error) => return BTreeSet::from([error.to_string()]),
    };
    let mut texts = BTreeSet::new();
    for capability in Capability::ALL {
        let granted = capability.granted(&request.grant).into_iter();
        texts.extend(granted.map(|grant| format!("{}: {grant}", capability.words())));
    }
    texts.extend(request.targets.iter().map(|target| format!("{}: {target}", Capability::Kerberos.words())));
    texts.extend(request.unknown.iter().map(|kind| format!("{kind}, which this version of deputy does not know")));
    texts
}

fn changed_settings(old: Option<&ComponentDescription>, new: Option<&ComponentDescription>) -> Vec<String> {
    let (Some(old), Some(new)) = (old, new) else { return Vec::new() };
    let find = |in_all: &[DescribedSetting], name: &str| in_all.iter().find(|setting| setting.name == name).cloned();
    let mut lines = Vec::new();
    for setting in &new.settings {
        let name = &setting.name;
        match find(&old.settings, name) {
            None if setting.is_needed() => lines.push(format!("`{name}` is new and needed: {}", setting.text())),
            None => lines.push(format!("`{name}` is new: {}", setting.text())),
            Some(before) => {
                for (what, before, now) in [
                    ("needed", before.needed(), setting.needed()),
                    ("type", before.kind(), setting.kind()),
                    ("default", before.default(), setting.default()),
                ] {
                    if before != now {
                        let [before, now] = [before, now].map(|text| text.unwrap_or("none"));
                        lines.push(format!("`{name}`: {what} is {now}, and was {before}"));
                    }
                }
            }
        }
    }
    let gone = old.settings.iter().filter(|setting| find(&new.settings, &setting.name).is_none());
    lines.extend(gone.map(|setting| format!("`{}` is gone", setting.name)));
    lines
}

fn text(old: &Inspected, new: &Inspected, sections: &[Section]) -> String {
    let [from, to] = [old, new].map(|side| {
        let version = description(side).and_then(|described| described.about("version"));
        let path = sanitize(&side.info.path.display().to_string());
        version.map_or_else(|| path.clone(), |version| format!("{path} ({})", sanitize(version)))
    });
    let mut text = format!("{}\n", styled(HEADING, format!("{from} → {to}")));
    if old.info.digest == new.info.digest {
        text.push_str("\nThe same file.\n");
    } else if sections.is_empty() {
        text.push_str("\nNothing that it could do, wants or reads is different.\n");
    }
    for Section { title, lines } in sections {
        let lines: String = lines.iter().map(|line| format!("  {}\n", sanitize(line))).collect();
        text.push_str(&format!("\n{}\n{lines}", styled(HEADING, title)));
    }
    for (side, which) in [(old, "old"), (new, "new")] {
        if let Some(why) = silence(side) {
            text.push_str(&format!("\nWhat the {which} one wants is not known: {}\n", sanitize(&why)));
        }
    }
    text
}

/// Why it is not known what a component wants.
fn silence(side: &Inspected) -> Option<String> {
    match &side.description {
        None => Some("it does not describe itself".to_owned()),
        Some(Err(error)) => Some(error.clone()),
        Some(Ok(described)) => described.wants.as_ref().err().map(|failure| failure.message.clone()),
    }
}
