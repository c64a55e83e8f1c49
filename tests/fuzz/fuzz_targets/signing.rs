//! A string to sign that is permitted has SigV4's four lines, and names the service, region and day that were granted:
//! so nothing that is signed can be a link of the key chain, whose inputs are a day, a region and a service alone.
#![no_main]

use deputy_core::Timestamp;
use deputy_core::grant::{Purpose, SecretGrant, Sigv4Grant, StringToSign};
use libfuzzer_sys::fuzz_target;

/// Noon of 2015-08-30, the day of AWS's examples.
const NOW: u64 = 1_440_936_000_000;

fuzz_target!(|text: &str| {
    let Ok(parsed) = text.parse::<StringToSign>() else { return };
    let grant = Sigv4Grant::new(vec!["iam".into()], vec!["us-east-1".into()]).expect("a grant");
    let grant = SecretGrant::new(Some(Purpose::Sigv4(grant)), false);
    let name = "key".parse().expect("a name");
    let Ok(permit) = grant.permit_sigv4(&name, parsed, Timestamp::from_millis(NOW)) else { return };

    assert_eq!(permit.text(), text);
    assert_eq!(text.split('\n').count(), 4);
    assert_eq!((permit.region(), permit.service()), ("us-east-1", "iam"));
    assert!(["20150829", "20150830", "20150831"].contains(&permit.day()));
});
