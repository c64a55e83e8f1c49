//! Runs a command without a shell, with three variables and no others, in a process group that ends with it.
//!
//! Its output is read as it comes, and all but the end is dropped: it cannot fill memory, and an error shows why it failed.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use deputy_core::{HookCommand, InstanceName, Span};
use deputy_sources::{ProcessGroup, exit_descriptor};
use tokio::io::AsyncReadExt as _;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver as PipeReceiver;
use tokio::process::{Child, Command};

use super::{HookContext, HookError};

/// Bytes of the output that are kept.
const TAIL_BYTES: usize = 2048;

/// Lines of the output that an error shows.
const TAIL_LINES: usize = 10;

/// Bytes per read.
const CHUNK: usize = 1024;

/// The most that waits in a pipe.
const PIPE_CAPACITY: usize = 64 << 10;

pub(super) async fn run(command: &HookCommand, limit: Span, context: HookContext<'_>) -> Result<(), HookError> {
    let program = command.program();
    let mut running = RunningCommand::start(command, context).map_err(|source| io_error("start", program, source))?;
    let exited = tokio::time::timeout(limit.duration(), running.wait_for_exit()).await;
    let RunningCommand { group, mut child, output, tail, .. } = running;
    // Kills what the command left behind, before the command is reaped: until then no other group can have its number.
    drop(group);
    let tail = tail.after(&output).text();
    match exited {
        Err(_) => Err(HookError::Time { program: program.to_owned(), limit, output: tail }),
        Ok(exited) => {
            exited.map_err(|source| io_error("wait for", program, source))?;
            let status = child.wait().await.map_err(|source| io_error("wait for", program, source))?;
            if status.success() {
                Ok(())
            } else {
                Err(HookError::Status { program: program.to_owned(), status, output: tail })
            }
        }
    }
}

fn io_error(doing: &'static str, program: &str, source: io::Error) -> HookError {
    HookError::Io { doing, what: program.to_owned(), source }
}

struct RunningCommand {
    /// Before `child`, which frees the number of the group when it is dropped.
    group: ProcessGroup,
    child: Child,
    /// Readable when the command has exited.
    exit: AsyncFd<OwnedFd>,
    output: PipeReceiver,
    tail: OutputTail,
}

impl RunningCommand {
    fn start(command: &HookCommand, context: HookContext<'_>) -> io::Result<Self> {
        let (output, input) = io::pipe()?;
        let output = PipeReceiver::from_owned_fd(output.into())?;
        let instances: Vec<&str> = context.instances.iter().map(InstanceName::as_str).collect();
        let child = Command::new(command.program())
            .args(command.arguments())
            .env_clear()
            .env("DEPUTY_RECEIVER", context.receiver.as_str())
            .env("DEPUTY_UNIT", context.link)
            .env("DEPUTY_INSTANCES", instances.join(","))
            .current_dir("/")
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(input.try_clone()?)
            .stderr(input)
            .spawn()?;
        let group = ProcessGroup::of(&child);
        let exit = exit_descriptor(&child)?;
        Ok(Self { group, child, exit, output, tail: OutputTail::default() })
    }

    /// Reads the output until the command exits. What it leaves behind may keep the output open for ever.
    async fn wait_for_exit(&mut self) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        let mut is_open = true;
        loop {
            tokio::select! {
                // Output first, so that the tail is complete.
                biased;
                read = self.output.read(&mut chunk), if is_open => match read {
                    Ok(0) | Err(_) => is_open = false,
                    Ok(count) => self.tail.push(chunk.get(..count).unwrap_or_default()),
                },
                ready = self.exit.readable() => return ready.map(|_| ()),
            }
        }
    }
}

/// The end of an output.
#[derive(Default)]
struct OutputTail(VecDeque<u8>);

impl OutputTail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        self.0.drain(..self.0.len().saturating_sub(TAIL_BYTES));
    }

    /// With what is still in the pipe, but not what a process that was left behind goes on to write.
    fn after(mut self, output: &PipeReceiver) -> Self {
        for _ in 0..PIPE_CAPACITY / CHUNK {
            let mut chunk = [0; CHUNK];
            match rustix::io::read(output, &mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(count) => self.push(chunk.get(..count).unwrap_or_default()),
            }
        }
        self
    }

    /// The last lines as one, without anything that a terminal would obey.
    fn text(mut self) -> String {
        let text = String::from_utf8_lossy(self.0.make_contiguous());
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let last = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
        if last.is_empty() { "it printed nothing".to_owned() } else { escape_controls(&last.join(" / ")) }
    }
}

fn escape_controls(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            escaped.extend(letter.escape_default());
        } else {
            escaped.push(letter);
        }
    }
    escaped
}
