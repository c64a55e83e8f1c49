//! The command line as a whole: options of all commands, and the commands, whose arguments are in their own files.

use std::ffi::OsStr;
use std::path::PathBuf;

use anstream::ColorChoice;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::commands;

/// Obtains, renews and delivers short-lived credentials with sandboxed connectors
///
/// Each connector is a WebAssembly component. It runs in a sandbox, and reaches only the hosts and uses only the secrets that
/// the configuration grants it.
#[derive(Debug, Parser)]
#[command(
    name = "deputy",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  deputy init s3-sts --endpoint http://127.0.0.1:8333
  deputy check --config /etc/deputy/deputy.toml
  deputy run --config /etc/deputy/deputy.toml
  deputy status
  deputy inspect s3-sts.wasm
  deputy obtain s3-prod --out credentials.json",
    after_long_help = "Examples:
  deputy init s3-sts --endpoint http://127.0.0.1:8333
  deputy check --config /etc/deputy/deputy.toml
  deputy run --config /etc/deputy/deputy.toml
  deputy status
  deputy inspect s3-sts.wasm
  deputy obtain s3-prod --out credentials.json

Environment variables:
  DEPUTY_COMPONENTS  the folder in which components are found by name first
  DEPUTY_CONFIG      like --config
  DEPUTY_LOG         like --log
  DEPUTY_SOCKET      like --socket
  DEPUTY_STATE       like --state
  NO_COLOR           like --color never

Exit codes: see `deputy help exit-codes`"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of all commands")]
pub(crate) struct Global {
    /// The configuration file [default: deputy.toml, for `worker` worker.toml]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// The state directory [default: see `state` in the configuration]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) state: Option<PathBuf>,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) color: When,
    /// How much to log on stderr [default: info for `run` and `worker`, warn for all others]
    #[arg(long, global = true, value_name = "LEVEL", value_enum)]
    pub(crate) log: Option<LogLevel>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Always,
    Auto,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(commands::check::CheckArgs),
    #[command(hide = true)]
    CompileComponent(commands::compile_component::CompileComponentArgs),
    Components(commands::components::ComponentsArgs),
    Completions(commands::completions::CompletionsArgs),
    Doctor(commands::doctor::DoctorArgs),
    Exec(commands::exec::ExecArgs),
    ExitCodes(commands::exit_codes::ExitCodesArgs),
    Get(commands::get::GetArgs),
    Grant(commands::grant::GrantArgs),
    HadoopConf(commands::hadoop_conf::HadoopConfArgs),
    #[command(hide = true)]
    KerberosLogin(commands::kerberos_login::KerberosLoginArgs),
    Init(commands::init::InitArgs),
    Inspect(commands::inspect::InspectArgs),
    #[command(hide = true)]
    ManPages(commands::man_pages::ManPagesArgs),
    Obtain(commands::obtain::ObtainArgs),
    Reload(commands::reload::ReloadArgs),
    Renew(commands::renew::RenewArgs),
    Revoke(commands::revoke::RevokeArgs),
    Run(commands::run::RunArgs),
    Schema(commands::schema::SchemaArgs),
    State(commands::state::StateArgs),
    Status(commands::status::StatusArgs),
    Token(commands::token::TokenArgs),
    Workers(commands::workers::WorkersArgs),
    Worker(commands::worker::WorkerArgs),
}

impl Command {
    /// Whether it runs until a signal ends it.
    pub(crate) fn is_daemon(&self) -> bool {
        match self {
            Self::Run(_) => true,
            Self::Worker(worker) => worker.command.is_none(),
            _ => false,
        }
    }
}

impl When {
    /// The value of `--color` before the command line is parsed, since errors of parsing are coloured, too.
    pub(crate) fn of_arguments(arguments: &[impl AsRef<OsStr>]) -> Self {
        let mut arguments = arguments.iter().map(|argument| argument.as_ref().to_string_lossy());
        while let Some(argument) = arguments.next() {
            let when = match argument.strip_prefix("--color") {
                Some("") => arguments.next().map(|when| when.into_owned()),
                Some(rest) => rest.strip_prefix('=').map(str::to_owned),
                None => continue,
            };
            if let Some(when) = when.and_then(|when| Self::from_str(&when, false).ok()) {
                return when;
            }
        }
        Self::Auto
    }

    pub(crate) fn for_clap(self) -> clap::ColorChoice {
        match self {
            Self::Always => clap::ColorChoice::Always,
            Self::Auto => clap::ColorChoice::Auto,
            Self::Never => clap::ColorChoice::Never,
        }
    }
}

impl From<When> for ColorChoice {
    fn from(when: When) -> Self {
        match when {
            When::Always => Self::Always,
            When::Auto => Self::Auto,
            When::Never => Self::Never,
        }
    }
}

#[cfg(test)]
mod tests;
