//! Kerberos contexts that were not granted, and misuse of those that were, with a real KDC.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use deputy_audit::{AuditAction, AuditOutcome};
use deputy_core::grant::KerberosGrant;
use deputy_core::{ByteSize, Krb5Conf, Limit, LoginPlan, TicketSource};
use deputy_test_servers::{Acceptor, Kdc};

use crate::harness::{Attack, ObtainReport, host};

/// A login whose keytab does not exist: nothing here gets as far as a ticket.
fn login_without_keytab() -> LoginPlan {
    LoginPlan {
        name: "absent".parse().unwrap(),
        principal: "absent@TEST.LOCAL".parse().unwrap(),
        tickets: TicketSource::Keytab("/nonexistent/absent.keytab".into()),
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
    let attack = granting("target-not-granted", login_without_keytab(), &["hdfs/nn1.example.com@TEST.LOCAL"]);
    let seen = attack.setting("targets", targets.join("\n")).obtain();
    seen.assert_denied(&["target-not-granted"]);
    assert_eq!(seen.lines().iter().filter(|line| line.starts_with("denied ")).count(), targets.len());
}

#[test]
fn target_host_not_granted() {
    let target = "hdfs/nn9.example.com@TEST.LOCAL";
    let seen =
        granting("target-host-not-granted", login_without_keytab(), &[target]).setting("targets", target).obtain();
    seen.assert_denied(&["target-host-not-granted"]);
}

#[test]
fn target_not_connected() {
    let attack = granting("target-not-connected", login_without_keytab(), &["hbase/_HOST@TEST.LOCAL"]);
    let seen = attack.setting("targets", "hbase/rs1.hbase.example.com@TEST.LOCAL").obtain();
    seen.assert_denied(&["target-not-connected"]);
}

/// alice of a real realm.
fn alice(kdc: &Kdc) -> LoginPlan {
    LoginPlan {
        name: "alice".parse().unwrap(),
        principal: "alice@TEST.LOCAL".parse().unwrap(),
        tickets: TicketSource::Keytab(kdc.add("alice").unwrap()),
        krb5_conf: Krb5Conf::File(kdc.krb5_conf()),
    }
}

#[test]
fn kerberos_contexts_thousand() {
    let target = "hdfs/nn1.example.com@TEST.LOCAL";
    let seen =
        granting("kerberos-contexts-thousand", login_without_keytab(), &[target]).setting("target", target).obtain();
    seen.assert_over_limit(Limit::KerberosContexts);
    assert_eq!(seen.lines(), ["16", "denied over the limit `kerberos-contexts`"]);
    let contexts = seen.events.iter().filter(|event| matches!(event.action, AuditAction::Kerberos { .. }));
    assert_eq!(contexts.count(), 17, "those that it got, and the limit once");
}

#[test]
fn kerberos_bytes_without_end() {
    let target = "hdfs/nn1.example.com@TEST.LOCAL";
    let attack = granting("kerberos-bytes-without-end", login_without_keytab(), &[target]).setting("target", target);
    let seen = attack.limits(|limits| limits.kerberos_bytes = ByteSize::bytes(5 << 20)).obtain();
    seen.assert_over_limit(Limit::KerberosBytes);
    assert_eq!(seen.lines(), ["5 wrong-state", "denied over the limit `kerberos-bytes`"]);
}

/// A service that accepts one client, and then says three things. Each token has its length in four bytes before it.
fn service(keytab: &Path) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (port, keytab) = (listener.local_addr().unwrap().port(), keytab.to_owned());
    let serving = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let send = |stream: &mut TcpStream, token: &[u8]| {
            let length = u32::try_from(token.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length[..], token].concat()).unwrap();
        };
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut token = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        stream.read_exact(&mut token).unwrap();
        let mut acceptor = Acceptor::new(&keytab);
        let answer = acceptor.accept(&token).unwrap();
        send(&mut stream, &answer);
        for (message, confidential) in [("one", true), ("two", true), ("three", false)] {
            send(&mut stream, &acceptor.wrap(message.as_bytes(), confidential));
        }
        // Until the component is gone.
        stream.read_to_end(&mut Vec::new()).ok();
    });
    (port, serving)
}

#[test]
fn context_tokens_replayed() {
    let kdc = Kdc::start().unwrap();
    let login = alice(&kdc);
    let name = host().name(&["127.0.0.1"]);
    let target = format!("hdfs/{name}@TEST.LOCAL");
    let (port, serving) = service(&kdc.add(&format!("hdfs/{name}")).unwrap());
    let mut attack = Attack::new("context-tokens-replayed").setting("name", &name).setting("port", port);
    attack = attack.setting("target", &target).tcp(&format!("{name}:{port}"));
    attack.instance.grant.kerberos = Some(KerberosGrant { login, targets: vec![target.parse().unwrap()] });
    let seen = attack.obtain();
    serving.join().unwrap();
    let bad = "bad-token the token is not valid here";
    let expected = [
        format!("answer of another context: {bad}"),
        format!("its own token: {bad}"),
        "answer: ok true".to_owned(),
        "answer again: wrong-state".to_owned(),
        "altered: bad-token".to_owned(),
        format!("cut: {bad}"),
        format!("second: {bad}"),
        format!("first, late: {bad}"),
        format!("second again: {bad}"),
        "third: ok three".to_owned(),
        format!("its own message: {bad}"),
    ];
    assert_eq!(seen.lines(), expected);
    let kept = |action: &AuditAction| matches!(action, AuditAction::Kerberos { target: of, .. } if *of == target);
    assert_eq!(seen.events.iter().filter(|event| kept(&event.action)).count(), 3, "each has its totals: {seen:?}");
}

#[test]
fn context_begun_again() {
    let kdc = Kdc::start().unwrap();
    let login = alice(&kdc);
    let target = "hdfs/nn1.example.com@TEST.LOCAL";
    let seen = granting("context-begun-again", login, &[target]).setting("target", target).obtain();
    assert_eq!(seen.lines(), ["99 of 100 wrong-state"]);
    let events = host().all_events(seen.call.id);
    let begun = events
        .iter()
        .filter(|it| matches!(it.action, AuditAction::Kerberos { .. }) && it.outcome == AuditOutcome::Begun);
    assert_eq!(begun.count(), 1, "one try has begun");
}

/// How many contexts of a login are open.
fn open_contexts(login: &LoginPlan) -> usize {
    host().runtime.block_on(host().sandbox.check_login(login)).contexts
}

#[test]
fn context_misused() {
    let kdc = Kdc::start().unwrap();
    let login = alice(&kdc);
    kdc.add("hdfs/nn1.example.com").unwrap();
    let target = "hdfs/nn1.example.com@TEST.LOCAL";
    let attack = granting("context-misused", login.clone(), &[target]).setting("target", target);
    let (seen, left) = host().during_attack(|| {
        let provider = host().provider(&attack.instance);
        let seen = provider.obtained();
        let until = Instant::now() + Duration::from_secs(10);
        while open_contexts(&login) > 0 && Instant::now() < until {
            sleep(Duration::from_millis(10));
        }
        (seen, open_contexts(&login))
    });
    assert_eq!(left, 0, "what it still has ends with the call, while its instance goes on");
    let expected = [
        "wrap-early wrong-state",
        "unwrap-early wrong-state",
        "first ok true",
        "wrap-before wrong-state",
        "megabyte bad-token the token is not valid here",
        "nonsense bad-token the token is not valid here",
        "after wrong-state",
        "thousand ok true",
        "opened 15",
    ];
    assert_eq!(seen.lines(), expected);
    let is_context =
        |action: &AuditAction| matches!(action, AuditAction::Kerberos { target: found, .. } if found == target);
    let events = host().all_events(seen.call.id);
    let begun = events.iter().filter(|it| is_context(&it.action) && it.outcome == AuditOutcome::Begun).count();
    assert_eq!(begun, 1, "one context has begun");
    assert_eq!(kdc.issued("AS_REQ", "alice@TEST.LOCAL"), 1);
}
