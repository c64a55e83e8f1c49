//! A value that a program prints.
//!
//! The program is started without a shell, with `PATH` and `HOME` alone in its environment, in `/`, without standard
//! input, and in a process group of its own, which is killed when the program ends, takes too long, or is given up by its
//! caller: an agent that shall live on has to leave the group. It names whatever else it needs itself: `["env", "VAULT_ADDR=https://…", "vault", "read", …]`. Its standard error is not shown:
//! an error about a secret often quotes the secret.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use deputy_core::SecretBytes;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout, Command};
use zeroize::Zeroizing;

use crate::{ProcessGroup, SourceContext, SourceError, SourceLocation, ValueShape, exit_descriptor};

pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Runs a program and takes what it prints.
pub(crate) async fn read(
    words: &[String],
    shape: ValueShape,
    context: &SourceContext,
) -> Result<SecretBytes, SourceError> {
    read_within(TIME_LIMIT, words, shape, context).await
}

pub(crate) async fn read_within(
    limit: Duration,
    words: &[String],
    shape: ValueShape,
    context: &SourceContext,
) -> Result<SecretBytes, SourceError> {
    let (program, arguments) = words.split_first().ok_or_else(|| SourceError::Program(String::new()))?;
    // A relative path would name another program after a change of directory.
    if program.is_empty() || (program.contains('/') && !program.starts_with('/')) {
        return Err(SourceError::Program(program.clone()));
    }
    let child =
        start(program, arguments, context).map_err(|source| SourceError::Start { program: program.clone(), source })?;
    tokio::time::timeout(limit, take_output(child, program, shape))
        .await
        .unwrap_or_else(|_| Err(SourceError::Time(program.clone())))
}

fn start(program: &str, arguments: &[String], context: &SourceContext) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir("/").process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    for (name, value) in [("PATH", &context.path), ("HOME", &context.home)] {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.spawn()
}

async fn take_output(mut child: Child, program: &str, shape: ValueShape) -> Result<SecretBytes, SourceError> {
    let location = || SourceLocation::Command(program.to_owned());
    let failed = |source| SourceError::Read { location: location(), source };
    let group = ProcessGroup::of(&child);
    let exit = exit_descriptor(&child).map_err(failed)?;
    let mut buffer = Zeroizing::new(vec![0; shape.read_limit().saturating_add(1)]);
    let filled = match child.stdout.take() {
        Some(output) => fill(output, &mut buffer).await.map_err(failed)?,
        None => 0,
    };
    if filled == buffer.len() {
        return Err(shape.too_long(location()));
    }
    exit.readable().await.map_err(failed)?.retain_ready();
    // Kills what the program left behind, before the program is reaped.
    drop(group);
    let status = child.wait().await.map_err(failed)?;
    if !status.success() {
        return Err(SourceError::Command { program: program.to_owned(), status });
    }
    shape.finish(buffer.get(..filled).unwrap_or_default(), location())
}

/// Reads until the buffer is full or the program closes its output.
async fn fill(mut output: ChildStdout, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match output.read(free).await? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
