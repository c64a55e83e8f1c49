use super::*;

fn answer(body: &str) -> Result<Tokens, Failure> {
    tokens(Operation::AssumeRole, &Response { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() })
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
fn credentials_become_the_json_of_credential_process() {
    let tokens = answer(&credentials(&[TOKEN, SECRET, EXPIRATION, KEY].concat())).unwrap();
    assert_eq!(
        String::from_utf8(tokens.payload).unwrap(),
        r#"{"Version":1,"AccessKeyId":"ASIAX","SecretAccessKey":"wJalr/K7+MDENG","SessionToken":"AQoD//w==","Expiration":"2026-11-22T19:00:00Z"}"#
    );
    assert_eq!(tokens.valid_until, Some(1_795_374_000_000));
}

#[test]
fn a_value_cannot_break_out_of_its_json_string() {
    let secret = "<SecretAccessKey>a&quot;,&quot;x&quot;:\\&#10;&amp;é</SecretAccessKey>";
    let tokens = answer(&credentials(&[KEY, secret, TOKEN, EXPIRATION].concat())).unwrap();
    let payload = String::from_utf8(tokens.payload).unwrap();
    assert!(payload.contains(r#""SecretAccessKey":"a\",\"x\":\\\u000a&é","SessionToken""#), "{payload}");
}

#[test]
fn an_answer_that_lacks_a_field_is_no_success_and_shows_none_of_the_others() {
    for (name, without) in [
        ("AccessKeyId", [SECRET, TOKEN, EXPIRATION]),
        ("SecretAccessKey", [KEY, TOKEN, EXPIRATION]),
        ("SessionToken", [KEY, SECRET, EXPIRATION]),
        ("Expiration", [KEY, SECRET, TOKEN]),
    ] {
        let Err(Failure::Unavailable(text)) = answer(&credentials(&without.concat())) else { panic!("{name}") };
        assert_eq!(text, format!("AssumeRole: the answer has no Credentials/{name}"));
    }
}

#[test]
fn an_empty_field_is_a_missing_one() {
    let Err(Failure::Unavailable(text)) =
        answer(&credentials(&[KEY, "<SecretAccessKey/>", TOKEN, EXPIRATION].concat()))
    else {
        panic!("it passed")
    };
    assert_eq!(text, "AssumeRole: the answer has no Credentials/SecretAccessKey");
}

#[test]
fn a_hostile_answer_is_an_error_without_its_text() {
    for body in [
        "",
        "<html>wJalr",
        "{\"SecretAccessKey\":\"wJalr\"}",
        &credentials("<Credentials>"),
        &credentials("<AccessKeyId>wJalr</AccessKeyId><Expiration>wJalr</Expiration>"),
        &credentials("<Expiration>wJalr</Expiration>"),
        &"<a>".repeat(100_000),
    ] {
        let Err(Failure::Unavailable(text)) = answer(body) else { panic!("{body}") };
        assert!(text.starts_with("AssumeRole: the answer ") && text.len() < 80 && !text.contains("wJalr"), "{text}");
    }
}

#[test]
fn no_damage_to_an_answer_makes_it_panic() {
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
            tokens(Operation::AssumeRole, &damaged),
            Ok(_) | Err(Failure::Unavailable(_) | Failure::Denied(_))
        ));
    }
}
