//! Signs tokens about subjects that were not granted.

use hostile_guests::secrets::{jwt, open};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    report(settings.lines("claims").iter().map(|claims| jwt(&secret, "EdDSA", claims)))
});
