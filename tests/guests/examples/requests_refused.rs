//! Asks for what is refused, again and again and at length, and then uses a secret: is that still recorded?

use hostile_guests::http::get;
use hostile_guests::secrets::{hmac, open};
use hostile_guests::sockets::resolve;
use hostile_guests::{guest, report};

guest!(|settings| {
    let path = "x".repeat(4000);
    for n in 0..settings.number("count") {
        get(&format!("http://h{n}.evil.test/{path}"));
        resolve(&format!("n{n}.evil.test")).ok();
    }
    let secret = open(&settings.text("secret")).expect("a granted secret");
    report([hmac(&secret, b"data")])
});
