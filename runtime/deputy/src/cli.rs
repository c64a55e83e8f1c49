//! The command line.

use std::path::PathBuf;

use anstream::ColorChoice;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::exit::Exit;
use crate::table::Table;

/// Obtains short-lived credentials with connectors that nobody has to trust
///
/// Each connector is a WebAssembly component in a sandbox: it reaches only the hosts, and uses only the secrets, that
/// the configuration grants it.
#[derive(Debug, Parser)]
#[command(
    name = "deputy",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  deputy check --config /etc/deputy/deputy.toml
  deputy inspect s3-sts.wasm
  deputy obtain s3-prod --out credentials.json",
    after_long_help = "Examples:
  deputy check --config /etc/deputy/deputy.toml
  deputy inspect s3-sts.wasm
  deputy obtain s3-prod --out credentials.json

Environment:
  DEPUTY_CONFIG  as --config
  DEPUTY_LOG     as --log
  DEPUTY_STATE   as --state
  NO_COLOR       as --color never

Exit codes: see `deputy help exit-codes`"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of all commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of all commands")]
pub(crate) struct Global {
    /// The configuration [default: deputy.toml]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// The folder for compiled components and other state [default: see `state` in the configuration]
    #[arg(long, global = true, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) state: Option<PathBuf>,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Colours::Auto)]
    pub(crate) color: Colours,
    /// How much to log on stderr [default: warn]
    #[arg(long, global = true, value_name = "LEVEL", value_enum)]
    pub(crate) log: Option<LogLevel>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colours {
    Always,
    Auto,
    Never,
}

/// How much to log.
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
    /// Check the configuration, the secrets and the components
    ///
    /// Reads the configuration, resolves every secret, loads every component that is enabled, and prints what each
    /// one imports against what it was granted. Obtains nothing.
    #[command(after_help = "Examples:
  deputy check
  deputy check --config /etc/deputy/deputy.toml
  deputy check --json | jq .ok")]
    Check(Check),
    /// Compile one component from standard input to standard output
    #[command(hide = true)]
    CompileComponent(CompileComponent),
    /// Print a script that completes deputy's command line in a shell
    #[command(after_help = "Examples:
  deputy completions bash > /etc/bash_completion.d/deputy
  deputy completions zsh > ~/.zfunc/_deputy
  deputy completions fish > ~/.config/fish/completions/deputy.fish")]
    Completions(Completions),
    /// Explain the codes with which deputy ends
    #[command(after_help = exit_codes_help())]
    ExitCodes(ExitCodes),
    /// Say what a component is, what it can do and what it can never do
    ///
    /// A component can only do what it imports, so its import list says what it can never do, whatever it is granted
    /// and whoever wrote it.
    #[command(after_help = "Examples:
  deputy inspect s3-sts.wasm
  deputy inspect s3-sts.wasm --json | jq -r .sha256")]
    Inspect(Inspect),
    /// Obtain credentials once
    ///
    /// Calls the provider of one instance once. The audit trail goes to stderr; what was obtained is not shown unless
    /// asked for with --reveal or written with --out.
    #[command(after_help = "Examples:
  deputy obtain s3-prod
  deputy obtain s3-prod --out credentials.json
  deputy obtain s3-prod --reveal | jq -r .AccessKeyId
  deputy obtain s3-prod --json --audit audit.jsonl")]
    Obtain(Obtain),
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompileComponent {
    /// Bytes of address space
    pub(crate) memory: u64,
    /// Seconds of CPU time
    pub(crate) seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ExitCodes {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The component
    #[arg(value_name = "FILE.wasm", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Obtain {
    /// The name of an instance in the configuration
    pub(crate) instance: String,
    /// Print what was obtained, and nothing else, on stdout
    #[arg(long, conflicts_with = "json")]
    pub(crate) reveal: bool,
    /// Write what was obtained to a file that only its owner can read (mode 0600)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// Print one JSON object, without what was obtained
    #[arg(long)]
    pub(crate) json: bool,
    /// Append the audit trail as JSON lines to a file, too; - is stdout [default: see `audit` in the configuration]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) audit: Option<PathBuf>,
}

impl Colours {
    /// What was asked for, before the command line as a whole is read: its errors are coloured, too.
    pub(crate) fn asked(arguments: &[impl AsRef<std::ffi::OsStr>]) -> Self {
        let mut words = arguments.iter().map(|argument| argument.as_ref().to_string_lossy());
        while let Some(word) = words.next() {
            let when = match word.strip_prefix("--color") {
                Some("") => words.next().map(|when| when.into_owned()),
                Some(rest) => rest.strip_prefix('=').map(str::to_owned),
                None => continue,
            };
            if let Some(colours) = when.and_then(|when| Self::from_str(&when, false).ok()) {
                return colours;
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

impl From<Colours> for ColorChoice {
    fn from(colours: Colours) -> Self {
        match colours {
            Colours::Always => Self::Always,
            Colours::Auto => Self::Auto,
            Colours::Never => Self::Never,
        }
    }
}

impl Command {
    /// Whether stdout is to hold one JSON object, whatever happens.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Check(Check { json }) | Self::ExitCodes(ExitCodes { json }) => *json,
            Self::Inspect(inspect) => inspect.json,
            Self::Obtain(obtain) => obtain.json,
            Self::CompileComponent(_) | Self::Completions(_) => false,
        }
    }
}

/// The codes with their meanings.
pub(crate) fn exit_codes() -> Table {
    let mut table = Table::default();
    for exit in Exit::ALL {
        table.row([exit.code().to_string().as_str(), exit.word(), exit.meaning()]);
    }
    table
}

fn exit_codes_help() -> String {
    format!("Codes:\n{}\nExamples:\n  deputy exit-codes\n  deputy exit-codes --json", exit_codes().render(2))
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
