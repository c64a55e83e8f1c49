//! The coordinator's side of a login process: start it, send requests, match responses, notice its end.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use deputy_core::Span;
use deputy_support::{LockUnpoisoned as _, timer_now};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::wire::{LONGEST_FRAME, LoginRequest, LoginResponse, LoginSetup};
use crate::{Fault, FaultCause};

/// A program whose `main` calls [`login_process`](crate::login_process).
#[derive(Debug, Clone)]
pub struct LoginProgram {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// Its whole environment. It needs none.
    pub environment: Vec<(OsString, OsString)>,
}

/// Frames on their way to the process: each holds a permit for a context or for a request, so that they have a bound.
pub(crate) const WAITING: usize = 2048;

/// What a request holds until its response has come, also if its caller has stopped waiting.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) _turn: Option<OwnedSemaphorePermit>,
    pub(crate) _ask: Option<OwnedSemaphorePermit>,
    pub(crate) _target: Option<OwnedMutexGuard<()>>,
}

/// A running login process. It is killed on drop.
pub(crate) struct LoginProcess {
    outgoing: mpsc::Sender<Outgoing>,
    pending: Arc<Mutex<HashMap<u64, Pending>>>,
    next: AtomicU64,
    ended: watch::Receiver<bool>,
    _tasks: JoinSet<()>,
    child: Child,
}

enum Outgoing {
    Setup(Vec<u8>),
    LoginRequest(Vec<u8>),
    /// The end of a context, whose permit is free once it is written.
    Close(Vec<u8>, #[expect(dead_code, reason = "held until this is dropped")] OwnedSemaphorePermit),
}

struct Pending {
    reply: oneshot::Sender<LoginResponse>,
    since: Instant,
    _held: Held,
}

impl LoginProcess {
    pub(crate) fn start(program: &LoginProgram, setup: &LoginSetup) -> Result<Self, Fault> {
        let failed =
            |error: io::Error| Fault::new(FaultCause::Process, format!("{}: {error}", program.program.display()));
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let mut command = Command::new(&program.program);
        command.args(&program.arguments).env_clear().envs(program.environment.iter().cloned()).current_dir("/");
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().map_err(failed)?;
        // The command has the other end, which must be closed here for the end of the process to be noticed.
        drop(command);
        let (input, output) = UnixStream::from_std(ours).map_err(failed)?.into_split();
        let (outgoing, queue) = mpsc::channel(WAITING);
        outgoing.try_send(Outgoing::Setup(setup.encode())).map_err(|_| Fault::plain(FaultCause::Process))?;
        let pending: Arc<Mutex<HashMap<u64, Pending>>> = Arc::default();
        let (end, ended) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(write(output, queue));
        tasks.spawn(read(input, Arc::clone(&pending), end));
        Ok(Self { outgoing, pending, next: AtomicU64::new(0), ended, _tasks: tasks, child })
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// A number that no other request or context of this process has.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends a request and waits for the response. If the caller drops this, what is held stays held until the response
    /// comes.
    pub(crate) async fn call(&self, request: &LoginRequest, held: Held) -> Result<LoginResponse, Fault> {
        let place = self.outgoing.reserve().await.map_err(|_| ended())?;
        let number = self.number();
        let (reply, response) = oneshot::channel();
        self.pending.lock_unpoisoned().insert(number, Pending { reply, since: timer_now(), _held: held });
        // The reader may have ended, and emptied the table, just before.
        if *self.ended.borrow() {
            self.pending.lock_unpoisoned().remove(&number);
            return Err(ended());
        }
        place.send(Outgoing::LoginRequest(request.encode(number)));
        match response.await {
            Ok(LoginResponse::Failed(fault)) => Err(fault),
            Ok(response) => Ok(response),
            Err(_) => Err(ended()),
        }
    }

    /// Ends a context. Its permit is free once the process has been asked.
    pub(crate) fn close(&self, context: u64, permit: OwnedSemaphorePermit) {
        // There is always a place: see `WAITING`. If the process has ended, so has the context.
        self.outgoing.try_send(Outgoing::Close(LoginRequest::Close { context }.encode(0), permit)).ok();
    }

    /// Requests that have no response although their callers stopped waiting: threads of the process that are stuck.
    pub(crate) fn stuck(&self) -> usize {
        self.pending.lock_unpoisoned().values().filter(|pending| pending.reply.is_closed()).count()
    }

    /// Whether a request has been waiting for that long.
    pub(crate) fn has_waited(&self, time: Span) -> bool {
        let now = timer_now();
        let pending = self.pending.lock_unpoisoned();
        pending.values().any(|pending| now.saturating_duration_since(pending.since) >= time.duration())
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Waits until it has ended.
    pub(crate) async fn wait_for_end(&self) {
        let mut ended = self.ended.clone();
        // The sender is dropped only after it has sent.
        ended.wait_for(|ended| *ended).await.ok();
    }
}

fn ended() -> Fault {
    Fault::new(FaultCause::Process, "it ended")
}

async fn write(mut output: OwnedWriteHalf, mut queue: mpsc::Receiver<Outgoing>) {
    while let Some(outgoing) = queue.recv().await {
        let (Outgoing::Setup(frame) | Outgoing::LoginRequest(frame) | Outgoing::Close(frame, _)) = &outgoing;
        if output.write_all(frame).await.is_err() {
            return;
        }
    }
}

/// Gives each response to its caller, until the process ends or says what it must not.
async fn read(mut input: OwnedReadHalf, pending: Arc<Mutex<HashMap<u64, Pending>>>, ended: watch::Sender<bool>) {
    while let Ok(frame) = read_frame(&mut input).await {
        let Some((number, response)) = LoginResponse::decode(&frame) else { break };
        if let Some(pending) = pending.lock_unpoisoned().remove(&number) {
            // The caller may have stopped waiting.
            pending.reply.send(response).ok();
        }
    }
    ended.send_replace(true);
    pending.lock_unpoisoned().clear();
}

async fn read_frame(input: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let length = usize::try_from(input.read_u32().await?).unwrap_or(usize::MAX);
    if length > LONGEST_FRAME {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length];
    input.read_exact(&mut frame).await?;
    Ok(frame)
}
