//! Kerberos contexts that were not granted, and misuse of those that were, with a real KDC.

use std::collections::BTreeMap;

use deputy_audit::{AuditAction, AuditOutcome};
use deputy_core::grant::KerberosGrant;
use deputy_core::{Krb5Conf, LoginPlan, TicketSource};
use deputy_test_servers::Kdc;

use crate::harness::{Attack, host};

/// A login whose keytab does not exist: nothing here gets as far as a ticket.
fn nobody() -> LoginPlan {
    LoginPlan {
        name: "nobody".parse().unwrap(),
        principal: "nobody@TEST.LOCAL".parse().unwrap(),
        tickets: TicketSource::Keytab("/nonexistent/nobody.keytab".into()),
        krb5_conf: Krb5Conf::Realms(BTreeMap::new()),
    }
}

fn granting(guest: &str, login: LoginPlan, targets: &[&str]) -> Attack {
    let mut attack = Attack::new(guest).tcp("nn1.example.com:8020").tcp("*.hbase.example.com:16020");
    let targets = targets.iter().map(|target| target.parse().unwrap()).collect();
    attack.instance.grant.kerberos = Some(KerberosGrant { login, targets });
    attack
}

#[test]
fn kerberos_not_granted() {
    let seen = Attack::new("kerberos-not-granted").setting("targets", "hdfs/nn1.example.com@TEST.LOCAL").obtain();
    seen.assert_denied(&["kerberos-not-granted"]);
    assert!(seen.lines().iter().all(|line| line == "denied Kerberos is not granted"), "{:?}", seen.lines());
}

#[test]
fn target_not_granted() {
    let targets = [
        "hdfs/nn2.example.com@TEST.LOCAL",
        "hdfs/NN1.example.com@TEST.LOCAL",
        "hdfs/nn1.example.com@OTHER.LOCAL",
        "hdfs/nn1.example.com@TEST.LOCAL@OTHER.LOCAL",
        "hdfs\\/nn1.example.com@TEST.LOCAL",
        "krbtgt/TEST.LOCAL@TEST.LOCAL",
        "hdfs@nn1.example.com",
    ];
    let attack = granting("target-not-granted", nobody(), &["hdfs/nn1.example.com@TEST.LOCAL"]);
    let seen = attack.setting("targets", targets.join("\n")).obtain();
    seen.assert_denied(&["target-not-granted"]);
    assert_eq!(seen.lines().iter().filter(|line| line.starts_with("denied ")).count(), targets.len());
}

#[test]
fn target_host_not_granted() {
    let target = "hdfs/nn9.example.com@TEST.LOCAL";
    let seen = granting("target-host-not-granted", nobody(), &[target]).setting("targets", target).obtain();
    seen.assert_denied(&["target-host-not-granted"]);
}

#[test]
fn target_not_connected() {
    let attack = granting("target-not-connected", nobody(), &["hbase/_HOST@TEST.LOCAL"]);
    let seen = attack.setting("targets", "hbase/rs1.hbase.example.com@TEST.LOCAL").obtain();
    seen.assert_denied(&["target-not-connected"]);
}

#[test]
fn context_misused() {
    let kdc = Kdc::start().unwrap();
    let keytab = kdc.add("alice").unwrap();
    kdc.add("hdfs/nn1.example.com").unwrap();
    let login = LoginPlan {
        name: "alice".parse().unwrap(),
        principal: "alice@TEST.LOCAL".parse().unwrap(),
        tickets: TicketSource::Keytab(keytab),
        krb5_conf: Krb5Conf::File(kdc.krb5_conf()),
    };
    let target = "hdfs/nn1.example.com@TEST.LOCAL";
    let seen = granting("context-misused", login, &[target]).setting("target", target).obtain();
    let expected = [
        "wrap-early wrong-state",
        "unwrap-early wrong-state",
        "first ok true",
        "wrap-before wrong-state",
        "megabyte bad-token the token is not valid here",
        "nonsense bad-token the token is not valid here",
        "after wrong-state",
        "thousand ok true",
        "opened 63",
    ];
    assert_eq!(seen.lines(), expected);
    let is_context =
        |action: &AuditAction| matches!(action, AuditAction::Kerberos { target: found, .. } if found == target);
    let events = host().all_events(seen.call.id);
    let begun = events.iter().filter(|it| is_context(&it.action) && it.outcome == AuditOutcome::Begun).count();
    assert_eq!(begun, 1, "one context has begun");
    assert_eq!(kdc.issued("AS_REQ", "alice@TEST.LOCAL"), 1);
}
