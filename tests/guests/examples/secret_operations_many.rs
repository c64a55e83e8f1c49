//! Uses a granted secret more often than it may.

use hostile_guests::secrets::{hmac, open};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    report((0..settings.number("count")).map(|n| hmac(&secret, &n.to_le_bytes())))
});
