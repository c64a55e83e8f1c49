//! A value that a program prints.
//!
//! The program is started without a shell, with `PATH` and `HOME` alone in its environment, in `/`, without standard
//! input, and in a process group of its own, which is killed when it takes too long or when nobody waits any more. What
//! else it needs, the command says itself: `["env", "VAULT_ADDR=https://…", "vault", "read", …]`.
//! Of its standard error nothing is shown: what goes wrong with a secret often says the secret.

use std::process::Stdio;
use std::time::Duration;

use deputy_core::SecretBytes;
use tokio::io::AsyncReadExt as _;
use tokio::process::{ChildStdout, Command};
use zeroize::Zeroizing;

use crate::{ProcessGroup, SourceContext, SourceError, SourceLocation, ValueShape};

/// How long a program may take.
pub(crate) const TIME: Duration = Duration::from_secs(10);

/// Runs a program and takes what it prints.
pub(crate) async fn read(words: &[String], form: ValueShape, here: &SourceContext) -> Result<SecretBytes, SourceError> {
    within(TIME, words, form, here).await
}

pub(crate) async fn within(
    time: Duration,
    words: &[String],
    form: ValueShape,
    here: &SourceContext,
) -> Result<SecretBytes, SourceError> {
    let (program, arguments) = words.split_first().ok_or_else(|| SourceError::Program(String::new()))?;
    // A relative path would mean another program after a change of folder.
    if program.is_empty() || (program.contains('/') && !program.starts_with('/')) {
        return Err(SourceError::Program(program.clone()));
    }
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir("/").process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    for (name, value) in [("PATH", &here.path), ("HOME", &here.home)] {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let start = |source| SourceError::Start { program: program.clone(), source };
    let mut child = command.spawn().map_err(start)?;
    let output = child.stdout.take();
    let mut group = ProcessGroup::of(&child);
    let place = || SourceLocation::Command(program.clone());
    let failed = |source| SourceError::Read { place: place(), source };
    let work = async {
        let mut buffer = Zeroizing::new(vec![0; form.most().saturating_add(1)]);
        let filled = match output {
            Some(output) => fill(output, &mut buffer).await.map_err(failed)?,
            None => 0,
        };
        if filled == buffer.len() {
            return Err(form.size(place()));
        }
        let status = child.wait().await.map_err(failed)?;
        // Its number may be another's now. What it leaves behind serves its next run, such as an agent.
        group.leave();
        if !status.success() {
            return Err(SourceError::Command { program: program.clone(), status });
        }
        form.finish(buffer.get(..filled).unwrap_or_default(), place())
    };
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| Err(SourceError::Time(program.clone())))
}

/// Fills the buffer until it is full or the program closes its output.
async fn fill(mut output: ChildStdout, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match output.read(free).await? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
