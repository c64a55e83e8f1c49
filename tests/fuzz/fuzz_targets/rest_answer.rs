//! Answers over HTTP of WebHDFS, KMS and YARN: a token, an expiry, or an error of one bounded line.
#![no_main]

use deputy_fuzz::hadoop::is_one_line;
use deputy_kit_hadoop::rest::answer::{self, ClusterAnswer, ExpiryAnswer, Response, TokenAnswer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The first byte chooses the status.
    let (first, body) = bytes.split_first().unwrap_or((&0, bytes));
    let status = match first % 4 {
        0 => 200,
        1 => 401,
        2 => 403,
        _ => 503,
    };
    let response = Response { status, headers: Vec::new(), body: body.to_vec() };
    let body = match answer::body(response, 0) {
        Ok(body) => body,
        Err(error) => return is_one_line(&error),
    };
    let of_cluster = ClusterAnswer::token(&body).map(|(token, expiry)| {
        assert_ne!(expiry, 0);
        token
    });
    for token in [TokenAnswer::read(&body), of_cluster] {
        match token {
            Ok(token) => assert!(!token.is_empty()),
            Err(error) => is_one_line(&error),
        }
    }
    for expiry in [ExpiryAnswer::read(&body), ClusterAnswer::expiry(&body)] {
        match expiry {
            Ok(expiry) => assert_ne!(expiry, 0),
            Err(error) => is_one_line(&error),
        }
    }
});
