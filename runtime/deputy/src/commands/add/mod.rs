//! `deputy add`

mod cautions;
mod request;
mod secret_files;
mod settings;
mod text;
mod unchanged;
mod warnings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use deputy_audit::{Audit, AuditSubject};
use deputy_config::{ConfigDocument, CoordinatorFile, EditError, NewInstance};
use deputy_core::grant::{Grant, NamedNetworks, Network};
use deputy_core::{ComponentDescription, ComponentRef, GroupName, InstanceName, LoginName};
use deputy_files::ambient;
use deputy_sandbox::{ComponentInfo, ComponentKind, LoadError, Sandbox};
use schemars::JsonSchema;
use serde::Serialize;

use crate::commands::init::{self, systemd};
use crate::completion;
use crate::config_change::{Agreement, ConfigChange};
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::WARNING;
use crate::prompter::Prompter;
use crate::setting_arg::SettingArg;
use secret_files::{SecretArg, SecretFiles};

/// Add an instance of a component to the configuration
///
/// Asks the component, in the sandbox and without any grant, what it wants with these settings, says it in plain words, and
/// writes the instance with that grant into deputy.toml after a yes; without a deputy.toml it writes one first, as `deputy init`
/// does. Comments and the order of the file stay. What a component wants is a request. Beside public addresses, --yes permits only
/// those that --network names, for servers that your settings name. It never permits wildcards, reading a secret, a secret that is
/// sent to a server that no setting names or unencrypted where no setting says http://, a file of a secret that is there already
/// and that --secret does not name, or a login that --login does not name.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy add s3-sts --name s3-prod --set region=eu-west-1 --group analytics
  deputy add s3-sts --name lab --set region=lab --set endpoint=http://minio:9000 --network private
  deputy add kafka --name k --set servers=b1:9093 --set authentication=SCRAM-SHA-512 --username me
  deputy add ./hdfs.wasm --name hdfs --set namenodes=nn1.example.com --login etl --yes")]
pub(crate) struct AddArgs {
    /// The name of an installed component, or a file
    #[arg(value_name = "NAME|FILE.wasm", value_hint = ValueHint::FilePath, add = ArgValueCompleter::new(completion::components))]
    component: ComponentRef,
    /// The name of the new instance
    #[arg(long, value_name = "NAME")]
    name: InstanceName,
    /// A setting; `deputy inspect` lists those of a component; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<SettingArg>,
    /// The file of a secret that the component wants; may be given several times [default: secrets/INSTANCE.SECRET]
    #[arg(long, value_name = "NAME=FILE")]
    secret: Vec<SecretArg>,
    /// The login to Kerberos, if the component wants one [default: the only one]
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(completion::logins))]
    login: Option<LoginName>,
    /// The user of a SCRAM login, if the component wants one
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// A group of workers that gets the leases; may be given several times
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(completion::groups))]
    group: Vec<GroupName>,
    /// Permit addresses of this network for the servers in your settings: loopback, private, link-local or a CIDR block; may
    /// be given several times
    #[arg(long, value_name = "NETWORK", add = ArgValueCompleter::new(completion::networks))]
    network: Vec<Network>,
    /// Write it without a question, unless it needs a person
    #[arg(long)]
    yes: bool,
    /// Print one JSON object, and write only with --yes
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct AddJson<'a> {
    schema: u32,
    instance: &'a str,
    config: String,
    title: Option<&'a str>,
    version: Option<&'a str>,
    /// What the instance would be granted, by capability.
    grants: Vec<text::WantedJson>,
    /// In the component's words.
    reasons: &'a [String],
    /// Wants that this version does not know, and did not write.
    unknown: &'a [String],
    diff: String,
    /// Why a person has to look at it.
    cautions: Vec<String>,
    /// What `deputy check` would warn of.
    warnings: Vec<String>,
    written: bool,
    /// What is left to do.
    steps: Vec<String>,
}

/// A component, and what it says about itself with the operator's settings.
struct DescribedProvider {
    info: ComponentInfo,
    description: ComponentDescription,
    settings: BTreeMap<String, String>,
}

pub(crate) async fn run(context: &Context, arguments: &AddArgs) -> Result<Exit, CommandError> {
    let path = context.new_config_path(false);
    let is_new = !ambient::exists(&path).map_err(|error| CommandError::new(Exit::Failed, error))?;
    if is_new && systemd::is_of_unit(&path) {
        let error = format!("the service has no configuration {} yet", path.display());
        return Err(CommandError::new(Exit::Misconfigured, error).hint("`sudo deputy init --systemd` writes it"));
    }
    let old = if is_new { init::new_configuration() } else { deputy_config::read_text(&path)? };
    let config = CoordinatorFile::parse(&old, &path)?;
    let mut document = ConfigDocument::parse(&old).map_err(edit_error)?;
    let sandbox = context.sandbox(&config, Arc::new(Audit::nowhere())).await?;
    let described = described(context, &sandbox, &config, arguments).await?;
    let login = request::login(&config, arguments)?;
    let mut request = request::read(&described, login, arguments)?;
    let named = NamedNetworks::permit(&mut request.grant, &arguments.network, &described.settings);
    if named.has_no_server() && !arguments.network.is_empty() {
        let unused = "--network has no effect: no setting names a server that the component wants \
                      (as HOST:PORT, in a URL, or by a name with a dot)";
        context.printer.labelled(WARNING, "warning", unused);
    }
    let login = login.filter(|_| request.wants_login).map(|login| &login.name);
    let files = SecretFiles::new(arguments, &request, &path)?;
    let component = written_component(&arguments.component, &path)?;
    document
        .add_instance(&NewInstance {
            name: &arguments.name,
            component: &component,
            groups: &arguments.group,
            settings: &described.settings,
            grant: &request.grant,
            files: &files.written,
            login,
            targets: &request.targets,
        })
        .map_err(edit_error)?;
    let new = document.to_string();
    let changed = CoordinatorFile::parse(&new, &path)?;
    unchanged::check((&old, &config), (&new, &changed), &arguments.name)?;
    let grant = granted(&changed, arguments)?;
    let cautions = cautions::cautions(&grant, &named, &files, login.filter(|_| arguments.login.is_none()));
    let warnings = warnings::new_warnings(&config, &changed);
    let change = ConfigChange { path, old, new, cautions };
    if !arguments.json {
        context.stdout(&text::summary(arguments, &described, &request, &grant))?;
    }
    for warning in &warnings {
        context.printer.labelled(WARNING, "warning", warning);
    }
    let agreement = Agreement { yes: arguments.yes, json: arguments.json };
    let is_written = change.is_agreed(context, agreement)?;
    let is_of_unit = systemd::is_of_unit(&change.path);
    if is_written {
        if is_new {
            init::begin(&change.path)?;
        }
        files.create_folder(is_of_unit)?;
        change.write()?;
    }
    let steps = text::steps(context, arguments, &files, &request, is_of_unit);
    if arguments.json {
        context.json(&AddJson {
            schema: SCHEMA,
            instance: arguments.name.as_str(),
            config: change.path.display().to_string(),
            title: described.description.about("title"),
            version: described.description.about("version"),
            grants: text::grants(described.info.kind, &grant),
            reasons: &request.reasons,
            unknown: &request.unknown,
            diff: change.diff(),
            cautions: change.cautions.iter().map(|caution| caution.text.clone()).collect(),
            warnings,
            written: is_written,
            steps,
        })?;
    } else if is_written {
        context.stdout(&text::numbered(&change.path, &steps))?;
    } else {
        context.note("nothing was written");
    }
    Ok(if is_written || arguments.json { Exit::Done } else { Exit::Failed })
}

/// Asks the component, and the operator for what is missing.
async fn described(
    context: &Context,
    sandbox: &Sandbox,
    config: &CoordinatorFile,
    arguments: &AddArgs,
) -> Result<DescribedProvider, CommandError> {
    let component = arguments.component.clone().of_configuration(Path::new(""), config.components.as_deref());
    let info = sandbox.inspect(&component).await?;
    if !info.missing_imports.is_empty() {
        return Err(LoadError::MissingImports { path: info.path, imports: info.missing_imports }.into());
    }
    if info.kind != ComponentKind::Provider {
        let error = format!("{} is a {}, and `add` takes providers", info.path.display(), info.kind);
        let hint = "a receiver goes into [receivers.NAME] or [groups.NAME.receivers.NAME]";
        return Err(CommandError::new(Exit::Misconfigured, error).hint(hint));
    }
    let subject = AuditSubject::Instance(arguments.name.clone());
    let prompter = Prompter::new(context.printer, arguments.json || arguments.yes);
    let found = settings::complete(sandbox, &component, &info, subject, &prompter, &arguments.set).await?;
    Ok(DescribedProvider { info, description: found.description, settings: found.settings })
}

/// The grant as the configuration now has it.
fn granted(config: &CoordinatorFile, arguments: &AddArgs) -> Result<Grant, CommandError> {
    let entry = config.instances.get(&arguments.name).and_then(|entry| entry.component.as_ref());
    entry.map(|instance| instance.grant.clone()).ok_or_else(|| {
        CommandError::new(Exit::Internal, "the new instance is not in the configuration that was written")
    })
}

/// The component as the configuration has it: a path on the command line is relative to the current directory.
fn written_component(component: &ComponentRef, config: &Path) -> Result<String, CommandError> {
    let file = match component {
        ComponentRef::File(file) if file.is_relative() && !is_here(config) => std::path::absolute(file)
            .map_err(|error| CommandError::new(Exit::Failed, error).context("cannot find the current directory"))?,
        other => PathBuf::from(other.to_string()),
    };
    match file.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(CommandError::new(Exit::Misconfigured, format!("{} is not UTF-8", file.display()))),
    }
}

fn is_here(config: &Path) -> bool {
    config.parent().is_none_or(|parent| parent == Path::new("") || parent == Path::new("."))
}

fn edit_error(error: EditError) -> CommandError {
    CommandError::new(Exit::Misconfigured, error)
}
