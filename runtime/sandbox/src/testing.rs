//! Test support: grants in one line, a resolver and secrets in memory, and scripted local servers.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deputy_audit::{Audit, AuditEvent, AuditOutcome, AuditSubject, CallId};
use deputy_core::grant::{Grant, HttpRule, PathRules, RequestOptions as SendOptions, TcpRule};
use deputy_core::{Instance, Limits, SecretBytes, SecretName, Timestamp};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::call_budget::CallBudget;
use crate::network::{LookupSlot, Resolver};
use crate::secret_provider::{SecretProvider, ValueError};
use crate::stand_in::{StandIn, World};

/// A rule that allows all methods and paths, and loopback.
pub(crate) fn http(pattern: &str) -> HttpRule {
    HttpRule {
        pattern: pattern.parse().unwrap(),
        methods: Vec::new(),
        paths: PathRules::Any,
        overrides: Vec::new(),
        networks: vec!["loopback".parse().unwrap()],
        send: SendOptions::default(),
    }
}

/// A rule that allows loopback.
pub(crate) fn tcp(pattern: &str) -> TcpRule {
    TcpRule { networks: vec!["loopback".parse().unwrap()], ..pattern.parse().unwrap() }
}

pub(crate) fn instance(http: Vec<HttpRule>, limits: Limits) -> Instance {
    Instance {
        name: "lab".parse().unwrap(),
        component: PathBuf::new().into(),
        sha256: None,
        settings: BTreeMap::new(),
        grant: Grant { http, ..Grant::default() },
        sources: BTreeMap::new(),
        limits,
    }
}

/// A budget, and the log behind it.
pub(crate) struct AuditedBudget {
    pub(crate) budget: Arc<CallBudget>,
    audit: Arc<Audit>,
}

impl AuditedBudget {
    pub(crate) fn new(limits: Limits) -> Self {
        let audit = Arc::new(Audit::memory());
        let budget = Arc::new(CallBudget::new(
            AuditSubject::Instance("lab".parse().unwrap()),
            CallId(1),
            limits,
            Arc::clone(&audit),
        ));
        Self { budget, audit }
    }

    /// What was recorded so far, oldest first, which is then forgotten.
    pub(crate) fn all_events(&self) -> Vec<AuditEvent> {
        self.audit.take()
    }

    /// The same without the events that announce a use.
    pub(crate) fn events(&self) -> Vec<AuditEvent> {
        self.all_events().into_iter().filter(|event| event.outcome != AuditOutcome::Begun).collect()
    }

    /// The one event that was recorded, as outcome and code.
    pub(crate) fn only_outcome(&self) -> (AuditOutcome, Option<String>) {
        let events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.into_iter().next().map(|event| (event.outcome, event.code)).unwrap()
    }
}

/// Waits, a few seconds at most, for something that other tasks bring about.
pub(crate) async fn eventually(reached: impl Fn() -> bool) {
    for _ in 0..500 {
        if reached() {
            return;
        }
        pause(10).await;
    }
    panic!("did not come about");
}

pub(crate) async fn pause(millis: u64) {
    let never = std::future::pending::<()>();
    tokio::time::timeout(std::time::Duration::from_millis(millis), never).await.unwrap_err();
}

struct StoppedAt(Timestamp);

impl StandIn for StoppedAt {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn seed(&self) -> u64 {
        0
    }

    fn route(&self, _: SocketAddr) -> Option<SocketAddr> {
        None
    }
}

/// A world at this time.
pub(crate) fn stopped_at(now: Timestamp) -> World {
    World::new(Some(Arc::new(StoppedAt(now))))
}

/// Names and their addresses.
#[derive(Default)]
pub(crate) struct StaticResolver(pub(crate) Vec<(&'static str, Vec<&'static str>)>);

#[async_trait]
impl Resolver for StaticResolver {
    async fn resolve(&self, name: &str, _: LookupSlot) -> io::Result<Vec<IpAddr>> {
        let found = self.0.iter().find(|(known, _)| *known == name).ok_or(io::ErrorKind::NotFound)?;
        Ok(found.1.iter().map(|address| address.parse().unwrap()).collect())
    }
}

/// `a.example` leads to this machine.
pub(crate) fn names() -> Arc<dyn Resolver> {
    Arc::new(StaticResolver(vec![("a.example", vec!["127.0.0.1"])]))
}

pub(crate) struct HangingResolver;

#[async_trait]
impl Resolver for HangingResolver {
    async fn resolve(&self, _: &str, _: LookupSlot) -> io::Result<Vec<IpAddr>> {
        std::future::pending().await
    }
}

/// Secrets and their values.
#[derive(Default)]
pub(crate) struct StaticSecrets(pub(crate) Mutex<BTreeMap<String, String>>);

impl StaticSecrets {
    pub(crate) fn of(values: &[(&str, &str)]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(values.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect())))
    }
}

#[async_trait]
impl SecretProvider for StaticSecrets {
    async fn value(&self, name: &SecretName) -> Result<Arc<SecretBytes>, ValueError> {
        let values = self.0.lock().unwrap();
        let value = values.get(name.as_str()).ok_or_else(|| ValueError(format!("secret {name} is gone")))?;
        Ok(Arc::new(SecretBytes::new(value.clone().into_bytes())))
    }
}

/// A local server, gone when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Gives each connection to the script.
    pub(crate) async fn start<F, R>(script: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(script(stream));
            }
        });
        Self { address, _tasks: tasks }
    }

    /// Reads each request to its end and answers with this text. The requests can be read afterwards.
    pub(crate) async fn answering(answer: impl Into<String>) -> (Self, Requests) {
        let (answer, requests) = (Arc::<str>::from(answer.into()), Requests::default());
        let seen = requests.clone();
        let server = Self::start(move |mut stream| {
            let (answer, seen) = (Arc::clone(&answer), seen.clone());
            async move { seen.serve(&mut stream, &answer).await }
        });
        (server.await, requests)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

/// The requests that a server got.
#[derive(Clone, Default)]
pub(crate) struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn only(&self) -> String {
        let all = self.all();
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().unwrap()
    }

    pub(crate) async fn serve(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin), answer: &str) {
        let request = request(stream).await;
        self.0.lock().unwrap().push(request);
        stream.write_all(answer.as_bytes()).await.ok();
        stream.shutdown().await.ok();
    }
}

/// One request: head and body, or as much of it as came.
pub(crate) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let done = match length {
                Some(length) => body.len() >= length,
                None => !head.contains("transfer-encoding: chunked") || body.ends_with("0\r\n\r\n"),
            };
            if done {
                return text;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
    }
}

/// A port whose accept queue is full: connecting to it hangs.
pub(crate) struct FullBacklog {
    pub(crate) address: SocketAddr,
    _queue: (TcpListener, Vec<TcpStream>),
}

impl FullBacklog {
    #[expect(clippy::disallowed_methods, reason = "fills a local queue in a test")]
    pub(crate) async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let (address, mut queue) = (listener.local_addr().unwrap(), Vec::new());
        let patience = std::time::Duration::from_millis(100);
        while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
            queue.push(stream.unwrap());
        }
        Self { address, _queue: (listener, queue) }
    }
}
