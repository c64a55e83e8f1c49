//! Asks for the longest key derivation again and again: none of it is its own time.

use hostile_guests::secrets::{open, pbkdf2};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    report(
        (0..settings.number("count")).map(|n| pbkdf2(&secret, &n.to_le_bytes(), settings.number("iterations") as u32)),
    )
});
