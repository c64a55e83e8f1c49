//! `deputy init`

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use deputy_config::{
    COORDINATOR_SCHEMA, CoordinatorTemplate, WORKER_SCHEMA, WorkerTemplate, coordinator_schema, worker_schema,
};
use deputy_core::InstanceName;
use deputy_files::{FileError, ambient, shell_quoted};

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::private_file::create_private_file;

/// The folder of secrets beside the configuration.
pub(crate) const SECRETS: &str = "secrets";

/// Write a new configuration
///
/// Writes deputy.toml (mode 0600) without an instance, the folders `state` and `secrets` (mode 0700), and the JSON Schema by
/// which editors complete keys. It replaces no file, and connects to nothing. `deputy add` writes an instance.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy init
  deputy init --config /etc/deputy/deputy.toml
  deputy init --worker --config /etc/deputy/worker.toml")]
pub(crate) struct InitArgs {
    /// Write worker.toml instead
    #[arg(long)]
    worker: bool,
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
    let config = context.new_config_path(arguments.worker);
    if ambient::exists(&config).map_err(|error| failed(&config, error))? {
        let error = format!("{} exists: nothing was written", config.display());
        return Err(CommandError::new(Exit::Misconfigured, error).hint("name a new file with --config FILE"));
    }
    let folder = ambient::parent(&config).to_owned();
    let rendered = if arguments.worker { worker(arguments, &config) } else { coordinator(context) };
    let (state, schema) = match arguments.worker {
        true => ("worker-state", (WORKER_SCHEMA, worker_schema())),
        false => ("state", (COORDINATOR_SCHEMA, coordinator_schema())),
    };
    ambient::create_private_dir(&folder.join(state)).map_err(failed_file)?;
    if !arguments.worker {
        ambient::create_private_dir(&folder.join(SECRETS)).map_err(failed_file)?;
    }
    create_private_file(&config, rendered.text.as_bytes())?;
    let schema_path = folder.join(schema.0);
    if !ambient::exists(&schema_path).map_err(|error| failed(&schema_path, error))? {
        create_private_file(&schema_path, schema.1.as_bytes())?;
    }
    let mut text = format!("{} is written. Next:\n", config.display());
    for (number, step) in (1..).zip(&rendered.steps) {
        text.push_str(&format!("  {number}. {step}\n"));
    }
    context.stdout(&text)?;
    Ok(Exit::Done)
}

fn coordinator(context: &Context) -> Rendered {
    let add = context.command("add s3-sts --name s3 --set region=…");
    let steps = vec![
        format!("{add}      # `deputy components` lists the others"),
        context.command("check"),
        context.command("run"),
    ];
    Rendered { text: CoordinatorTemplate.render(), steps }
}

fn worker(arguments: &InitArgs, config: &Path) -> Rendered {
    let receiver = arguments.component.clone().map(|component| {
        let instance = arguments.name.as_ref().map_or("s3".to_owned(), ToString::to_string);
        (component, vec![instance])
    });
    let text = WorkerTemplate { join: "join".to_owned(), output: "published".to_owned(), receiver }.render();
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
