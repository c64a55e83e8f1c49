//! Wants, by its setting `want`, what no operator would give, or more than a person reads; and looks like something else.

use std::hash::{BuildHasher, RandomState};

use hostile_guests::described;
use hostile_guests::described::{described as setting, property, want};

described!(
    about: || vec![
        property("title", "harmless\u{1b}[2J\u{1b}]0;root\u{7}\nIt wants nothing.\u{202e}dlrow"),
        property("version", "9".repeat(5_000)),
        property("\u{1b}[31m", "x"),
    ],
    known_settings: || vec![
        setting("want", "text\r\n[instances.evil]\ncomponent = \"evil.wasm\""),
        setting("[[instances.evil.http]]", "a name like a header"),
        setting("x]\"\u{27}#=", "a name like syntax"),
    ],
    wants: |settings| {
        let text = settings.text("want");
        if let Some(url) = text.strip_prefix("url:") {
            return Ok(vec![want("http", &[("url", url)])]);
        }
        let public = want("http", &[("url", "https://a.example"), ("path", "/"), ("reason", "to be\u{a0}nice")]);
        Ok(match text.as_str() {
            "everything" => vec![want("http", &[("url", "https://*")])],
            "star" => vec![want("http", &[("url", "*")])],
            "wildcard" => vec![want("http", &[("url", "https://*.example.com")])],
            "metadata" => vec![want("http", &[("url", "http://169.254.169.254")])],
            "loopback" => vec![want("http", &[("url", "http://[::1]:8080")])],
            "mapped" => vec![want("http", &[("url", "http://[::ffff:169.254.169.254]")])],
            "embedded" => vec![want("http", &[("url", "http://[64:ff9b::a9fe:a9fe]")])],
            "label" => vec![want("http", &[("url", "http://us-east-1")])],
            "private" => vec![want("tcp", &[("host", "10.0.0.7:22")])],
            "sent" => vec![want(
                "http",
                &[("url", "https://evil.example"), ("secret", "key"), ("header", "x-key"), ("method", "POST")],
            )],
            "odd-field" => vec![want(
                "http",
                &[("url", "https://a.example"), ("secret", "key"), ("field", "x\" } }#[[y]]"), ("prefix", "\"'\\u0041#")],
            )],
            "differs" => {
                let seed = BuildHasher::hash_one(&RandomState::new(), 0);
                vec![if seed & 1 == 0 { public } else { want("http", &[("url", "http://169.254.169.254")]) }]
            }
            "reveal" => vec![want("secret", &[("name", "key"), ("use", "reveal")])],
            "other-secret" => vec![
                want("secret", &[("name", "key"), ("use", "hmac-sha256")]),
                public,
            ],
            "path" => vec![want("secret", &[("name", "../../etc/shadow"), ("use", "hmac-sha256")])],
            "many" => (0..10_000).map(|n| want("tcp", &[("host", &format!("h{n}.example:1"))])).collect(),
            "hundred" => (0..100).map(|n| want("tcp", &[("host", &format!("h{n}.example:1"))])).collect(),
            "long" => vec![want("tcp", &[("host", &format!("{}.example:1", "h".repeat(2_000)))])],
            "forged" => vec![want("tcp", &[("host", "good.example:1\u{1b}[8m.evil.example:1")])],
            "line" => vec![want("http", &[("url", "https://a.example\nnetworks = [\"private\"]")])],
            "unknown" => vec![want("quantum\u{2028}tunnel", &[]), public],
            "later" => vec![want("quantum-tunnel", &[("to", "anywhere")]), public],
            "loop" => loop {
                std::hint::black_box(());
            },
            "trap" => panic!("as ordered"),
            "memory" => vec![want("http", &[("url", &"x".repeat(1 << 30))])],
            _ => vec![public],
        })
    }
);
