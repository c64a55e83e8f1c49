//! The capability without a KDC: what is denied, what is recorded, and what a component learns.

use deputy_audit::AuditOutcome;
use deputy_core::grant::KerberosGrant;
use deputy_core::{Krb5Conf, Limits, LoginPlan, TicketSource};
use kerberos::{Host as _, HostContext as _};

use super::*;
use crate::testing::AuditedBudget;

struct Fixture {
    kerberos: CallKerberos,
    table: ResourceTable,
    audited: AuditedBudget,
}

fn plan() -> LoginPlan {
    LoginPlan {
        name: "etl".parse().unwrap(),
        principal: "alice@R".parse().unwrap(),
        tickets: TicketSource::Keytab("alice.keytab".into()),
        krb5_conf: Krb5Conf::Realms(std::collections::BTreeMap::new()),
    }
}

/// A grant for one service. Its login process ends at once.
fn fixture(limits: Limits) -> Fixture {
    let grant = Grant {
        tcp: vec!["nn1.example:8020".parse().unwrap()],
        kerberos: Some(KerberosGrant { login: plan(), targets: vec!["hdfs/nn1.example@R".parse().unwrap()] }),
        ..Grant::default()
    };
    let login = Logins::new("/bin/false".into()).of(&plan());
    let audited = AuditedBudget::new(limits);
    let budget = Arc::clone(&audited.budget);
    let kerberos = CallKerberos::new(Arc::new(grant), Some(login), budget, ConnectedHosts::default());
    Fixture { kerberos, table: ResourceTable::new(), audited }
}

impl Fixture {
    fn view(&mut self) -> KerberosView<'_> {
        KerberosView { kerberos: &mut self.kerberos, table: &mut self.table }
    }

    fn guest(&mut self, error: KerberosUseError) -> KerberosError {
        self.view().convert_kerberos_error(error).unwrap()
    }
}

#[tokio::test]
async fn kerberos_without_a_login_is_denied_and_recorded() {
    let mut fixture = fixture(Limits::default());
    fixture.kerberos.login = None;
    fixture.kerberos.grant = Arc::new(Grant::default());
    let error = fixture.view().principal().unwrap_err();
    assert!(matches!(fixture.guest(error), KerberosError::Denied(text) if text == "Kerberos is not granted"));
    assert_eq!(fixture.audited.only_outcome(), (AuditOutcome::Refused, Some("kerberos-not-granted".to_owned())));
    let error = fixture.view().open("hdfs/nn1.example@R".to_owned()).unwrap_err();
    assert!(matches!(fixture.guest(error), KerberosError::Denied(_)));
}

#[tokio::test]
async fn kerberos_target_that_is_not_granted_is_recorded() {
    let mut fixture = fixture(Limits::default());
    let error = fixture.view().open("hdfs/nn2.example@R".to_owned()).unwrap_err();
    assert!(matches!(fixture.guest(error), KerberosError::Denied(text) if text.contains("nn2.example")));
    assert_eq!(fixture.audited.only_outcome(), (AuditOutcome::Refused, Some("target-not-granted".to_owned())));
}

#[tokio::test]
async fn kerberos_contexts_have_a_limit_that_fills_no_log() {
    let mut fixture = fixture(Limits { kerberos_contexts: 3, ..Limits::default() });
    let mut opened = 0;
    for _ in 0..1000 {
        opened += usize::from(fixture.view().open("hdfs/nn1.example@R".to_owned()).is_ok());
    }
    assert_eq!(opened, 3);
    drop(std::mem::take(&mut fixture.table));
    let events = fixture.audited.events();
    assert_eq!(events.len(), 4, "three contexts, and the limit once");
}

#[tokio::test]
async fn kerberos_wrap_before_established_is_a_wrong_state() {
    let mut fixture = fixture(Limits::default());
    let context = fixture.view().open("hdfs/nn1.example".to_owned()).unwrap();
    let handle = || Resource::new_borrow(context.rep());
    let error = fixture.view().wrap(handle(), b"early".to_vec(), false).await.unwrap_err();
    assert!(matches!(fixture.guest(error), KerberosError::WrongState));
    let error = fixture.view().unwrap(handle(), b"early".to_vec()).await.unwrap_err();
    assert!(matches!(fixture.guest(error), KerberosError::WrongState));
    let error = fixture.view().step(handle(), b"not empty".to_vec()).await.unwrap_err();
    assert!(matches!(fixture.guest(error), KerberosError::BadToken(_)));
}

#[tokio::test]
async fn kerberos_failure_of_the_login_is_for_the_operator() {
    let mut fixture = fixture(Limits::default());
    let context = fixture.view().open("hdfs/nn1.example@R".to_owned()).unwrap();
    let error = fixture.view().step(Resource::new_borrow(context.rep()), Vec::new()).await.unwrap_err();
    let told = fixture.guest(error);
    assert!(matches!(&told, KerberosError::Unavailable(text) if text == "no ticket can be had now"), "{told:?}");
    drop(std::mem::take(&mut fixture.table));
    let outcomes: Vec<_> = fixture.audited.all_events().into_iter().map(|it| (it.outcome, it.code)).collect();
    assert_eq!(outcomes[0], (AuditOutcome::Begun, None), "before anything leaves");
    assert_eq!(outcomes[1], (AuditOutcome::Failed, Some("process".to_owned())));
}
