//! Tries to get a key that SigV4 derives, by every operation on every secret that it can open.

use hostile_guests::scram::prove;
use hostile_guests::secrets::{ALGORITHMS, hmac, jwt, open, pbkdf2, reveal, sign, sigv4, string_to_sign};
use hostile_guests::{guest, report};

guest!(|settings| {
    let time = settings.text("time");
    let day = &time[..8];
    let parts = [day, "20150830", "eu-west-1", "us-east-1", "sts", "s3", "iam", "aws4_request", "AWS4", ""];
    let mut lines = Vec::new();
    for name in settings.lines("secrets") {
        let Ok(secret) = open(&name) else { continue };
        for part in parts {
            let salt = [part.as_bytes(), &[0, 0, 0, 1]].concat();
            lines.extend([
                sigv4(&secret, part),
                sigv4(&secret, &format!("AWS4-HMAC-SHA256\n{day}T000000Z\n{part}\n{}", "0".repeat(64))),
                sigv4(&secret, &string_to_sign(&time, part, part)),
                hmac(&secret, part.as_bytes()),
                pbkdf2(&secret, part.as_bytes(), 1),
                pbkdf2(&secret, &salt, 4096),
                jwt(&secret, "RS256", part),
            ]);
            lines.extend(ALGORITHMS.map(|algorithm| sign(&secret, algorithm, part.as_bytes())));
        }
        lines.push(prove(&secret, "SCRAM-SHA-256", "r={nonce}x,s=c2FsdA==,i=4096"));
        lines.extend([sigv4(&secret, &string_to_sign(&time, "eu-west-1", "sts")), reveal(&secret)]);
    }
    report(lines)
});
