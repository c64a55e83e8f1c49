use super::*;
use deputy_kit::types::Next;

include!("../../../../runtime/payloads/vectors/aws.in");

const NOW: Timestamp = 1_440_938_160_000;

fn answer(body: &str) -> Result<Tokens, Failure> {
    answer_with(200, &[], body.as_bytes())
}

fn answer_with(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Result<Tokens, Failure> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    read(StsOperation::AssumeRole, &Response { status, headers, body: body.to_vec() }, NOW)
}

fn denied(answer: Result<Tokens, Failure>) -> String {
    match answer {
        Err(Failure { next: Next::Denied, message, .. }) => message,
        other => panic!("not denied: {other:?}"),
    }
}

fn end(tokens: &Tokens) -> Timestamp {
    match tokens.expiry {
        Expiry::At(end) => end,
        other => panic!("{other:?}"),
    }
}

fn whole() -> String {
    credentials(&[KEY, SECRET, TOKEN, EXPIRATION].concat())
}

fn credentials(fields: &str) -> String {
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><AssumedRoleUser>\
         <AssumedRoleId>AROA:deputy</AssumedRoleId></AssumedRoleUser><Credentials>{fields}</Credentials>\
         </AssumeRoleResult><ResponseMetadata><RequestId>c6104cbe</RequestId></ResponseMetadata></AssumeRoleResponse>"
    )
}

const KEY: &str = "<AccessKeyId>ASIAX</AccessKeyId>";
const SECRET: &str = "<SecretAccessKey>wJalr/K7+MDENG</SecretAccessKey>";
const TOKEN: &str = "<SessionToken>AQoD//w==</SessionToken>";
const EXPIRATION: &str = "<Expiration>2026-11-22T19:00:00Z</Expiration>";

#[test]
fn answer_becomes_the_json_of_credential_process() {
    let tokens = answer(&credentials(&[TOKEN, SECRET, EXPIRATION, KEY].concat())).unwrap();
    assert_eq!((tokens.kind.as_str(), end(&tokens)), ("aws-credential-process/1", 1_795_374_000_000));
    assert_eq!(
        String::from_utf8(tokens.payload).unwrap(),
        r#"{"Version":1,"AccessKeyId":"ASIAX","SecretAccessKey":"wJalr/K7+MDENG","SessionToken":"AQoD//w==","Expiration":"2026-11-22T19:00:00Z"}"#
    );
}

#[test]
fn answer_value_cannot_end_its_json_string() {
    let secret = "<SecretAccessKey>a&quot;,&quot;x&quot;:\\&amp;</SecretAccessKey>";
    let tokens = answer(&credentials(&[KEY, secret, TOKEN, EXPIRATION].concat())).unwrap();
    let payload = String::from_utf8(tokens.payload).unwrap();
    assert!(payload.contains(r#""SecretAccessKey":"a\",\"x\":\\&","SessionToken""#), "{payload}");
}

#[test]
fn answer_without_a_field_fails_and_quotes_no_other() {
    for (name, without) in [
        ("AccessKeyId", [SECRET, TOKEN, EXPIRATION]),
        ("SecretAccessKey", [KEY, TOKEN, EXPIRATION]),
        ("SessionToken", [KEY, SECRET, EXPIRATION]),
        ("Expiration", [KEY, SECRET, TOKEN]),
    ] {
        let text = denied(answer(&credentials(&without.concat())));
        assert_eq!(text, format!("AssumeRole: the answer has no Credentials/{name}"));
    }
}

#[test]
fn answer_with_an_empty_field_fails() {
    let text = denied(answer(&credentials(&[KEY, "<SecretAccessKey/>", TOKEN, EXPIRATION].concat())));
    assert_eq!(text, "AssumeRole: the answer has no Credentials/SecretAccessKey");
}

#[test]
fn answer_that_is_hostile_is_not_quoted() {
    for body in [
        "",
        "<html>wJalr",
        "{\"SecretAccessKey\":\"wJalr\"}",
        &credentials("<Credentials>"),
        &credentials("<AccessKeyId>wJalr</AccessKeyId><Expiration>wJalr</Expiration>"),
        &credentials("<Expiration>wJalr</Expiration>"),
        &"<a>".repeat(100_000),
    ] {
        let text = denied(answer(body));
        assert!(text.starts_with("AssumeRole: the answer ") && text.len() < 100 && !text.contains("wJalr"), "{text}");
    }
}

#[test]
fn answer_that_is_damaged_causes_no_panic() {
    let whole = credentials(&[KEY, SECRET, TOKEN, EXPIRATION].concat()).into_bytes();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % u64::try_from(below).unwrap()).unwrap()
    };
    for _ in 0..20_000 {
        let mut body = whole.clone();
        for _ in 0..=random(4) {
            if body.len() < 2 {
                break;
            }
            let at = random(body.len());
            match random(4) {
                0 => body.truncate(at.max(1)),
                1 => body[at] = b"<>&;/!?[]\"'#x\xff\0-"[random(16)],
                2 => body.insert(at, u8::try_from(random(256)).unwrap()),
                _ => drop(body.remove(at)),
            }
        }
        let status = if random(2) == 0 { 200 } else { 400 };
        let damaged = Response { status, headers: Vec::new(), body };
        assert!(matches!(
            read(StsOperation::AssumeRole, &damaged, NOW),
            Ok(_) | Err(Failure { next: Next::Denied, .. })
        ));
    }
}

#[test]
fn answer_with_any_2xx_status_is_accepted() {
    for status in [200, 201, 203] {
        assert!(answer_with(status, &[], whole().as_bytes()).is_ok(), "{status}");
    }
}

#[test]
fn answer_expiration_is_parsed_in_every_known_form() {
    for (text, expected) in [
        ("2026-11-22T19:00:00.123456789Z", 1_795_374_000_123),
        ("2026-11-22T21:00:00+02:00", 1_795_374_000_000),
        ("2026-11-22T21:00:00+0200", 1_795_374_000_000),
        ("20261122T190000Z", 1_795_374_000_000),
        ("1795374000", 1_795_374_000_000),
        ("1.795374E9", 1_795_374_000_000),
        ("1970-01-01T01:00:00Z", 3_600_000),
    ] {
        let expiration = format!("<Expiration>{text}</Expiration>");
        let tokens = answer(&credentials(&[KEY, SECRET, TOKEN, &expiration].concat())).unwrap();
        assert_eq!(end(&tokens), expected, "{text}");
        let payload = String::from_utf8(tokens.payload).unwrap();
        assert!(payload.ends_with("Z\"}") && payload.contains("-22T19:00:00Z") == (expected > 3_600_000), "{payload}");
    }
    for text in ["2026-11-22T19:00:00", "3600000", "2026-11-22T19:00:00UTC", "soon"] {
        let expiration = format!("<Expiration>{text}</Expiration>");
        let text = denied(answer(&credentials(&[KEY, SECRET, TOKEN, &expiration].concat())));
        assert_eq!(text, "AssumeRole: the answer has an Expiration that is not a time with an offset from UTC");
    }
}

#[test]
fn answer_preamble_and_namespaces_do_not_matter() {
    let whole = whole();
    for before in ["\u{feff}<?xml version=\"1.0\"?>", "\n  <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "<!-- c -->"]
    {
        assert!(answer(&format!("{before}{whole}")).is_ok(), "{before:?}");
    }
    let prefixed = whole.replace("</", "</ns2:").replace('<', "<ns2:").replace("<ns2:/ns2:", "</ns2:");
    assert!(answer(&prefixed.replace("xmlns=", "xmlns:ns2=")).is_ok(), "{prefixed}");
}

#[test]
fn answer_with_an_error_under_200_fails() {
    let error = |code: &str| format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>");
    assert_eq!(denied(answer(&error("AccessDenied"))), "AssumeRole: 200 AccessDenied");
    for (code, next) in [
        ("Throttling", Next::Throttled),
        ("ValidationError", Next::Misconfigured),
        ("InternalFailure", Next::Unavailable),
    ] {
        let failure = answer(&error(code)).unwrap_err();
        assert_eq!((failure.next, failure.code.as_deref()), (next, Some(code)));
    }
}

#[test]
fn answer_of_another_kind_is_named() {
    for (body, what) in [
        ("", "is empty; look at `endpoint`"),
        ("{\"AssumeRoleResponse\":{}}", "is JSON, not the XML of STS; look at `endpoint`"),
        ("<!DOCTYPE html><html>", "is HTML, not the XML of STS; look at `endpoint`"),
        ("<HTML><body></body>", "is HTML, not the XML of STS; look at `endpoint`"),
        ("hello", "is not the XML of STS"),
    ] {
        assert_eq!(denied(answer(body)), format!("AssumeRole: the answer {what}"));
    }
    let text = denied(answer_with(200, &[("content-encoding", "gzip")], b"\x1f\x8b"));
    assert_eq!(text, "AssumeRole: the answer is encoded as gzip, which was not requested");
}

#[test]
fn vectors_of_credentials_are_written_only_if_they_are_accepted() {
    let (mut written, mut refused) = (0, 0);
    for (accepted, payload) in VECTORS {
        // Only a value can be wrong in XML, and the expiration is written again.
        let fault = AwsCredentials::parse(payload.as_bytes()).err();
        if !matches!(fault, None | Some(AwsError::Value("AccessKeyId" | "SecretAccessKey" | "SessionToken"))) {
            continue;
        }
        let members: serde_json::Value = serde_json::from_str(payload).unwrap();
        let values = ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(|name| match members.get(name) {
            None | Some(serde_json::Value::Null) => (name, Some("t".to_owned())),
            Some(value) => (name, value.as_str().map(str::to_owned)),
        });
        // White space around a text is no part of it in XML.
        if values.iter().any(|(_, value)| value.as_ref().is_none_or(|value| value.trim() != value)) {
            continue;
        }
        let elements = values.map(|(name, value)| {
            let letters = value.unwrap().chars().map(|letter| format!("&#{};", u32::from(letter))).collect::<String>();
            format!("<{name}>{letters}</{name}>")
        });
        match answer(&credentials(&(elements.concat() + EXPIRATION))) {
            Ok(tokens) => {
                assert!(accepted, "{payload}");
                AwsCredentials::parse(&tokens.payload).unwrap();
                written += 1;
            }
            Err(failure) => {
                assert!(!accepted, "{payload}: {failure:?}");
                refused += 1;
            }
        }
    }
    assert!(written >= 6 && refused >= 8, "{written} {refused}");
}
