//! Whether this machine reaches a granted host: the way of a component's request, without a component and without a secret.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use deputy_core::grant::{Grant, HostPattern, HttpRule, Network, Permit, Scheme, Target, TcpRule, TlsOptions};
use deputy_core::{Limit, PolicyDenial, Span};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::network::{self, Connection, Deadline, Protocol, Resolver, RuleTls, SystemResolver};
use crate::stand_in::World;

/// How long one host may take.
const TIMEOUT: Span = Span::secs(10);

/// The most that is read of a response.
const MAX_HEAD: u64 = 16 << 10;

/// What became of the way to one granted host.
#[derive(Debug)]
pub struct Reached {
    pub target: Target,
    /// What the host's name resolved to.
    pub addresses: Vec<IpAddr>,
    /// The server's clock, if it answered over HTTP: the value of `Date`.
    pub date: Option<String>,
    /// The first step that failed.
    pub error: Option<ReachError>,
}

/// The step that failed.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    #[error("its name does not resolve")]
    Resolve(#[source] io::Error),
    #[error("it did not answer within {TIMEOUT}")]
    Slow,
    #[error(transparent)]
    Denied(DenialError),
    #[error("no connection")]
    Connect(#[source] io::Error),
    #[error("no TLS: {0}")]
    Tls(String),
}

/// A denial as an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DenialError(pub PolicyDenial);

/// A way to one host of a grant that was not tried yet.
pub struct Attempt<'g> {
    target: Target,
    permit: Result<Permit, PolicyDenial>,
    way: Way<'g>,
}

/// A way to each host of a grant. A rule for subdomains names no host.
pub fn attempts(grant: &Grant) -> Vec<Attempt<'_>> {
    let mut attempts: Vec<Attempt<'_>> = Vec::new();
    for rule in &grant.http {
        let Some(sample) = rule.sample() else { continue };
        if !attempts.iter().any(|known| known.target == *sample.target()) {
            let target = sample.target().clone();
            attempts.push(Attempt { target, permit: grant.permit_http(&sample), way: Way::Http(rule) });
        }
    }
    for rule in &grant.tcp {
        let HostPattern::Exactly(host) = &rule.host else { continue };
        let target = Target::new(Scheme::Tcp, host.clone(), rule.port);
        if !attempts.iter().any(|known| known.target == target) {
            let permit = grant.permit_tcp(&target);
            attempts.push(Attempt { target, permit, way: Way::Tcp(rule) });
        }
    }
    attempts
}

impl Attempt<'_> {
    /// Whether another one is the same way, so that one of both tells of the other as well.
    pub fn is_way_of(&self, other: &Self) -> bool {
        let (own, others) = (&self.way, &other.way);
        self.target == other.target
            && own.protocol() == others.protocol()
            && own.networks() == others.networks()
            && own.tls(&self.target) == others.tls(&other.target)
            && self.permit.is_ok()
            && other.permit.is_ok()
    }

    /// Takes ten seconds at the most.
    pub async fn run(self) -> Reached {
        let Self { target, permit, way } = self;
        let mut reached = Reached { target, addresses: Vec::new(), date: None, error: None };
        let deadline = Deadline::after(TIMEOUT, Limit::Exchange);
        let steps = deadline.run(steps(&mut reached, permit, way, deadline)).await;
        reached.error = steps.unwrap_or(Err(ReachError::Slow)).err();
        reached
    }
}

/// What is spoken at the end of the way.
enum Way<'r> {
    Http(&'r HttpRule),
    Tcp(&'r TcpRule),
}

impl Way<'_> {
    fn tls(&self, target: &Target) -> Option<TlsOptions> {
        let options = match self {
            Self::Http(rule) => (target.scheme() == Scheme::Https).then(|| rule.send.tls.clone()),
            Self::Tcp(rule) => rule.tls.clone(),
        };
        // A client certificate needs a secret, and servers ask for it at the end of the handshake.
        options.map(|options| TlsOptions { client: None, ..options })
    }

    fn networks(&self) -> &[Network] {
        match self {
            Self::Http(rule) => &rule.networks,
            Self::Tcp(rule) => &rule.networks,
        }
    }

    fn protocol(&self) -> Protocol {
        match self {
            Self::Http(_) => Protocol::Http,
            Self::Tcp(_) => Protocol::Other,
        }
    }
}

async fn steps(
    reached: &mut Reached,
    permit: Result<Permit, PolicyDenial>,
    way: Way<'_>,
    deadline: Deadline,
) -> Result<(), ReachError> {
    let denied = |denial| ReachError::Denied(DenialError(denial));
    let permit = permit.map_err(denied)?;
    let resolver: Arc<dyn Resolver> = Arc::new(SystemResolver::default());
    let addresses = network::resolve(resolver.as_ref(), &network::lookup_slots(), reached.target.host()).await;
    reached.addresses = addresses.map_err(ReachError::Resolve)?;
    let pinned = permit.pin(&reached.addresses).map_err(denied)?;
    let stream = network::connect(pinned, deadline, &World::default()).await.map_err(|error| match error {
        network::ConnectError::TimedOut(_) => ReachError::Slow,
        network::ConnectError::Io(error) => ReachError::Connect(error),
    })?;
    let mut stream = secure(&reached.target, &way, stream, deadline).await?;
    if matches!(way, Way::Http(_)) {
        // Only for the clock: that a server does not answer this is no fault.
        reached.date = date(&mut stream, &reached.target).await.unwrap_or_default();
    }
    Ok(())
}

async fn secure(
    target: &Target,
    way: &Way<'_>,
    stream: TcpStream,
    deadline: Deadline,
) -> Result<Connection, ReachError> {
    let Some(options) = way.tls(target) else { return Ok(Connection::Left(stream)) };
    let tls = RuleTls::load(&options, way.protocol()).map_err(|error| ReachError::Tls(error.to_string()))?;
    let config = tls.config(None).await.map_err(|error| ReachError::Tls(error.to_string()))?;
    let secured = network::handshake(stream, target.host(), config, deadline).await;
    secured.map_err(|error| ReachError::Tls(error.to_string()))
}

/// The server's `Date`, from the head of its answer to a request for nothing.
#[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
async fn date(stream: &mut Connection, target: &Target) -> io::Result<Option<String>> {
    let (host, port) = (target.host(), target.port());
    let request =
        format!("HEAD / HTTP/1.1\r\nhost: {host}:{port}\r\nuser-agent: deputy-doctor\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    stream.take(MAX_HEAD).read_to_end(&mut head).await?;
    let head = String::from_utf8_lossy(&head);
    let lines = head.lines().take_while(|line| !line.is_empty());
    let date = lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("date"));
    Ok(date.map(|(_, value)| value.trim().to_owned()))
}
