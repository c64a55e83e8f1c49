//! What the tests share: a realm, a login of it, and an established context.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deputy_core::{KerberosPrincipal, Krb5Conf, Span, TicketSource};
use deputy_kerberos::{Fault, FaultCause, KerberosContext, Login, LoginConfig, LoginProgram, LoginStatus};
use deputy_test_servers::{Acceptor, Kdc};

/// Says that this test program is a login process.
const ROLE: &str = "DEPUTY_KERBEROS_TEST_ROLE";

/// A service of every realm here.
pub(crate) const SERVICE: &str = "hdfs/localhost";

/// A test only if another one starts it.
#[test]
fn login_process_entry_point() {
    if std::env::var_os(ROLE).is_some() {
        deputy_kerberos::login_process();
    }
}

/// This test program once more.
pub(crate) fn program() -> LoginProgram {
    LoginProgram {
        program: std::env::current_exe().unwrap(),
        arguments: ["--exact", "setup::login_process_entry_point"].map(Into::into).to_vec(),
        environment: vec![(ROLE.into(), "login process".into())],
    }
}

pub(crate) fn principal(name: &str) -> KerberosPrincipal {
    name.parse().unwrap()
}

/// alice of a realm, with a keytab.
pub(crate) fn config(kdc: &Kdc, keytab: &Path) -> LoginConfig {
    config_with(kdc.realm(), vec![kdc.address()], TicketSource::Keytab(keytab.to_owned()))
}

pub(crate) fn config_with(realm: &str, kdcs: Vec<String>, source: TicketSource) -> LoginConfig {
    LoginConfig {
        principal: principal(&format!("alice@{realm}")),
        source,
        krb5_conf: realms([(realm, kdcs)]),
        wait: Span::secs(10),
        give_up: Span::secs(180),
    }
}

pub(crate) fn realms<const N: usize>(realms: [(&str, Vec<String>); N]) -> Krb5Conf {
    let parsed = |kdcs: Vec<String>| kdcs.iter().map(|kdc| kdc.parse().unwrap()).collect();
    Krb5Conf::Realms(realms.into_iter().map(|(realm, kdcs)| (realm.parse().unwrap(), parsed(kdcs))).collect())
}

pub(crate) fn start(config: LoginConfig) -> Login {
    Login::start(config, program(), 7)
}

/// A realm with alice and a service, and their keytabs.
pub(crate) struct Realm {
    pub(crate) kdc: Kdc,
    pub(crate) alice: PathBuf,
    pub(crate) service: PathBuf,
}

impl Realm {
    pub(crate) fn new() -> Self {
        Self::of(deputy_test_servers::Realm::default())
    }

    pub(crate) fn of(realm: deputy_test_servers::Realm) -> Self {
        let kdc = Kdc::start_realm(realm).unwrap();
        let (alice, service) = (kdc.add("alice").unwrap(), kdc.add(SERVICE).unwrap());
        Self { kdc, alice, service }
    }

    pub(crate) fn target(&self) -> KerberosPrincipal {
        principal(&format!("{SERVICE}@{}", self.kdc.realm()))
    }

    pub(crate) fn login(&self) -> Login {
        start(config(&self.kdc, &self.alice))
    }
}

/// A context that is established at both ends.
pub(crate) async fn established(
    login: &Login,
    target: &KerberosPrincipal,
    keytab: &Path,
) -> (KerberosContext, Acceptor) {
    let (mut context, first) = login.begin(target).await.unwrap();
    assert!(!first.established && !context.is_established());
    let mut service = Acceptor::new(keytab);
    let last = context.step(service.accept(&first.token).unwrap()).await.unwrap();
    assert!(last.established && last.token.is_empty() && context.is_established());
    (context, service)
}

/// Waits until a login's status is as wanted.
pub(crate) async fn until(login: &Login, what: &str, is: impl Fn(&LoginStatus) -> bool) -> LoginStatus {
    let begun = Instant::now();
    loop {
        let status = login.status();
        if is(&status) {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "not {what}: {status:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Why a login has no ticket.
pub(crate) async fn refusal(config: LoginConfig) -> Fault {
    let login = start(config);
    let fault = login.ready().await.expect_err("it has a ticket");
    assert_eq!(login.status().fault.as_ref(), Some(&fault));
    assert_eq!(login.status().expiry, None);
    fault
}

pub(crate) fn assert_cause(fault: &Fault, cause: FaultCause, text: &str) {
    assert_eq!(fault.cause, cause, "{fault}");
    assert!(fault.detail.contains(text), "{fault}");
}
