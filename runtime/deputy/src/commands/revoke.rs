//! `deputy revoke`

use clap::Args;
use deputy_coordinator::Performer;

use super::instance_action::{self, InstanceArgs};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// Make the coordinator revoke the lease of an instance
///
/// The lease is withdrawn at once, and a new one is obtained. Only a component that exports `revocation` supports this:
/// `deputy inspect` shows it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy revoke oauth-lab
  deputy revoke oauth-lab --json")]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    target: InstanceArgs,
}

pub(crate) async fn run(context: &Context, RevokeArgs { target }: &RevokeArgs) -> Result<Exit, CommandError> {
    let by = target.socket.client(context)?.revoke(&target.instance).await?;
    let status = context.command("status");
    let text = match by {
        Performer::Own => format!("revoking its leases; `{status}` shows when that is done"),
        Performer::Leader => format!("the leader was asked to revoke its leases; `{status}` shows when that is done"),
    };
    instance_action::print(context, target, "revoke", by, &text)
}
