//! Signs with names that are no algorithm, or one without a signature.

use hostile_guests::secrets::{jwt, open, sign};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    let long = "x".repeat(100_000);
    let names = ["none", "", "HS256", "eddsa", "EdDSA\0", " EdDSA", "RS256,EdDSA", &long];
    let claims = settings.text("claims");
    report(names.iter().flat_map(|name| [jwt(&secret, name, &claims), sign(&secret, name, b"data")]))
});
