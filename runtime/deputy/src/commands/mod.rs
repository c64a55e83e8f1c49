//! One file for each command: its arguments, and what it does with them.

pub(crate) mod check;
pub(crate) mod compile_component;
pub(crate) mod completions;
pub(crate) mod components;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod exit_codes;
pub(crate) mod get;
pub(crate) mod grant;
pub(crate) mod hadoop_conf;
pub(crate) mod init;
pub(crate) mod inspect;
mod instance_action;
pub(crate) mod kerberos_login;
mod lease_format;
pub(crate) mod man_pages;
pub(crate) mod obtain;
pub(crate) mod reload;
pub(crate) mod renew;
pub(crate) mod revoke;
pub(crate) mod run;
pub(crate) mod schema;
mod socket_args;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod worker;
pub(crate) mod workers;

use crate::cli::Command;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, CommandError> {
    match command {
        Command::Check(arguments) => check::run(context, arguments).await,
        // `main` runs both without a runtime.
        Command::CompileComponent(_) | Command::KerberosLogin(_) => Ok(Exit::Internal),
        Command::Components(arguments) => components::run(context, arguments).await,
        Command::Completions(arguments) => completions::run(context, arguments),
        Command::Doctor(arguments) => doctor::run(context, arguments).await,
        Command::Exec(arguments) => exec::run(context, arguments).await,
        Command::ExitCodes(arguments) => exit_codes::run(context, arguments),
        Command::Get(arguments) => get::run(context, arguments).await,
        Command::Grant(arguments) => grant::run(context, arguments),
        Command::HadoopConf(arguments) => hadoop_conf::run(context, arguments),
        Command::Init(arguments) => init::run(context, arguments),
        Command::Inspect(arguments) => inspect::run(context, arguments).await,
        Command::ManPages(_) => man_pages::run(context),
        Command::Obtain(arguments) => obtain::run(context, arguments).await,
        Command::Reload(arguments) => reload::run(context, arguments).await,
        Command::Renew(arguments) => renew::run(context, arguments).await,
        Command::Revoke(arguments) => revoke::run(context, arguments).await,
        Command::Run(arguments) => run::run(context, arguments).await,
        Command::Schema(arguments) => schema::run(context, arguments),
        Command::State(arguments) => state::run(context, arguments).await,
        Command::Status(arguments) => status::run(context, arguments).await,
        Command::Token(arguments) => token::run(context, arguments).await,
        Command::Workers(arguments) => workers::run(context, arguments).await,
        Command::Worker(arguments) => worker::run(context, arguments).await,
    }
}
