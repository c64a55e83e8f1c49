//! A SCRAM server that answers anything: a challenge within its bounds, or an error that quotes none of it.
#![no_main]

use deputy_scram::{ClientFirst, Mechanism};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|answer: &str| {
    let first = ClientFirst::new(Mechanism::Sha256, "user", &[0; 24]).expect("a name");
    // The nonce, which a fuzzer cannot guess, stands for `N`.
    let answer = answer.replacen('N', &"A".repeat(32), 1);
    match first.read_answer(&answer, 4096..=16_384) {
        Ok(challenge) => assert!((4096..=16_384).contains(&challenge.iterations()) && answer.len() <= 4096),
        Err(error) => assert!(error.to_string().len() < 200),
    }
});
