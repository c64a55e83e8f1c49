//! The world of a test: names, addresses, servers, clock and seed.

mod certificates;
mod exchange;
mod request;
mod server;
mod tcp;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use deputy_core::Timestamp;
use deputy_sandbox::{HttpTape, LookupSlot, Resolver, StandIn};
use deputy_support::LockUnpoisoned as _;

use crate::file::{ConnectAnswer, HostEntry, NameAnswer, ScriptFile, ScriptedRequest};
use crate::mismatch::Mismatch;
use crate::script_error::ScriptError;
use certificates::Certificates;
pub(crate) use server::Play;
use server::Server;

/// What a component finds around it. One script is on it at a time.
pub struct TestStage {
    scene: Mutex<Scene>,
    tape: Mutex<Option<Arc<HttpTape>>>,
    certificates: Certificates,
}

/// The world of one script.
struct Scene {
    now: Timestamp,
    seed: u64,
    /// What names resolve to. A name that is not here does not resolve.
    names: BTreeMap<String, Vec<IpAddr>>,
    /// Where addresses lead. One that is not here refuses connections.
    routes: BTreeMap<SocketAddr, SocketAddr>,
}

/// The servers of one script, and what they do in the current call.
pub(crate) struct ScriptServers {
    play: Arc<Play>,
    servers: Vec<Server>,
}

/// How long the ends of connections are waited for after a call.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);
/// Listeners of one script.
const MAX_SERVERS: usize = 64;

/// The first address that a host of a test gets: public, and of a network that is not in use (AS112, RFC 7535).
const FIRST_ADDRESS: u32 = Ipv4Addr::new(192, 31, 196, 1).to_bits();

impl TestStage {
    /// An empty stage.
    ///
    /// # Errors
    /// If no certificate can be made.
    pub fn new() -> Result<Self, ScriptError> {
        let scene = Mutex::new(Scene::at(Timestamp::from_millis(0), 0));
        Ok(Self { scene, tape: Mutex::default(), certificates: Certificates::new()? })
    }

    /// The file with the authority that the servers' certificates are of.
    pub(crate) fn authority(&self) -> &Path {
        self.certificates.authority()
    }

    /// Has everything that is sent be kept, or nothing any more.
    pub(crate) fn set_tape(&self, tape: Option<Arc<HttpTape>>) {
        *self.tape.lock_unpoisoned() = tape;
    }

    /// Sets the clock.
    pub(crate) fn set_now(&self, now: Timestamp) {
        self.scene.lock_unpoisoned().now = now;
    }

    /// Starts the servers of a script, in the place of those of the script before.
    pub(crate) async fn set_up(&self, script: &ScriptFile) -> Result<ScriptServers, ScriptError> {
        let mut scene = Scene::at(script.now(), script.entries.seed);
        let play = Arc::new(Play::default());
        let mut servers = Vec::new();
        let endpoints = endpoints(script);
        if endpoints.len() > MAX_SERVERS {
            return Err(ScriptError::ManyServers { path: script.path().to_owned(), max: MAX_SERVERS });
        }
        let hosts: std::collections::BTreeSet<&str> = endpoints.iter().map(|endpoint| endpoint.host.as_str()).collect();
        let nothing = HostEntry::default();
        for (at, host) in hosts.iter().copied().chain(script.entries.hosts.keys().map(String::as_str)).enumerate() {
            let entry = script.entries.hosts.get(host).unwrap_or(&nothing);
            let addresses = addresses(host, entry, u32::try_from(at).unwrap_or(u32::MAX));
            if entry.resolve == NameAnswer::Works {
                scene.names.entry(host.to_owned()).or_insert(addresses);
            }
        }
        for endpoint in endpoints {
            let entry = script.entries.hosts.get(&endpoint.host).unwrap_or(&nothing);
            if entry.connect == ConnectAnswer::Refused {
                continue;
            }
            let tls = match endpoint.has_tls {
                true => Some(self.certificates.server(&endpoint.host, entry.tls)?),
                false => None,
            };
            let addresses = scene.names.get(&endpoint.host).cloned().unwrap_or_default();
            let port = endpoint.port;
            let server = Server::start(endpoint, tls, Arc::clone(&play)).await.map_err(ScriptError::Servers)?;
            for address in addresses {
                let place = SocketAddr::new(address, port);
                if scene.routes.insert(place, server.address()).is_some() {
                    let text = format!("{}: two hosts of the test have the address {place}", script.path().display());
                    return Err(ScriptError::invalid(script.path(), text));
                }
            }
            servers.push(server);
        }
        *self.scene.lock_unpoisoned() = scene;
        Ok(ScriptServers { play, servers })
    }
}

impl Scene {
    fn at(now: Timestamp, seed: u64) -> Self {
        Self { now, seed, names: BTreeMap::new(), routes: BTreeMap::new() }
    }
}

impl ScriptServers {
    /// What the servers do in the current call.
    pub(crate) fn play(&self) -> &Play {
        &self.play
    }

    /// What went wrong in the call that has ended, once its connections have ended, too.
    pub(crate) async fn finish(&mut self) -> Vec<Mismatch> {
        let settled = async {
            for server in &mut self.servers {
                server.settle().await;
            }
        };
        tokio::time::timeout(SETTLE_TIMEOUT, settled).await.ok();
        self.play.finish()
    }
}

/// Every server that the calls of a script name, once.
fn endpoints(script: &ScriptFile) -> Vec<ScriptedRequest> {
    let mut endpoints = Vec::new();
    for call in &script.entries.call {
        endpoints.extend(call.http.iter().map(|exchange| exchange.request.url.0.endpoint.clone()));
        endpoints.extend(call.tcp.iter().filter_map(|exchange| exchange.endpoint().ok()));
    }
    endpoints.sort();
    endpoints.dedup();
    endpoints
}

fn addresses(host: &str, entry: &HostEntry, at: u32) -> Vec<IpAddr> {
    if !entry.addresses.is_empty() {
        return entry.addresses.clone();
    }
    match host.trim_matches(['[', ']']).parse() {
        Ok(address) => vec![address],
        Err(_) => vec![Ipv4Addr::from_bits(FIRST_ADDRESS.wrapping_add(at)).into()],
    }
}

#[async_trait]
impl Resolver for TestStage {
    async fn resolve(&self, name: &str, _: LookupSlot) -> io::Result<Vec<IpAddr>> {
        let found = self.scene.lock_unpoisoned().names.get(name).cloned();
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the test has no host of this name"))
    }
}

impl StandIn for TestStage {
    fn now(&self) -> Timestamp {
        self.scene.lock_unpoisoned().now
    }

    fn seed(&self) -> u64 {
        self.scene.lock_unpoisoned().seed
    }

    fn route(&self, address: SocketAddr) -> Option<SocketAddr> {
        self.scene.lock_unpoisoned().routes.get(&address).copied()
    }

    fn tape(&self) -> Option<Arc<HttpTape>> {
        self.tape.lock_unpoisoned().clone()
    }
}
