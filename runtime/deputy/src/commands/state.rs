//! `deputy state`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use deputy_coordinator::Restoring;
use deputy_host::state::{CopySource, StateDirectory};
use deputy_store::MAX_ARCHIVE;
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::input::read_file;
use crate::print::count;
use crate::private_file::PrivateFile;

/// Back up what cannot be obtained again, restore it, or change the master key
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy state backup /backup/deputy.sealed
  deputy state restore /backup/deputy.sealed
  deputy state rekey
  deputy state copy directory")]
pub(crate) struct StateArgs {
    #[command(subcommand)]
    command: StateSubcommand,
}

#[derive(Debug, Subcommand)]
enum StateSubcommand {
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Rekey(RekeyArgs),
    Copy(CopyArgs),
}

/// Write the certificate authority and the records of workers to a sealed file
///
/// Works while a coordinator runs. The file can be opened only with the master key, which is not in it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy state backup /backup/deputy.sealed")]
struct BackupArgs {
    /// The file to write
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Restore from a backup what is missing or damaged in the state
///
/// Does not work while a coordinator runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy state restore /backup/deputy.sealed
  deputy state restore --replace /backup/deputy.sealed")]
struct RestoreArgs {
    /// The backup
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Replace what is in the state as well
    #[arg(long)]
    replace: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Seal the state with another master key
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy state rekey
  deputy state rekey --new-key /etc/deputy/new.key")]
struct RekeyArgs {
    /// The file of the new key [default: generate one, if the current key is in the state directory]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    new_key: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Copy the state between the state directory and etcd
///
/// Does not work while a coordinator runs. The target must be empty; the source stays as it is. What was copied is read back and
/// compared.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy state copy directory
  deputy state copy etcd")]
struct CopyArgs {
    /// Where the state is now: `directory` copies it to etcd, `etcd` to the state directory
    #[arg(value_enum)]
    from: CopyFrom,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CopyFrom {
    Directory,
    Etcd,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct StateActionJson<'a> {
    schema: u32,
    done: &'static str,
    file: Option<&'a Path>,
    values: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<usize>,
}

pub(crate) async fn run(context: &Context, arguments: &StateArgs) -> Result<Exit, CommandError> {
    let config = context.configuration()?;
    let state = StateDirectory {
        path: context.state_dir(Some(&config))?,
        key: config.coordinator.key,
        etcd: config.coordinator.store,
        platform: context.platform()?,
    };
    match &arguments.command {
        StateSubcommand::Backup(arguments) => backup(context, &state, arguments).await?,
        StateSubcommand::Restore(arguments) => restore(context, &state, arguments).await?,
        StateSubcommand::Rekey(arguments) => rekey(context, &state, arguments).await?,
        StateSubcommand::Copy(arguments) => copy(context, &state, arguments).await?,
    }
    Ok(Exit::Done)
}

async fn backup(context: &Context, state: &StateDirectory, arguments: &BackupArgs) -> Result<(), CommandError> {
    let file = PrivateFile::prepare(&arguments.file)?;
    let (sealed, values) = state.backup(context.now()).await?;
    file.commit(&sealed)?;
    if arguments.json {
        let file = Some(arguments.file.as_path());
        return context.json(&StateActionJson { schema: SCHEMA, done: "backup", file, values, kept: None });
    }
    context.stdout(&format!(
        "{} in {}, sealed with the master key: keep a copy of that key in another place\n",
        count(values, "value"),
        arguments.file.display()
    ))
}

async fn restore(context: &Context, state: &StateDirectory, arguments: &RestoreArgs) -> Result<(), CommandError> {
    let mut sealed = read_file(&arguments.file, MAX_ARCHIVE)
        .map_err(|error| CommandError::new(Exit::Failed, error).context("cannot read the backup"))?;
    let restoring = if arguments.replace { Restoring::All } else { Restoring::Missing };
    let summary = state.restore(std::mem::take(&mut *sealed), restoring).await?;
    if arguments.json {
        return context.json(&StateActionJson {
            schema: SCHEMA,
            done: "restore",
            file: Some(&arguments.file),
            values: summary.written,
            kept: Some(summary.kept),
        });
    }
    context.stdout(&format!(
        "{} restored, {} unchanged\nworkers that enrolled after the backup must enrol again; repeat each removal and ban \
         of a worker since the backup\n",
        count(summary.written, "value"),
        summary.kept
    ))
}

async fn copy(context: &Context, state: &StateDirectory, arguments: &CopyArgs) -> Result<(), CommandError> {
    let (from, next_step) = match arguments.from {
        CopyFrom::Directory => (
            CopySource::Directory,
            "move the `*.sealed` files out of the state directory: without `store` a start would use what they hold. Its other files \
             stay in use: the key, the control socket, compiled components",
        ),
        CopyFrom::Etcd => (CopySource::Etcd, "remove `store` from [coordinator] before the next start"),
    };
    let values = state.copy(from).await?;
    if arguments.json {
        return context.json(&StateActionJson { schema: SCHEMA, done: "copy", file: None, values, kept: None });
    }
    context.stdout(&format!("{} copied and compared; {next_step}\n", count(values, "value")))
}

async fn rekey(context: &Context, state: &StateDirectory, arguments: &RekeyArgs) -> Result<(), CommandError> {
    let values = state.rekey(arguments.new_key.clone()).await?;
    if arguments.json {
        let file = arguments.new_key.as_deref();
        return context.json(&StateActionJson { schema: SCHEMA, done: "rekey", file, values, kept: None });
    }
    let next_step = match &arguments.new_key {
        Some(path) => {
            format!("write key = {{ file = {:?} }} in [coordinator] before the next start", path.display())
        }
        None => "the new key is in the state directory".to_owned(),
    };
    context.stdout(&format!(
        "{} sealed with the new key; {next_step}; old backups need the old key, so make a new backup\n",
        count(values, "value")
    ))
}
