//! `deputy renew`

use clap::Args;

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
    target.socket.client(context)?.renew(&target.instance).await?;
    let text = format!("obtaining a new lease; `{}` shows when it is there", context.command("status"));
    instance_action::print(context, target, "renew", &text)
}
