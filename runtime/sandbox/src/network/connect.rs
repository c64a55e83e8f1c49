//! From a [`Pinned`] to a connection: to its addresses, and never to any other.

use std::io;

use deputy_core::grant::Pinned;
use tokio::net::TcpStream;

use super::{Deadline, DeadlineExceeded};
use crate::stand_in::World;

/// Why a connection failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    TimedOut(#[from] DeadlineExceeded),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Connects to the first address that answers, in the resolver's order. Each gets an equal share of the time that is
/// left, so that one dead address does not use up all of it.
pub(crate) async fn connect(pinned: Pinned, deadline: Deadline, world: &World) -> Result<TcpStream, ConnectError> {
    let addresses = pinned.addresses();
    let mut last = ConnectError::Io(io::ErrorKind::AddrNotAvailable.into());
    for (tried, &address) in addresses.iter().enumerate() {
        let Some(address) = world.route(address) else {
            last = ConnectError::Io(io::ErrorKind::ConnectionRefused.into());
            continue;
        };
        let share = deadline.share(addresses.len().saturating_sub(tried));
        #[expect(clippy::disallowed_methods, reason = "the one place that connects, to an address that is pinned")]
        match share.run(TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error.into(),
            Err(exceeded) => last = exceeded.into(),
        }
    }
    Err(last)
}
