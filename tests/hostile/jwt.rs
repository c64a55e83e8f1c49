//! JSON Web Tokens that were not granted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deputy_audit::AuditAction;
use deputy_core::Span;
use deputy_core::grant::{ClaimGrant, JwtGrant, SecretPurpose, SignatureAlgorithm};
use serde_json::Value;

use crate::harness::AttackReport;
use crate::secrets::{all_denied, claims, ed25519, grant, jwt, now, only, with};

/// The claims that are granted, and more.
fn also(more: &str) -> String {
    claims().replace('}', &format!(",{more}}}"))
}

#[track_caller]
fn all_invalid(seen: &AttackReport, count: usize) {
    let lines = seen.assert_not_denied().lines();
    assert_eq!(lines.len(), count);
    assert!(lines.iter().all(|line| line.starts_with("invalid ") && line.len() < 400), "{lines:#?}");
}

/// The claims of a line that is a token.
fn signed(line: &str) -> Option<(Value, String)> {
    let token = line.strip_prefix("ok ")?;
    let part = |n: usize| URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap();
    Some((serde_json::from_slice(&part(0)).unwrap(), String::from_utf8(part(1)).unwrap()))
}

fn with_claims(guest: &str, claims: &[String]) -> AttackReport {
    with(guest, &ed25519(), jwt()).setting("claims", claims.join("\n")).obtain()
}

#[test]
fn algorithm_not_granted() {
    let seen = with("algorithm-not-granted", &ed25519(), jwt()).setting("claims", claims()).obtain();
    seen.assert_denied(&["algorithm-not-granted"]);
    let lines = seen.lines();
    assert!(lines[0].starts_with("denied ") && lines[1].starts_with("denied "), "{lines:#?}");
    assert_eq!(signed(&lines[2]).unwrap().0["alg"], "EdDSA");
}

#[test]
fn audience_not_granted() {
    let audiences = [
        r#""https://evil.test""#,
        r#"["https://sts.test","https://evil.test"]"#,
        r#""https://sts.test/""#,
        r#""HTTPS://STS.TEST""#,
        r#""https://sts.test,https://evil.test""#,
        r#""""#,
    ];
    let with_audience = |audience: &str| claims().replace(r#""https://sts.test""#, audience);
    let none = claims().replace(r#""aud":"https://sts.test","#, "");
    let claims: Vec<_> = audiences.into_iter().map(with_audience).chain([none.clone()]).collect();
    all_denied(&with_claims("audience-not-granted", &claims), "audience-not-granted", claims.len());

    let odd = ["[]", "null", "1", "{}", r#"["https://sts.test",1]"#].map(with_audience);
    all_invalid(&with_claims("audience-not-granted", &odd), odd.len());
    // A grant that names no audience permits tokens without one.
    let without_audience =
        JwtGrant::new(vec![SignatureAlgorithm::EdDsa], vec!["deputy".into()], vec![], Span::secs(600));
    let grant = only(SecretPurpose::Jwt(without_audience.unwrap()));
    let lines = [self::claims(), none].join("\n");
    let seen = with("audience-not-granted", &ed25519(), grant).setting("claims", lines).obtain();
    seen.assert_denied(&["audience-not-granted"]);
    let lines = seen.lines();
    assert!(lines[0].starts_with("denied ") && signed(&lines[1]).is_some(), "{lines:#?}");
}

#[test]
fn audience_written_twice() {
    let before = |more: &str| claims().replace('{', &format!("{{{more},"));
    let claims = [
        also(r#""aud":"https://evil.test""#),
        before(r#""aud":"https://evil.test""#),
        also(r#""aud":"https://sts.test""#),
        also(r#""\u0061ud":"https://evil.test""#),
        before(r#""i\u0073s":"evil""#),
        also(r#""exp":99999999999"#),
        before(r#""exp":99999999999"#),
        also(r#""nbf":"never""#),
        format!("{}{}", claims(), claims()),
        format!("[{}]", claims()),
    ];
    let seen = with_claims("audience-written-twice", &claims);
    all_invalid(&seen, claims.len());
    let seen = with_claims("audience-written-twice", &[format!("{} ", self::claims())]);
    assert!(signed(&seen.assert_not_denied().lines()[0]).is_some());
}

#[test]
fn claim_name_read_in_two_ways() {
    // Go compares names without case, C ends them at NUL, and others trim them.
    let names = [
        "Aud",
        "AUD",
        "ISS",
        "EXP",
        "Sub",
        "sub ",
        " sub",
        "sub\\u0000",
        "\\u0000",
        "s\\tub",
        "\\u017fub",
        "\u{131}ss",
        "aud\u{200b}",
        "",
    ];
    let claims = names.map(|name| also(&format!(r#""{name}":"evil""#)));
    all_invalid(&with_claims("claim-name-read-in-two-ways", &claims), claims.len());
}

#[test]
fn claim_not_granted() {
    let more = [
        r#""scope":"admin""#,
        r#""scope":"read admin""#,
        r#""scope":["read","admin"]"#,
        r#""scope":"Read""#,
        r#""scope":[]"#,
        r#""scope":true"#,
        r#""scope":{"read":1}"#,
        r#""Scope":"read""#,
        r#""scope":"read","groups":["root"]"#,
        r#""scope":"read","email":"root@a.test""#,
        r#""scope":"read","act":{"sub":"root"}"#,
        r#""scope":"read","https://a.test/claims/x":1"#,
        r#""jti":"1""#,
    ];
    let scopes = ClaimGrant::OneOf(["read".to_owned(), "list".to_owned()].into());
    let claims = [("scope".parse().unwrap(), scopes), ("events".parse().unwrap(), ClaimGrant::Any)];
    let grant = only(SecretPurpose::Jwt(grant().with_claims(claims.into())));
    let case = |claims: &[String]| {
        with("claim-not-granted", &ed25519(), grant.clone()).setting("claims", claims.join("\n")).obtain()
    };
    all_denied(&case(&more.map(also)), "claim-not-granted", more.len());

    let granted = [r#""scope":"read""#, r#""scope":["read","list"],"events":{"a":1},"jti":"1""#].map(also);
    let seen = case(&granted);
    let lines = seen.assert_not_denied().lines();
    assert!(lines.iter().all(|line| signed(line).is_some()), "{lines:#?}");
    // And recorded.
    let recorded = seen.events.iter().filter_map(|event| match &event.action {
        AuditAction::Secret { signed, .. } => signed.claims.iter().find(|(name, _)| *name == "scope"),
        _ => None,
    });
    assert_eq!(recorded.collect::<Vec<_>>(), [("scope", "read"), ("scope", r#"["read","list"]"#)]);
}

#[test]
fn subject_not_granted() {
    let subjects = [r#""root""#, r#""Alice""#, r#""alice ""#, r#""alice\u0000""#, r#""""#];
    let mut claims: Vec<_> = subjects.map(|subject| also(&format!(r#""sub":{subject}"#))).into();
    claims.push(self::claims());
    let grant = only(SecretPurpose::Jwt(grant().with_subjects(vec!["alice".into()])));
    let case = |claims: &[String]| {
        with("subject-not-granted", &ed25519(), grant.clone()).setting("claims", claims.join("\n")).obtain()
    };
    all_denied(&case(&claims), "subject-not-granted", claims.len());
    // A grant that names no subject permits tokens without one.
    claims.pop();
    claims.push(also(r#""sub":"alice""#));
    all_denied(&with_claims("subject-not-granted", &claims), "subject-not-granted", claims.len());

    let seen = case(&[also(r#""sub":"alice""#)]);
    assert!(signed(&seen.assert_not_denied().lines()[0]).is_some());
    let odd = ["1", "null", r#"["alice"]"#, "{}"].map(|subject| also(&format!(r#""sub":{subject}"#)));
    all_invalid(&case(&odd), odd.len());
}

#[test]
fn issuer_not_granted() {
    let issuers = ["\"evil\"", "\"Deputy\"", "\"deputy \"", "\"\"", "\"deputy\\u0000\""];
    let claims = issuers.map(|issuer| claims().replace("\"deputy\"", issuer));
    all_denied(&with_claims("issuer-not-granted", &claims), "issuer-not-granted", claims.len());

    let odd =
        ["null", "[\"deputy\"]", "{\"deputy\":1}", "1"].map(|issuer| self::claims().replace("\"deputy\"", issuer));
    let seen = with_claims("issuer-not-granted", &odd);
    assert!(seen.assert_not_denied().lines().iter().all(|line| line.starts_with("invalid ")), "{seen:?}");
}

#[test]
fn lifetime_not_granted() {
    let now = now();
    let with = |iat: &str, exp: &str| format!(r#"{{"iss":"deputy","aud":"https://sts.test","iat":{iat},"exp":{exp}}}"#);
    let at = |seconds: i64| now.checked_add_signed(seconds).unwrap().to_string();
    let claims = [
        with(&at(0), &at(601)),
        with(&at(0), &at(86_400)),
        with(&at(0), &u64::MAX.to_string()),
        with("0", &at(60)),
        with(&at(60), &at(0)),
        with(&at(0), &at(0)),
    ];
    all_denied(&with_claims("lifetime-not-granted", &claims), "lifetime-not-granted", claims.len());

    let later = [with(&at(3_600), &at(3_900)), with(&at(86_400), &at(86_460))];
    all_denied(&with_claims("lifetime-not-granted", &later), "time-not-granted", later.len());

    let odd = [
        with(&at(0), "1e20"),
        with(&at(0), "-1"),
        with(&at(0), &format!("{}.5", now + 60)),
        with(&format!("\"{now}\""), &at(60)),
        with("null", &at(60)),
        with(&at(0), "18446744073709551616"),
        r#"{"iss":"deputy","aud":"https://sts.test"}"#.to_owned(),
    ];
    let seen = with_claims("lifetime-not-granted", &odd);
    assert!(seen.assert_not_denied().lines().iter().all(|line| line.starts_with("invalid ")), "{seen:?}");
}

#[test]
fn algorithm_unknown() {
    let grants = [only(SecretPurpose::Sign(vec![SignatureAlgorithm::EdDsa])), jwt()];
    for grant in grants {
        let seen = with("algorithm-unknown", &ed25519(), grant).setting("claims", claims()).obtain();
        all_invalid(&seen, 16);
    }
}

#[test]
fn algorithm_in_header() {
    let odd = [
        r#"{"alg":"none"}"#,
        r#"{"kid":"k","alg":"none"}"#,
        r#"{"crit":["exp"]}"#,
        r#"{"b64":false}"#,
        r#"{"jwk":{"kty":"oct"}}"#,
        r#"{"jku":"https://a.example"}"#,
        r#"{"x5u":"https://a.example"}"#,
        r#"{"kid":{"a":1}}"#,
        r#"{"kid":"HUGE"}"#,
        r#"{"kid":"a","kid":"b"}"#,
        r#"{"kid":"a","\u006bid":"b"}"#,
        r#"{"\u0061lg":"none"}"#,
        r#"{"Alg":"none"}"#,
        r#"{"alg\u0000":"none"}"#,
        r#"{"kid":"a\u0000"}"#,
        r#"{"kid":""}"#,
        r#"{"x5c":["MIIB"]}"#,
        r#"{"cty":"JWT"}"#,
        "[]",
        "not JSON",
    ];
    let sound = [r#"{"kid":"k\",\"alg\":\"none"}"#, r#"{"kid":"a","typ":"at+jwt","x5t":"a","x5t#S256":"b"}"#, "{}"];
    let headers = [&odd[..], &sound].concat().join("\n");
    let case = with("algorithm-in-header", &ed25519(), jwt()).setting("claims", claims());
    let lines = case.setting("headers", headers).obtain().assert_not_denied().lines();
    let (refused, made) = lines.split_at(odd.len());
    for line in refused {
        assert!(line.starts_with("invalid ") && line.len() < 300, "{line:.100}");
    }
    assert_eq!(made.len(), sound.len());
    for line in made {
        let (header, _) = signed(line).expect("a token");
        assert_eq!(header["alg"], "EdDSA", "{header}");
    }
}
