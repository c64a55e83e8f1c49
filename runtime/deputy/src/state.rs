//! `deputy state`: a copy of what can't be obtained anew, that copy put back, and another key.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use deputy_config::CoordinatorFile;
use deputy_coordinator::{BackupError, LOCK, Restoring, backed_up, restore};
use deputy_core::SecretSource;
use deputy_sources::SourceContext;
use deputy_store::{
    Archive, ArchiveError, DirectoryStore, MAX_ARCHIVE, MasterKey, MasterKeyError, Store, StoreKey, rekey,
};
use deputy_support::SystemClock;
use serde::Serialize;

use crate::cli::{StateBackup, StateCommand, StateRekey, StateRestore};
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::PayloadFile;
use crate::run::{failed, random};
use crate::sandbox;

#[derive(Serialize)]
struct DoneJson<'a> {
    schema: u32,
    done: &'static str,
    file: Option<&'a Path>,
    values: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<usize>,
}

/// The state that the commands are about.
struct State {
    path: PathBuf,
    config: CoordinatorFile,
    here: SourceContext,
}

pub(crate) async fn run(context: &Context, command: &StateCommand) -> Result<Exit, CommandError> {
    let config = context.configuration()?;
    let path = context.state_dir(Some(&config)).ok_or_else(sandbox::no_state)?;
    let state = State { path, config, here: SourceContext::of_process() };
    match command {
        StateCommand::Backup(arguments) => backup(context, &state, arguments).await,
        StateCommand::Restore(arguments) => put_back(context, &state, arguments).await,
        StateCommand::Rekey(arguments) => give_key(context, &state, arguments).await,
    }
}

impl State {
    async fn key(&self) -> Result<MasterKey, CommandError> {
        let key = match &self.config.coordinator.key {
            Some(source) => MasterKey::read(source, &self.here).await,
            None => MasterKey::of_state(&self.path, &self.here, random()).await,
        };
        key.map_err(no_key)
    }

    async fn open(&self) -> Result<DirectoryStore, CommandError> {
        let store = DirectoryStore::open(&self.path, self.key().await?, random()).await;
        store.map_err(|error| failed(error, "cannot use the state"))
    }
}

async fn backup(context: &Context, state: &State, arguments: &StateBackup) -> Result<Exit, CommandError> {
    let output = PayloadFile::prepare(&arguments.file).map_err(|error| CommandError::new(Exit::Failed, error))?;
    let store = state.open().await?;
    let values = backed_up(&store).await.map_err(|error| failed(error, "cannot read the state"))?;
    let archive = Archive { made_ms: SystemClock::wall().as_millis(), values };
    let sealed =
        archive.seal(&state.key().await?, &random()).map_err(|error| failed(error, "cannot make the backup"))?;
    output.commit(&sealed).map_err(|error| CommandError::new(Exit::Failed, error))?;
    let values = archive.values.len();
    if arguments.json {
        context.json(&DoneJson { schema: SCHEMA, done: "backup", file: Some(&arguments.file), values, kept: None })?;
    } else {
        let file = arguments.file.display();
        context.data(&format!(
            "{values} values in {file}, sealed with the state's key: keep a copy of that key elsewhere\n"
        ))?;
    }
    Ok(Exit::Done)
}

async fn put_back(context: &Context, state: &State, arguments: &StateRestore) -> Result<Exit, CommandError> {
    let sealed = read(&arguments.file).map_err(|error| failed(error, "cannot read the backup"))?;
    let archive = Archive::open(sealed, &state.key().await?).map_err(not_open)?;
    let store = state.open().await?;
    let lock: StoreKey = LOCK.parse().map_err(|error| CommandError::new(Exit::Internal, error))?;
    let lock = store.lock(&lock).await.map_err(|error| failed(error, "cannot restore while a coordinator runs"))?;
    let restoring = if arguments.replace { Restoring::All } else { Restoring::Missing };
    let summary = restore(&store, &archive.values, restoring).await.map_err(not_restored)?;
    drop(lock);
    if arguments.json {
        context.json(&DoneJson {
            schema: SCHEMA,
            done: "restore",
            file: Some(&arguments.file),
            values: summary.written,
            kept: Some(summary.kept),
        })?;
    } else {
        context.data(&format!(
            "{} values restored, {} kept as they were\nworkers that joined after the backup have to join again; remove and \
             ban again whom you removed or banned since\n",
            summary.written, summary.kept
        ))?;
    }
    Ok(Exit::Done)
}

async fn give_key(context: &Context, state: &State, arguments: &StateRekey) -> Result<Exit, CommandError> {
    let old = state.key().await?;
    let (new, file) = match (&arguments.new_key, &state.config.coordinator.key) {
        (Some(path), _) => {
            let source = SecretSource::File(path.clone());
            (MasterKey::read(&source, &state.here).await.map_err(no_key)?, None)
        }
        (None, None) => {
            let (key, text) = MasterKey::generate(&random()).map_err(no_key)?;
            (key, Some(text))
        }
        (None, Some(_)) => {
            let error =
                CommandError::new(Exit::Misconfigured, "the key is not in the state directory: name the new one");
            let hint = "`openssl rand -base64 32 > new.key`, then `deputy state rekey --new-key new.key`";
            return Err(error.hint(hint));
        }
    };
    let count = rekey(&state.path, old, new, random(), file).await;
    let count = count.map_err(|error| failed(error, "cannot give the state another key"))?;
    if arguments.json {
        let file = arguments.new_key.as_deref();
        context.json(&DoneJson { schema: SCHEMA, done: "rekey", file, values: count, kept: None })?;
    } else {
        let next = match &arguments.new_key {
            Some(path) => {
                format!("write key = {{ file = {:?} }} in [coordinator] before the next start", path.display())
            }
            None => "the new key is in the state directory".to_owned(),
        };
        context
            .data(&format!("{count} values sealed anew; {next}; backups open with the old key, so make a new one\n"))?;
    }
    Ok(Exit::Done)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
    File::open(path)?.take(MAX_ARCHIVE.as_u64() + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_ARCHIVE.as_u64() {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {MAX_ARCHIVE}")));
    }
    Ok(bytes)
}

fn no_key(error: MasterKeyError) -> CommandError {
    failed(error, "cannot have the key that seals the state")
}

fn not_open(error: ArchiveError) -> CommandError {
    let error = CommandError::new(Exit::Misconfigured, error).context("cannot use the backup");
    error.hint(
        "a backup opens with the key that sealed the state when it was made: `key` in [coordinator], or the file \
                `key` in the state directory",
    )
}

fn not_restored(error: BackupError) -> CommandError {
    let is_other = matches!(error, BackupError::OtherAuthority);
    let error = failed(error, "nothing was restored");
    if is_other {
        return error
            .hint("`deputy state restore --replace` puts the backup's in place of it; those workers join again");
    }
    error
}
