//! Fails with a secret, control characters and forged lines in everything that a failure has beside its text.

use hostile_guests::secrets::open;
use hostile_guests::{Failure, Next, fact, failure, guest, secret_values};

guest!(|settings| {
    let value = reveal(&settings.text("secret"));
    let text = format!("{value} \u{1b}[2J\r\nforged: all is well\u{202e}\0 {value}{}{value}", "x".repeat(2_000));
    Err(Failure {
        code: Some(text.clone()),
        setting: Some(text.clone()),
        retry_after_ms: Some(0),
        facts: (0..100).map(|n| fact(format!("{n}{text}"), text.clone())).collect(),
        ..failure(Next::Attention, "all is in the parts")
    })
});

fn reveal(name: &str) -> String {
    let value = secret_values::reveal(&open(name).expect("a granted secret")).expect("a granted value");
    String::from_utf8(value).expect("text")
}
