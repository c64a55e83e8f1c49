//! Passes on what a hostile SCRAM server answers, to have a proof for it.

use hostile_guests::scram::{Login, prove, server_first};
use hostile_guests::secrets::{line, open};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    let mut lines: Vec<_> =
        settings.lines("answers").iter().map(|answer| prove(&secret, "SCRAM-SHA-256", answer)).collect();
    let long = format!("r={{nonce}}x,s=c2FsdA==,i=4096,x={}", "y".repeat(1 << 20));
    lines.push(prove(&secret, "SCRAM-SHA-512", &long));
    for mechanism in ["PLAIN", "SCRAM-SHA-1", ""] {
        lines.push(prove(&secret, mechanism, "r={nonce}x,s=c2FsdA==,i=4096"));
    }
    // A second proof by the same nonce, and a server that does not know the password.
    let login = Login::begin(&secret, "SCRAM-SHA-256").expect("a granted login");
    let answer = server_first(&login, "r={nonce}x,s=c2FsdA==,i=4096");
    let first = login.client_final(&answer).expect("an answer within bounds");
    lines.push(line(login.client_final(&answer)));
    lines.push(line(login.verify("v=AAAA").map(|()| String::new())));
    lines.push(line(login.verify("e=other-error").map(|()| String::new())));
    lines.push(format!("{} {first}", login.username()));
    report(lines)
});
