//! Signs tokens whose names of claims a verifier may read as others.

use hostile_guests::secrets::{jwt, open};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    report(settings.lines("claims").iter().map(|claims| jwt(&secret, "EdDSA", claims)))
});
