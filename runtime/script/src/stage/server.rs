//! One listener of a test, and what all of them do in the current call.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deputy_support::LockUnpoisoned as _;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{exchange, tcp};
use crate::file::{CallEntry, HttpExchange, ScriptedRequest, TcpExchange};
use crate::mismatch::Mismatch;

/// What the servers do in one call, and what went wrong.
#[derive(Default)]
pub(crate) struct Play {
    acts: Mutex<Acts>,
}

#[derive(Default)]
struct Acts {
    http: Vec<Act<HttpExchange>>,
    tcp: Vec<Act<TcpExchange>>,
    mismatches: Vec<Mismatch>,
}

/// One exchange of the script.
struct Act<T> {
    endpoint: ScriptedRequest,
    exchange: T,
    is_taken: bool,
}

/// A listener on loopback.
pub(super) struct Server {
    address: SocketAddr,
    /// How many of its connections are open.
    open: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

/// Connections of one server at once.
const MAX_CONNECTIONS: usize = 64;
/// Mismatches that are kept of one call.
const MAX_MISMATCHES: usize = 100;
/// Between two tries to accept where the first one failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection may last: longer than the longest call.
const MAX_CONNECTION: Duration = Duration::from_hours(1);

impl Play {
    /// Takes the exchanges of a call in the place of those before.
    pub(crate) fn begin(&self, call: &CallEntry) {
        let http = call.http.iter().map(|exchange| Act {
            endpoint: exchange.request.url.0.endpoint.clone(),
            exchange: exchange.clone(),
            is_taken: false,
        });
        let tcp = call.tcp.iter().filter_map(|exchange| {
            Some(Act { endpoint: exchange.endpoint().ok()?, exchange: exchange.clone(), is_taken: false })
        });
        *self.acts.lock_unpoisoned() = Acts { http: http.collect(), tcp: tcp.collect(), mismatches: Vec::new() };
    }

    /// What went wrong, with the exchanges that did not take place.
    pub(super) fn finish(&self) -> Vec<Mismatch> {
        let mut acts = self.acts.lock_unpoisoned();
        let Acts { http, tcp, mismatches } = std::mem::take(&mut *acts);
        let mut all = mismatches;
        for (at, act) in http.iter().enumerate().filter(|(_, act)| !act.is_taken) {
            let request = &act.exchange.request;
            let expected = format!("{} {}{}", request.method, act.endpoint, request.url.0.rest);
            all.push(Mismatch::new(format!("request {}", at.saturating_add(1)), expected, "no request"));
        }
        for (at, act) in tcp.iter().enumerate().filter(|(_, act)| !act.is_taken) {
            all.push(Mismatch::new(format!("connection {}", at.saturating_add(1)), &act.exchange.to, "no connection"));
        }
        all
    }

    /// Whether connections to this endpoint speak HTTP.
    pub(super) fn is_http(&self, endpoint: &ScriptedRequest) -> bool {
        !self.acts.lock_unpoisoned().tcp.iter().any(|act| act.endpoint == *endpoint)
    }

    /// The next exchange with this endpoint, and its place.
    pub(super) fn next_http(&self, endpoint: &ScriptedRequest) -> Option<(String, HttpExchange)> {
        let mut acts = self.acts.lock_unpoisoned();
        let (at, act) = next(&mut acts.http, endpoint)?;
        Some((format!("request {at}"), act))
    }

    /// The same over TCP.
    pub(super) fn next_tcp(&self, endpoint: &ScriptedRequest) -> Option<(String, TcpExchange)> {
        let mut acts = self.acts.lock_unpoisoned();
        let (at, act) = next(&mut acts.tcp, endpoint)?;
        Some((format!("connection {at}"), act))
    }

    pub(super) fn note(&self, mismatches: Vec<Mismatch>) {
        let mut acts = self.acts.lock_unpoisoned();
        let room = MAX_MISMATCHES.saturating_sub(acts.mismatches.len());
        acts.mismatches.extend(mismatches.into_iter().take(room));
    }
}

fn next<T: Clone>(acts: &mut [Act<T>], endpoint: &ScriptedRequest) -> Option<(usize, T)> {
    let found = acts.iter_mut().enumerate().find(|(_, act)| !act.is_taken && act.endpoint == *endpoint);
    let (at, act) = found?;
    act.is_taken = true;
    Some((at.saturating_add(1), act.exchange.clone()))
}

impl Server {
    pub(super) async fn start(
        endpoint: ScriptedRequest,
        tls: Option<Arc<ServerConfig>>,
        play: Arc<Play>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (count, open) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, endpoint, tls, play, count));
        Ok(Self { address, open, _tasks: tasks })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until its connections have ended.
    pub(super) async fn settle(&mut self) {
        self.open.wait_for(|open| *open == 0).await.map(drop).ok();
    }
}

async fn accept(
    listener: TcpListener,
    endpoint: ScriptedRequest,
    tls: Option<Arc<ServerConfig>>,
    play: Arc<Play>,
    count: watch::Sender<usize>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                let Ok((stream, _)) = accepted else {
                    // There are no descriptors left, for instance: others may give some back.
                    deputy_support::pause(ACCEPT_PAUSE).await;
                    continue;
                };
                let (endpoint, tls, play) = (endpoint.clone(), tls.clone(), Arc::clone(&play));
                connections.spawn(async move {
                    tokio::time::timeout(MAX_CONNECTION, serve(stream, endpoint, tls, play)).await.ok();
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
        count.send_replace(connections.len());
    }
}

async fn serve(stream: TcpStream, endpoint: ScriptedRequest, tls: Option<Arc<ServerConfig>>, play: Arc<Play>) {
    stream.set_nodelay(true).ok();
    let Some(config) = tls else { return speak(stream, &endpoint, &play).await };
    // What is wrong with the handshake shows at the component.
    if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
        speak(stream, &endpoint, &play).await;
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Send>(stream: S, endpoint: &ScriptedRequest, play: &Play) {
    if play.is_http(endpoint) {
        exchange::serve(stream, endpoint, play).await;
    } else {
        tcp::serve(stream, endpoint, play).await;
    }
}
