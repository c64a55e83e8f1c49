//! Writes header fields of its own through the key id.

use hostile_guests::secrets::{Algorithm, jwt, open};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    let ids = ["k\",\"alg\":\"none", "k\u{0}", "k\n", "k\\", &"k".repeat(100_000)];
    report(ids.map(|id| jwt(&secret, Algorithm::Eddsa, &settings.text("claims"), Some(id))))
});
