//! `deputy diff`

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use clap::{Args, ValueHint};
use deputy_audit::Audit;
use deputy_core::{ComponentDescription, ComponentRef, DescribedSetting, GrantRequest, InstanceName, OperatorFacts};
use deputy_sandbox::{ComponentInfo, Sandbox};
use schemars::JsonSchema;
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
/// instance in the configuration. What one of them does not say is not compared: it is named, and both do not count as the same.
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
    /// A setting with which both components say what they want; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<SettingArg>,
    /// Take the settings of this instance
    #[arg(long, value_name = "NAME", conflicts_with = "set")]
    instance: Option<InstanceName>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct DiffJson<'a> {
    schema: u32,
    /// Whether both are the same file, or everything is known and nothing of it is different.
    same: bool,
    /// What could not be compared, and why.
    unknown: &'a [String],
    old: SideJson,
    new: SideJson,
    /// Sentences about the new version.
    sections: &'a [Section],
}

#[derive(Serialize, JsonSchema)]
struct SideJson {
    path: String,
    sha256: String,
    version: Option<String>,
}

/// Differences of one sort.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
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
    let folder = found.components.as_deref();
    let old = inspected(&sandbox, &arguments.old, folder, &settings).await?;
    let new = inspected(&sandbox, &arguments.new, folder, &settings).await?;
    let sections = compare(&old, &new);
    let unknown = unknown(&old, &new);
    if arguments.json {
        let same = is_same_file(&old, &new) || (sections.is_empty() && unknown.is_empty());
        context.json(&DiffJson {
            schema: SCHEMA,
            same,
            unknown: &unknown,
            old: side_json(&old),
            new: side_json(&new),
            sections: &sections,
        })?;
    } else {
        context.stdout(&text(&old, &new, &sections, &unknown))?;
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
    folder: Option<&Path>,
    settings: &BTreeMap<String, String>,
) -> Result<Inspected, CommandError> {
    let component = component.clone().of_configuration(Path::new(""), folder);
    Ok(inspect(sandbox, &component, settings).await?)
}

fn is_same_file(old: &Inspected, new: &Inspected) -> bool {
    old.info.digest == new.info.digest
}

fn side_json(side: &Inspected) -> SideJson {
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
    let could = capabilities(&old.info);
    let can = capabilities(&new.info);
    let (obtained, obtains) = known(kinds(old), kinds(new));
    let (wanted, wants) = known(wants(old), wants(new));
    let had = imports(&old.info);
    let has = imports(&new.info);
    let sections = [
        ("It is now", kinds_of_component(old, new)),
        ("It can now, where that is granted", added(&could, &can)),
        ("It can no longer", added(&can, &could)),
        ("It now wants, with these settings", added(&wanted, &wants)),
        ("It no longer wants", added(&wants, &wanted)),
        ("New kinds of payload", added(&obtained, &obtains)),
        ("It no longer obtains or takes", added(&obtains, &obtained)),
        ("Its settings", changed_settings(description(old), description(new))),
        ("It imports, and did not", added(&had, &has)),
        ("It no longer imports", added(&has, &had)),
        ("It cannot run here: nothing provides", added(&missing(&old.info), &missing(&new.info))),
    ];
    let sections = sections.into_iter().map(|(title, lines)| Section { title, lines });
    sections.filter(|section| !section.lines.is_empty()).collect()
}

/// Both sets, or two empty ones if one of them is not known: what is not known is not new, and not gone.
fn known<E>(
    old: Result<BTreeSet<String>, E>,
    new: Result<BTreeSet<String>, E>,
) -> (BTreeSet<String>, BTreeSet<String>) {
    match (old, new) {
        (Ok(old), Ok(new)) => (old, new),
        _ => (BTreeSet::new(), BTreeSet::new()),
    }
}

/// What is in the second set and not in the first.
fn added(old: &BTreeSet<String>, new: &BTreeSet<String>) -> Vec<String> {
    new.difference(old).cloned().collect()
}

fn kinds_of_component(old: &Inspected, new: &Inspected) -> Vec<String> {
    let mut lines = Vec::new();
    if old.info.kind != new.info.kind {
        lines.push(format!("a {} (before: a {})", new.info.kind, old.info.kind));
    }
    if let (Some(Ok(before)), Some(Ok(now))) = (&old.service, &new.service)
        && before != now
    {
        lines.push(format!("of service {now} (before: {before})"));
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

/// Kinds of payload, or why they are not known.
fn kinds(side: &Inspected) -> Result<BTreeSet<String>, String> {
    match &side.kinds {
        Ok(kinds) => Ok(kinds.iter().cloned().collect()),
        Err(why) => Err(why.strip_prefix("unknown: ").unwrap_or(why).to_owned()),
    }
}

/// What it wants, one text for each part of a grant, or why that is not known.
fn wants(side: &Inspected) -> Result<BTreeSet<String>, String> {
    let described = match &side.description {
        None => return Err("it does not describe itself".to_owned()),
        Some(described) => described.as_ref().map_err(String::clone)?,
    };
    let wants = described.wants.as_ref().map_err(|failure| failure.message.clone())?;
    let request = GrantRequest::read(wants, OperatorFacts::default()).map_err(|error| error.to_string())?;
    let mut texts = BTreeSet::new();
    for capability in Capability::ALL {
        let granted = capability.granted_with_limits(&request.grant).into_iter();
        texts.extend(granted.map(|grant| format!("{}: {grant}", capability.words())));
    }
    texts.extend(request.targets.iter().map(|target| format!("{}: {target}", Capability::Kerberos.words())));
    texts.extend(request.unknown.iter().map(|kind| format!("{kind}, which this version of deputy does not know")));
    Ok(texts)
}

/// What is not compared since one of both does not say it, in whole sentences.
fn unknown(old: &Inspected, new: &Inspected) -> Vec<String> {
    let mut sentences = Vec::new();
    for (which, side) in [("old", old), ("new", new)] {
        if let Err(why) = kinds(side) {
            sentences.push(format!("What the {which} one obtains or takes is not known: {why}"));
        }
        if let Err(why) = wants(side) {
            sentences.push(format!("What the {which} one wants is not known: {why}"));
        }
    }
    sentences
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

fn text(old: &Inspected, new: &Inspected, sections: &[Section], unknown: &[String]) -> String {
    let [from, to] = [old, new].map(|side| {
        let version = description(side).and_then(|described| described.about("version"));
        let path = sanitize(&side.info.path.display().to_string());
        version.map_or_else(|| path.clone(), |version| format!("{path} ({})", sanitize(version)))
    });
    let mut text = format!("{}\n", styled(HEADING, format!("{from} → {to}")));
    if is_same_file(old, new) {
        text.push_str("\nThe same file.\n");
        return text;
    }
    if sections.is_empty() && unknown.is_empty() {
        text.push_str("\nNothing that it could do, wants or reads is different.\n");
    }
    for Section { title, lines } in sections {
        let lines: String = lines.iter().map(|line| format!("  {}\n", sanitize(line))).collect();
        text.push_str(&format!("\n{}\n{lines}", styled(HEADING, title)));
    }
    for sentence in unknown {
        text.push_str(&format!("\n{}\n", sanitize(sentence)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_core::failure::FailureNext;
    use deputy_core::{ComponentFailure, DescribedProperty, DescribedWant, Digest};
    use deputy_sandbox::ComponentKind;

    fn silent(digest: u8) -> Inspected {
        let info = ComponentInfo {
            path: "a.wasm".into(),
            contract: "0.2.0".into(),
            digest: Digest::new([digest; 32]),
            size: 1,
            kind: ComponentKind::Provider,
            renews: false,
            revokes: false,
            describes: true,
            imports: Vec::new(),
            missing_imports: Vec::new(),
            other_exports: Vec::new(),
        };
        Inspected { info, service: None, kinds: Ok(vec!["bearer/1".to_owned()]), description: None }
    }

    fn describing(digest: u8, wants: Result<Vec<DescribedWant>, ComponentFailure>) -> Inspected {
        let description = ComponentDescription { about: Vec::new(), settings: Vec::new(), wants };
        Inspected { description: Some(Ok(description)), ..silent(digest) }
    }

    /// One that signs requests to these services.
    fn signing(digest: u8, services: &[&str]) -> Inspected {
        let parts = [("name", "key"), ("use", "sigv4"), ("region", "eu-west-1")];
        let services = services.iter().map(|service| ("service", *service));
        let properties = parts
            .into_iter()
            .chain(services)
            .map(|(name, value)| DescribedProperty { name: name.to_owned(), value: value.to_owned() });
        describing(digest, Ok(vec![DescribedWant { kind: "secret".to_owned(), properties: properties.collect() }]))
    }

    #[test]
    fn diff_shows_another_limit_of_the_same_secret() {
        let (old, new) = (signing(0, &["sts"]), signing(1, &["sts", "iam"]));
        assert!(unknown(&old, &new).is_empty());
        assert!(compare(&old, &signing(1, &["sts"])).is_empty());
        let sections = compare(&old, &new);
        let wants = sections.iter().find(|section| section.title == "It now wants, with these settings").unwrap();
        let line =
            "sign AWS requests (SigV4) with a secret: key, services = [\"iam\", \"sts\"], regions = [\"eu-west-1\"]";
        assert_eq!(wants.lines, [line]);
    }

    #[test]
    fn diff_shows_another_service() {
        let of =
            |digest, service: &str| Inspected { service: Some(Ok(service.to_owned())), ..signing(digest, &["sts"]) };
        let sections = compare(&of(0, "s3"), &of(1, "hdfs"));
        let lines: Vec<&str> = sections.iter().flat_map(|section| &section.lines).map(String::as_str).collect();
        assert_eq!(lines, ["of service hdfs (before: s3)"]);
        assert!(compare(&of(0, "s3"), &of(1, "s3")).is_empty());
    }

    #[test]
    fn diff_takes_what_is_not_known_for_nothing() {
        let misconfigured = ComponentFailure {
            next: FailureNext::Misconfigured,
            message: "no region".to_owned(),
            code: None,
            setting: Some("region".to_owned()),
            retry_after: None,
            facts: Vec::new(),
        };
        for (old, new, count) in [
            (silent(0), signing(1, &["sts"]), 1),
            (signing(0, &["sts"]), silent(1), 1),
            (silent(0), silent(1), 2),
            (describing(0, Err(misconfigured.clone())), describing(1, Err(misconfigured)), 2),
            (
                Inspected { kinds: Err("unknown: it trapped".to_owned()), ..signing(0, &["sts"]) },
                signing(1, &["sts"]),
                1,
            ),
        ] {
            assert!(compare(&old, &new).is_empty());
            let sentences = unknown(&old, &new);
            assert_eq!(sentences.len(), count, "{sentences:?}");
            let shown = text(&old, &new, &[], &sentences);
            assert!(!shown.contains("Nothing that it could do") && shown.contains("is not known: "), "{shown}");
        }
    }
}
