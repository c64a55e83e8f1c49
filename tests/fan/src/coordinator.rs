//! The link's server, unchanged. It can be restarted as its process would be: published leases stay, and what it knew of
//! its workers' connections is gone.

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
use crate::link_handler::{GROUP, LIVES, MemoryEnrolment, now};

/// The server, and what outlives it.
pub(crate) struct Coordinator {
    // As `deputy run` has it.
    runtime: Runtime,
    enrolment: Arc<MemoryEnrolment>,
    feeds: Arc<GroupFeeds>,
    sessions: Arc<Sessions>,
    limits: ServerLimits,
    address: SocketAddr,
    running: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl Coordinator {
    pub(crate) fn start(enrolment: MemoryEnrolment, sessions: Sessions, limits: ServerLimits) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let feeds = Arc::new(GroupFeeds::default());
        feeds.set_authorities(enrolment.authority().trusted().iter().map(|der| der.to_vec()).collect());
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let (enrolment, sessions) = (Arc::new(enrolment), Arc::new(sessions));
        // The bare workers send no heartbeats, only reports.
        let limits = ServerLimits { heartbeat: Span::secs(600), ..limits };
        let mut coordinator = Self { runtime, enrolment, feeds, sessions, limits, address, running: None };
        coordinator.serve()?;
        Ok(coordinator)
    }

    /// Restarts it with what a coordinator reads from its disk.
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
        let enrolment = Arc::clone(&self.enrolment);
        let (feeds, sessions) = (Arc::clone(&self.feeds), Arc::clone(&self.sessions));
        let (limits, address) = (self.limits.clone(), self.address);
        let server =
            self.runtime.block_on(async { LinkServer::bind(address, enrolment, feeds, sessions, tls, limits) })?;
        self.address = server.address()?;
        let (stop, stopped) = watch::channel(false);
        self.running = Some((stop, self.runtime.spawn(server.run(stopped))));
        Ok(())
    }

    /// With a new certificate of the saved authority.
    pub(crate) fn tls(&self) -> Result<ServerTls> {
        let kept = self.enrolment.authority().encode()?;
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
        Ok(self.feeds.group(&GROUP.parse::<GroupName>()?))
    }

    pub(crate) fn enrolment(&self) -> &MemoryEnrolment {
        &self.enrolment
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// What a worker joins with.
    pub(crate) fn join_string(&self) -> Result<String> {
        let string = self.enrolment.token(format!("{}:{}", Ipv4Addr::LOCALHOST, self.port()))?;
        Ok(string.reveal().to_string())
    }
}
