//! Which exit code an error of another crate gets, and the hints for it.

use std::io;
use std::path::Path;

use deputy_config::ConfigErrors;
use deputy_coordinator::{BackupError, EnrolmentError, WorkersError};
use deputy_core::failure::FailureKind;
use deputy_files::shell_quoted;
use deputy_host::ProcessError;
use deputy_host::worker::EnrolmentFailure;
use deputy_link::AuthorityError;
use deputy_link::client::JoinFailure;
use deputy_local::SocketClientError;
use deputy_sandbox::{CacheError, CompileError, LoadError, SandboxError};
use deputy_script::{RecordError, ScriptError};
use deputy_store::{MasterKeyError, StoreError};

use super::{CommandError, Report};
use crate::context::COORDINATOR_FILE;
use crate::exit::Exit;
use crate::private_file::PrivateFileError;

impl From<ConfigErrors> for CommandError {
    fn from(error: ConfigErrors) -> Self {
        let missing = match &error {
            ConfigErrors::Unreadable { path, source } if source.kind() == io::ErrorKind::NotFound => Some(path.clone()),
            _ => None,
        };
        let error = Self { exit: Exit::Misconfigured, report: Report::Findings(error), hints: Vec::new(), at: None };
        match missing {
            Some(path) => error.hint(how_to_begin(&path)),
            None => error,
        }
    }
}

/// What to do where a configuration is missing.
fn how_to_begin(path: &Path) -> String {
    if path == Path::new(COORDINATOR_FILE) {
        return "name the file with --config FILE or in DEPUTY_CONFIG; `deputy init` writes a new one".to_owned();
    }
    format!("`deputy init --config {}` writes a new one, with --worker a worker's", shell_quoted(path))
}

impl From<ScriptError> for CommandError {
    fn from(error: ScriptError) -> Self {
        match error {
            ScriptError::Subject(error) => error.into(),
            ScriptError::Load { source, .. } => Self::from(*source),
            ScriptError::Certificates(_) | ScriptError::Servers(_) => Self::new(Exit::Failed, error),
            ScriptError::Empty(_)
            | ScriptError::TooLarge { .. }
            | ScriptError::Folder { .. }
            | ScriptError::Invalid { .. }
            | ScriptError::Irregular(_)
            | ScriptError::ManyServers { .. }
            | ScriptError::ManyTests(_)
            | ScriptError::Unreadable { .. } => Self::new(Exit::Misconfigured, error),
        }
    }
}

impl From<RecordError> for CommandError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Script(error) => error.into(),
            error @ RecordError::Key(_) => Self::new(Exit::Internal, error),
            error => Self::new(Exit::Failed, error),
        }
    }
}

impl From<PrivateFileError> for CommandError {
    fn from(error: PrivateFileError) -> Self {
        let exit = match error {
            PrivateFileError::Exists(_) => Exit::Misconfigured,
            PrivateFileError::File(_) | PrivateFileError::Nameless(_) => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

impl From<ProcessError> for CommandError {
    fn from(error: ProcessError) -> Self {
        let exit = exit_of_host(&error);
        let hints = hints(&error);
        hints.into_iter().fold(Self::new(exit, error), CommandError::hint)
    }
}

fn exit_of_host(error: &ProcessError) -> Exit {
    match error {
        ProcessError::Archive(_)
        | ProcessError::MasterKey(MasterKeyError::Store(_))
        | ProcessError::NewKeyUnnamed
        | ProcessError::NoEtcd
        | ProcessError::ReceiverAccess(_)
        | ProcessError::RekeyEtcd
        | ProcessError::Truncated { .. } => Exit::Misconfigured,
        ProcessError::Enrolment(error) => exit_of_enrolment(error),
        ProcessError::MasterKey(MasterKeyError::Derive) | ProcessError::Random | ProcessError::StoreKey(_) => {
            Exit::Internal
        }
        ProcessError::Sandbox(error) => exit_of_sandbox(error),
        ProcessError::EtcdState(error) => exit_of_etcd(error),
        _ if is_etcd_away(error) => Exit::Unavailable,
        _ => Exit::Failed,
    }
}

fn exit_of_etcd(error: &StoreError) -> Exit {
    if error.is_denied() {
        Exit::Denied
    } else if error.is_temporary() {
        Exit::Unavailable
    } else {
        Exit::Failed
    }
}

/// Whether etcd did not answer, which may pass.
fn is_etcd_away(error: &ProcessError) -> bool {
    match error {
        ProcessError::CopyLock(error) | ProcessError::EtcdState(error) => error.is_temporary(),
        ProcessError::Coordinator(error) => error.is_temporary(),
        ProcessError::Workers(WorkersError::Enrolment(EnrolmentError::Store(error)) | WorkersError::Store(error)) => {
            error.is_temporary()
        }
        _ => false,
    }
}

const ETCD_AWAY: &str = "`etcdctl endpoint status` shows whether the members run and see a leader; `etcd` and `roots` in \
                         [coordinator.store] name their ports for clients, and the authority of their certificates";

/// What fixes that etcd refused or did not answer.
pub(crate) fn etcd_hint(error: &StoreError) -> &'static str {
    match error.is_denied() {
        true => {
            "`user` and `password` in [coordinator.store] name a user of etcd, which needs `readwrite` on all keys that begin \
             with `prefix`: docs/security.md has the commands"
        }
        false => ETCD_AWAY,
    }
}

fn exit_of_enrolment(error: &EnrolmentFailure) -> Exit {
    match error {
        EnrolmentFailure::Join(JoinFailure::Unreachable(..) | JoinFailure::Clock(..)) => Exit::Unavailable,
        EnrolmentFailure::Join(JoinFailure::Refused(_)) => Exit::Denied,
        EnrolmentFailure::Join(JoinFailure::WrongAuthority(_))
        | EnrolmentFailure::JoinString(_)
        | EnrolmentFailure::NotEnrolled => Exit::Misconfigured,
        EnrolmentFailure::Encode(_)
        | EnrolmentFailure::Join(JoinFailure::Identity(_))
        | EnrolmentFailure::StoreKey(_) => Exit::Internal,
        EnrolmentFailure::Identity(_)
        | EnrolmentFailure::JoinStringSource(_)
        | EnrolmentFailure::Read(_)
        | EnrolmentFailure::Save(_) => Exit::Failed,
    }
}

fn hints(error: &ProcessError) -> Vec<String> {
    match error {
        ProcessError::Archive(_) => vec![
            "a backup needs the master key of the time when it was made: `key` in [coordinator], or the file `key` in the \
             state directory"
                .to_owned(),
        ],
        ProcessError::AwsEndpoint { .. } => vec!["`listen` in [[endpoints.aws]] names the address".to_owned()],
        ProcessError::ControlSocket { key, .. } => vec![format!("{key} names the socket")],
        ProcessError::Enrolment(EnrolmentFailure::JoinStringSource(_) | EnrolmentFailure::NotEnrolled) => vec![
            "`deputy token create --group GROUP` on the coordinator prints a join string: pass it here with --join, or name \
             its file as `join` in [worker]"
                .to_owned(),
        ],
        ProcessError::Health { key, .. } => vec![format!("{key} names the address: does another process use it?")],
        ProcessError::NewKeyUnnamed => {
            vec!["`openssl rand -base64 32 > new.key`, then `deputy state rekey --new-key new.key`".to_owned()]
        }
        ProcessError::ReceiverComponent { name, .. } => {
            vec![format!("`component` in [receivers.{name}] names the file")]
        }
        ProcessError::Restore(BackupError::OtherAuthority) => vec![
            "`deputy state restore --replace` replaces the state's authority by that of the backup; workers that enrolled \
             since must enrol again"
                .to_owned(),
        ],
        ProcessError::Truncated { .. } => {
            vec!["if that is intended, start once with `deputy run --remove`, which withdraws the removed leases".to_owned()]
        }
        ProcessError::EtcdState(error) if error.is_denied() => vec![etcd_hint(error).to_owned()],
        error if is_etcd_away(error) => vec![ETCD_AWAY.to_owned()],
        ProcessError::Workers(error) if is_authority_damaged(error) => vec![
            "restore the authority with `deputy state restore BACKUP`".to_owned(),
            "without a backup, move `authority.workers.sealed` out of the state directory: the coordinator creates a new \
             authority, and every worker must join again with a new join string (`deputy token create`)"
                .to_owned(),
        ],
        _ => Vec::new(),
    }
}

/// Without the authority's record all workers are lost, so that it is not replaced unless the operator asks for it.
fn is_authority_damaged(error: &WorkersError) -> bool {
    matches!(
        error,
        WorkersError::Enrolment(
            EnrolmentError::Store(StoreError::Damaged { .. }) | EnrolmentError::Authority(AuthorityError::Record(_))
        )
    )
}

impl From<SandboxError> for CommandError {
    fn from(error: SandboxError) -> Self {
        Self::new(exit_of_sandbox(&error), error)
    }
}

fn exit_of_sandbox(error: &SandboxError) -> Exit {
    match error {
        SandboxError::Cache(error) => exit_of_cache(error),
        SandboxError::Engine(_) => Exit::Internal,
        SandboxError::Threads(_) => Exit::Failed,
    }
}

impl From<LoadError> for CommandError {
    fn from(error: LoadError) -> Self {
        let exit = match &error {
            LoadError::Cache { source, .. } => exit_of_cache(source),
            _ => Exit::Misconfigured,
        };
        Self::new(exit, error)
    }
}

fn exit_of_cache(error: &CacheError) -> Exit {
    match error {
        CacheError::Compile(error) | CacheError::Refused(error) => exit_of_compiler(error),
        CacheError::File(error) if error.is_lasting() => Exit::Misconfigured,
        CacheError::File(_) => Exit::Failed,
        CacheError::Key | CacheError::Load(_) => Exit::Internal,
    }
}

fn exit_of_compiler(error: &CompileError) -> Exit {
    match error {
        CompileError::Killed { .. } | CompileError::Load { .. } | CompileError::Slow(_) => Exit::OverLimit,
        CompileError::Invalid(_) => Exit::Misconfigured,
        CompileError::Failed(_) | CompileError::Start { .. } | CompileError::Unwritten(_) => Exit::Failed,
    }
}

impl From<SocketClientError> for CommandError {
    fn from(error: SocketClientError) -> Self {
        match error {
            SocketClientError::Refused(refused) => {
                let exit = match refused.kind.as_str() {
                    // The code that the failed call would have if the command had made it.
                    "not-ready" => refused.cause.as_deref().map_or(Exit::Unavailable, exit_of_failure),
                    "busy" | "starting" | "stopping" | "unavailable" => Exit::Unavailable,
                    "internal" => Exit::Internal,
                    _ => Exit::Misconfigured,
                };
                Self::refused(exit, refused)
            }
            error @ SocketClientError::Forbidden { .. } => Self::new(Exit::Misconfigured, error),
            error @ (SocketClientError::Connect { .. }
            | SocketClientError::Broken { .. }
            | SocketClientError::InvalidReply { .. }) => Self::new(Exit::Unavailable, error),
        }
    }
}

/// The code for the last failure of an instance, by its word.
fn exit_of_failure(word: &str) -> Exit {
    FailureKind::ALL.into_iter().find(|kind| kind.word() == word).map_or(Exit::Unavailable, Exit::from)
}
