//! One file for each command: its arguments, and what it does with them.

mod add;
mod call;
mod check;
mod compile_component;
mod completions;
mod components;
mod dev;
mod diff;
mod doctor;
mod exec;
mod exit_codes;
mod get;
mod grant;
mod hadoop_conf;
mod init;
mod inspect;
mod instance_action;
#[cfg(test)]
mod json_schema;
mod kerberos_login;
mod lease_format;
mod man_pages;
mod new;
mod obtain;
mod reload;
mod renew;
mod revoke;
mod run;
mod schema;
mod socket_args;
mod state;
mod status;
mod test;
mod token;
mod ui;
mod watch;
mod worker;
mod workers;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Add(add::AddArgs),
    Call(call::CallArgs),
    Check(check::CheckArgs),
    #[command(hide = true)]
    CompileComponent(compile_component::CompileComponentArgs),
    Components(components::ComponentsArgs),
    Completions(completions::CompletionsArgs),
    Dev(dev::DevArgs),
    Diff(diff::DiffArgs),
    Doctor(doctor::DoctorArgs),
    Exec(exec::ExecArgs),
    ExitCodes(exit_codes::ExitCodesArgs),
    Get(get::GetArgs),
    Grant(grant::GrantArgs),
    HadoopConf(hadoop_conf::HadoopConfArgs),
    #[command(hide = true)]
    KerberosLogin(kerberos_login::KerberosLoginArgs),
    Init(init::InitArgs),
    Inspect(inspect::InspectArgs),
    #[command(hide = true)]
    ManPages(man_pages::ManPagesArgs),
    New(new::NewArgs),
    Obtain(obtain::ObtainArgs),
    Reload(reload::ReloadArgs),
    Renew(renew::RenewArgs),
    Revoke(revoke::RevokeArgs),
    Run(run::RunArgs),
    Schema(schema::SchemaArgs),
    State(state::StateArgs),
    Status(status::StatusArgs),
    Test(test::TestArgs),
    Token(token::TokenArgs),
    Ui(ui::UiArgs),
    Workers(workers::WorkersArgs),
    Worker(worker::WorkerArgs),
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

/// Runs a command. `program` defines the whole command line.
pub(crate) async fn run(
    context: &Context,
    command: &Command,
    program: fn() -> clap::Command,
) -> Result<Exit, CommandError> {
    match command {
        Command::Add(arguments) => add::run(context, arguments).await,
        Command::Call(arguments) => call::run(context, arguments).await,
        Command::Check(arguments) => check::run(context, arguments).await,
        // `main` runs both without a runtime.
        Command::CompileComponent(_) | Command::KerberosLogin(_) => Ok(Exit::Internal),
        Command::Components(arguments) => components::run(context, arguments).await,
        Command::Completions(arguments) => completions::run(context, arguments),
        Command::Dev(arguments) => dev::run(context, arguments).await,
        Command::Diff(arguments) => diff::run(context, arguments).await,
        Command::Doctor(arguments) => doctor::run(context, arguments).await,
        Command::Exec(arguments) => exec::run(context, arguments).await,
        Command::ExitCodes(arguments) => exit_codes::run(context, arguments),
        Command::Get(arguments) => get::run(context, arguments).await,
        Command::Grant(arguments) => grant::run(context, arguments),
        Command::HadoopConf(arguments) => hadoop_conf::run(context, arguments),
        Command::Init(arguments) => init::run(context, arguments),
        Command::Inspect(arguments) => inspect::run(context, arguments).await,
        Command::ManPages(_) => man_pages::run(context, program()),
        Command::New(arguments) => new::run(context, arguments),
        Command::Obtain(arguments) => obtain::run(context, arguments).await,
        Command::Reload(arguments) => reload::run(context, arguments).await,
        Command::Renew(arguments) => renew::run(context, arguments).await,
        Command::Revoke(arguments) => revoke::run(context, arguments).await,
        Command::Run(arguments) => run::run(context, arguments).await,
        Command::Schema(arguments) => schema::run(context, arguments),
        Command::State(arguments) => state::run(context, arguments).await,
        Command::Status(arguments) => status::run(context, arguments).await,
        Command::Test(arguments) => test::run(context, arguments).await,
        Command::Token(arguments) => token::run(context, arguments).await,
        Command::Ui(arguments) => ui::run(context, arguments).await,
        Command::Workers(arguments) => workers::run(context, arguments).await,
        Command::Worker(arguments) => worker::run(context, arguments).await,
    }
}
