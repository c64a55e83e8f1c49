//! Secrets that were not granted, and uses of granted ones that were not.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use deputy_audit::{AuditAction, AuditEvent, AuditOutcome};
use deputy_core::grant::{
    Injection, InjectionEncoding, InjectionPoint, JwtGrant, ScramGrant, SecretGrant, SecretPurpose, SignatureAlgorithm,
    Sigv4Grant,
};
use deputy_core::time::CivilDate;
use deputy_core::{Limits, Span, Timestamp};
use tokio::io::AsyncWriteExt;

use crate::harness::{Attack, AttackReport, host};
use crate::servers::{Server, response};

/// Sends back the request's head, in the way that its path names.
fn echo() -> Server {
    Server::start(|mut stream, heard| async move {
        let request = heard.request(&mut stream).await?;
        let authorization = request.split("authorization: ").nth(1).and_then(|rest| rest.lines().next());
        let (path, seen) = (request.split(' ').nth(1).unwrap_or_default(), authorization.unwrap_or_default());
        let body = match path {
            "/header" => format!("HTTP/1.1 403 -\r\nx-seen: {seen}\r\ncontent-length: 0\r\n\r\n"),
            "/gzip" => "HTTP/1.1 200 -\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello".to_owned(),
            _ => response(&request),
        };
        for piece in body.as_bytes().chunks(if path == "/dripping" { 1 } else { 4096 }) {
            stream.write_all(piece).await?;
        }
        stream.shutdown().await
    })
}

const AWS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// `YYYYMMDD'T'HHMMSS'Z'`, this number of seconds from now.
fn time(from_now: i64) -> String {
    let at = now().checked_add_signed(from_now).unwrap();
    let CivilDate { year, month, day } = Timestamp::from_millis(at * 1000).date();
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", at / 3600 % 24, at / 60 % 60, at % 60)
}

pub(crate) fn only(purpose: SecretPurpose) -> SecretGrant {
    SecretGrant::new(Some(purpose), false)
}

/// For the service `sts` in the region `eu-west-1`.
fn sigv4() -> SecretGrant {
    only(SecretPurpose::Sigv4(Sigv4Grant::new(vec!["sts".into()], vec!["eu-west-1".into()]).unwrap()))
}

/// In the name of `deputy`, for `https://sts.test`, for ten minutes.
pub(crate) fn grant() -> JwtGrant {
    let issuers = vec!["deputy".into()];
    let audiences = vec!["https://sts.test".into(), "https://other.test".into()];
    JwtGrant::new(vec![SignatureAlgorithm::EdDsa], issuers, audiences, Span::secs(600)).unwrap()
}

pub(crate) fn scram() -> SecretGrant {
    only(SecretPurpose::Scram(ScramGrant::new("carol".to_owned()).unwrap()))
}

pub(crate) fn jwt() -> SecretGrant {
    only(SecretPurpose::Jwt(grant()))
}

pub(crate) fn ed25519() -> String {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem()
}

/// Claims that are granted.
pub(crate) fn claims() -> String {
    let now = now();
    format!(r#"{{"iss":"deputy","aud":"https://sts.test","iat":{now},"exp":{}}}"#, now + 300)
}

fn many(limits: &mut Limits) {
    limits.secret_operations = 10_000;
}

/// A case with one secret, called `key`.
pub(crate) fn with(guest: &str, value: &str, grant: SecretGrant) -> Attack {
    Attack::new(guest).setting("secret", "key").secret("key", value, grant)
}

#[track_caller]
pub(crate) fn all_denied(seen: &AttackReport, code: &str, count: usize) {
    seen.assert_denied(&[code]);
    let lines = seen.lines();
    assert_eq!(lines.len(), count);
    assert!(lines.iter().all(|line| line.starts_with("denied ")), "{lines:#?}");
}

#[test]
fn secret_in_response() {
    let (server, name) = (echo(), host().name(&["127.0.0.1"]));
    let url = format!("http://{name}:{}", server.port());
    let injection = |form| Injection {
        place: InjectionPoint::Header("authorization".to_owned()),
        secret: "key".parse().unwrap(),
        form,
    };
    for form in [
        InjectionEncoding::Plain { prefix: "Bearer ".to_owned() },
        InjectionEncoding::Basic { user: "me".to_owned() },
        InjectionEncoding::OauthBasic { client: "me".to_owned() },
    ] {
        let attack = Attack::new("secret-in-response").secret("key", AWS_KEY, SecretGrant::default());
        let attack = attack.http_with(&url, |rule| {
            rule.networks = vec!["loopback".parse().unwrap()];
            rule.send.inject = vec![injection(form)];
        });
        let seen = attack.setting("url", &url).obtain();
        seen.assert_denied(&["secret-in-response"]);
        assert_eq!(seen.lines().len(), 5);
        assert!(seen.lines().iter().all(|line| line.starts_with("err ")), "{seen:?}");
        let refused = seen.events.iter().filter(|event| event.code.as_deref() == Some("secret-in-response"));
        assert_eq!(refused.count(), 5);
    }
}

#[test]
fn secret_not_granted() {
    let long = "k".repeat(5_000);
    let names = ["other", "host-only", "KEY", "key ", "../key", "$HOME", "/etc/passwd", "key\u{0}", "", &long];
    let case = Attack::new("secret-not-granted").secret("key", "value", sigv4());
    // One that the host alone uses: to the component it is as absent as one that does not exist.
    let case = case.secret("host-only", "value", SecretGrant::new(None, false)).setting("names", names.join("\n"));
    let seen = case.obtain();
    all_denied(&seen, "secret-not-granted", names.len());
    let lines = seen.lines();
    assert_eq!(lines[0].replace("other", "host-only"), lines[1]);
    assert!(lines.iter().all(|line| line.len() < 300), "{lines:#?}");
}

#[test]
fn operation_not_granted() {
    let grants = [
        (sigv4(), AWS_KEY.to_owned(), 0..1),
        (jwt(), ed25519(), 9..9),
        (only(SecretPurpose::HmacSha256), "key".to_owned(), 2..3),
        (only(SecretPurpose::Pbkdf2), "key".to_owned(), 3..4),
        (SecretGrant::new(None, true), "key".to_owned(), 4..5),
        (only(SecretPurpose::Sign(vec![SignatureAlgorithm::EdDsa])), ed25519(), 7..8),
        (scram(), "key".to_owned(), 8..9),
    ];
    for (grant, value, granted) in grants {
        // Claims that hold, so that nothing but the operation is in the way; RS256 is not granted with any of them.
        let case = with("operation-not-granted", &value, grant.clone()).setting("claims", claims());
        let seen = case.setting("time", time(0)).obtain();
        let mut codes = BTreeSet::from(["operation-not-granted"]);
        for (index, line) in seen.lines().iter().enumerate() {
            let expected = if granted.contains(&index) { "ok " } else { "denied " };
            assert!(line.starts_with(expected), "{grant:?} {index} {line}");
        }
        if matches!(grant.purpose(), Some(SecretPurpose::Jwt(_) | SecretPurpose::Sign(_))) {
            codes.insert("algorithm-not-granted");
        }
        seen.assert_denied(&codes.into_iter().collect::<Vec<_>>());
    }
}

// AWS Signature Version 4.

fn scopes(guest: &str, scopes: &[String], code: &str) {
    let case = with(guest, AWS_KEY, sigv4()).setting("scopes", scopes.join("\n"));
    all_denied(&case.obtain(), code, scopes.len());
    // The same guest with what is granted.
    let case = with(guest, AWS_KEY, sigv4()).setting("scopes", format!("{}/eu-west-1/sts", time(0)));
    assert!(case.obtain().assert_not_denied().report().starts_with("ok "));
}

#[test]
fn service_not_granted() {
    let now = time(0);
    scopes(
        "service-not-granted",
        &["s3", "STS", "iam", "stsx", "st"].map(|s| format!("{now}/eu-west-1/{s}")),
        "service-not-granted",
    );
}

#[test]
fn region_not_granted() {
    let now = time(0);
    let regions = ["us-east-1", "eu-west-10", "EU-WEST-1", "eu-west", "aws-global"];
    scopes("region-not-granted", &regions.map(|region| format!("{now}/{region}/sts")), "region-not-granted");
}

#[test]
fn time_not_granted() {
    const MINUTE: i64 = 60;
    const DAY: i64 = 86_400;
    let far = [20 * MINUTE, -20 * MINUTE, DAY, -DAY, 365 * DAY, -365 * DAY].map(time);
    let named = ["20150830T123600Z", "19700101T000000Z", "99991231T235959Z"].map(str::to_owned);
    let times: Vec<_> = far.into_iter().chain(named).map(|time| format!("{time}/eu-west-1/sts")).collect();
    scopes("time-not-granted", &times, "time-not-granted");

    // Each is recorded with its time.
    let times = [time(10 * MINUTE), time(20 * MINUTE)];
    let lines = times.clone().map(|time| format!("{time}/eu-west-1/sts")).join("\n");
    let seen = with("time-not-granted", AWS_KEY, sigv4()).setting("scopes", lines).obtain();
    let recorded = |event: &AuditEvent| match &event.action {
        AuditAction::Secret { signed, .. } => Some((event.outcome, signed.signed_time.clone()?)),
        _ => None,
    };
    let recorded: Vec<_> = seen.events.iter().filter_map(recorded).collect();
    let shown = |time: &str| {
        let [date, clock] = [&time[..8], &time[9..15]];
        let (year, month, day) = (&date[..4], &date[4..6], &date[6..]);
        format!("{year}-{month}-{day}T{}:{}:{}.000Z", &clock[..2], &clock[2..4], &clock[4..])
    };
    let expected = [(AuditOutcome::Done, shown(&times[0])), (AuditOutcome::Refused, shown(&times[1]))];
    assert_eq!(recorded, expected);
}

#[test]
fn service_scope_malformed() {
    let seen = with("service-scope-malformed", AWS_KEY, sigv4()).setting("time", time(0)).obtain();
    let lines = seen.assert_not_denied().lines();
    assert_eq!(lines.len(), 13);
    assert!(lines.iter().all(|line| line.starts_with("invalid ")), "{lines:#?}");
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn operation_derives_key() {
    // Each secret serves another purpose. The AWS key is one of them and stands behind no other.
    let now = time(0);
    let case =
        Attack::new("operation-derives-key").setting("secrets", "aws\nmac\nwords\ntoken\nread").setting("time", &now);
    let case = case.secret("aws", AWS_KEY, sigv4()).secret("mac", "another key", only(SecretPurpose::HmacSha256));
    let case = case.secret("words", "a pass phrase", only(SecretPurpose::Pbkdf2)).secret("token", &ed25519(), jwt());
    let seen = case.secret("read", "readable", SecretGrant::new(None, true)).limits(many).obtain();
    let lines = seen.lines();
    let yielded: BTreeSet<_> = lines.iter().filter_map(|line| line.strip_prefix("ok ")).collect();

    let today = &now[..8];
    let parts = [today, "20150830", "eu-west-1", "us-east-1", "sts", "s3", "iam", "aws4_request", "AWS4", ""];
    let first = [AWS_KEY.to_owned(), format!("AWS4{AWS_KEY}")];
    let mut keys: Vec<Vec<u8>> = first.map(String::into_bytes).to_vec();
    // All chains of up to four links, and what it was asked for on the way.
    let mut last = keys.clone();
    for _ in 0..4 {
        last = last.iter().flat_map(|key| parts.map(|part| mac(key, part.as_bytes()))).collect();
        keys.extend_from_slice(&last);
    }
    assert_eq!(keys.len(), 2 * (1 + 10 + 100 + 1_000 + 10_000));
    let derived: BTreeSet<_> = keys.iter().map(|key| hex(key)).collect();
    let found: Vec<_> = yielded.iter().filter(|output| derived.contains(**output)).collect();
    assert!(found.is_empty(), "a derived key came out: {found:?}");
    assert!(!yielded.contains(AWS_KEY));

    // What was granted did come out, so that the comparison above could have found something.
    let chain = [today, "eu-west-1", "sts", "aws4_request"];
    let key = chain.iter().fold(format!("AWS4{AWS_KEY}").into_bytes(), |key, part| mac(&key, part.as_bytes()));
    assert!(derived.contains(&hex(&key)));
    let digest = "0".repeat(64);
    let text = format!("AWS4-HMAC-SHA256\n{now}\n{today}/eu-west-1/sts/aws4_request\n{digest}");
    assert!(yielded.contains(hex(&mac(&key, text.as_bytes())).as_str()));
    assert!(yielded.contains(hex(&mac(b"another key", today.as_bytes())).as_str()));
    assert!(yielded.contains("readable"));
    seen.assert_denied(
        &["algorithm-not-granted", "operation-not-granted", "region-not-granted", "service-not-granted"]
            .into_iter()
            .filter(|code| seen.call.denials.iter().any(|refusal| refusal.code() == *code))
            .collect::<Vec<_>>(),
    );
    assert!(seen.call.denials.iter().any(|refusal| refusal.code() == "operation-not-granted"));
}

#[test]
fn scram_server_hostile() {
    let answers = [
        "r={nonce}x,s=c2FsdA==,i=1",
        "r={nonce}x,s=c2FsdA==,i=10000000",
        "r={nonce},s=c2FsdA==,i=4096",
        "r=x{nonce},s=c2FsdA==,i=4096",
        "r=,s=c2FsdA==,i=4096",
        "r={nonce}x,s=,i=4096",
        "m=x,r={nonce}x,s=c2FsdA==,i=4096",
        "e=other-error",
        ",",
    ];
    let password = "kafka-password-that-no-component-sees";
    let seen = with("scram-server-hostile", password, scram()).setting("answers", answers.join("\n")).obtain();
    let lines = seen.assert_not_denied().lines();
    // With them a long answer, three mechanisms, a second proof, and two servers that do not know the password.
    let (proof, refused) = lines.split_last().unwrap();
    assert_eq!(refused.len(), answers.len() + 7);
    assert!(refused.iter().all(|line| line.starts_with("invalid ") && line.len() < 200), "{refused:#?}");
    assert!(refused[0].contains("asks for 1 SCRAM iterations") && refused[1].contains("10000000"), "{refused:#?}");
    assert!(refused[2].contains("does not extend") && refused[3].contains("does not extend"), "{refused:#?}");
    assert!(proof.starts_with("carol c=biws,r=") && proof.contains(",p="), "{proof}");
    let proofs = seen.events.iter().filter(|event| match &event.action {
        AuditAction::Secret { operation, scope, .. } => operation == "scram-proof" && scope.ends_with(" as carol"),
        _ => false,
    });
    let done = proofs.clone().filter(|event| event.outcome == AuditOutcome::Done).count();
    assert_eq!((proofs.count(), done), (answers.len() + 3, 1));
}

#[test]
fn algorithm_not_granted_bare() {
    let grant = only(SecretPurpose::Sign(vec![SignatureAlgorithm::EdDsa]));
    let seen = with("algorithm-not-granted-bare", &ed25519(), grant).obtain();
    seen.assert_denied(&["algorithm-not-granted"]);
    let lines = seen.lines();
    assert!(
        lines[0].starts_with("denied ") && lines[1].starts_with("denied ") && lines[2].starts_with("ok "),
        "{lines:#?}"
    );
}
