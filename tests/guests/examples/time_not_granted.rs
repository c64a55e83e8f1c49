//! Signs for times that are not now, to keep the signatures for them.

use hostile_guests::secrets::{open, sigv4, string_to_sign};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    report(settings.lines("scopes").iter().map(|scope| {
        let [time, region, service] = scope.split('/').collect::<Vec<_>>()[..] else { panic!("a scope") };
        sigv4(&secret, &string_to_sign(time, region, service))
    }))
});
