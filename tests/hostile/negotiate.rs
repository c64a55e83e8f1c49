//! `negotiate` of HTTP rules: real servers accept the host's tokens, and no component has one, or adds its own.

use std::path::PathBuf;

use deputy_audit::{AuditAction, AuditOutcome};
use deputy_core::grant::{AddressClass, HttpRule, KerberosGrant, Network};
use deputy_core::{Krb5Conf, LoginPlan, TicketSource, Tokens};
use deputy_test_servers::{Hdfs, HttpFs, Kdc, Kms, Site};
use tokio::io::AsyncWriteExt;

use crate::harness::{Attack, AttackReport, host};
use crate::servers::{Server, response};

/// A realm with alice.
struct Realm {
    kdc: Kdc,
    alice: PathBuf,
}

impl Realm {
    fn new() -> Self {
        let kdc = Kdc::start().unwrap();
        let alice = kdc.add("alice").unwrap();
        Self { kdc, alice }
    }

    /// A name of this machine, whose web server is a principal.
    fn web_host(&self) -> String {
        let name = host().name(&["127.0.0.1"]);
        self.kdc.add(&format!("HTTP/{name}")).unwrap();
        name
    }

    /// Requests of a guest to a URL, with tokens for this target.
    fn negotiating(&self, attack: Attack, url: &str, target: &str) -> Attack {
        let mut attack = attack.setting("url", url).http_with(url, |rule| negotiate(rule, target));
        let login = LoginPlan {
            name: "alice".parse().unwrap(),
            principal: "alice@TEST.LOCAL".parse().unwrap(),
            tickets: TicketSource::Keytab(self.alice.clone()),
            krb5_conf: Krb5Conf::File(self.kdc.krb5_conf()),
        };
        attack.instance.grant.kerberos = Some(KerberosGrant { login, targets: Vec::new() });
        attack
    }
}

fn negotiate(rule: &mut HttpRule, target: &str) {
    rule.networks = vec![Network::Class(AddressClass::Loopback)];
    rule.send.negotiate = Some(target.parse().unwrap());
}

fn url(name: &str, server: &Server) -> String {
    format!("http://{name}:{}", server.port())
}

/// The tokens that arrived, with none for a request without one.
fn tokens(server: &Server) -> Vec<Option<String>> {
    let token = |request: &String| {
        let mut lines = request.lines().filter_map(|line| line.strip_prefix("authorization: Negotiate "));
        let token = lines.next().map(str::to_owned);
        assert_eq!(lines.next(), None, "two of them");
        token
    };
    server.heard().iter().map(token).collect()
}

/// The outcomes of the contexts for a target, in order.
fn contexts(seen: &AttackReport<impl Sized>, target: &str) -> Vec<(AuditOutcome, Option<String>)> {
    let events = host().all_events(seen.call.id).into_iter();
    let of_target =
        events.filter(|event| matches!(&event.action, AuditAction::Kerberos { target: of, .. } if of == target));
    of_target.map(|event| (event.outcome, event.code)).collect()
}

#[test]
fn negotiate_token_is_another_one_in_each_request() {
    let realm = Realm::new();
    let (server, name) = (Server::good(), realm.web_host());
    let attack = Attack::new("benign-http").setting("count", "3");
    let seen = realm.negotiating(attack, &url(&name, &server), "HTTP/_HOST@TEST.LOCAL").obtain();
    assert_eq!(seen.report(), ["ok 200 hello"; 3].join("\n"), "{seen:?}");
    let mut tokens = tokens(&server).into_iter().collect::<Option<Vec<_>>>().unwrap();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 3);
    let target = format!("HTTP/{name}@TEST.LOCAL");
    let each = [(AuditOutcome::Begun, None), (AuditOutcome::Done, None)];
    assert_eq!(contexts(&seen, &target), [each.clone(), each.clone(), each].concat());
    let begun = host().all_events(seen.call.id).into_iter().find(|event| event.outcome == AuditOutcome::Begun).unwrap();
    assert!(matches!(begun.action, AuditAction::Kerberos { .. }), "recorded before anything leaves: {begun:?}");
    assert_eq!(realm.kdc.issued("AS_REQ", "alice@TEST.LOCAL"), 1);
}

#[test]
fn authorization_not_allowed() {
    let realm = Realm::new();
    let (server, name) = (Server::good(), realm.web_host());
    let attack = Attack::new("authorization-not-allowed");
    let seen = realm.negotiating(attack, &url(&name, &server), "HTTP/_HOST@TEST.LOCAL").obtain();
    seen.assert_denied(&["authorization-not-allowed"]);
    assert_eq!(seen.lines(), ["err HttpRequestDenied"; 4]);
    assert_eq!(server.heard(), [""; 0]);
}

#[test]
fn negotiate_token_does_not_follow_a_redirect() {
    let realm = Realm::new();
    let (elsewhere, name, other) = (Server::good(), realm.web_host(), realm.web_host());
    let location = url(&other, &elsewhere);
    let server =
        Server::answering(format!("HTTP/1.1 307 Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"));
    let attack = Attack::new("address-redirect-to-metadata").http(&location);
    let seen = realm.negotiating(attack, &url(&name, &server), "HTTP/_HOST@TEST.LOCAL").obtain();
    assert_eq!(seen.lines(), ["307", "ok 200 hello"]);
    assert!(tokens(&server)[0].is_some());
    assert_eq!(tokens(&elsewhere), [None]);
}

#[test]
fn negotiate_token_in_the_response_is_denied() {
    let realm = Realm::new();
    let name = realm.web_host();
    let server = Server::start(|mut stream, heard| async move {
        let request = heard.request(&mut stream).await?;
        stream.write_all(response(&request).as_bytes()).await?;
        stream.shutdown().await
    });
    let attack = Attack::new("benign-http").setting("count", "1");
    let seen = realm.negotiating(attack, &url(&name, &server), "HTTP/_HOST@TEST.LOCAL").obtain();
    seen.assert_denied(&["secret-in-response"]);
    assert!(!seen.report().contains("YII"), "{seen:?}");
}

#[test]
fn negotiate_answer_of_another_server_is_refused() {
    let realm = Realm::new();
    let name = realm.web_host();
    let target = format!("HTTP/{name}@TEST.LOCAL");
    for answer in ["oYGFMIGCoAMKAQA=", "YGoGCSqGSIb3EgECAgIAb1swWaADAgEFoQMCAQ8=", "!!!", "oQcwBaADCgEC"] {
        let head = format!("HTTP/1.1 200 OK\r\nwww-authenticate: Negotiate {answer}\r\ncontent-length: 0\r\n\r\n");
        let server = Server::answering(head);
        let attack = Attack::new("benign-http").setting("count", "1");
        let seen = realm.negotiating(attack, &url(&name, &server), "HTTP/_HOST@TEST.LOCAL").obtain();
        assert_eq!(seen.report(), "err ConfigurationError", "{answer}");
        assert_eq!(contexts(&seen, &target).last().unwrap().1.as_deref(), Some("server-unproven"), "{answer}");
        let faults = format!("{:?}", seen.call.secret_faults);
        assert!(faults.contains(&format!("did not prove that it is HTTP/{name}")), "{faults}");
    }
}

#[test]
fn negotiate_cookie_of_the_server_is_kept_from_the_component() {
    let realm = Realm::new();
    let name = realm.web_host();
    let head = "HTTP/1.1 200 OK\r\nset-cookie: hadoop.auth=u=alice; HttpOnly\r\ncontent-length: 0\r\n\r\n";
    let server = Server::answering(head);
    let attack = Attack::new("benign-answer-headers");
    let seen = realm.negotiating(attack, &url(&name, &server), "HTTP/_HOST@TEST.LOCAL").obtain();
    assert_eq!(seen.lines(), ["content-length"]);
}

#[test]
fn negotiate_without_a_service_names_what_mends_it() {
    let realm = Realm::new();
    let (server, name) = (Server::good(), host().name(&["127.0.0.1"]));
    let attack = Attack::new("benign-http").setting("count", "1");
    let seen = realm.negotiating(attack, &url(&name, &server), "HTTP/_HOST@TEST.LOCAL").obtain();
    assert_eq!(seen.report(), "err ConfigurationError");
    assert_eq!(server.heard(), [""; 0]);
    let faults = format!("{:?}", seen.call.secret_faults);
    assert!(faults.contains(&format!("HTTP/{name}")), "{faults}");
}

/// Obtains with a provider that is shipped.
fn obtained(seen: &AttackReport<Tokens>, target: &str) -> Vec<u8> {
    let tokens = seen.call.result.as_ref().unwrap_or_else(|error| panic!("{error:?}: {seen:?}"));
    let outcomes = contexts(seen, target);
    assert!(outcomes.len() >= 2 && outcomes.iter().all(|(outcome, _)| *outcome != AuditOutcome::Failed), "{seen:?}");
    tokens.payload.expose().to_vec()
}

/// Whether Hadoop's own class reads this kind of token in a payload.
fn has(payload: &[u8], kind: &str) -> bool {
    payload.starts_with(b"HDTS") && payload.windows(kind.len()).any(|part| part == kind.as_bytes())
}

#[test]
fn negotiate_obtains_tokens_of_webhdfs_httpfs_and_kms() {
    let realm = Realm::new();
    let name = host().localhost();
    let hdfs = Hdfs::start(&realm.kdc, &Site::new().proxy_user("httpfs")).unwrap();
    let httpfs = HttpFs::start(&realm.kdc, hdfs.client(), &Site::new()).unwrap();
    let kms = Kms::start(&realm.kdc, &Site::new()).unwrap();
    let target = format!("HTTP/{name}@TEST.LOCAL");
    for (port, kind) in [(hdfs.http_port(), "WEBHDFS delegation"), (httpfs.port(), "WEBHDFS delegation")] {
        let url = format!("http://{name}:{port}");
        let attack = realm.negotiating(Attack::new("webhdfs"), &url, &target).setting("use-ip", "false");
        let mut attack = attack.setting("urls", &url);
        attack.instance.settings.remove("url");
        assert!(has(&obtained(&attack.obtain(), &target), kind));
    }
    let url = format!("http://{name}:{}", kms.port());
    let attack = realm.negotiating(Attack::new("kms"), &url, &target);
    let mut attack = attack.setting("provider", format!("kms://http@{name}:{}/kms", kms.port()));
    attack.instance.settings.remove("url");
    assert!(has(&obtained(&attack.obtain(), &target), "kms-dt"));
}
