//! A network between processes of this machine that can be parted: a TCP proxy that closes nothing meanwhile, answers no
//! attempt to connect, and passes on what it was given when it is healed, as TCP does.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use crate::Error;

/// What a caller is known by, if it is known.
type Recognise = dyn Fn(SocketAddr) -> Option<usize> + Send + Sync;

/// One proxy, before one server.
pub struct DroppingProxy {
    address: SocketAddr,
    network: Arc<Network>,
}

#[derive(Default)]
struct Network {
    parted: Mutex<Parted>,
    healed: Condvar,
}

#[derive(Default)]
struct Parted {
    all: bool,
    callers: BTreeSet<usize>,
    /// The proxy has gone.
    is_over: bool,
}

/// One side of a connection, and who made it.
#[derive(Clone)]
struct Connection {
    network: Arc<Network>,
    caller: Option<usize>,
}

impl DroppingProxy {
    /// Listens on a free port, and connects each caller to the server.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start(server: SocketAddr) -> Result<Self, Error> {
        Self::recognising(server, |_| None)
    }

    /// The same with callers that can be parted one by one. `caller` knows them by their addresses.
    pub(crate) fn recognising(
        server: SocketAddr,
        caller: impl Fn(SocketAddr) -> Option<usize> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let failed = |error| Error::new(format!("no proxy before {server}: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (network, caller): (_, Arc<Recognise>) = (Arc::new(Network::default()), Arc::new(caller));
        let of_proxy = Arc::clone(&network);
        // Ends with the proxy.
        thread::spawn(move || accept(&listener, server, &of_proxy, &caller));
        Ok(Self { address, network })
    }

    /// Where callers connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing through any more, in either direction.
    pub fn part(&self) {
        self.network.change(|parted| parted.all = true);
    }

    /// Lets nothing of this caller through.
    pub(crate) fn part_from(&self, caller: usize) {
        self.network.change(|parted| {
            parted.callers.insert(caller);
        });
    }

    /// Lets everything through again.
    pub fn heal(&self) {
        self.network.change(|parted| *parted = Parted::default());
    }
}

impl Drop for DroppingProxy {
    fn drop(&mut self) {
        self.network.change(|parted| *parted = Parted { is_over: true, ..Parted::default() });
        // It waits for callers.
        drop(TcpStream::connect(self.address));
    }
}

impl Network {
    fn change(&self, change: impl FnOnce(&mut Parted)) {
        change(&mut self.parted.lock().unwrap_or_else(PoisonError::into_inner));
        self.healed.notify_all();
    }
}

impl Connection {
    /// Waits while the network is parted, and says whether the proxy is still there.
    fn is_let_through(&self) -> bool {
        let parted = self.network.parted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_parted =
            |parted: &mut Parted| parted.all || self.caller.is_some_and(|caller| parted.callers.contains(&caller));
        let parted = self.network.healed.wait_while(parted, is_parted).unwrap_or_else(PoisonError::into_inner);
        !parted.is_over
    }

    /// Connects the caller to the server, and carries what they say until one of them has gone.
    fn serve(&self, caller: TcpStream, server: SocketAddr) -> std::io::Result<()> {
        if !self.is_let_through() {
            return Ok(());
        }
        let server = TcpStream::connect(server)?;
        caller.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (to_caller, from_server) = (caller.try_clone()?, server.try_clone()?);
        let back = self.clone();
        thread::spawn(move || back.carry(from_server, to_caller));
        self.carry(caller, server);
        Ok(())
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = from.read(&mut buffer);
            if !self.is_let_through() {
                break;
            }
            match read {
                Ok(0) => {
                    // The other direction may go on.
                    drop(to.shutdown(Shutdown::Write));
                    return;
                }
                Ok(length) => {
                    if to.write_all(buffer.get(..length).unwrap_or_default()).is_err() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        for stream in [from, to] {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn accept(listener: &TcpListener, server: SocketAddr, network: &Arc<Network>, recognise: &Arc<Recognise>) {
    for stream in listener.incoming() {
        if network.parted.lock().unwrap_or_else(PoisonError::into_inner).is_over {
            return;
        }
        let Ok(stream) = stream else { continue };
        let (network, recognise) = (Arc::clone(network), Arc::clone(recognise));
        // Ends with the connection. A server that is not there closes it.
        thread::spawn(move || {
            let caller = stream.peer_addr().ok().and_then(|address| recognise(address));
            drop(Connection { network, caller }.serve(stream, server));
        });
    }
}
