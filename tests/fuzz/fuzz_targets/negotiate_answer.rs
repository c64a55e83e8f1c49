//! A server's answer in `WWW-Authenticate: Negotiate` has a token or none; the token is a part of it.
#![no_main]

use deputy_fuzz::spnego::{negotiate_answer, negotiate_token};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(token) = negotiate_answer(bytes) {
        assert!(token.is_empty() || bytes.windows(token.len()).any(|part| part == token));
    }
    // What the host itself sends is no answer in a `NegTokenResp`, and has the token.
    let sent = negotiate_token(bytes);
    assert!(sent.ends_with(bytes) && negotiate_answer(&sent) == Some(sent.clone()));
});
