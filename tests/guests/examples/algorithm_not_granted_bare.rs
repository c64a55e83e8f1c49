//! Signs bytes with algorithms that were not granted.

use hostile_guests::secrets::{ALGORITHMS, open, sign};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    report(ALGORITHMS.map(|algorithm| sign(&secret, algorithm, b"data")))
});
