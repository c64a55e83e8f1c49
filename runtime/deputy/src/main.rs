//! The program `deputy`: the command line over configuration and sandbox.
//!
//! It reads its surroundings once, turns arguments and `deputy.toml` into parsed values, and prints: data on stdout,
//! everything else on stderr, errors once with their chain. Its exit codes are documented (`deputy help exit-codes`).
//! It never prints a secret, and a payload only with `--reveal`; it leaves no core dump, and no other process of the
//! same user can look into it.

mod capability;
mod check;
mod cli;
mod context;
mod error;
mod exec;
mod exit;
mod lease_commands;

mod audit_printer;
mod call_report;
mod check_groups;
mod environment;
mod fd_limit;
mod inspect;
mod load;
mod log;
mod obtain;
mod output;
mod print;
mod provider;
mod receiver_settings;
mod reload;
mod removal;
mod run;
mod sandbox;
mod state;
mod status;
mod table;
mod worker;
mod workers;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, ValueEnum};
use deputy_support::SystemClock;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use serde::Serialize;

use crate::cli::{Cli, Colours, Command, LogLevel};
use crate::context::{Context, SCHEMA};
use crate::environment::EnvConfig;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::Printer;

/// How long work on files that was begun may still take when a command has ended.
const SHUTDOWN: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let closed = close();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let command = Cli::command().color(Colours::asked(&arguments).for_clap());
    let cli = match command.try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors, and go to stdout. Nobody can be told that the stream is gone.
            drop(error.print());
            return if error.use_stderr() { Exit::Misconfigured.into() } else { ExitCode::SUCCESS };
        }
    };
    if let Command::CompileComponent(limits) = &cli.command {
        return deputy_sandbox::compile_child(limits.memory, limits.seconds);
    }
    let printer = Printer::new(cli.global.color.into());
    let surroundings = EnvConfig::read();
    let level = level(&cli, &surroundings);
    let context = Context::new(printer, &cli.global, surroundings);
    let log = match log::start(*level.as_ref().unwrap_or(&LogLevel::Warn), &cli.command, printer) {
        Ok(log) => log,
        Err(error) => {
            let error = CommandError::new(Exit::Failed, error).context("cannot start the log");
            return context.fail(&error, cli.command.json()).into();
        }
    };
    let ended = closed.and(level).and_then(|_| run(&context, &cli.command));
    match (log.is_read(), ended) {
        (_, Ok(exit)) => exit.into(),
        (true, Err(error)) => context.fail(&error, cli.command.json()).into(),
        (false, Err(error)) => error.exit().into(),
    }
}

/// What this process holds is in no core dump, and in no debugger of another process of this user.
fn close() -> Result<(), CommandError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .map_err(|error| CommandError::new(Exit::Internal, error).context("cannot close this process to others"))
}

fn level(cli: &Cli, surroundings: &EnvConfig) -> Result<LogLevel, CommandError> {
    match (cli.global.log, surroundings.log.as_deref()) {
        (Some(level), _) => Ok(level),
        (None, Some(text)) => LogLevel::from_str(text, true).map_err(|_| {
            let error = CommandError::new(Exit::Misconfigured, format!("DEPUTY_LOG is {text:?}, which is no level"));
            error.hint("the levels are off, error, warn, info, debug, trace")
        }),
        // What runs for weeks tells what it does; what ends soon tells what is wrong.
        (None, None) if cli.command.runs_for_weeks() => Ok(LogLevel::Info),
        (None, None) => Ok(LogLevel::Warn),
    }
}

fn run(context: &Context, command: &Command) -> Result<Exit, CommandError> {
    match command {
        Command::Check(arguments) => block_on(check::run(context, arguments)),
        Command::CompileComponent(_) => Ok(Exit::Internal), // has its own way out, in `main`
        Command::Completions(arguments) => completions(context, arguments),
        Command::Exec(arguments) => block_on(exec::run(context, arguments)),
        Command::ExitCodes(arguments) => exit_codes(context, arguments),
        Command::Get(arguments) => block_on(lease_commands::get(context, arguments)),
        Command::Inspect(arguments) => block_on(inspect::run(context, arguments)),
        Command::Obtain(arguments) => block_on(obtain::run(context, arguments, SystemClock::wall())),
        Command::Reload(arguments) => block_on(lease_commands::reload(context, arguments)),
        Command::Renew(arguments) => block_on(lease_commands::renew(context, arguments)),
        Command::Revoke(arguments) => block_on(lease_commands::revoke(context, arguments)),
        Command::Run(arguments) => block_on(run::run(context, arguments)),
        Command::State(arguments) => block_on(state::run(context, &arguments.command)),
        Command::Status(arguments) => block_on(status::run(context, arguments)),
        Command::Token(arguments) => block_on(workers::token(context, arguments)),
        Command::Workers(arguments) => block_on(workers::workers(context, arguments)),
        Command::Worker(cli::WorkerArgs { command: Some(cli::WorkerCommand::Status(arguments)), .. }) => {
            block_on(worker::status(context, arguments))
        }
        Command::Worker(arguments) => block_on(worker::run(context, arguments)),
    }
}

fn block_on(command: impl Future<Output = Result<Exit, CommandError>>) -> Result<Exit, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| CommandError::new(Exit::Failed, error).context("cannot start the runtime"))?;
    let ended = runtime.block_on(command);
    // A thread that waits for a file system that hangs does not keep the process.
    runtime.shutdown_timeout(SHUTDOWN);
    ended
}

fn completions(context: &Context, arguments: &cli::CompletionsArgs) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "deputy", &mut script);
    context.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

fn exit_codes(context: &Context, arguments: &cli::ExitCodesArgs) -> Result<Exit, CommandError> {
    #[derive(Serialize)]
    struct Codes {
        schema: u32,
        codes: Vec<Code>,
    }
    #[derive(Serialize)]
    struct Code {
        code: u8,
        word: &'static str,
        meaning: &'static str,
    }
    if arguments.json {
        let code = |exit: Exit| Code { code: exit.code(), word: exit.word(), meaning: exit.meaning() };
        context.json(&Codes { schema: SCHEMA, codes: Exit::ALL.into_iter().map(code).collect() })?;
    } else {
        context.data(&cli::exit_codes().render(0))?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the threads end with the test's process")]
    fn a_thread_that_waits_for_files_does_not_keep_the_process() {
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
