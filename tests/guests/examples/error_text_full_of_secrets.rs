//! Fails with a text of a megabyte that holds a secret, control characters and a forged line.

use hostile_guests::secret_values;
use hostile_guests::secrets::open;
use hostile_guests::{Next, failure, guest};

guest!(|settings| {
    let value = reveal(&settings.text("secret"));
    let filling = "x".repeat(1 << 20);
    Err(failure(Next::Denied, format!("{value} \u{1b}[2J\r\nforged: all is well\u{202e}\0 {value}{filling}{value}")))
});

fn reveal(name: &str) -> String {
    let value = secret_values::reveal(&open(name).expect("a granted secret")).expect("a granted value");
    String::from_utf8(value).expect("text")
}
