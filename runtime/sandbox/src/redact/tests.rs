use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

const VALUE: &str = "h/nt+r 2?\"é~";

fn redactor(values: &[(&str, &str)]) -> Redactor {
    let value = |(name, value): &(&str, &str)| (name.parse().unwrap(), Arc::new(SecretBytes::new((*value).into())));
    Redactor::new(values.iter().map(value).collect())
}

fn cleaned(value: &str, text: &str) -> String {
    redactor(&[("key", value)]).clean(text, 10_000)
}

#[test]
fn redact_blanks_a_value_anywhere() {
    assert_eq!(cleaned("hunter2", "hunter2"), "[secret key]");
    assert_eq!(cleaned("hunter2", "a hunter2, hunter2hunter2 b"), "a [secret key], [secret key][secret key] b");
    assert_eq!(cleaned("hunter2", "hunter1 hunterhunter2 hunter"), "hunter1 hunter[secret key] hunter");
    assert_eq!(cleaned("aab", "aaaab"), "aa[secret key]");
}

#[test]
fn redact_blanks_a_value_in_another_letter_case() {
    for text in ["hunter2-tok", "HUNTER2-TOK", "Hunter2-Tok"] {
        for shown in ["Hunter2-Tok.example", "hunter2-tok.example", "HUNTER2-TOK.example"] {
            assert_eq!(cleaned(text, shown), "[secret key].example", "{text} {shown}");
        }
    }
    assert_eq!(cleaned("Hunter2é", "hUNTER2é, hunter2É"), "[secret key], hunter2É", "ASCII letters alone");
}

#[test]
fn redact_finds_values_and_their_beginnings() {
    let of = |value: &str| SecretVariants::of(&[("key".to_owned(), Arc::new(SecretBytes::new(value.into())))]);
    let variants = of("hunter2!");
    assert_eq!(variants.find(b"a hunter2! b"), Some("key"));
    assert_eq!(variants.find(b"a%20HUNTER2%21"), Some("key"));
    assert_eq!(variants.find(STANDARD.encode("user:hunter2!").as_bytes()), Some("key"));
    assert_eq!(variants.find(b"hunter2 ?"), None);
    let begun = |text: &str| variants.begun(text.as_bytes());
    // `aHVudGVyMiE` begins with an a.
    assert_eq!(
        ["", "?", "?a", "?h", "hunter2", "huhunt", "HUNTER2%2", "hunter2!"].map(begun),
        [0, 0, 1, 1, 7, 4, 9, 0]
    );
    assert_eq!(of("aab").begun(b"aa"), 2);
}

#[test]
fn redact_blanks_every_usual_encoding() {
    let hex = |upper: bool| -> String {
        VALUE.bytes().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect()
    };
    for form in [
        VALUE.to_owned(),
        format!("{VALUE:?}").trim_matches('"').to_owned(),
        serde_json::to_string(VALUE).unwrap().trim_matches('"').to_owned(),
        hex(true),
        hex(false),
        STANDARD.encode(VALUE),
        STANDARD_NO_PAD.encode(VALUE),
        URL_SAFE.encode(VALUE),
        URL_SAFE_NO_PAD.encode(VALUE),
        "h%2Fnt%2Br%202%3F%22%C3%A9~".into(), // encodeURIComponent, RFC 3986
        "h%2fnt%2br%202%3f%22%c3%a9~".into(),
        "h%2Fnt%2Br+2%3F%22%C3%A9%7E".into(), // a form
        "h/nt%2Br%202%3F%22%C3%A9~".into(),   // Python's quote
    ] {
        let text = cleaned(VALUE, &format!("a{form}b"));
        let shown = text.replace('=', "");
        assert_eq!(shown, "a[secret key]b", "{form}");
    }
}

#[test]
fn redact_blanks_a_value_inside_an_encoded_text() {
    for before in ["", "u", "us", "use", "user:"] {
        for after in ["", "x", "xy", "xyz"] {
            let text = format!("{before}{VALUE}{after}");
            for encoded in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                let shown = cleaned(VALUE, &encoded);
                assert!(shown.contains("[secret key]"), "{text} {encoded} {shown}");
                // What is left holds at most the bits at the value's two ends.
                assert!(shown.len() <= encoded.len() - VALUE.len() + "[secret key]".len(), "{encoded} {shown}");
            }
        }
    }
}

#[test]
fn redact_blanks_a_short_value_verbatim_only() {
    assert_eq!(cleaned("abc12", "abc12 YWJjMTI= 6162633132"), "[secret key] YWJjMTI= 6162633132");
}

#[test]
fn redact_prefers_the_longest_variant_and_names_the_secret() {
    let redactor = redactor(&[("short", "hunter"), ("long", "hunter2!")]);
    assert_eq!(redactor.clean("hunter hunter2! hunter2", 99), "[secret short] [secret long] [secret short]2");
}

#[test]
fn redact_blanks_lines_of_keys_and_json_members() {
    let pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----";
    assert_eq!(cleaned(pem, &format!("a {pem} b")), "a [secret key] b");
    assert_eq!(cleaned(pem, "line hkiG9w0BAQEFAASC"), "line [secret key]");
    assert_eq!(cleaned(pem, "-----BEGIN PRIVATE KEY-----"), "-----BEGIN PRIVATE KEY-----");
    let json = r#"{"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "wJalrXUtn\/FEMI"}"#;
    assert_eq!(cleaned(json, "AKIDEXAMPLE wJalrXUtn/FEMI"), "AKIDEXAMPLE [secret key]");
}

#[test]
fn redact_blanks_binary_values() {
    let value = Arc::new(SecretBytes::new(vec![0xff, 0, 0xfe, b'a', 0x80, 0x81]));
    let redactor = Redactor::new(vec![("key".parse().unwrap(), value)]);
    let raw = [b"<".as_slice(), &[0xff, 0, 0xfe, b'a', 0x80, 0x81], b">"].concat();
    assert_eq!(redactor.blank(&raw, raw.len()), b"<[secret key]>");
    assert_eq!(redactor.clean("ff00fe618081", 99), "[secret key]");
}

#[test]
fn redact_learns_values_and_forgets_none() {
    let redactor = redactor(&[("key", "hunter1")]);
    assert_eq!(redactor.clean("hunter1 hunter2", 99), "[secret key] hunter2");
    let name = "key";
    for _ in 0..2 {
        redactor.learn(&name, &Arc::new(SecretBytes::new(b"hunter2".to_vec())));
    }
    assert_eq!(redactor.clean("hunter1 hunter2", 99), "[secret key] [secret key]");
    assert_eq!(redactor.state.lock().unwrap().values.len(), 2);
}

#[test]
fn redact_cuts_no_secret_in_two() {
    let redactor = redactor(&[("key", "hunter2hunter2hunter2")]);
    for max in 0..60 {
        let text = format!("{}hunter2hunter2hunter2 and more", "x".repeat(20));
        let shown = redactor.clean(&text, max);
        assert!(shown.len() <= max, "{max} {shown}");
        assert!(!shown.contains("hun"), "{max} {shown}");
    }
    // Blanking makes it shorter, but what is read stays bounded, and is not cut inside of a secret.
    let text = "hunter2hunter2hunter2".repeat(1000);
    for max in [100, 101, 110, 119, 120, 121] {
        let shown = redactor.clean(&text, max);
        assert!(shown.len() <= max && !shown.contains("hun"), "{shown}");
    }
    assert_eq!(redactor.clean("äöü", 5), "ä…");
    assert_eq!(redactor.clean("äöü", 6), "äöü");
}

#[test]
fn redact_keeps_a_text_on_one_line() {
    for (text, expected) in [
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\u{1b}[2Ja\u{7f}\u{0}\u{85}", "\\u{1b}[2Ja\\u{7f}\\u{0}\\u{85}"),
        ("a\u{202e}b\u{2066}c\u{200f}", "a\\u{202e}b\\u{2066}c\\u{200f}"),
        ("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c"),
        ("a\u{200b}\u{feff}\u{ad}\u{e0041}b", "a\\u{200b}\\u{feff}\\u{ad}\\u{e0041}b"),
        ("grüße, 日本語, 🦀 \\", "grüße, 日本語, 🦀 \\"),
    ] {
        assert_eq!(cleaned("hunter2", text), expected);
    }
}

#[test]
fn redact_blanks_nested_json_texts_but_no_identifiers() {
    let json = r#"{"keys": [{"kid": "key-2026-01", "token": "hvs.CAESIJ7"}], "auth": {"client_token": "s.iyNUhq8"}}"#;
    assert_eq!(cleaned(json, "key-2026-01 hvs.CAESIJ7 s.iyNUhq8"), "key-2026-01 [secret key] [secret key]");
}

#[test]
fn redact_blanks_a_very_long_value_verbatim_only() {
    let long = "0123456789abcdef".repeat(5000);
    assert_eq!(cleaned(&long, &format!("a {long} b")), "a [secret key] b");
    let redactor = redactor(&[("key", &long)]);
    assert_eq!(redactor.longest(), long.len(), "its forms would take many times its size");
}

#[test]
fn redact_bounds_what_is_looked_for_of_a_value() {
    let texts: Vec<String> = (0..200_000).map(|number| format!("text{number:06}")).collect();
    let value = SecretBytes::new(serde_json::to_vec(&serde_json::json!({ "texts": texts })).unwrap());
    let variants = SecretVariants::of(&[("key".to_owned(), Arc::new(value))]);
    assert!(variants.len() < 1024 * 20, "{}", variants.len());
    assert_eq!((variants.find(b"text000000"), variants.find(b"text001023")), (Some("key"), Some("key")));
}

#[test]
fn redact_leaves_out_the_beginning_of_a_secret_at_a_cut() {
    let redactor = redactor(&[("key", "hunter2-hunter3"), ("short", "hunter2")]);
    let blanked = |text: &str| String::from_utf8(redactor.blank_cut(text.as_bytes())).unwrap();
    assert_eq!(blanked("it is hunter2-hunter3, hunter2 and hunt"), "it is [secret key], [secret short] and ");
    assert_eq!(blanked("it is hunter2-hun"), "it is ", "no piece of the longer one");
    assert_eq!(blanked(&format!("a {}", &STANDARD.encode("hunter2-hunter3")[..9])), "a ");
    assert_eq!(blanked("nothing of it"), "nothing of it");
}
