//! Which exit code an error of another crate gets, and the hints for it.

use std::io;
use std::path::Path;

use deputy_config::ConfigErrors;
use deputy_coordinator::{BackupError, EnrolmentError, WorkersError};
use deputy_core::failure::FailureKind;
use deputy_files::shell_quoted;
use deputy_host::ProcessError;
use deputy_host::health_tls::HealthTlsError;
use deputy_host::worker::EnrolmentFailure;
use deputy_link::AuthorityError;
use deputy_link::client::JoinFailure;
use deputy_local::SocketClientError;
use deputy_sandbox::{CacheError, CompileError, LoadError, SandboxError};
use deputy_script::{RecordError, ScriptError};
use deputy_sources::{SourceError, SourceLocation};
use deputy_store::{EtcdRefusal, MasterKeyError, StoreError};
use deputy_worker::endpoint::EndpointTokenError;

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
        | ProcessError::EtcdKey(_)
        | ProcessError::NewKeyUnnamed
        | ProcessError::NoEtcd
        | ProcessError::ReceiverAccess(_)
        | ProcessError::RekeyEtcd
        | ProcessError::Truncated { .. } => Exit::Misconfigured,
        ProcessError::EndpointToken(EndpointTokenError::Read(error)) => misconfigured_if(error.is_lasting()),
        ProcessError::EndpointToken(EndpointTokenError::Unsound { .. }) => Exit::Misconfigured,
        ProcessError::Enrolment(error) => exit_of_enrolment(error),
        ProcessError::EtcdCertificates(error) => misconfigured_if(error.is_lasting()),
        // It is renewed without a restart of the service, which finds the new one at its next start.
        ProcessError::EtcdClientCertificate { .. } => Exit::Unavailable,
        ProcessError::EtcdSource { source, .. } => misconfigured_if(source.is_lasting()),
        ProcessError::EtcdState(error) => exit_of_etcd(error),
        ProcessError::HealthTls(error) => exit_of_health_tls(error),
        ProcessError::MasterKey(error) => exit_of_master_key(error),
        ProcessError::Random | ProcessError::StoreKey(_) => Exit::Internal,
        ProcessError::Rekey(error) | ProcessError::State(error) => misconfigured_if(error.is_misconfigured()),
        ProcessError::ReceiverComponent { source, .. } => exit_of_load(source),
        ProcessError::Sandbox(error) => exit_of_sandbox(error),
        ProcessError::Traces(error) => misconfigured_if(error.is_misconfigured()),
        _ if is_etcd_away(error) => Exit::Unavailable,
        _ => Exit::Failed,
    }
}

/// The code of a fault that lasts until an operator changes something, or may pass by itself: a service tries only the latter
/// again.
fn misconfigured_if(is_lasting: bool) -> Exit {
    if is_lasting { Exit::Misconfigured } else { Exit::Failed }
}

fn exit_of_etcd(error: &StoreError) -> Exit {
    if error.refusal() == Some(EtcdRefusal::Denied) {
        Exit::Denied
    } else if error.is_temporary() {
        Exit::Unavailable
    } else {
        misconfigured_if(error.is_misconfigured())
    }
}

fn exit_of_master_key(error: &MasterKeyError) -> Exit {
    match error {
        MasterKeyError::Form | MasterKeyError::Gone(_) | MasterKeyError::Store(_) | MasterKeyError::Weak => {
            Exit::Misconfigured
        }
        MasterKeyError::Source(error) => misconfigured_if(error.is_lasting()),
        MasterKeyError::Derive | MasterKeyError::Random => Exit::Internal,
        MasterKeyError::Create { .. } | MasterKeyError::Exists(_) => Exit::Failed,
    }
}

fn exit_of_health_tls(error: &HealthTlsError) -> Exit {
    match error {
        HealthTlsError::Certificates(error) => misconfigured_if(error.is_lasting()),
        HealthTlsError::Source(error) => misconfigured_if(error.is_lasting()),
        HealthTlsError::Key { .. } | HealthTlsError::NotValid { .. } | HealthTlsError::OtherHost { .. } => {
            Exit::Misconfigured
        }
        HealthTlsError::Tls(_) => Exit::Failed,
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

const ETCD_HANDSHAKE: &str = "etcd may want another client certificate: `client-certificate` in [coordinator.store] names one \
                              that an authority of etcd's `--trusted-ca-file` signed";

/// What fixes that etcd refused or did not answer: a line each.
pub(crate) fn etcd_hint(error: &StoreError) -> String {
    let hint = match error.refusal() {
        Some(EtcdRefusal::AuthenticationOff) => {
            "etcd has no authentication: run `etcdctl auth enable`, or remove `user` and `password` from [coordinator.store]"
        }
        Some(EtcdRefusal::Denied) => {
            "`user` and `password` in [coordinator.store] name a user of etcd, which needs `readwrite` on all keys that begin \
             with `prefix`: docs/security.md has the commands"
        }
        Some(EtcdRefusal::Handshake) => return format!("{ETCD_HANDSHAKE}\n{ETCD_AWAY}"),
        Some(EtcdRefusal::UserMissing) => {
            "etcd has authentication: set `user` and `password` in [coordinator.store]; docs/security.md has the commands \
             that make the user"
        }
        None => ETCD_AWAY,
    };
    hint.to_owned()
}

/// What fixes that a secret for etcd cannot be read.
fn source_hint(setting: &str, error: &SourceError) -> String {
    match error {
        SourceError::Read { location: SourceLocation::File(path), source }
            if source.kind() == io::ErrorKind::NotFound =>
        {
            format!("put the secret there: (umask 077; cat > {})", shell_quoted(path))
        }
        _ => format!("{setting} in [coordinator.store] names where it is, for this process's user"),
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
        ProcessError::EtcdCertificates(_) => vec![
            "`roots`, and `chain` of `client-certificate`, name files with certificates in PEM that this process's user can \
             read"
                .to_owned(),
        ],
        ProcessError::EtcdClientCertificate { chain, .. } => vec![format!(
            "put a renewed certificate into {}, which `client-certificate` in [coordinator.store] names, with its key",
            chain.display()
        )],
        ProcessError::EtcdKey(_) => vec![
            "`key` of `client-certificate` in [coordinator.store] has to be the key of the certificate in `chain`, in PEM"
                .to_owned(),
        ],
        ProcessError::EtcdSource { setting, source } => vec![source_hint(setting, source)],
        // The others say it themselves.
        ProcessError::EtcdState(error @ StoreError::Etcd(_)) => {
            etcd_hint(error).lines().map(str::to_owned).collect()
        }
        ProcessError::MasterKey(MasterKeyError::Source(_)) => vec![
            "`key` in [coordinator] names the master key; a state that exists needs the one that it was sealed with, and \
             `openssl rand -base64 32` makes one for a new state"
                .to_owned(),
        ],
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
        Self::new(exit_of_load(&error), error)
    }
}

fn exit_of_load(error: &LoadError) -> Exit {
    match error {
        LoadError::Cache { source, .. } => exit_of_cache(source),
        _ => Exit::Misconfigured,
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
