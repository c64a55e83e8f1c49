//! `deputy grant`

mod denied;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use deputy_config::{ConfigDocument, CoordinatorFile, EditError};
use deputy_core::grant::Grant;
use deputy_core::{ByteSize, Instance, PolicyDenial, Principal};
use schemars::JsonSchema;
use serde::Serialize;

use crate::completion;
use crate::config_change::{Agreement, Caution, ConfigChange};
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::input::read_input;
use crate::print::HINT;
use denied::DeniedUse;

/// Changes that follow from each other at most: a host, then its address.
const MAX_STEPS: usize = 4;

const MAX_HINT: ByteSize = ByteSize::kib(64);

/// Permit what was denied
///
/// Shows how the configuration would change, and writes it after a yes. Without a request or hint it takes what the audit log says
/// was last denied to the instance. Comments and the order of the file stay. A running coordinator takes it with `deputy reload`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy grant s3-prod
  deputy grant s3-prod --http https://sts.eu-west-1.amazonaws.com/ --method POST
  deputy grant s3-prod --http http://minio:9000/ --method POST --address 10.0.0.7
  deputy grant kafka --tcp broker.example.com:9093
  deputy grant s3-prod --hint hint.txt --yes")]
pub(crate) struct GrantArgs {
    /// The name of an instance in the configuration
    #[arg(add = ArgValueCompleter::new(completion::configured_instances))]
    instance: String,
    /// A request to this URL
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, conflicts_with_all = ["tcp", "hint", "audit"])]
    http: Option<String>,
    /// The method of the request
    #[arg(long, value_name = "METHOD", requires = "http", default_value = "GET")]
    method: String,
    /// An address of the host that is not public
    #[arg(long, value_name = "IP", conflicts_with_all = ["hint", "audit"])]
    address: Option<IpAddr>,
    /// A connection to this host and port
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["hint", "audit"])]
    tcp: Option<String>,
    /// The lines of a hint, as they were printed; - is stdin
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "audit")]
    hint: Option<PathBuf>,
    /// The audit log [default: see `audit` in the configuration]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    audit: Option<PathBuf>,
    /// Write it without a question, unless it permits private addresses or subdomains, or shows a secret to the component
    #[arg(long)]
    yes: bool,
    /// Print one JSON object, and write only with --yes
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct GrantJson<'a> {
    schema: u32,
    instance: &'a str,
    config: String,
    /// A unified diff; empty if nothing is to change.
    diff: &'a str,
    /// Why a person has to look at it.
    cautions: Vec<String>,
    written: bool,
}

pub(crate) fn run(context: &Context, arguments: &GrantArgs) -> Result<Exit, CommandError> {
    let change = propose(context, arguments)?;
    let agreement = Agreement { yes: arguments.yes, json: arguments.json };
    let is_written = !change.is_empty() && change.is_agreed(context, agreement)?;
    if is_written {
        change.write()?;
    }
    if arguments.json {
        context.json(&GrantJson {
            schema: SCHEMA,
            instance: &arguments.instance,
            config: change.path.display().to_string(),
            diff: &change.diff(),
            cautions: change.cautions.iter().map(|caution| caution.text.clone()).collect(),
            written: is_written,
        })?;
    } else if change.is_empty() {
        context.stdout(&format!("{} permits it already\n", change.path.display()))?;
    } else if is_written {
        let hint = format!("`{}` applies it to a running coordinator", context.command("reload"));
        context.printer.labelled(HINT, "hint", &hint);
    } else {
        context.note("nothing was written");
    }
    Ok(if is_written || change.is_empty() || arguments.json { Exit::Done } else { Exit::Failed })
}

fn propose(context: &Context, arguments: &GrantArgs) -> Result<ConfigChange, CommandError> {
    let (path, old) = context.configuration_text()?;
    let config = CoordinatorFile::parse(&old, &path)?;
    let instance = instance(&config, arguments)?.clone();
    let mut document = ConfigDocument::parse(&old).map_err(misfit)?;
    let changed = match &arguments.hint {
        Some(hint) => {
            document.apply(&unindented(&read_hint(hint)?)).map_err(misfit)?;
            changed(&document, &path, arguments)?
        }
        None => follow(&mut document, &path, &denied_use(&config, arguments)?, arguments)?,
    };
    let cautions = changed.widenings(&instance.grant).into_iter().map(Caution::from).collect();
    Ok(ConfigChange { path, new: document.to_string(), old, cautions })
}

/// Applies one fix after the other until the use is permitted.
fn follow(
    document: &mut ConfigDocument,
    path: &Path,
    denied: &DeniedUse,
    arguments: &GrantArgs,
) -> Result<Grant, CommandError> {
    for _ in 0..MAX_STEPS {
        let config = CoordinatorFile::parse(&document.to_string(), path)?;
        let instance = instance(&config, arguments)?;
        let Err(denial) = denied.judge(&instance.grant) else { return Ok(instance.grant.clone()) };
        let fix = denial.fix(Principal::Instance(instance)).ok_or_else(|| not_permittable(&denial))?;
        document.apply(&fix).map_err(misfit)?;
    }
    changed(document, path, arguments)
}

/// The instance's grant as the document has it now.
fn changed(document: &ConfigDocument, path: &Path, arguments: &GrantArgs) -> Result<Grant, CommandError> {
    let config = CoordinatorFile::parse(&document.to_string(), path)?;
    Ok(instance(&config, arguments)?.grant.clone())
}

fn instance<'c>(config: &'c CoordinatorFile, arguments: &GrantArgs) -> Result<&'c Instance, CommandError> {
    let entry = config.instances.values().find(|entry| entry.name.as_str() == arguments.instance);
    entry.and_then(|entry| entry.component.as_ref()).ok_or_else(|| {
        let text = format!("{} has no instance {:?} with a component", config.path.display(), arguments.instance);
        CommandError::new(Exit::Misconfigured, text)
    })
}

fn denied_use(config: &CoordinatorFile, arguments: &GrantArgs) -> Result<DeniedUse, CommandError> {
    if let Some(url) = &arguments.http {
        return DeniedUse::http(url, &arguments.method, arguments.address);
    }
    if let Some(target) = &arguments.tcp {
        return DeniedUse::tcp(target, arguments.address);
    }
    let Some(audit) = arguments.audit.as_deref().or(config.audit.as_deref()) else {
        let error = "there is no audit log to take the last denial from";
        let error = CommandError::new(Exit::Misconfigured, error);
        return Err(error.hint("name what to permit with --http, --tcp or --hint, or `audit` in the configuration"));
    };
    DeniedUse::last(audit, &arguments.instance)
}

fn read_hint(path: &Path) -> Result<String, CommandError> {
    let failed = |error: io::Error| CommandError::new(Exit::Failed, error).context("cannot read the hint");
    let text = read_input(path, MAX_HINT).map_err(failed)?;
    String::from_utf8(text.to_vec()).map_err(|_| failed(io::Error::new(io::ErrorKind::InvalidData, "not UTF-8")))
}

/// Lines as they are printed are indented.
fn unindented(text: &str) -> String {
    text.lines().flat_map(|line| [line.trim_start(), "\n"]).collect()
}

fn misfit(error: EditError) -> CommandError {
    CommandError::new(Exit::Misconfigured, error)
}

fn not_permittable(denial: &PolicyDenial) -> CommandError {
    CommandError::new(Exit::Misconfigured, format!("{denial} [{}]: no line permits that", denial.code()))
}
