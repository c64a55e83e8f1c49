//! Signs tokens with algorithms that were not granted.

use hostile_guests::secrets::{ALGORITHMS, jwt, open};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    report(ALGORITHMS.map(|algorithm| jwt(&secret, algorithm, &settings.text("claims"))))
});
