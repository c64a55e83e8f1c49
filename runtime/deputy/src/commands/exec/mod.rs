//! `deputy exec`: a program with leases in its environment.
//!
//! The program takes the place of this process, so signals, exit code and process ID are its own. A payload is never on a
//! command line, which every user can read. A variable does not change: a program that outlives its credentials needs a worker's
//! endpoint or the files of a receiver, or is started again by `supervisor`.

mod aws_variables;
mod child_env;
mod forwarded_signals;
mod supervisor;
mod targets;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use deputy_core::Span;

use super::socket_args::{LeaseSocketArgs, parse_wait};
use crate::completion;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use child_env::ChildEnv;
use targets::{Targets, VariableTarget};

/// Run a program with the leases of instances in its environment
///
/// Asks the running coordinator or worker, then becomes the program: signals, exit code and process ID are the program's own. S3
/// credentials go into the variables that AWS libraries read, with region and endpoint where the configuration has them; for any
/// service, --env and --file-env pass the payload unchanged.
/// The credentials do not change while the program runs, and it leaves no core dump. With --restart-on-change this process stays,
/// and starts the program again when a lease was replaced.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy exec s3-prod -- aws s3 ls
  deputy exec hdfs --file-env HADOOP_TOKEN_FILE_LOCATION -- hdfs dfs -ls /
  deputy exec s3-prod --restart-on-change --grace 30s -- ./server
  deputy exec s3-prod api --env API_TOKEN=api --config worker.toml -- ./job")]
pub(crate) struct ExecArgs {
    /// The names of instances
    #[arg(required = true, value_name = "INSTANCE", add = ArgValueCompleter::new(completion::instances))]
    instances: Vec<String>,
    /// Put the payload into a variable; NAME=INSTANCE if several instances are named
    #[arg(long, value_name = "NAME[=INSTANCE]")]
    env: Vec<VariableTarget>,
    /// Put the payload into an in-memory file, and the file's path into a variable
    #[arg(long, value_name = "NAME[=INSTANCE]")]
    file_env: Vec<VariableTarget>,
    /// How long to wait for a lease, at most 60s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_wait)]
    wait: Span,
    /// Start the program again when a lease was replaced, for a program that reads its environment once
    #[arg(long)]
    restart_on_change: bool,
    /// How long the program may take to end before it is started again; then it is killed
    #[arg(long, value_name = "TIME", default_value = "10s")]
    grace: Span,
    /// Of the process that another one starts with --restart-on-change
    #[arg(long, hide = true, conflicts_with = "restart_on_change")]
    supervised: bool,
    #[command(flatten)]
    socket: LeaseSocketArgs,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM", value_hint = ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum ExecError {
    #[error("the instance {0} is named twice")]
    RepeatedInstance(String),
    #[error("{0} is not one of the named instances")]
    UnnamedInstance(String),
    #[error("several instances are named: write {0}=INSTANCE")]
    AmbiguousVariable(String),
    #[error("the variable {variable} would be set by {first} and by {second}")]
    Conflict { variable: String, first: String, second: String },
    #[error("`deputy exec` has no default variables for the service {service} of {instance}")]
    UnknownService { instance: String, service: String },
    #[error("the payload of {instance} cannot be put into variables: {reason}")]
    Payload { instance: String, reason: String },
}

pub(crate) async fn run(context: &Context, arguments: &ExecArgs) -> Result<Exit, CommandError> {
    // Errors of the command line come before any lease is requested.
    let targets = Targets::of(arguments)?;
    let Some((program, program_arguments)) = arguments.command.split_first() else {
        return Err(CommandError::new(Exit::Misconfigured, "no program to run"));
    };
    let client = arguments.socket.client(context)?;
    if arguments.restart_on_change {
        return supervisor::run(context, arguments, &client).await;
    }
    if arguments.supervised {
        supervisor::end_with_parent()?;
    }
    let mut environment = ChildEnv::new();
    for (instance, targets) in &targets.by_instance {
        let lease = client.lease(instance, arguments.wait).await?;
        environment.add(instance, targets, &lease)?;
    }
    let mut command = Command::new(program);
    command.args(program_arguments);
    environment.apply(&mut command);
    // Returns only if it fails.
    let error = command.exec();
    let exit = exit_of(&error);
    let program = program.display().to_string();
    Err(CommandError::new(exit, error).context("cannot run the program").hint(format!("the program is {program:?}")))
}

fn exit_of(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::ArgumentListTooLong
        | io::ErrorKind::InvalidInput => Exit::Misconfigured,
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => Exit::Misconfigured,
        _ => Exit::Failed,
    }
}

impl From<ExecError> for CommandError {
    fn from(error: ExecError) -> Self {
        let hint = match &error {
            ExecError::UnknownService { .. } => {
                Some("--env NAME puts the payload into a variable, --file-env NAME into a file")
            }
            ExecError::Conflict { .. } => Some("--env NAME=INSTANCE chooses another variable"),
            _ => None,
        };
        let error = Self::new(Exit::Misconfigured, error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
