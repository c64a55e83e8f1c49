//! The login process: what runs the Kerberos library for one login, and serves the coordinator over a socket.
//!
//! The socket is its standard input. The process ends when the other end does, and has nothing but its own login: an empty
//! environment, no core dumps, bounds on memory and files. Logins, contexts that begin (which ask the KDC) and messages (which ask
//! no KDC) have threads of their own, so that a silent KDC keeps no established context waiting.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use deputy_core::{ByteSize, excerpt};
use deputy_support::{LockUnpoisoned as _, single_line};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getpid, kill_process, set_dumpable_behavior, setrlimit,
};

use crate::backend::{Backend, LibraryContext};
use crate::mit::{self, Mit};
use crate::wire::{LONGEST_FRAME, LoginRequest, LoginResponse, LoginSetup};
use crate::{Fault, FaultCause};

/// Threads for contexts that begin: as many as may wait for a silent KDC.
pub(crate) const BEGIN_THREADS: usize = 8;
/// Threads for messages of established contexts.
pub(crate) const MESSAGE_THREADS: usize = 2;
/// Requests that wait for a thread. The coordinator has fewer under way.
const WAITING: usize = 64;

/// Memory: messages, tickets, and the stacks and arenas of the threads, which are address space more than memory.
const MEMORY: ByteSize = ByteSize::mib(2048);
/// Files: only those in memory, a keytab and a krb5.conf.
const FILE: ByteSize = ByteSize::mib(4);
/// The longest text of a fault.
const LONGEST_DETAIL: usize = 1024;

/// A request and its number.
type Job = (u64, LoginRequest);

/// A context, or the place of one that has not begun yet.
type Slot = Option<Arc<Mutex<Box<dyn LibraryContext>>>>;

/// The login process's whole life.
pub fn login_process() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The coordinator may have ended.
            writeln!(io::stderr(), "{error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    limit()?;
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let setup =
        read_frame(&mut socket)?.and_then(|frame| LoginSetup::decode(&frame)).ok_or(io::ErrorKind::InvalidData)?;
    // Kept open: the library reads it again for each attempt to log in and each context.
    let _configuration = mit::configure(&setup.configuration)?;
    let backend = Mit::open(setup).map(|mit| Arc::new(mit) as Arc<dyn Backend>);
    let server = Arc::new(Server { backend, contexts: Mutex::default(), output: Mutex::new(socket.try_clone()?) });
    let logins = start(&server, "login", 1)?;
    let begins = start(&server, "begin", BEGIN_THREADS)?;
    let messages = start(&server, "message", MESSAGE_THREADS)?;
    while let Some(frame) = read_frame(&mut socket)? {
        let (number, request) = LoginRequest::decode(&frame).ok_or(io::ErrorKind::InvalidData)?;
        let pool = match request {
            LoginRequest::Close { context } => {
                drop(server.contexts.lock_unpoisoned().remove(&context));
                continue;
            }
            LoginRequest::LogIn => &logins,
            LoginRequest::Begin { context, .. } => {
                server.contexts.lock_unpoisoned().insert(context, None);
                &begins
            }
            LoginRequest::Step { .. } | LoginRequest::Wrap { .. } | LoginRequest::Unwrap { .. } => &messages,
        };
        pool.try_send((number, request)).map_err(|_| io::ErrorKind::QuotaExceeded)?;
    }
    // At once, since threads may be inside the library: nothing is left to be saved.
    Ok(kill_process(getpid(), Signal::KILL)?)
}

/// Before anything is read.
fn limit() -> io::Result<()> {
    let limits = [(Resource::Core, 0), (Resource::Fsize, FILE.as_u64()), (Resource::As, MEMORY.as_u64())];
    for (resource, bound) in limits {
        setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound) })?;
    }
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Reads a frame; `None` at the end.
fn read_frame(socket: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match socket.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_FRAME {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length];
    socket.read_exact(&mut frame)?;
    Ok(Some(frame))
}

/// Starts threads that serve one queue.
fn start(server: &Arc<Server>, name: &str, count: usize) -> io::Result<SyncSender<Job>> {
    let (jobs, queue) = sync_channel(WAITING);
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..count {
        let server = Arc::clone(server);
        let queue = Arc::clone(&queue);
        thread::Builder::new().name(name.to_owned()).spawn(move || serve(&server, &queue))?;
    }
    Ok(jobs)
}

/// Ends the process when a thread of it panics: the coordinator starts another one.
struct EndOnPanic;

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            kill_process(getpid(), Signal::KILL).ok();
        }
    }
}

fn serve(server: &Server, queue: &Mutex<Receiver<Job>>) {
    let _end = EndOnPanic;
    loop {
        let job = queue.lock_unpoisoned().recv();
        let Ok((number, request)) = job else { return };
        let response = server.respond(request).unwrap_or_else(|mut fault| {
            fault.detail = excerpt(&single_line(&fault.detail), LONGEST_DETAIL);
            LoginResponse::Failed(fault)
        });
        // The other end may be gone: then the thread that reads ends the process.
        server.output.lock_unpoisoned().write_all(&response.encode(number)).ok();
    }
}

/// What all threads share.
struct Server {
    backend: Result<Arc<dyn Backend>, Fault>,
    contexts: Mutex<HashMap<u64, Slot>>,
    output: Mutex<UnixStream>,
}

impl Server {
    fn respond(&self, request: LoginRequest) -> Result<LoginResponse, Fault> {
        let backend = self.backend.as_ref().map_err(Clone::clone)?;
        match request {
            LoginRequest::LogIn => backend.log_in().map(LoginResponse::LoggedIn),
            LoginRequest::Begin { context, target } => {
                let (begun, stepped) = backend.begin(&target)?;
                // Closed meanwhile: the caller waited long enough.
                if let Some(slot) = self.contexts.lock_unpoisoned().get_mut(&context) {
                    *slot = Some(Arc::new(Mutex::new(begun)));
                }
                Ok(LoginResponse::Stepped(stepped))
            }
            LoginRequest::Step { context, token } => {
                self.context(context)?.lock_unpoisoned().step(token).map(LoginResponse::Stepped)
            }
            LoginRequest::Wrap { context, confidential, message } => {
                self.context(context)?.lock_unpoisoned().wrap(message, confidential).map(LoginResponse::Wrapped)
            }
            LoginRequest::Unwrap { context, token } => {
                self.context(context)?.lock_unpoisoned().unwrap(token).map(LoginResponse::Unwrapped)
            }
            LoginRequest::Close { .. } => Err(Fault::plain(FaultCause::WrongState)),
        }
    }

    fn context(&self, number: u64) -> Result<Arc<Mutex<Box<dyn LibraryContext>>>, Fault> {
        let contexts = self.contexts.lock_unpoisoned();
        contexts.get(&number).cloned().flatten().ok_or(Fault::plain(FaultCause::WrongState))
    }
}
