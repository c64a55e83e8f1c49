//! `deputy renew`

use clap::Args;
use deputy_coordinator::Performer;

use super::instance_action::{self, InstanceArgs};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// Make the coordinator obtain a new lease now
///
/// The current lease stays valid until then.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy renew s3-prod
  deputy renew s3-prod --json")]
pub(crate) struct RenewArgs {
    #[command(flatten)]
    target: InstanceArgs,
}

pub(crate) async fn run(context: &Context, RenewArgs { target }: &RenewArgs) -> Result<Exit, CommandError> {
    let by = target.socket.client(context)?.renew(&target.instance).await?;
    let status = context.command("status");
    let text = match by {
        Performer::Own => format!("obtaining a new lease; `{status}` shows when it is there"),
        Performer::Leader => format!("the leader was asked for a new lease; `{status}` shows when it is here"),
    };
    instance_action::print(context, target, "renew", by, &text)
}
