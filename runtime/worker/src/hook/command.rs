//! A command, without a shell, with three variables and no other, in a process group that ends with it.
//!
//! Its output is read as it comes and all but the end forgotten: it can't fill anything, and a log shows why it failed.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use deputy_core::{HookCommand, InstanceName, Span};
use deputy_sources::ProcessGroup;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::unix::pipe::Receiver;
use tokio::process::Child;

use super::{HookContext, HookError};

/// Bytes of the output that are kept.
const KEPT: usize = 2048;

/// Bytes that are read at a time, and that wait in a pipe at the most.
const CHUNK: usize = 1024;
const PIPE: usize = 64 << 10;

/// Lines of it that are shown.
const LINES: usize = 10;

pub(super) async fn run(command: &HookCommand, limit: Span, occasion: HookContext<'_>) -> Result<(), HookError> {
    let program = command.program().to_owned();
    let failed = |source| HookError::Io { doing: "start", what: program.clone(), source };
    let (output, input) = io::pipe().map_err(failed)?;
    let mut output = Receiver::from_owned_fd(output.into()).map_err(failed)?;
    let mut child = {
        let instances: Vec<&str> = occasion.instances.iter().map(InstanceName::as_str).collect();
        let mut starting = tokio::process::Command::new(&program);
        starting.args(command.arguments()).env_clear().current_dir("/").process_group(0).kill_on_drop(true);
        starting.env("DEPUTY_RECEIVER", occasion.receiver.as_str());
        starting.env("DEPUTY_UNIT", occasion.link);
        starting.env("DEPUTY_INSTANCES", instances.join(","));
        starting.stdin(Stdio::null()).stdout(input.try_clone().map_err(failed)?).stderr(input);
        starting.spawn().map_err(failed)?
    };
    // Dropped, and so killed, before the command is waited for: until then no other group can have its number.
    let group = ProcessGroup::of(&child);
    let exited = exit(&child).map_err(failed)?;
    let mut last = Last::default();
    let ended = tokio::time::timeout(limit.duration(), async {
        let mut chunk = [0; CHUNK];
        let mut is_open = true;
        loop {
            tokio::select! {
                // First what it said, then how it ended. What it leaves behind may keep the output open for ever.
                biased;
                read = output.read(&mut chunk), if is_open => match read {
                    Ok(0) | Err(_) => is_open = false,
                    Ok(count) => last.add(chunk.get(..count).unwrap_or_default()),
                },
                ready = exited.readable() => break ready.map(drop),
            }
        }
    });
    let ended = ended.await;
    drop(group);
    // What is still in the pipe, but not what something that was left behind goes on to write.
    for _ in 0..PIPE / CHUNK {
        let mut chunk = [0; CHUNK];
        match rustix::io::read(&output, &mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) => last.add(chunk.get(..count).unwrap_or_default()),
        }
    }
    let said = last.shown();
    match ended {
        Ok(ready) => {
            let failed = |source| HookError::Io { doing: "wait for", what: program.clone(), source };
            ready.map_err(failed)?;
            let status = child.wait().await.map_err(failed)?;
            if status.success() { Ok(()) } else { Err(HookError::Status { program, status, said }) }
        }
        Err(_) => Err(HookError::Time { program, limit, said }),
    }
}

/// What can be read when a command has ended, before anybody has waited for it.
#[expect(deprecated, reason = "it is unsound for what can become another descriptor, and its successor is `unsafe`")]
fn exit(child: &Child) -> io::Result<AsyncFd<OwnedFd>> {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("it was waited for already"))?;
    AsyncFd::with_interest(pidfd_open(pid, PidfdFlags::NONBLOCK)?, Interest::READABLE)
}

/// The end of an output.
#[derive(Default)]
struct Last(VecDeque<u8>);

impl Last {
    fn add(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let old = self.0.len().saturating_sub(KEPT);
        drop(self.0.drain(..old));
    }

    /// The last lines, in one, without anything that a terminal would obey.
    fn shown(mut self) -> String {
        let text = String::from_utf8_lossy(self.0.make_contiguous());
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let end = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join(" / ");
        let escaped: String = end
            .chars()
            .flat_map(|letter| if letter.is_control() { letter.escape_default().collect() } else { vec![letter] })
            .collect();
        if escaped.is_empty() { "it printed nothing".to_owned() } else { escaped }
    }
}
