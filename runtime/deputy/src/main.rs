//! The program `deputy`: it reads the command line and the environment once, runs one command, and ends with an exit code
//! that is documented (`deputy help exit-codes`).
//!
//! Data goes to stdout, everything else to stderr, an error once and with its causes. It never prints a secret, prints a
//! payload only with `--reveal` or `--format`, leaves no core dump, and is closed to debuggers of other processes of the same user.

mod attention;
mod audit_printer;
mod call_report;
mod capability;
mod cli;
mod commands;
mod compiler;
mod completion;
mod config_change;
mod context;
mod environment;
mod error;
mod exit;
mod failed_setting;
mod global_args;
mod input;
mod log;
mod login_text;
mod look_pace;
mod print;
mod private_file;
mod prompter;
mod relative_time;
mod setting_arg;
mod settings_check;
mod signals;
mod table;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches, ValueEnum};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::cli::Cli;
use crate::commands::Command;
use crate::context::Context;
use crate::environment::EnvConfig;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::global_args::{LogLevel, When};
use crate::print::Printer;

/// How long file operations that were begun may still take when a command has ended.
const SHUTDOWN: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let hardened = harden_process();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match completion::complete(&arguments) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => return print_usage(&error),
    }
    let command = Cli::command().color(When::of_arguments(&arguments).for_clap());
    let matches = match command.try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return print_usage(&error),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return print_usage(&error),
    };
    if let Command::CompileComponent(arguments) = &cli.command {
        return arguments.run();
    }
    if let Command::KerberosLogin(arguments) = &cli.command {
        return arguments.run();
    }
    let json = wants_json(&matches);
    let printer = Printer::new(cli.global.color.into());
    let environment = EnvConfig::read();
    let level = log_level(&cli, &environment);
    let context = Context::new(printer, &cli.global, environment);
    let log = match log::start(*level.as_ref().unwrap_or(&LogLevel::Warn), &cli.command, printer) {
        Ok(log) => log,
        Err(error) => {
            let error = CommandError::new(Exit::Failed, error).context("cannot start the log");
            return context.fail(&error, json).into();
        }
    };
    let result = hardened.and(level).and_then(|_| block_on(commands::run(&context, &cli.command, Cli::command)));
    match (log.is_read(), result) {
        (_, Ok(exit)) => exit.into(),
        (true, Err(error)) => context.fail(&error, json).into(),
        (false, Err(error)) => error.exit().into(),
    }
}

/// Help and version are no errors, and go to stdout.
fn print_usage(error: &clap::Error) -> ExitCode {
    // If the stream is closed, there is nothing else to tell it to.
    error.print().ok();
    if error.use_stderr() { Exit::Misconfigured.into() } else { ExitCode::SUCCESS }
}

/// Keeps secrets of this process out of core dumps, and out of debuggers of other processes of this user.
fn harden_process() -> Result<(), CommandError> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .map_err(|error| {
            CommandError::new(Exit::Internal, error)
                .context("cannot protect this process from core dumps and debuggers")
        })
}

/// Whether stdout has to hold one JSON object, also if the command fails.
fn wants_json(matches: &ArgMatches) -> bool {
    match matches.subcommand() {
        Some((_, matches)) => wants_json(matches),
        None => matches.try_get_one("json").ok().flatten().copied().unwrap_or_default(),
    }
}

fn log_level(cli: &Cli, environment: &EnvConfig) -> Result<LogLevel, CommandError> {
    match (cli.global.log, environment.log.as_deref()) {
        (Some(level), _) => Ok(level),
        (None, Some(text)) => LogLevel::from_str(text, true).map_err(|_| {
            let error = format!("the environment variable DEPUTY_LOG has the unknown log level {text:?}");
            CommandError::new(Exit::Misconfigured, error).hint("use off, error, warn, info, debug or trace")
        }),
        (None, None) if cli.command.is_daemon() => Ok(LogLevel::Info),
        (None, None) => Ok(LogLevel::Warn),
    }
}

fn block_on(command: impl Future<Output = Result<Exit, CommandError>>) -> Result<Exit, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::new(Exit::Failed, error).context("cannot start the runtime"))?;
    let result = runtime.block_on(async {
        signals::survive_file_size_limit()?;
        command.await
    });
    // A thread that is stuck in a file system must not keep the process from ending.
    runtime.shutdown_timeout(SHUTDOWN);
    result
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the threads end with the test's process")]
    fn shutdown_does_not_wait_for_a_stuck_file_operation() {
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || {
            let command = async {
                drop(tokio::task::spawn_blocking(|| {
                    loop {
                        thread::park();
                    }
                }));
                Ok(Exit::Done)
            };
            sender.send(block_on(command).is_ok())
        });
        assert_eq!(ended.recv_timeout(Duration::from_secs(60)), Ok(true));
    }
}
