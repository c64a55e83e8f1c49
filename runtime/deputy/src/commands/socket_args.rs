//! How commands find the process that they ask.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use deputy_coordinator::ControlClient;
use deputy_core::{Span, UnitError};
use deputy_local::SocketClient;

use crate::context::Context;
use crate::error::CommandError;

/// The coordinator's socket.
#[derive(Debug, Args)]
pub(crate) struct ControlSocketArgs {
    /// The coordinator's socket [default: see `control` in the configuration]
    #[arg(long, value_name = "SOCKET", value_hint = ValueHint::FilePath)]
    socket: Option<PathBuf>,
}

/// The socket of a process that serves leases.
#[derive(Debug, Args)]
pub(crate) struct LeaseSocketArgs {
    /// The socket of a coordinator or a worker [default: see the configuration of either]
    #[arg(long, value_name = "SOCKET", value_hint = ValueHint::FilePath)]
    socket: Option<PathBuf>,
}

impl ControlSocketArgs {
    pub(crate) fn client(&self, context: &Context) -> Result<ControlClient, CommandError> {
        let (path, peer) = context.control_socket(self.socket.as_deref())?;
        Ok(ControlClient::new(&path, peer))
    }
}

impl LeaseSocketArgs {
    pub(crate) fn client(&self, context: &Context) -> Result<SocketClient, CommandError> {
        let (path, peer) = context.lease_socket(self.socket.as_deref())?;
        Ok(SocketClient::new(&path, peer))
    }
}

/// A time to wait for a lease. The server waits no longer than a minute.
pub(crate) fn parse_wait(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error: UnitError| error.to_string())?;
    if span > Span::secs(60) { Err("at most 60s".to_owned()) } else { Ok(span) }
}
