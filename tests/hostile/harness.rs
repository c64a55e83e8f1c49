//! One host for all tests: the sandbox that production uses, with names and an audit log that tests can see into.
//!
//! A [`Case`] is one instance of one hostile component. [`Case::obtain`] calls it, and then shows, with nothing else
//! going on, that the host serves the next calls at their usual speed and in its usual memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use deputy_audit::{Audit, AuditAction, AuditEvent, AuditOutcome, CallId};
use deputy_core::grant::{AddressClass, Grant, HttpRule, Network, PathRules, RequestOptions, SecretGrant, TcpRule};
use deputy_core::{
    Accepted, Instance, Limit, Limits, PolicyDenial, SecretSource, Span, StateGrant, StateIdentity, Tokens,
};
use deputy_sandbox::{Call, CallError, ComponentFolders, LoadedProvider, Sandbox, SandboxOptions};
use tokio::runtime::Runtime;

use crate::memory_state::MemoryState;
use crate::servers::Server;
use crate::surroundings::{Answer, Log, Names, cache, chain, compiler, folder, guest_file, memory, private_file};

pub(crate) struct TestHost {
    pub(crate) runtime: Runtime,
    pub(crate) sandbox: Sandbox,
    folder: PathBuf,
    audit: Arc<Audit>,
    events: Mutex<Vec<AuditEvent>>,
    log: Log,
    names: Arc<Names>,
    /// Held to attack, and alone to look how the host is.
    turn: RwLock<()>,
    usual: OnceLock<HealthyProvider>,
}

/// The host's limits without an attack.
struct HealthyProvider {
    computing: LoadedProvider,
    requesting: LoadedProvider,
    quickest: Duration,
    memory: usize,
    _server: Server,
}

/// The most memory that the host may have taken for good after all attacks together. The allocator keeps 60 to 120 MiB
/// of them; an attack that leaves a component's memory of 64 MiB behind twice is seen.
const GROWTH: usize = 144 << 20;

/// A call that takes this much longer than usual is taken for a slow host, and not for a busy machine.
const SLOWER: (u32, Duration) = (10, Duration::from_millis(20));

/// The host, which the first test makes.
pub(crate) fn host() -> &'static TestHost {
    static HOST: OnceLock<TestHost> = OnceLock::new();
    HOST.get_or_init(TestHost::start)
}

impl TestHost {
    fn start() -> Self {
        let folder = folder("host");
        let audit = Arc::new(Audit::memory());
        let names = Arc::new(Names::default());
        let log = Log::begin();
        let runtime = Runtime::new().unwrap();
        let options = SandboxOptions {
            cache: Some(cache(&folder)),
            compiler: compiler(),
            audit: Arc::clone(&audit),
            resolver: Arc::clone(&names) as _,
            folders: ComponentFolders::default(),
            stand_in: None,
        };
        let sandbox = runtime.block_on(async { Sandbox::new(options).unwrap() });
        let (events, turn, usual) = (Mutex::default(), RwLock::new(()), OnceLock::new());
        Self { runtime, sandbox, folder, audit, events, log, names, turn, usual }
    }

    /// A name of this test's own that leads to these addresses, at every look-up.
    pub(crate) fn name(&self, addresses: &[&str]) -> String {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.names.add(Answer::Addresses(vec![addresses]))
    }

    /// `localhost`, which real servers have for a name.
    pub(crate) fn localhost(&self) -> String {
        self.names.add_localhost()
    }

    /// A name that leads elsewhere at each look-up.
    pub(crate) fn changing_name(&self, answers: &[&str]) -> String {
        self.names.add(Answer::Addresses(answers.iter().map(|address| vec![address.parse().unwrap()]).collect()))
    }

    /// A name whose server never answers.
    pub(crate) fn silent_name(&self) -> String {
        self.names.add(Answer::Never)
    }

    /// A folder of this run, closed to others. The sandbox's own is `state` in it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How often a name was asked for.
    pub(crate) fn queries_for(&self, name: &str) -> usize {
        self.names.asked(name)
    }

    /// Everything that was asked for and is no test's name.
    pub(crate) fn unanswered_queries(&self) -> Vec<String> {
        self.names.asked_in_vain()
    }

    /// What the audit log says of a call, without what it said of each use before that began.
    pub(crate) fn events(&self, call: CallId) -> Vec<AuditEvent> {
        self.all_events(call).into_iter().filter(|event| event.outcome != AuditOutcome::Begun).collect()
    }

    /// All that the audit log says of a call.
    pub(crate) fn all_events(&self, call: CallId) -> Vec<AuditEvent> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.extend(self.audit.take());
        events.iter().filter(|event| event.call == call).cloned().collect()
    }

    /// The lines of the program's log that name a call.
    pub(crate) fn log_of_call(&self, call: CallId) -> String {
        let call = format!(" call={call} ");
        self.log.text().lines().filter(|line| line.contains(&call)).map(|line| format!("{line}\n")).collect()
    }

    /// The host's usual state, from before the first attack.
    fn healthy(&self) -> &HealthyProvider {
        self.usual.get_or_init(|| {
            let server = Server::good();
            let computing = self.provider(&Attack::new("benign").setting("name", "you").instance);
            let name = self.name(&["127.0.0.1"]);
            let url = format!("http://{name}:{}", server.port());
            let requesting = Attack::new("benign-http").setting("url", &url).setting("count", "2").http(&url);
            let requesting = self.provider(&requesting.instance);
            let quickest = (0..20).map(|_| self.compute(&computing)).min().unwrap();
            for _ in 0..5 {
                self.request(&requesting);
            }
            HealthyProvider { computing, requesting, quickest, memory: memory(), _server: server }
        })
    }

    pub(crate) fn provider(&self, instance: &Instance) -> LoadedProvider {
        let loaded = self.runtime.block_on(self.sandbox.load(instance));
        loaded.unwrap_or_else(|error| panic!("{} is not loaded: {}", instance.component, chain(&error)))
    }

    fn compute(&self, provider: &LoadedProvider) -> Duration {
        let begun = Instant::now();
        let call = self.runtime.block_on(provider.obtain());
        let took = begun.elapsed();
        assert_eq!(report(&call), "hello you");
        took
    }

    fn request(&self, provider: &LoadedProvider) {
        let call = self.runtime.block_on(provider.obtain());
        assert_eq!(report(&call), "ok 200 hello\nok 200 hello");
    }

    /// Attacks; then, alone, shows that the host is as usual.
    pub(crate) fn during_attack<T>(&self, attack: impl FnOnce() -> T) -> T {
        self.healthy();
        let result = {
            let _together = self.turn.read().unwrap_or_else(PoisonError::into_inner);
            attack()
        };
        let _alone = self.turn.write().unwrap_or_else(PoisonError::into_inner);
        self.assert_healthy();
        result
    }

    fn assert_healthy(&self) {
        let usual = self.healthy();
        let quickest = (0..5).map(|_| self.compute(&usual.computing)).min().unwrap();
        let slow = (usual.quickest * SLOWER.0).max(usual.quickest + SLOWER.1);
        assert!(quickest <= slow, "the next call took {quickest:?}, and {:?} before", usual.quickest);
        self.request(&usual.requesting);
        let grown = memory().saturating_sub(usual.memory);
        assert!(grown <= GROWTH, "the host has grown by {} MiB", grown >> 20);
    }
}

/// One instance of one component.
#[must_use]
pub(crate) struct Attack {
    pub(crate) instance: Instance,
    state: Option<Arc<MemoryState>>,
}

/// What came of a call.
pub(crate) struct AttackReport<T = Tokens> {
    pub(crate) call: Call<T>,
    pub(crate) events: Vec<AuditEvent>,
    pub(crate) took: Duration,
}

impl Attack {
    /// An instance without settings and grants, with default limits.
    pub(crate) fn new(guest: &str) -> Self {
        Self::of_component(guest, &guest_file(guest))
    }

    /// The same of a component in some file.
    pub(crate) fn of_component(name: &str, component: &Path) -> Self {
        let instance = Instance {
            name: name.parse().unwrap(),
            component: component.to_owned().into(),
            sha256: None,
            settings: BTreeMap::new(),
            grant: Grant::default(),
            sources: BTreeMap::new(),
            limits: Limits::default(),
        };
        Self { instance, state: None }
    }

    /// The same with a name of this machine, granted for HTTP at this port: the setting `url`.
    pub(crate) fn with_url(guest: &str, scheme: &str, port: u16) -> Self {
        let url = format!("{scheme}://{}:{port}", host().name(&["127.0.0.1"]));
        Self::new(guest).setting("url", &url).http(&url)
    }

    /// The same with a name of this machine, granted for TCP at this port: the settings `name` and `port`.
    pub(crate) fn with_port(guest: &str, port: u16) -> Self {
        let name = host().name(&["127.0.0.1"]);
        Self::new(guest).setting("name", &name).setting("port", port).tcp(&format!("{name}:{port}"))
    }

    pub(crate) fn setting(mut self, name: &str, value: impl ToString) -> Self {
        self.instance.settings.insert(name.to_owned(), value.to_string());
        self
    }

    /// Grants requests with any method to any path, at public addresses and at the host's own.
    pub(crate) fn http(self, pattern: &str) -> Self {
        self.http_with(pattern, |rule| rule.networks = vec![Network::Class(AddressClass::Loopback)])
    }

    /// Grants requests at public addresses, and what is added.
    pub(crate) fn http_with(mut self, pattern: &str, more: impl FnOnce(&mut HttpRule)) -> Self {
        let pattern = pattern.parse().unwrap();
        let (methods, paths, networks, send) = (Vec::new(), PathRules::Any, Vec::new(), RequestOptions::default());
        let mut rule = HttpRule { pattern, methods, paths, overrides: Vec::new(), networks, send };
        more(&mut rule);
        self.instance.grant.http.push(rule);
        self
    }

    /// Grants connections at public addresses and at the host's own.
    pub(crate) fn tcp(self, pattern: &str) -> Self {
        self.tcp_with(pattern, &["loopback"])
    }

    /// Grants connections at public addresses and in these networks.
    pub(crate) fn tcp_with(mut self, pattern: &str, networks: &[&str]) -> Self {
        let mut rule: TcpRule = pattern.parse().unwrap();
        rule.networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        self.instance.grant.tcp.push(rule);
        self
    }

    /// Has a secret, and grants its use.
    pub(crate) fn secret(mut self, name: &str, value: &str, grant: SecretGrant) -> Self {
        let name: deputy_core::SecretName = name.parse().unwrap();
        let source = SecretSource::File(private_file(value.as_bytes()));
        self.instance.sources.insert(name.clone(), source);
        self.instance.grant.secrets.insert(name, grant);
        self
    }

    /// Grants state, which is kept in memory, and which is another's if one is named.
    pub(crate) fn stateful(mut self, kept_for: Option<StateIdentity>) -> Self {
        self.instance.grant.state = Some(StateGrant::default());
        self.state = Some(Arc::new(MemoryState::new(kept_for)));
        self
    }

    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.instance.limits);
        self
    }

    /// Calls `obtain`.
    pub(crate) fn obtain(self) -> AttackReport {
        host().during_attack(|| {
            let provider = host().provider(&self.instance);
            match self.state {
                Some(state) => provider.with_state(state).obtained(),
                None => provider.obtained(),
            }
        })
    }
}

/// Calls of a provider that is loaded, with what was seen of them. For use within [`Host::attack`].
pub(crate) trait ObtainReport {
    fn obtained(&self) -> AttackReport;
}

impl ObtainReport for LoadedProvider {
    fn obtained(&self) -> AttackReport {
        run_to_report(async { self.obtain().await })
    }
}

/// A call, with what was seen of it. For use within [`Host::attack`].
pub(crate) fn run_to_report<T>(call: impl Future<Output = Call<T>>) -> AttackReport<T> {
    let begun = Instant::now();
    let call = host().runtime.block_on(async {
        // Longer than every limit that a test sets: then the host does not end the call.
        tokio::time::timeout(Duration::from_secs(30), call).await.expect("the call does not end")
    });
    AttackReport { events: host().events(call.id), call, took: begun.elapsed() }
}

/// What a component brings; a part of it is its report.
pub(crate) trait GuestReport {
    fn report(&self) -> &[u8];
}

impl GuestReport for Tokens {
    fn report(&self) -> &[u8] {
        self.payload.expose()
    }
}

impl GuestReport for Accepted {
    fn report(&self) -> &[u8] {
        self.outputs.files.iter().find(|(path, _)| path.as_str() == "report").map_or(b"", |(_, text)| text.expose())
    }
}

impl<T: GuestReport> AttackReport<T> {
    /// What the component reported.
    pub(crate) fn report(&self) -> String {
        report(&self.call)
    }

    /// What the component reported, by lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.report().lines().map(str::to_owned).collect()
    }

    /// The call went over this limit and was ended, and both records say so.
    #[track_caller]
    pub(crate) fn assert_ended_by(&self, limit: Limit) -> &Self {
        assert_eq!(self.call.result.as_ref().err(), Some(&CallError::Limit(limit)), "{self:?}");
        self.assert_over_limit(limit);
        let end = self.events.last().expect("an event");
        assert!(matches!(end.action, AuditAction::Accept { .. } | AuditAction::Call { .. }), "{self:?}");
        assert_eq!(end.code, Some(format!("over-limit:{limit}")), "{self:?}");
        self
    }

    /// Something went over this limit, and both records say so.
    #[track_caller]
    pub(crate) fn assert_over_limit(&self, limit: Limit) -> &Self {
        let refusal = PolicyDenial::Limit(limit);
        assert_eq!(refusal.code(), "over-limit");
        assert!(self.call.denials.contains(&refusal), "{self:?}");
        self.assert_audited(&format!("over-limit:{limit}"))
    }

    /// The network did not answer within this limit: both records say so, and neither calls it a refusal.
    #[track_caller]
    pub(crate) fn assert_unanswered(&self, limit: Limit, code: &str) -> &Self {
        assert!(self.call.timeouts.contains(&limit), "{self:?}");
        assert!(!self.call.denials.contains(&PolicyDenial::Limit(limit)), "{self:?}");
        let failed = |event: &AuditEvent| event.outcome == AuditOutcome::Failed && event.code.as_deref() == Some(code);
        assert!(self.events.iter().any(failed), "no audit event says {code}: {self:?}");
        self
    }

    /// It took about as long as the limit allows.
    #[track_caller]
    pub(crate) fn assert_soon_after(&self, limit: Span) -> &Self {
        let most = limit.duration() + Duration::from_secs(2);
        assert!(self.took >= limit.duration() && self.took < most, "{:?} is not about {limit}", self.took);
        self
    }

    /// Exactly these codes were refused, in any order and number, and both records say so.
    #[track_caller]
    pub(crate) fn assert_denied(&self, codes: &[&str]) -> &Self {
        let mut found: Vec<_> = self.call.denials.iter().map(PolicyDenial::code).collect();
        let mut expected = codes.to_vec();
        for codes in [&mut found, &mut expected] {
            codes.sort_unstable();
            codes.dedup();
        }
        assert_eq!(found, expected, "{self:?}");
        codes.iter().fold(self, |seen, code| seen.assert_audited(code))
    }

    /// The audit log has a refusal with this code.
    #[track_caller]
    pub(crate) fn assert_audited(&self, code: &str) -> &Self {
        let refused =
            |event: &AuditEvent| event.outcome == AuditOutcome::Refused && event.code.as_deref() == Some(code);
        assert!(self.events.iter().any(refused), "no audit event says {code}: {self:?}");
        self
    }

    /// The component broke off, in this way.
    #[track_caller]
    pub(crate) fn assert_trapped(&self, how: &str) -> &Self {
        match &self.call.result {
            Err(CallError::Trap { reason }) if reason.contains(how) => {}
            _ => panic!("not {how:?}: {self:?}"),
        }
        let end = self.events.last().expect("an event");
        assert_eq!((end.outcome, end.code.as_deref()), (AuditOutcome::Failed, Some("trap")), "{self:?}");
        self
    }

    /// The host had nothing to refuse.
    #[track_caller]
    pub(crate) fn assert_not_denied(&self) -> &Self {
        self.assert_denied(&[]);
        assert!(self.events.iter().all(|event| event.outcome != AuditOutcome::Refused), "{self:?}");
        self
    }

    /// The requests that the audit log knows.
    pub(crate) fn requests(&self) -> Vec<&AuditEvent> {
        self.events.iter().filter(|event| matches!(event.action, AuditAction::Http { .. })).collect()
    }
}

impl<T: GuestReport> std::fmt::Debug for AttackReport<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let report = match &self.call.result {
            Ok(brought) => Ok(String::from_utf8_lossy(brought.report()).chars().take(4000).collect::<String>()),
            Err(error) => Err(error),
        };
        let Call { denials, usage, log_tail, .. } = &self.call;
        write!(f, "{report:#?}\ndenials {denials:#?}\n{usage:?}\nlog {log_tail:?}\nevents")?;
        self.events
            .iter()
            .try_for_each(|event| write!(f, "\n    {:?} {:?} {:?}", event.outcome, event.code, event.action))
    }
}

#[track_caller]
fn report<T: GuestReport>(call: &Call<T>) -> String {
    match &call.result {
        Ok(brought) => String::from_utf8(brought.report().to_vec()).expect("text"),
        Err(error) => panic!("no report: {error:?}, refused {:?}, log {:?}", call.denials, call.log_tail),
    }
}
