//! Where a coordinator takes commands and is asked for its health.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_config::CoordinatorSection;
use deputy_coordinator::{LeaderWatch, WaitingControl, WaitingHealth};
use deputy_http_server::{HttpListener, listen, serve_on};
use deputy_local::SocketFile;
use deputy_page::PageAddress;
use tokio::task::JoinSet;

use super::SOCKET;
use crate::error::ProcessError;
use crate::health_tls::HealthCertificate;
use crate::local_socket;
use crate::platform::Platform;

pub(super) struct Listeners {
    /// Ends with the process, and removes the socket's file.
    pub(super) control: (HttpListener, SocketFile),
    pub(super) control_path: PathBuf,
    pub(super) health: Option<HealthListener>,
}

pub(super) struct HealthListener {
    pub(super) listener: HttpListener,
    pub(super) address: PageAddress,
    /// Takes renewed certificates over, until it is dropped.
    pub(super) renewals: JoinSet<()>,
}

impl Listeners {
    pub(super) async fn open(
        config: &CoordinatorSection,
        state_dir: &Path,
        platform: &Platform,
    ) -> Result<Self, ProcessError> {
        let control_path = config.control.clone().unwrap_or_else(|| state_dir.join(SOCKET));
        let mode = config.control_mode.bits();
        let control = local_socket::listen(&control_path, mode, "`control` in [coordinator]")?;
        let health = match config.health {
            Some(address) => Some(HealthListener::open(config, address, platform).await?),
            None => None,
        };
        Ok(Self { control, control_path, health })
    }

    /// Says that another coordinator leads. Ends when it is dropped.
    pub(super) async fn answer_waiting(&self, leader: &LeaderWatch) {
        let health = async {
            if let Some(HealthListener { listener, .. }) = &self.health {
                serve_on(listener, Arc::new(WaitingHealth(leader.clone()))).await;
            }
        };
        tokio::join!(serve_on(&self.control.0, Arc::new(WaitingControl(leader.clone()))), health);
    }
}

impl HealthListener {
    async fn open(config: &CoordinatorSection, address: SocketAddr, platform: &Platform) -> Result<Self, ProcessError> {
        let listener = listen(address).await;
        let listener =
            listener.map_err(|source| ProcessError::Health { address, key: "`health` in [coordinator]", source })?;
        let mut renewals = JoinSet::new();
        let Some(section) = &config.health_tls else {
            return Ok(Self { listener, address: PageAddress { listen: address, tls: None }, renewals });
        };
        let certificate = HealthCertificate::open(section, platform).await.map_err(ProcessError::HealthTls)?;
        let listener = listener.with_tls(certificate.server_config().map_err(ProcessError::HealthTls)?);
        renewals.spawn(certificate.keep_fresh());
        let advertised = (section.advertise.host.clone(), section.advertise.port);
        Ok(Self { listener, address: PageAddress { listen: address, tls: Some(advertised) }, renewals })
    }
}
