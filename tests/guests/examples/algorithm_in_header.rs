//! Writes header members that are the host's, that change what a verifier does, or that two readers read in two ways.

use hostile_guests::secrets::{jwt_with_header, open};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    let claims = settings.text("claims");
    report(settings.lines("headers").iter().map(|header| {
        let header = header.replace("HUGE", &"k".repeat(100_000));
        jwt_with_header(&secret, "EdDSA", &header, &claims)
    }))
});
