//! The link's server as it is, which can be ended and begun again as by a restart of its process: what is given out stays,
//! and all else that it knew of its workers' connections is gone.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use deputy_core::{GroupName, Span};
use deputy_link::server::{LinkServer, ServerLimits, ServerTls, Sessions};
use deputy_link::{Authority, GroupFeed, GroupFeeds};
use deputy_support::SystemClock;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Result;
use crate::desk::{Door, GROUP, LIVES, now};

/// The server, and what outlives it.
pub(crate) struct Coordinator {
    // As `deputy run` has it.
    runtime: Runtime,
    door: Arc<Door>,
    hub: Arc<GroupFeeds>,
    roster: Arc<Sessions>,
    address: SocketAddr,
    running: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl Coordinator {
    pub(crate) fn start(door: Door, roster: Sessions) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let hub = Arc::new(GroupFeeds::default());
        hub.set_authorities(door.authority().trusted().iter().map(|der| der.to_vec()).collect());
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let (door, roster) = (Arc::new(door), Arc::new(roster));
        let mut coordinator = Self { runtime, door, hub, roster, address, running: None };
        coordinator.serve()?;
        Ok(coordinator)
    }

    /// Ends it, and begins it with what a coordinator reads from its disk.
    pub(crate) fn restart(&mut self) -> Result {
        self.stop()?;
        self.serve()
    }

    pub(crate) fn stop(&mut self) -> Result {
        if let Some((stop, running)) = self.running.take() {
            stop.send_replace(true);
            self.runtime.block_on(running)?;
        }
        Ok(())
    }

    fn serve(&mut self) -> Result {
        let tls = Arc::new(self.tls()?);
        let (desk, hub, roster) = (Arc::clone(&self.door), Arc::clone(&self.hub), Arc::clone(&self.roster));
        // The bare workers give no sign of life but their word.
        let limits = ServerLimits { heartbeat: Span::secs(600), ..ServerLimits::default() };
        let address = self.address;
        let server = self.runtime.block_on(async { LinkServer::bind(address, desk, hub, roster, tls, limits) })?;
        self.address = server.address()?;
        let (stop, stopped) = watch::channel(false);
        self.running = Some((stop, self.runtime.spawn(server.run(stopped))));
        Ok(())
    }

    /// With a certificate that was just made, of the authority as it was kept.
    pub(crate) fn tls(&self) -> Result<ServerTls> {
        let kept = self.door.authority().encode()?;
        Ok(ServerTls::new(now(), &Authority::restored(kept.expose(), LIVES)?, Arc::new(SystemClock::default()))?)
    }

    /// A port beside it, where as many connections may wait as at the link's.
    pub(crate) fn listener(&self) -> Result<std::net::TcpListener> {
        self.runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
            Ok(socket.listen(4096)?.into_std()?)
        })
    }

    /// The group that all workers are of.
    pub(crate) fn group(&self) -> Result<Arc<GroupFeed>> {
        Ok(self.hub.group(&GROUP.parse::<GroupName>()?))
    }

    pub(crate) fn roster(&self) -> &Sessions {
        &self.roster
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// What a worker joins with.
    pub(crate) fn join_string(&self) -> Result<String> {
        let string = self.door.token(format!("{}:{}", Ipv4Addr::LOCALHOST, self.port()))?;
        Ok(string.reveal().to_string())
    }
}
