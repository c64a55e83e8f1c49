//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use anstream::ColorChoice;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use deputy_coordinator::WorkerState;
use deputy_core::{GroupName, InstanceName, Span};
use deputy_link::{TokenId, WorkerId};

use crate::exec::VariableTarget;
use crate::exit::Exit;
use crate::table::Table;

/// Obtains, renews and delivers short-lived credentials with sandboxed connectors
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
  deputy run --config /etc/deputy/deputy.toml
  deputy status
  deputy inspect s3-sts.wasm
  deputy obtain s3-prod --out credentials.json",
    after_long_help = "Examples:
  deputy check --config /etc/deputy/deputy.toml
  deputy run --config /etc/deputy/deputy.toml
  deputy status
  deputy inspect s3-sts.wasm
  deputy obtain s3-prod --out credentials.json

Environment:
  DEPUTY_CONFIG  as --config
  DEPUTY_LOG     as --log
  DEPUTY_SOCKET  as --socket
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
    /// When to colour the output
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Colours::Auto)]
    pub(crate) color: Colours,
    /// How much to log on stderr [default: info of `run`, warn of all others]
    #[arg(long, global = true, value_name = "LEVEL", value_enum)]
    pub(crate) log: Option<LogLevel>,
}

/// When to colour the output.
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
    /// one imports against what it was granted. Obtains nothing. A worker's configuration is checked likewise.
    #[command(after_help = "Examples:
  deputy check
  deputy check --config /etc/deputy/deputy.toml
  deputy check --config /etc/deputy/worker.toml
  deputy check --json | jq .ok")]
    Check(CheckArgs),
    /// Compile one component from standard input to standard output
    #[command(hide = true)]
    CompileComponent(CompileComponentArgs),
    /// Print a script that completes deputy's command line in a shell
    #[command(after_help = "Examples:
  deputy completions bash > /etc/bash_completion.d/deputy
  deputy completions zsh > ~/.zfunc/_deputy
  deputy completions fish > ~/.config/fish/completions/deputy.fish")]
    Completions(CompletionsArgs),
    /// Run a program with the leases of instances in its environment
    ///
    /// Asks the running coordinator or worker, then becomes the program: signals, exit code and process ID are
    /// the program's own. S3 credentials go into the variables that AWS libraries read; for any service, --env and
    /// --file-env pass the payload unchanged. The credentials do not change while the program runs, and it leaves
    /// no core dump.
    #[command(after_help = "Examples:
  deputy exec s3-prod -- aws s3 ls
  deputy exec hdfs --file-env HADOOP_TOKEN_FILE_LOCATION -- hdfs dfs -ls /
  deputy exec s3-prod api --env API_TOKEN=api --config worker.toml -- ./job")]
    Exec(ExecArgs),
    /// Explain deputy's exit codes
    #[command(after_help = exit_codes_help())]
    ExitCodes(ExitCodesArgs),
    /// Print the payload of an instance's lease, or write it to a file
    ///
    /// Asks the running coordinator, or the worker if its configuration or socket is given. For an on-demand instance, asking
    /// makes the coordinator obtain a lease, which it keeps for a while.
    #[command(after_help = "Examples:
  deputy get s3-prod --out credentials.json
  deputy get s3-prod --config worker.toml
  deputy get s3-prod --wait 30s --reveal | jq -r .AccessKeyId
  deputy get s3-prod --json")]
    Get(GetArgs),
    /// Show what a component is, what it can do and what it can never do
    ///
    /// A component can only do what it imports, so its import list says what it can never do, whatever it is granted
    /// and regardless of its author.
    #[command(after_help = "Examples:
  deputy inspect s3-sts.wasm
  deputy inspect s3-sts.wasm --json | jq -r .sha256")]
    Inspect(InspectArgs),
    /// Obtain credentials once
    ///
    /// Calls the provider of one instance once. The audit trail goes to stderr; the payload is not shown unless
    /// --reveal prints it or --out writes it.
    #[command(after_help = "Examples:
  deputy obtain s3-prod
  deputy obtain s3-prod --out credentials.json
  deputy obtain s3-prod --reveal | jq -r .AccessKeyId
  deputy obtain s3-prod --json --audit audit.jsonl")]
    Obtain(ObtainArgs),
    /// Reload the coordinator's configuration
    ///
    /// A configuration with an error changes nothing. A valid one restarts the instances that it changes, a changed
    /// component included, and leaves all others alone. SIGHUP does the same.
    #[command(after_help = "Examples:
  deputy reload
  deputy reload --json | jq -r .changed[]")]
    Reload(ReloadArgs),
    /// Make the coordinator obtain a new lease now
    ///
    /// The current lease stays valid until then.
    #[command(after_help = "Examples:
  deputy renew s3-prod
  deputy renew s3-prod --json")]
    Renew(InstanceArgs),
    /// Make the coordinator revoke the lease of an instance
    ///
    /// The lease is withdrawn at once, and a new one is obtained. Only a component that exports
    /// `revocation` supports this: `deputy inspect` shows it.
    #[command(after_help = "Examples:
  deputy revoke oauth-lab
  deputy revoke oauth-lab --json")]
    Revoke(InstanceArgs),
    /// Run the coordinator: keep a valid lease for every instance
    ///
    /// Obtains and renews leases, saves them sealed in the state directory, and restores them after a restart.
    /// SIGTERM stops it, SIGHUP reloads the configuration. `deputy status` shows all leases and failures.
    #[command(after_help = "Examples:
  deputy run
  deputy run --config /etc/deputy/deputy.toml
  deputy run --audit - --log warn")]
    Run(RunArgs),
    /// Show the coordinator's instances, leases and failures
    #[command(after_help = "Examples:
  deputy status
  deputy status s3-prod
  deputy status --watch
  deputy status --json | jq .ready")]
    Status(StatusArgs),
    /// Back up what can't be obtained anew, put it back, or change the key
    #[command(after_help = "Examples:
  deputy state backup /backup/deputy.sealed
  deputy state restore /backup/deputy.sealed
  deputy state rekey")]
    State(State),
    /// Create, list and revoke the join tokens of new workers
    #[command(after_help = "Examples:
  deputy token create --group analytics
  deputy token create --group analytics --uses 20 --ttl 1h --out join
  deputy token list
  deputy token revoke 9f31c07a52d84e66")]
    Token(TokenArgs),
    /// List workers with what they applied, remove or ban them
    #[command(after_help = "Examples:
  deputy workers
  deputy workers --group etl --worker-state connected
  deputy workers --json | jq '.workers[] | select(.connected | not)'
  deputy workers remove 9f31c07a52d84e66
  deputy workers ban 9f31c07a52d84e66")]
    Workers(WorkersArgs),
    /// Run a worker: receive leases and publish them as files
    ///
    /// Joins the coordinator once, with a join string, and keeps its identity from then on. Runs the receivers of its group and
    /// its own; the files of each receiver appear as one unit in the output folder. Published files stay when the coordinator is
    /// unreachable and when the worker stops.
    #[command(after_help = "Examples:
  deputy worker --join join.txt --output /run/deputy
  deputy worker --config /etc/deputy/worker.toml
  deputy worker status")]
    Worker(WorkerArgs),
}

/// What a worker is asked.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct WorkerArgs {
    #[command(subcommand)]
    pub(crate) command: Option<WorkerCommand>,
    /// The join string, or a file with it; - is stdin. Only needed once: other users of the machine can see arguments
    #[arg(long, value_name = "STRING|FILE")]
    pub(crate) join: Option<OsString>,
    /// The folder in which receivers' files appear [default: see `output` in the configuration]
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) output: Option<PathBuf>,
    /// Append what receivers do as JSON lines to a file; - is stdout [default: see `audit` in the configuration]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) audit: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    /// Show the worker's leases and what its receivers applied
    #[command(after_help = "Examples:
  deputy worker status
  deputy worker status --config /etc/deputy/worker.toml
  deputy worker status --json | jq .ready")]
    Status(WorkerStatusArgs),
}

#[derive(Debug, Args)]
pub(crate) struct WorkerStatusArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The worker's socket [default: see [endpoints.socket] in its configuration]
    #[arg(long, value_name = "SOCKET", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Debug, Args)]
pub(crate) struct State {
    #[command(subcommand)]
    pub(crate) command: StateCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// Write the certificate authority and the records of workers to a sealed file
    ///
    /// Also while a coordinator runs. The file opens with the state's key, which is not in it.
    #[command(after_help = "Examples:
  deputy state backup /backup/deputy.sealed")]
    Backup(StateBackup),
    /// Put back from a backup what the state lacks or can't read
    #[command(after_help = "Examples:
  deputy state restore /backup/deputy.sealed
  deputy state restore --replace /backup/deputy.sealed")]
    Restore(StateRestore),
    /// Seal the state with another key
    #[command(after_help = "Examples:
  deputy state rekey
  deputy state rekey --new-key /etc/deputy/new.key")]
    Rekey(StateRekey),
}

#[derive(Debug, Args)]
pub(crate) struct StateBackup {
    /// Where to write it
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StateRestore {
    /// The backup
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Replace what the state has, too
    #[arg(long)]
    pub(crate) replace: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StateRekey {
    /// The file of the new key [default: a new one in the state directory, if the key is there now]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) new_key: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a join token and print its join string
    ///
    /// Anyone with the join string can enrol a worker in the group until the token is used up, expires or is revoked. It is
    /// printed once; the coordinator keeps a hash of it.
    #[command(after_help = "Examples:
  deputy token create --group analytics
  deputy token create --group analytics --uses 20 --ttl 1h --out join
  deputy token create --group analytics --json | jq -r .join")]
    Create(CreateTokenArgs),
    /// List the usable join tokens
    #[command(after_help = "Examples:
  deputy token list
  deputy token list --json | jq -r .tokens[].id")]
    List(CoordinatorArgs),
    /// Revoke a join token; workers that enrolled with it stay
    #[command(after_help = "Examples:
  deputy token revoke 9f31c07a52d84e66
  deputy token revoke 9f31c07a52d84e66 --json")]
    Revoke(TokenIdArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateTokenArgs {
    /// The group of the new workers: `deliver-to` of an instance names the groups that get it
    #[arg(long)]
    pub(crate) group: GroupName,
    /// How many workers may enrol with it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: u32,
    /// How long it is valid, at most 30d
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub(crate) ttl: Span,
    /// Write the string to a file that only its owner can read (mode 0600), and not to stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// Print one JSON object; the string is in it unless it goes to a file
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) socket: ControlSocketArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CoordinatorArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) socket: ControlSocketArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TokenIdArgs {
    /// The token's id, as `deputy token list` prints it
    pub(crate) token: TokenId,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) socket: ControlSocketArgs,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct WorkersArgs {
    #[command(subcommand)]
    pub(crate) command: Option<WorkersCommand>,
    #[command(flatten)]
    pub(crate) list: ListWorkers,
}

#[derive(Debug, Args)]
pub(crate) struct ListWorkers {
    /// Only those of this group
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<GroupName>,
    /// Only those in this state: away, banned, connected, locked or removed
    // `--state` is the state directory.
    #[arg(id = "worker-state", long = "worker-state", value_name = "STATE")]
    pub(crate) state: Option<WorkerState>,
    /// Only those that have to do with this instance, and only what they have applied of it
    #[arg(long, value_name = "INSTANCE")]
    pub(crate) instance: Option<InstanceName>,
    #[command(flatten)]
    pub(crate) of: CoordinatorArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkersCommand {
    /// Disconnect a worker at once and refuse its key from then on
    #[command(after_help = "Examples:
  deputy workers ban 9f31c07a52d84e66
  deputy workers ban 9f31c07a52d84e66 --json")]
    Ban(WorkerIdArgs),
    /// Disconnect a worker at once; it may enrol again with a new token
    #[command(after_help = "Examples:
  deputy workers remove 9f31c07a52d84e66
  deputy workers remove 9f31c07a52d84e66 --json")]
    Remove(WorkerIdArgs),
}

#[derive(Debug, Args)]
pub(crate) struct WorkerIdArgs {
    /// The worker's id, as `deputy workers` prints it
    pub(crate) worker: WorkerId,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) socket: ControlSocketArgs,
}

/// Where somebody is who gives out leases.
#[derive(Debug, Args)]
pub(crate) struct LeaseSocketArgs {
    /// The socket of a coordinator or a worker [default: see the configuration of either]
    #[arg(long, value_name = "SOCKET", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The names of instances
    #[arg(required = true, value_name = "INSTANCE")]
    pub(crate) instances: Vec<String>,
    /// Put an instance's payload into a variable; NAME=INSTANCE if several instances are named
    #[arg(long, value_name = "NAME[=INSTANCE]")]
    pub(crate) env: Vec<VariableTarget>,
    /// Put the payload into an in-memory file, and the file's path into a variable
    #[arg(long, value_name = "NAME[=INSTANCE]")]
    pub(crate) file_env: Vec<VariableTarget>,
    /// How long to wait for a lease, at most 60s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = wait)]
    pub(crate) wait: Span,
    #[command(flatten)]
    pub(crate) socket: LeaseSocketArgs,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

/// Where the coordinator is.
#[derive(Debug, Args)]
pub(crate) struct ControlSocketArgs {
    /// The coordinator's socket [default: see `control` in the configuration]
    #[arg(long, value_name = "SOCKET", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InstanceArgs {
    /// The name of an instance
    pub(crate) instance: String,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) socket: ControlSocketArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The name of an instance
    pub(crate) instance: String,
    /// Print the payload, and nothing else, on stdout
    #[arg(long, conflicts_with = "json")]
    pub(crate) reveal: bool,
    /// Write the payload to a file that only its owner can read (mode 0600)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// How long to wait for a lease, at most 60s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = wait)]
    pub(crate) wait: Span,
    /// Print one JSON object, without the payload
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) socket: LeaseSocketArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    /// Use it even if it lacks more than a third of the instances, receivers or deliveries that are in use
    #[arg(long)]
    pub(crate) remove: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) socket: ControlSocketArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Start even if the configuration lacks more than a third of what the last one had
    #[arg(long)]
    pub(crate) remove: bool,
    /// Append what components do as JSON lines to a file; - is stdout [default: see `audit` in the configuration]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) audit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Show one instance in detail
    pub(crate) instance: Option<String>,
    /// Refresh every second until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print one JSON object, or one per line with --watch
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) socket: ControlSocketArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompileComponentArgs {
    /// Bytes of address space
    pub(crate) memory: u64,
    /// Seconds of CPU time
    pub(crate) seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ExitCodesArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The component
    #[arg(value_name = "FILE.wasm", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ObtainArgs {
    /// The name of an instance in the configuration
    pub(crate) instance: String,
    /// Print the payload, and nothing else, on stdout
    #[arg(long, conflicts_with = "json")]
    pub(crate) reveal: bool,
    /// Write the payload to a file that only its owner can read (mode 0600)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// Print one JSON object, without the payload
    #[arg(long)]
    pub(crate) json: bool,
    /// Append the audit trail as JSON lines to a file, too; - is stdout [default: see `audit` in the configuration]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) audit: Option<PathBuf>,
}

/// The coordinator waits no longer, so nobody should believe it does.
fn wait(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error: deputy_core::UnitError| error.to_string())?;
    if span > Span::secs(60) { Err("at most 60s".to_owned()) } else { Ok(span) }
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
    /// Whether it runs until a signal ends it.
    pub(crate) fn runs_for_weeks(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Worker(WorkerArgs { command: None, .. }))
    }

    /// Whether stdout is to hold one JSON object, whatever happens.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Check(CheckArgs { json }) | Self::ExitCodes(ExitCodesArgs { json }) => *json,
            Self::Inspect(inspect) => inspect.json,
            Self::Obtain(obtain) => obtain.json,
            Self::Get(get) => get.json,
            Self::Reload(reload) => reload.json,
            Self::Renew(of) | Self::Revoke(of) => of.json,
            Self::Status(status) => status.json,
            Self::State(State { command }) => match command {
                StateCommand::Backup(of) => of.json,
                StateCommand::Restore(of) => of.json,
                StateCommand::Rekey(of) => of.json,
            },
            Self::Token(TokenArgs { command }) => match command {
                TokenCommand::Create(create) => create.json,
                TokenCommand::List(list) => list.json,
                TokenCommand::Revoke(of) => of.json,
            },
            Self::Workers(WorkersArgs {
                command: Some(WorkersCommand::Ban(of) | WorkersCommand::Remove(of)), ..
            }) => of.json,
            Self::Workers(WorkersArgs { command: None, list }) => list.of.json,
            Self::Worker(WorkerArgs { command: Some(WorkerCommand::Status(status)), .. }) => status.json,
            Self::Worker(WorkerArgs { command: None, .. }) => false,
            Self::CompileComponent(_) | Self::Completions(_) | Self::Exec(_) | Self::Run(_) => false,
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
