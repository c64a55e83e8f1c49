//! Who this worker is: kept in its state, and made by joining.

use std::error::Error;
use std::ffi::OsStr;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deputy_core::{ByteSize, SecretBytes, SecretSource, Timestamp};
use deputy_link::client::{ClientStopped, IdentityStore, JoinFailure, join};
use deputy_link::{JoinString, TokenId, WorkerIdentity, WorkerKey};
use deputy_sources::{SourceContext, ValueShape};
use deputy_store::{ExpectedVersion, Namespace, Store, StoreError, StoreKey, overwrite};
use zeroize::Zeroizing;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::run::failed;

const IDENTITY: Namespace = Namespace::new("identity");

/// Where identities are kept.
pub(super) struct Identities {
    store: Arc<dyn Store>,
}

/// A key that is being certified, and by which token.
#[derive(serde::Serialize, serde::Deserialize)]
struct Joining {
    token: TokenId,
    key: WorkerKey,
}

/// No longer than any join string is.
const LONGEST: u64 = 4096;

/// Between two tries to join a coordinator that is away.
const WAITS: [u64; 6] = [200, 500, 1000, 2000, 5000, 10_000];

impl Identities {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    async fn read(&self, name: &str) -> Result<Option<SecretBytes>, CommandError> {
        let key = key(name)?;
        match self.store.get(&key).await {
            Ok(entry) => Ok(entry.map(|entry| entry.value)),
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, "worker identity damaged and quarantined; the worker must join again");
                self.store.quarantine(&key).await.map_err(|error| failed(error, "cannot use the state"))?;
                Ok(None)
            }
            Err(error) => Err(failed(error, "cannot use the state")),
        }
    }

    async fn write(&self, name: &str, value: &SecretBytes) -> Result<(), CommandError> {
        let written = overwrite(&*self.store, &key(name)?, value, ExpectedVersion::Absent).await;
        written.map(drop).map_err(|error| failed(error, "cannot write down who this worker is"))
    }

    /// Notes why the link ended, for the next start, if the coordinator's word ended it.
    pub(super) async fn ended(&self, identity: &str, out: &ClientStopped) {
        let ClientStopped::Refused(_) = out else { return };
        if let Err(error) = self.write("out", &SecretBytes::new(identity.as_bytes().to_vec())).await {
            // The next start hears it from the coordinator again.
            tracing::warn!("saving that this worker is locked out failed: {}", error.json().message);
        }
    }

    /// How good an identity is, as far as that is known without asking.
    async fn standing(&self, identity: &WorkerIdentity, now: Timestamp) -> Result<Standing, CommandError> {
        let out = self.read("out").await?;
        let is_out = out.is_some_and(|out| out.expose() == identity.worker.to_string().as_bytes());
        Ok(if is_out || now >= identity.ends() { Standing::Over } else { Standing::Good })
    }

    /// Joins. The key is written down before anybody hears of it, so that who is interrupted asks again with the same one.
    async fn join(&self, string: &JoinString) -> Result<WorkerIdentity, CommandError> {
        let internal = |error: serde_json::Error| CommandError::new(Exit::Internal, error);
        let begun = self.read("joining").await?.and_then(|bytes| serde_json::from_slice(bytes.expose()).ok());
        let joining = match begun {
            Some(begun @ Joining { token, .. }) if token == string.token => begun,
            _ => {
                let key = WorkerKey::new().map_err(|error| CommandError::new(Exit::Internal, error))?;
                let joining = Joining { token: string.token, key };
                let mut bytes = Vec::with_capacity(4096);
                serde_json::to_writer(&mut bytes, &joining).map_err(internal)?;
                self.write("joining", &SecretBytes::new(bytes)).await?;
                joining
            }
        };
        let mut waits = WAITS.into_iter().chain(std::iter::repeat(10_000));
        loop {
            match join(string, joining.key.clone()).await {
                Ok(identity) => {
                    let bytes = identity.encode().map_err(|error| CommandError::new(Exit::Internal, error))?;
                    self.write("worker", &bytes).await?;
                    let token = SecretBytes::new(string.token.to_string().into_bytes());
                    self.write("token", &token).await?;
                    tracing::info!(worker = %identity.worker, group = %identity.group, "worker enrolled");
                    return Ok(identity);
                }
                Err(error) if error.is_transient() => {
                    tracing::warn!("enrolment failed; retrying: {error}");
                    pause(Duration::from_millis(waits.next().unwrap_or(10_000))).await;
                }
                Err(error) => return Err(cannot_join(error)),
            }
        }
    }
}

#[async_trait]
impl IdentityStore for Identities {
    async fn keep(&self, identity: &WorkerIdentity) -> Result<(), Box<dyn Error + Send + Sync>> {
        let key = StoreKey::new(&IDENTITY, "worker")?;
        overwrite(&*self.store, &key, &identity.encode()?, ExpectedVersion::Absent).await?;
        Ok(())
    }
}

/// What an identity is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The coordinator should let it in.
    Good,
    /// Its certificate has ended, or the coordinator said that it is not let in any more.
    Over,
}

/// The identity of this worker. A join string that was not used yet is used if somebody passed it. The one of the
/// configuration is used if the worker is nobody, or nobody any more: where such strings are made anew again and again, a
/// restart must not make another worker of one that is well. Without one, or if it is no good, the worker is who it was.
pub(super) async fn identity(
    identities: &Identities,
    argument: Option<&OsStr>,
    configured: Option<&SecretSource>,
    here: &SourceContext,
    now: Timestamp,
) -> Result<WorkerIdentity, CommandError> {
    let known = match identities.read("worker").await? {
        Some(bytes) => {
            let identity = WorkerIdentity::restored(bytes.expose());
            Some(identity.map_err(|error| CommandError::new(Exit::Failed, error))?)
        }
        None => None,
    };
    let standing = match &known {
        Some(known) => identities.standing(known, now).await?,
        None => Standing::Over,
    };
    let string = match (argument, configured) {
        (Some(argument), _) => Some(given(argument)?),
        (None, Some(source)) if standing == Standing::Good => anothers(source, known.as_ref(), here).await,
        (None, Some(source)) => match deputy_sources::read(source, ValueShape::text(ByteSize::kib(4)), here).await {
            Ok(text) => Some(parsed(text.expose())?),
            // It may be gone since it was used.
            Err(error) if known.is_some() => {
                tracing::warn!(%error, "worker must join again, but no join string is configured");
                None
            }
            Err(error) => return Err(failed(error, "cannot read the join string")),
        },
        (None, None) => None,
    };
    let used = identities.read("token").await?;
    let fresh =
        string.filter(|string| used.as_ref().is_none_or(|used| used.expose() != string.token.to_string().as_bytes()));
    match (fresh, known) {
        (None, Some(known)) => Ok(known),
        (Some(string), None) => identities.join(&string).await,
        (Some(string), Some(known)) => match identities.join(&string).await {
            Ok(identity) => Ok(identity),
            Err(error) => {
                tracing::warn!("enrolment failed; keeping the current identity: {}", error.json().message);
                Ok(known)
            }
        },
        (None, None) => {
            let error = CommandError::new(Exit::Misconfigured, "this worker has not joined a coordinator");
            Err(error.hint(
                "on the coordinator, `deputy token create --group GROUP` prints a join string; pass it here with --join, \
                 or name its file as `join` in [worker]",
            ))
        }
    }
}

/// The configured join string if it is of a coordinator with another authority than the one that this worker joined, as
/// after the loss of that one's state: nobody there knows this worker's certificate, however good it is.
async fn anothers(source: &SecretSource, known: Option<&WorkerIdentity>, here: &SourceContext) -> Option<JoinString> {
    // It may be gone since it was used.
    let text = deputy_sources::read(source, ValueShape::text(ByteSize::kib(4)), here).await.ok()?;
    let string = parsed(text.expose()).ok()?;
    let is_anothers = known.is_some_and(|known| !known.knows(string.authority));
    if is_anothers {
        tracing::warn!(
            "the join string is of a coordinator with another certificate authority: this worker joins anew"
        );
    }
    is_anothers.then_some(string)
}

/// The argument of --join: the string itself, or where it is.
fn given(argument: &OsStr) -> Result<JoinString, CommandError> {
    if let Some(text) = argument.to_str().filter(|text| text.starts_with("dj")) {
        return parsed(text.as_bytes());
    }
    let mut text = Zeroizing::new(Vec::with_capacity(4096));
    #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
    let read = if argument == "-" {
        std::io::stdin().lock().take(LONGEST).read_to_end(&mut text)
    } else {
        std::fs::File::open(PathBuf::from(argument)).and_then(|file| file.take(LONGEST).read_to_end(&mut text))
    };
    read.map_err(|error| {
        // What was given may be a join string with a slip of the pen: it is not repeated.
        let hint = "--join is a join string (dj1.…), a file with one, or - for stdin, and what was given is none of these; \
                    `deputy token create` on the coordinator makes one";
        failed(error, "cannot read the join string").hint(hint)
    })?;
    parsed(&text)
}

fn parsed(text: &[u8]) -> Result<JoinString, CommandError> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.parse().map_err(|error: deputy_link::JoinStringError| CommandError::new(Exit::Misconfigured, error))
}

fn cannot_join(error: JoinFailure) -> CommandError {
    let exit = match &error {
        JoinFailure::Away(..) | JoinFailure::Clock(..) => Exit::Unavailable,
        JoinFailure::Refused(_) => Exit::Denied,
        JoinFailure::Stranger(_) => Exit::Misconfigured,
        JoinFailure::Identity(_) => Exit::Internal,
    };
    CommandError::new(exit, error).context("cannot join the coordinator")
}

fn key(name: &str) -> Result<StoreKey, CommandError> {
    StoreKey::new(&IDENTITY, name).map_err(|error| CommandError::new(Exit::Internal, error))
}

#[expect(clippy::disallowed_methods, reason = "nothing tells when the coordinator is back")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
