//! Hides a scope that is not granted in strings to sign that are not quite such.

use hostile_guests::secrets::{open, sigv4, string_to_sign};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    let time = settings.text("time");
    let day = &time[..8];
    let granted = string_to_sign(&time, "eu-west-1", "sts");
    let digest = "0".repeat(64);
    report(
        [
            granted.replace("/sts/", "/s3/sts/"),
            granted.replace("aws4_request", "aws4_request/s3"),
            granted.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256-PAYLOAD"),
            granted.replace('\n', "\r\n"),
            format!("{granted}\n{digest}"),
            format!("{granted}\n"),
            format!("\n{granted}"),
            granted.replace(&digest, &digest.to_uppercase().replace('0', "A")),
            granted.replace(&digest, "s3"),
            granted.replace(&format!("{day}/"), "20150830/"),
            granted.replace("sts", "st\0s"),
            granted.replace("sts", "s\u{0442}s"),
            String::new(),
        ]
        .map(|text| sigv4(&secret, &text)),
    )
});
