//! A rule that can be read is written as it is read, and says one thing.
#![no_main]

use deputy_core::grant::{HttpPattern, Network, PathPrefix, TcpRule};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(pattern) = text.parse::<HttpPattern>() {
        let again: HttpPattern = pattern.to_string().parse().expect("what it is written as can be read");
        assert_eq!(pattern, again);
    }
    if let Ok(rule) = text.parse::<TcpRule>() {
        let again: TcpRule = rule.to_string().parse().expect("what it is written as can be read");
        assert_eq!(rule, again);
    }
    if let Ok(prefix) = text.parse::<PathPrefix>() {
        let again: PathPrefix = prefix.to_string().parse().expect("what it is written as can be read");
        assert_eq!(prefix, again);
    }
    if let Ok(network) = text.parse::<Network>() {
        let again: Network = network.to_string().parse().expect("what it is written as can be read");
        assert_eq!(network, again);
    }
});
