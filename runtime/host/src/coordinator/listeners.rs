//! Where a coordinator takes commands and is asked for its health.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_config::CoordinatorSection;
use deputy_coordinator::{LeaderWatch, StandbyControl, StandbyHealth};
use deputy_http_server::{HttpListener, listen, serve_on};
use deputy_local::SocketFile;

use super::SOCKET;
use crate::error::ProcessError;
use crate::local_socket;

pub(super) struct Listeners {
    /// Ends with the process, and removes the socket's file.
    pub(super) control: (HttpListener, SocketFile),
    pub(super) control_path: PathBuf,
    pub(super) health: Option<(SocketAddr, HttpListener)>,
}

impl Listeners {
    pub(super) async fn open(config: &CoordinatorSection, state_dir: &Path) -> Result<Self, ProcessError> {
        let control_path = config.control.clone().unwrap_or_else(|| state_dir.join(SOCKET));
        let mode = config.control_mode.bits();
        let control = local_socket::listen(&control_path, mode, "`control` in [coordinator]")?;
        let health = match config.health {
            Some(address) => Some((address, listen_for_health(address).await?)),
            None => None,
        };
        Ok(Self { control, control_path, health })
    }

    /// Says that another coordinator leads. Ends when it is dropped.
    pub(super) async fn stand_by(&self, leader: &LeaderWatch) {
        let health = async {
            if let Some((_, listener)) = &self.health {
                serve_on(listener, Arc::new(StandbyHealth(leader.clone()))).await;
            }
        };
        tokio::join!(serve_on(&self.control.0, Arc::new(StandbyControl(leader.clone()))), health);
    }
}

async fn listen_for_health(address: SocketAddr) -> Result<HttpListener, ProcessError> {
    let listener = listen(address).await;
    listener.map_err(|source| ProcessError::Health { address, key: "`health` in [coordinator]", source })
}
