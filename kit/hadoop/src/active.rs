//! A set of servers whose one active member answers: the NameNodes of an HA nameservice, the routers of a federation, the
//! ResourceManagers of a cluster.
//!
//! The others refuse with `StandbyException`, or do not answer at all. Which one is active can change between any two calls.

use std::fmt::Display;
use wasip2::clocks::monotonic_clock::subscribe_duration;

/// The most connections of one [`ActiveServer`]. With the look-up of its name each takes two of the sixteen requests that
/// the host allows a component by default.
const MAX_CONNECTIONS: usize = 7;

/// How long a fail-over is waited for, in nanoseconds.
const FAILOVER: u64 = 2_000_000_000;

/// Why a call fails, as far as it matters here.
pub trait ServerError: Display + Sized {
    /// Whether another server of the set may answer: this one is dead, or a standby, or not ready.
    fn may_be_answered_elsewhere(&self) -> bool;

    /// Whether the configuration has to change first.
    fn is_misconfigured(&self) -> bool;

    /// Whether its text names the server.
    fn names_server(&self) -> bool;

    /// The error of a set with no active server. `text` is what each of them says.
    fn no_active(text: String, is_misconfigured: bool) -> Self;
}

/// How connections come about. Tests have another one than components.
pub trait Dial {
    /// Where a server is.
    type Server: Display;
    /// A connection that is logged in.
    type Client;
    /// Why one fails.
    type Error: ServerError;

    /// How many connections a [`dial`](Self::dial) makes.
    const CONNECTIONS: usize = 1;

    /// Connects and logs in.
    ///
    /// # Errors
    /// If the server does not answer or the login fails.
    fn dial(&mut self, server: &Self::Server) -> Result<Self::Client, Self::Error>;

    /// Waits for a fail-over to end, a second or two.
    fn pause(&mut self);
}

/// Waits for a fail-over to end, as [`Dial::pause`] does in a component.
pub fn wait_for_failover() {
    subscribe_duration(FAILOVER).block();
}

/// Calls to whichever server is active, over one connection as long as it stays so.
pub struct ActiveServer<'a, D: Dial> {
    dial: D,
    servers: &'a [D::Server],
    current: usize,
    client: Option<D::Client>,
    connections: usize,
}

impl<'a, D: Dial> ActiveServer<'a, D> {
    /// None is connected yet. The first call tries the first one first.
    pub fn new(dial: D, servers: &'a [D::Server]) -> Self {
        Self { dial, servers, current: 0, client: None, connections: 0 }
    }

    /// The server that answered last.
    #[must_use]
    pub fn current(&self) -> Option<&'a D::Server> {
        self.servers.get(self.current)
    }

    /// The connection to it.
    pub fn client(&self) -> Option<&D::Client> {
        self.client.as_ref()
    }

    /// Calls the active server. If the current one is no longer it, the others are asked, and after a pause all of them
    /// once more. A call whose answer was lost may be made twice.
    ///
    /// # Errors
    /// If the active server refuses, or none is found.
    pub fn call<T>(&mut self, mut call: impl FnMut(&mut D::Client) -> Result<T, D::Error>) -> Result<T, D::Error> {
        let mut failures = Vec::new();
        loop {
            match self.attempt(&mut call) {
                Err(error) if error.may_be_answered_elsewhere() => failures.push(error),
                other => return other,
            }
            self.client = None;
            let count = self.servers.len().max(1);
            if failures.len() >= 2 * count
                || count == 1
                || self.connections + D::CONNECTIONS > MAX_CONNECTIONS.max(count * D::CONNECTIONS)
            {
                return Err(self.none_is_active(failures));
            }
            self.current = (self.current + 1) % count;
            if failures.len() == count {
                self.dial.pause();
            }
        }
    }

    fn attempt<T>(&mut self, call: &mut impl FnMut(&mut D::Client) -> Result<T, D::Error>) -> Result<T, D::Error> {
        let client = match &mut self.client {
            Some(client) => client,
            None => {
                let server = self
                    .servers
                    .get(self.current)
                    .ok_or_else(|| D::Error::no_active("none is configured".to_owned(), true))?;
                self.connections += D::CONNECTIONS;
                self.client.insert(self.dial.dial(server)?)
            }
        };
        call(client)
    }

    /// The error of the only server, or those of the last round by their servers, in the order of the settings.
    fn none_is_active(&self, mut failures: Vec<D::Error>) -> D::Error {
        let count = self.servers.len().max(1);
        if count == 1
            && let Some(only) = failures.pop()
        {
            return only;
        }
        let last = failures.len().min(count);
        let failures = failures.split_off(failures.len() - last);
        let is_misconfigured = failures.iter().any(ServerError::is_misconfigured);
        // The last failure is that of the current server, and those before it of the servers before it.
        let first = (self.current + count + 1 - last) % count;
        let named = failures.iter().enumerate().map(|(offset, failure)| {
            let server = self.servers.get((first + offset) % count);
            match (server, failure) {
                (Some(server), failure) if !failure.names_server() => format!("{server}: {failure}"),
                (_, failure) => failure.to_string(),
            }
        });
        let text = named.collect::<Vec<_>>().join("; ");
        D::Error::no_active(text, is_misconfigured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::ServerAddress;
    use crate::rpc::{RemoteError, RpcError};
    use deputy_kit::tcp::TcpError;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// A set of servers in memory: the active one, the dead ones, and what was done.
    #[derive(Default)]
    struct Cluster {
        active: usize,
        dead: Vec<usize>,
        dialled: Vec<usize>,
        pauses: usize,
        /// The server that becomes active in a pause.
        next_active: Option<usize>,
    }

    struct FakeDial(Rc<RefCell<Cluster>>);

    struct FakeClient(usize, Rc<RefCell<Cluster>>);

    impl Dial for FakeDial {
        type Server = ServerAddress;
        type Client = FakeClient;
        type Error = RpcError;

        fn dial(&mut self, server: &ServerAddress) -> Result<FakeClient, RpcError> {
            let mut cluster = self.0.borrow_mut();
            let number = usize::from(server.port);
            cluster.dialled.push(number);
            if cluster.dead.contains(&number) {
                return Err(RpcError::Connect(TcpError::Unreachable(format!("{server}: connection refused"))));
            }
            Ok(FakeClient(number, Rc::clone(&self.0)))
        }

        fn pause(&mut self) {
            let mut cluster = self.0.borrow_mut();
            cluster.pauses += 1;
            if let Some(next) = cluster.next_active.take() {
                cluster.active = next;
            }
        }
    }

    fn ask(client: &mut FakeClient) -> Result<usize, RpcError> {
        let FakeClient(number, cluster) = client;
        if cluster.borrow().dead.contains(number) {
            Err(RpcError::Frame(crate::frames::FramingError::Closed))
        } else if cluster.borrow().active == *number {
            Ok(*number)
        } else {
            Err(RemoteError::new("org.apache.hadoop.ipc.StandbyException", "Operation category WRITE").into())
        }
    }

    fn servers(count: u16) -> Vec<ServerAddress> {
        (1..=count).map(|port| ServerAddress { host: "nn".to_owned(), port }).collect()
    }

    fn cluster(active: usize) -> Rc<RefCell<Cluster>> {
        Rc::new(RefCell::new(Cluster { active, ..Cluster::default() }))
    }

    #[test]
    fn active_server_is_found_and_kept() {
        let (cluster, servers) = (cluster(2), servers(2));
        let mut set = ActiveServer::new(FakeDial(Rc::clone(&cluster)), &servers);
        assert_eq!(set.call(ask).unwrap(), 2);
        assert_eq!(set.call(ask).unwrap(), 2);
        assert_eq!(set.current().map(|server| server.port), Some(2));
        assert_eq!(cluster.borrow().dialled, [1, 2]);
    }

    #[test]
    fn active_server_changes_between_two_calls() {
        let (cluster, servers) = (cluster(1), servers(2));
        let mut set = ActiveServer::new(FakeDial(Rc::clone(&cluster)), &servers);
        assert_eq!(set.call(ask).unwrap(), 1);
        cluster.borrow_mut().active = 2;
        assert_eq!(set.call(ask).unwrap(), 2);
        cluster.borrow_mut().active = 1;
        cluster.borrow_mut().dead.push(2);
        assert_eq!(set.call(ask).unwrap(), 1);
        assert_eq!((cluster.borrow().dialled.as_slice(), cluster.borrow().pauses), ([1, 2, 1].as_slice(), 0));
    }

    #[test]
    fn active_server_is_waited_for_while_it_fails_over() {
        let (cluster, servers) = (cluster(0), servers(2));
        cluster.borrow_mut().dead.push(1);
        cluster.borrow_mut().next_active = Some(2);
        let mut set = ActiveServer::new(FakeDial(Rc::clone(&cluster)), &servers);
        assert_eq!(set.call(ask).unwrap(), 2);
        assert_eq!((cluster.borrow().dialled.as_slice(), cluster.borrow().pauses), ([1, 2, 1, 2].as_slice(), 1));
    }

    #[test]
    fn active_server_that_is_nowhere_is_looked_for_twice() {
        let (cluster, servers) = (cluster(0), servers(2));
        cluster.borrow_mut().dead.push(1);
        let mut set = ActiveServer::new(FakeDial(Rc::clone(&cluster)), &servers);
        let error = set.call(ask).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no server is active: nn:1: connection refused; nn:2: StandbyException: Operation category WRITE"
        );
        assert_eq!(cluster.borrow().dialled, [1, 2, 1, 2]);
        // A second call does not begin all over again.
        set.call(ask).unwrap_err();
        assert!(cluster.borrow().dialled.len() <= MAX_CONNECTIONS, "{:?}", cluster.borrow().dialled);
    }

    #[test]
    fn active_server_of_eight_is_looked_for_once() {
        let (cluster, servers) = (cluster(0), servers(8));
        let mut set = ActiveServer::new(FakeDial(Rc::clone(&cluster)), &servers);
        assert!(matches!(set.call(ask), Err(RpcError::NoActive { is_misconfigured: false, .. })));
        assert_eq!(cluster.borrow().dialled, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn active_server_that_refuses_ends_the_search() {
        let (cluster, servers) = (cluster(1), servers(2));
        let mut set = ActiveServer::new(FakeDial(Rc::clone(&cluster)), &servers);
        let refuse = |_: &mut FakeClient| -> Result<(), RpcError> {
            Err(RemoteError::new("org.apache.hadoop.security.AccessControlException", "no").into())
        };
        assert_eq!(set.call(refuse).unwrap_err().to_string(), "AccessControlException: no");
        assert_eq!(cluster.borrow().dialled, [1]);
    }

    #[test]
    fn active_server_alone_is_asked_once() {
        let (cluster, servers) = (cluster(1), servers(1));
        cluster.borrow_mut().dead.push(1);
        let mut set = ActiveServer::new(FakeDial(Rc::clone(&cluster)), &servers);
        assert_eq!(set.call(ask).unwrap_err().to_string(), "nn:1: connection refused");
        assert_eq!(cluster.borrow().dialled, [1]);
    }
}
