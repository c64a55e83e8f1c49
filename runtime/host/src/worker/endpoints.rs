//! The servers of a worker for programs on the same machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_config::WorkerConfig;
use deputy_core::S3Places;
use deputy_core::time::Clock;
use deputy_http_server::{HttpListener, listen, serve};
use deputy_link::DeliveredState;
use deputy_local::SocketFile;
use deputy_worker::WorkerHandle;
use deputy_worker::endpoint::{AwsContainerEndpoint, LeaseAccess, LocalEndpoint, TokenFile};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::SOCKET;
use crate::error::ProcessError;
use crate::local_socket;
use crate::platform::Platform;

/// Listeners that do not answer yet.
pub(crate) struct EndpointServers {
    held: watch::Receiver<Arc<DeliveredState>>,
    clock: Arc<dyn Clock>,
    socket_path: PathBuf,
    /// Removes the socket's file when it is dropped.
    socket: (HttpListener, SocketFile),
    leases: LeaseAccess,
    places: watch::Receiver<Arc<S3Places>>,
    aws: Vec<(HttpListener, AwsContainerEndpoint)>,
}

impl EndpointServers {
    /// The socket for the status is always there; it gives leases out if the configuration has it.
    pub(crate) async fn open(
        config: &WorkerConfig,
        state_dir: &Path,
        held: &watch::Receiver<Arc<DeliveredState>>,
        clock: &Arc<dyn Clock>,
        places: watch::Receiver<Arc<S3Places>>,
        platform: &Platform,
    ) -> Result<Self, ProcessError> {
        let configured = config.endpoints.socket.as_ref();
        let path = configured.and_then(|socket| socket.path.clone());
        let socket_path = path.unwrap_or_else(|| state_dir.join(SOCKET));
        let mode = configured.map(|socket| socket.mode).unwrap_or_default().bits();
        let socket = local_socket::listen(&socket_path, mode, "`path` in [endpoints.socket]")?;
        let mut aws = Vec::new();
        for section in &config.endpoints.aws {
            let token = TokenFile::open(&section.token_file, &*platform.random, &platform.sources, Arc::clone(clock))
                .await
                .map_err(ProcessError::EndpointToken)?;
            let listener = listen(section.listen)
                .await
                .map_err(|source| ProcessError::AwsEndpoint { address: section.listen, source })?;
            let url = format!("http://{}{}", section.listen, AwsContainerEndpoint::path(&section.instance));
            tracing::info!(instance = %section.instance, url, "AWS endpoint listening");
            let endpoint = AwsContainerEndpoint::new(section.instance.clone(), token, held.clone(), Arc::clone(clock));
            aws.push((listener, endpoint));
        }
        let leases = if configured.is_some() { LeaseAccess::Given } else { LeaseAccess::Withheld };
        Ok(Self { held: held.clone(), clock: Arc::clone(clock), socket_path, socket, leases, places, aws })
    }

    pub(crate) fn socket_path(&self) -> &Path {
        &self.socket_path
    }

    /// Answers in tasks. The socket's file is removed when what is returned is dropped.
    pub(crate) fn serve(self, tasks: &mut JoinSet<()>, handle: &WorkerHandle) -> SocketFile {
        let (listener, file) = self.socket;
        let local = LocalEndpoint::new(self.held, self.clock, Arc::new(handle.clone()), self.leases);
        tasks.spawn(serve(listener, Arc::new(local.with_places(self.places))));
        for (listener, endpoint) in self.aws {
            tasks.spawn(serve(listener, Arc::new(endpoint)));
        }
        file
    }
}
