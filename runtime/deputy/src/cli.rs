//! The command line as a whole.

use clap::Parser;

use crate::commands::Command;
use crate::global_args::GlobalArgs;

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
  deputy init
  deputy add s3-sts --name s3-prod --set region=eu-west-1
  deputy check --config /etc/deputy/deputy.toml
  deputy run --config /etc/deputy/deputy.toml
  deputy status
  deputy inspect s3-sts.wasm
  deputy obtain s3-prod --out credentials.json",
    after_long_help = "Examples:
  deputy init
  deputy add s3-sts --name s3-prod --set region=eu-west-1
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
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[cfg(test)]
mod tests;
