//! Tries every operation on a secret that serves another purpose.

use hostile_guests::scram::prove;
use hostile_guests::secrets::{ALGORITHMS, hmac, jwt, open, pbkdf2, reveal, sign, sigv4, string_to_sign};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    let claims = settings.text("claims");
    let time = settings.text("time");
    let mut lines = vec![
        sigv4(&secret, &string_to_sign(&time, "eu-west-1", "sts")),
        jwt(&secret, "RS256", &claims),
        hmac(&secret, b"data"),
        pbkdf2(&secret, b"salt", 4096),
        reveal(&secret),
    ];
    lines.extend(ALGORITHMS.map(|algorithm| sign(&secret, algorithm, b"data")));
    lines.push(prove(&secret, "SCRAM-SHA-256", "r={nonce}x,s=c2FsdA==,i=4096"));
    report(lines)
});
