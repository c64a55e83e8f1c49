//! The example in five languages, called again and again in one sandbox as the coordinator calls it: whatever the network does,
//! the result is tokens or a failure, and never a trap.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_audit::Audit;
use deputy_core::failure::FailureNext;
use deputy_core::grant::{
    Grant, HttpRule, Injection, InjectionEncoding, InjectionPoint, PathRules, RequestOptions, SecretGrant,
};
use deputy_core::{Instance, Limits, SecretBytes, SecretSource};
use deputy_sandbox::{
    CacheKey, CallError, CodeCache, Compiler, ComponentFolders, LoadedProvider, Sandbox, SandboxOptions, SystemResolver,
};
use deputy_test_harness::{TestEnvironment, deputy_program};
use deputy_test_servers::{OidcProvider, guest};
use tokio::runtime::Runtime;

use crate::local::{Local, Refusing};
use crate::servers;

/// How often each is called.
const CALLS: usize = 20;

/// A sandbox, and the machine that it is on.
struct Host {
    sandbox: Sandbox,
    home: TestEnvironment,
    runtime: Runtime,
}

impl Host {
    fn new() -> Self {
        let home = TestEnvironment::in_target("languages-state").secret("client-secret", OidcProvider::SECRET);
        let runtime = Runtime::new().unwrap();
        let key = CacheKey::new(&SecretBytes::new(vec![5; 32]));
        let options = SandboxOptions {
            cache: Some(CodeCache { state_dir: home.state().to_owned(), key }),
            compiler: Compiler::new(deputy_program(), vec!["compile-component".into()]),
            audit: Arc::new(Audit::memory()),
            resolver: Arc::new(SystemResolver::default()),
            folders: ComponentFolders::default(),
            stand_in: None,
        };
        let sandbox = runtime.block_on(async { Sandbox::new(options).unwrap() });
        Self { sandbox, home, runtime }
    }

    /// An instance whose token endpoint is at a host, with a rule for a host if one is granted.
    fn load(&self, component: &str, host: &str, granted: Option<&str>) -> LoadedProvider {
        let mut instance = Instance {
            name: "api".parse().unwrap(),
            component: guest(component).unwrap().into(),
            sha256: None,
            settings: BTreeMap::from([("token-url".to_owned(), format!("{host}/token"))]),
            grant: Grant::default(),
            sources: BTreeMap::new(),
            limits: Limits::default(),
        };
        if let Some(granted) = granted {
            let secret: deputy_core::SecretName = "client-secret".parse().unwrap();
            let file = self.home.path("secrets/client-secret");
            instance.sources.insert(secret.clone(), SecretSource::File(file));
            instance.grant.secrets.insert(secret.clone(), SecretGrant::new(None, false));
            instance.grant.http.push(rule(granted, secret));
        }
        self.runtime.block_on(self.sandbox.load(&instance)).unwrap()
    }

    /// What the host does next after each call; none for tokens.
    fn results(&self, provider: &LoadedProvider) -> Vec<Option<FailureNext>> {
        let call = || match self.runtime.block_on(provider.obtain()).result {
            Ok(tokens) => {
                assert!(!tokens.payload.expose().is_empty());
                None
            }
            Err(CallError::Failure(failure)) => Some(failure.next),
            Err(other) => panic!("{other}"),
        };
        (0..CALLS).map(|_| call()).collect()
    }
}

/// A rule for a host, by which the client's secret is added.
fn rule(host: &str, secret: deputy_core::SecretName) -> HttpRule {
    let inject = Injection {
        place: InjectionPoint::Header("authorization".to_owned()),
        secret,
        form: InjectionEncoding::OauthBasic { client: OidcProvider::SERVICE.to_owned() },
    };
    HttpRule {
        pattern: host.parse().unwrap(),
        methods: vec!["POST".parse().unwrap()],
        paths: PathRules::Any,
        overrides: Vec::new(),
        networks: vec!["loopback".parse().unwrap()],
        send: RequestOptions { inject: vec![inject], ..RequestOptions::default() },
    }
}

fn never_traps(component: &str) {
    let host = Host::new();
    let always = |next| vec![next; CALLS];
    let real = format!("http://127.0.0.1:{}", servers::oidc().port());
    assert_eq!(host.results(&host.load(component, &real, Some(&real))), always(None));
    assert_eq!(host.results(&host.load(component, &real, None)).len(), CALLS);
    let refusing = Refusing::new().endpoint();
    let refused = host.load(component, &refusing, Some(&refusing));
    assert_eq!(host.results(&refused), always(Some(FailureNext::Unavailable)));
    for body in ["<html>", r#"{"access_token":"the-to"#, r#"{"access_token":17}"#, ""] {
        let garbage = Local::answering(200, "content-type: application/json\r\n", body);
        let garbled = host.load(component, &garbage.endpoint(), Some(&garbage.endpoint()));
        assert_eq!(host.results(&garbled), always(Some(FailureNext::Denied)), "{body}");
    }
}

#[test]
fn language_calls_never_trap_in_c() {
    never_traps("oauth2-c");
}

#[test]
fn language_calls_never_trap_in_go() {
    never_traps("oauth2-go");
}

#[test]
fn language_calls_never_trap_in_javascript() {
    never_traps("oauth2-javascript");
}

#[test]
fn language_calls_never_trap_in_python() {
    never_traps("oauth2-python");
}

#[test]
fn language_calls_never_trap_in_rust() {
    never_traps("oauth2-rust");
}
