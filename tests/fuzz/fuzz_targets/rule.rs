//! What is read as a part of a rule prints as something that is read as the same again, and covers itself.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use deputy_core::grant::{
    ClaimName, Host, HostPattern, HttpPattern, HttpRule, Method, Network, PathPrefix, PathRules, RequestOptions,
    SignatureAlgorithm, TcpRule,
};
use deputy_core::{ByteSize, Digest, InstanceName, Span};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    again::<ClaimName>(text);
    again::<SignatureAlgorithm>(text);
    again::<ByteSize>(text);
    again::<Digest>(text);
    again::<InstanceName>(text);
    again::<Method>(text);
    again::<Network>(text);
    again::<Span>(text);
    if let Some(host) = again::<Host>(text) {
        assert!(HostPattern::Exactly(host.clone()).matches(&host));
    }
    if let Some(pattern) = again::<HostPattern>(text) {
        assert!(pattern.covers(&pattern));
    }
    if let Some(pattern) = again::<HttpPattern>(text) {
        let rule = HttpRule {
            pattern,
            methods: Vec::new(),
            paths: PathRules::Any,
            overrides: Vec::new(),
            networks: Vec::new(),
            send: RequestOptions::default(),
        };
        assert!(rule.covers(&rule));
    }
    if let Some(prefix) = again::<PathPrefix>(text) {
        let paths = PathRules::Prefixes(vec![prefix]);
        assert!(paths.covers(&paths) && PathRules::Any.covers(&paths) && !paths.covers(&PathRules::Any));
        assert!(paths.allow(text), "a prefix allows itself");
    }
    if let Some(rule) = again::<TcpRule>(text) {
        assert_ne!(rule.port, 0);
        assert!(rule.host.covers(&rule.host));
    }
});

/// Reads, prints and reads again.
fn again<T: FromStr<Err: Debug> + Display + Debug + PartialEq>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    let printed = value.to_string();
    assert!(!printed.contains(char::is_control), "{printed:?}");
    assert_eq!(printed.parse::<T>().expect("what was printed is read"), value, "{printed:?}");
    Some(value)
}
