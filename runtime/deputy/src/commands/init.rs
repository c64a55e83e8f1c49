//! `deputy init`

pub(crate) mod systemd;

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use deputy_config::{
    COORDINATOR_SCHEMA, CoordinatorTemplate, ServiceTemplate, WORKER_SCHEMA, WorkerTemplate, coordinator_schema,
    worker_schema,
};
use deputy_core::InstanceName;
use deputy_files::{FileError, ambient, shell_quoted};

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::private_file::{PrivateFileError, create_group_file, create_private_file};
use systemd::WorkerPlaces;

/// The folder of secrets beside the configuration.
pub(crate) const SECRETS: &str = "secrets";

/// A worker's state beside its configuration.
const WORKER_STATE: &str = "worker-state";

/// Write a new configuration
///
/// Writes deputy.toml (mode 0600) without an instance, the folders `state` and `secrets` (mode 0700), and the JSON Schema by
/// which editors complete keys. It replaces no file, and connects to nothing. `deputy add` writes an instance. With --systemd, the
/// files are for the units of the package: in /etc/deputy, and readable by the group of that folder (0640).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy init
  deputy init --config conf/deputy.toml
  deputy init --worker
  deputy init --systemd
  deputy init --worker --systemd --config /etc/deputy/workers/app.toml")]
pub(crate) struct InitArgs {
    /// Write worker.toml instead
    #[arg(long)]
    worker: bool,
    /// For the systemd units of the package: /etc/deputy/deputy.toml, or with --worker /etc/deputy/workers/app.toml
    #[arg(long)]
    systemd: bool,
    /// --worker: the name or file of a receiver's component
    #[arg(long, value_name = "COMPONENT", value_hint = ValueHint::FilePath, requires = "worker")]
    component: Option<String>,
    /// --worker: the instance that this receiver gets [default: s3]
    #[arg(long, value_name = "NAME", requires = "component")]
    name: Option<InstanceName>,
}

/// A configuration, and what is left to do.
struct Rendered {
    text: String,
    steps: Vec<String>,
}

pub(crate) fn run(context: &Context, arguments: &InitArgs) -> Result<Exit, CommandError> {
    let config = match (arguments.systemd, arguments.worker) {
        (true, true) => context.named_config_or(systemd::WORKER_FILE).to_owned(),
        (true, false) => context.named_config_or(systemd::COORDINATOR_FILE).to_owned(),
        (false, is_worker) => context.new_config_path(is_worker),
    };
    if ambient::exists(&config).map_err(|error| failed(&config, error))? {
        let error = format!("{} exists: nothing was written", config.display());
        return Err(CommandError::new(Exit::Misconfigured, error).hint("name a new file with --config FILE"));
    }
    let folder = match arguments.systemd {
        true => systemd::folder(&config)?,
        false => ambient::parent(&config).to_owned(),
    };
    let rendered = match (arguments.systemd, arguments.worker) {
        (_, true) => worker(arguments, &config),
        (true, false) => service(&config),
        (false, false) => coordinator(context),
    };
    let schema = match arguments.worker {
        true => (WORKER_SCHEMA, worker_schema()),
        false => (COORDINATOR_SCHEMA, coordinator_schema()),
    };
    let create: fn(&Path, &[u8]) -> _ = if arguments.systemd { create_group_file } else { create_private_file };
    if !arguments.systemd {
        create_folders(&folder, arguments.worker).map_err(failed_file)?;
    }
    create(&config, rendered.text.as_bytes())?;
    create_schema(&folder, schema, create)?;
    let mut text = format!("{} is written. Next:\n", config.display());
    for (number, step) in (1..).zip(&rendered.steps) {
        text.push_str(&format!("  {number}. {step}\n"));
    }
    context.stdout(&text)?;
    Ok(Exit::Done)
}

/// What `deputy init` writes for a coordinator, for a command that found no configuration.
pub(crate) fn begin(config: &Path) -> Result<(), CommandError> {
    let folder = ambient::parent(config);
    create_folders(folder, false).map_err(failed_file)?;
    create_private_file(config, new_configuration().as_bytes())?;
    create_schema(folder, (COORDINATOR_SCHEMA, coordinator_schema()), create_private_file)
}

/// A coordinator's configuration without an instance.
pub(crate) fn new_configuration() -> String {
    CoordinatorTemplate.render()
}

/// Writes a schema beside a configuration, unless there is one.
fn create_schema(
    folder: &Path,
    (name, schema): (&str, &str),
    create: fn(&Path, &[u8]) -> Result<(), PrivateFileError>,
) -> Result<(), CommandError> {
    let path = folder.join(name);
    if ambient::exists(&path).map_err(|error| failed(&path, error))? {
        return Ok(());
    }
    Ok(create(&path, schema.as_bytes())?)
}

/// Those that a configuration names beside it.
fn create_folders(folder: &Path, is_worker: bool) -> Result<(), FileError> {
    if is_worker {
        return ambient::create_private_dir(&folder.join(WORKER_STATE));
    }
    ambient::create_private_dir(&folder.join("state"))?;
    ambient::create_private_dir(&folder.join(SECRETS))
}

/// For the unit of a coordinator.
fn service(config: &Path) -> Rendered {
    let option = shell_quoted(config);
    let secret = beside(config, &format!("{SECRETS}/s3.aws-key"));
    let steps = vec![
        format!(
            "sudo deputy add s3-sts --name s3 --set region=… --config {option}      # `deputy components` lists the others"
        ),
        format!("{}      # the secret that `deputy add` named, then Ctrl-D", systemd::put(&secret)),
        format!("sudo -u deputy deputy check --config {option}"),
        "sudo systemctl enable --now deputy".to_owned(),
        format!("sudo deputy status --config {option}"),
    ];
    Rendered { text: ServiceTemplate.render(), steps }
}

/// For the unit of a worker, whose name is that of the file.
fn worker_service(config: &Path, receiver: Option<(String, Vec<String>)>) -> Rendered {
    let WorkerPlaces { unit, output, state } = WorkerPlaces::of(config);
    let join = config.with_extension("join");
    let name = join.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = WorkerTemplate { join: name, output, state, receiver }.render();
    let steps = vec![
        "on the coordinator: sudo deputy token create --group GROUP --config /etc/deputy/deputy.toml".to_owned(),
        format!("{}      # the join string that it printed, then Ctrl-D", systemd::put(&join)),
        format!("sudo systemctl enable --now {unit}"),
        format!("sudo deputy worker status --config {}", shell_quoted(config)),
    ];
    Rendered { text, steps }
}

fn coordinator(context: &Context) -> Rendered {
    let add = context.command("add s3-sts --name s3 --set region=…");
    let steps = vec![
        format!("{add}      # `deputy components` lists the others"),
        context.command("check"),
        context.command("run"),
    ];
    Rendered { text: new_configuration(), steps }
}

fn worker(arguments: &InitArgs, config: &Path) -> Rendered {
    let receiver = arguments.component.clone().map(|component| {
        let instance = arguments.name.as_ref().map_or("s3".to_owned(), ToString::to_string);
        (component, vec![instance])
    });
    if arguments.systemd {
        return worker_service(config, receiver);
    }
    let (output, state) = ("published".to_owned(), WORKER_STATE.to_owned());
    let text = WorkerTemplate { join: "join".to_owned(), output, state, receiver }.render();
    let (join, config) = (beside(config, "join"), shell_quoted(config));
    let steps = vec![
        format!("on the coordinator: deputy token create --group GROUP --out join; copy it to {}", join.display()),
        format!("deputy check --config {config}"),
        format!("deputy worker --config {config}"),
    ];
    Rendered { text, steps }
}

/// A file in the folder of the configuration.
fn beside(config: &Path, name: &str) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join(name)
}

fn failed(path: &Path, error: io::Error) -> CommandError {
    failed_file(FileError::new("create", path, error))
}

fn failed_file(error: FileError) -> CommandError {
    CommandError::new(Exit::Failed, error)
}
