//! `deputy exec --restart-on-change`: for programs that read their environment once.
//!
//! This process stays, and starts another one of itself that becomes the program, as `deputy exec` does. When a lease is
//! replaced, it ends the program and starts it again. It never restarts a program that ended by itself: what it ended with is
//! what this process ends with. Only one that fails soon after a restart, a port of its predecessor still in use for instance,
//! is started again, a few times and more and more slowly.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use deputy_core::Span;
use deputy_local::SocketClient;
use deputy_support::{Backoff, pause, timer_now};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use tokio::process::{Child, Command};

use super::ExecArgs;
use super::forwarded_signals::ForwardedSignals;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// The option of the process that stays, and the one of the process that becomes the program instead.
const RESTART: &str = "--restart-on-change";
const SUPERVISED: &str = "--supervised";

/// How often the leases are compared with those that the program has.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// A program that fails sooner after a restart is started again.
const SOON: Duration = Duration::from_secs(10);

/// How many times in a row.
const MOST_FAILURES: u32 = 5;

/// How long to wait before that.
const DELAYS: (Span, Span) = (Span::millis(200), Span::secs(30));

/// What tells a lease from its successor: its revision, and when it ends.
type LeaseId = (Option<u64>, Option<String>);

/// How a program's turn ended.
enum Turn {
    /// By itself, or by a signal that was forwarded.
    Ended(ExitStatus),
    /// For another lease.
    Replaced(Vec<LeaseId>),
}

/// Has the program end with the process that started this one, which would otherwise leave it behind when it is killed.
pub(super) fn end_with_parent() -> Result<(), CommandError> {
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| CommandError::new(Exit::Failed, error).context("cannot bind the program to its supervisor"))
}

pub(super) async fn run(context: &Context, arguments: &ExecArgs, client: &SocketClient) -> Result<Exit, CommandError> {
    let mut signals = ForwardedSignals::new()?;
    let mut backoff = Backoff::new(DELAYS.0, DELAYS.1);
    let mut is_restart = false;
    let mut known = leases(arguments, client, arguments.wait).await?;
    loop {
        let began = timer_now();
        let mut child = start()?;
        match turn(arguments, client, &mut child, &mut signals, &known).await? {
            Turn::Replaced(replaced) => {
                context.note("a lease was replaced: starting the program again");
                known = replaced;
                is_restart = true;
                backoff.reset();
            }
            Turn::Ended(status) => {
                let is_failure = !status.success() && is_restart && began.elapsed() < SOON;
                if !is_failure || backoff.failures() == MOST_FAILURES {
                    return Ok(exit_of(status));
                }
                let delay = backoff.fail(u16::MAX);
                context.note(&format!("the program failed soon after its restart: starting it again in {delay}"));
                tokio::select! {
                    () = pause(delay.duration()) => {}
                    signal = signals.recv() => if signals.is_end(signal) { return Ok(exit_of(status)) },
                }
            }
        }
    }
}

/// Starts this program again, as the one that becomes the operator's program.
fn start() -> Result<Child, CommandError> {
    let child =
        std::env::current_exe().and_then(|own| Command::new(own).args(supervised(std::env::args_os().skip(1))).spawn());
    child.map_err(|error| CommandError::new(Exit::Failed, error).context("cannot start the program"))
}

/// The same command line, of a process that does not stay.
fn supervised(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    let own = arguments.iter_mut().take_while(|argument| argument.as_os_str() != OsStr::new("--"));
    for argument in own.filter(|argument| argument.as_os_str() == OsStr::new(RESTART)) {
        *argument = SUPERVISED.into();
    }
    arguments
}

/// Waits until the program has ended, for whatever reason.
async fn turn(
    arguments: &ExecArgs,
    client: &SocketClient,
    child: &mut Child,
    signals: &mut ForwardedSignals,
    known: &[LeaseId],
) -> Result<Turn, CommandError> {
    let mut is_ending = false;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(Turn::Ended(status.map_err(lost)?)),
            signal = signals.recv() => {
                send(child, signal);
                is_ending |= signals.is_end(signal);
            }
            replaced = replaced(arguments, client, known), if !is_ending => {
                return match stop(arguments, child, signals).await? {
                    Some(status) => Ok(Turn::Ended(status)),
                    None => Ok(Turn::Replaced(replaced)),
                };
            }
        }
    }
}

/// The leases, once one of them is another. While they cannot be had, the program keeps what it has.
async fn replaced(arguments: &ExecArgs, client: &SocketClient, known: &[LeaseId]) -> Vec<LeaseId> {
    loop {
        pause(CHECK_INTERVAL).await;
        if let Ok(leases) = leases(arguments, client, Span::secs(0)).await
            && leases != known
        {
            return leases;
        }
    }
}

async fn leases(arguments: &ExecArgs, client: &SocketClient, wait: Span) -> Result<Vec<LeaseId>, CommandError> {
    let mut leases = Vec::with_capacity(arguments.instances.len());
    for instance in &arguments.instances {
        let lease = client.lease(instance, wait).await?;
        leases.push((lease.revision, lease.valid_until));
    }
    Ok(leases)
}

/// Ends the program: asks it to, and kills it when it takes too long. Its status, if a signal asked for its end meanwhile.
async fn stop(
    arguments: &ExecArgs,
    child: &mut Child,
    signals: &mut ForwardedSignals,
) -> Result<Option<ExitStatus>, CommandError> {
    send(child, Signal::TERM);
    let mut grace = std::pin::pin!(pause(arguments.grace.duration()));
    let mut is_ending = false;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(is_ending.then_some(status.map_err(lost)?)),
            signal = signals.recv() => {
                send(child, signal);
                is_ending |= signals.is_end(signal);
            }
            () = &mut grace => {
                child.start_kill().map_err(lost)?;
                let status = child.wait().await.map_err(lost)?;
                return Ok(is_ending.then_some(status));
            }
        }
    }
}

/// Sends a signal to the program. One that has ended needs none.
fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        kill_process(pid, signal).ok();
    }
}

/// As a shell says it.
fn exit_of(status: ExitStatus) -> Exit {
    let code = status.code().or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    Exit::Program(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

fn lost(error: std::io::Error) -> CommandError {
    CommandError::new(Exit::Failed, error).context("lost the program")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exec_starts_itself_with_the_same_command_line() {
        let own = ["exec", "--restart-on-change", "s3", "--grace", "5s", "--", "job", "--restart-on-change"];
        let expected = ["exec", "--supervised", "s3", "--grace", "5s", "--", "job", "--restart-on-change"];
        assert_eq!(supervised(own.map(OsString::from).into_iter()), expected);
    }

    #[test]
    fn exec_ends_as_a_shell_says_the_program_did() {
        assert_eq!(exit_of(ExitStatus::from_raw(0)), Exit::Program(0));
        assert_eq!(exit_of(ExitStatus::from_raw(42 << 8)), Exit::Program(42));
        assert_eq!(exit_of(ExitStatus::from_raw(15)), Exit::Program(143));
    }
}
