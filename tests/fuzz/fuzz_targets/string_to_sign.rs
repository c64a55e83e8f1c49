//! A string to sign is signed for the scope that stands in it, letter by letter, or not at all.
#![no_main]

use deputy_core::Timestamp;
use deputy_core::grant::{SecretGrant, SecretPurpose, Sigv4Grant, StringToSign};
use libfuzzer_sys::fuzz_target;

/// 2015-08-30T12:36:00Z
const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000);

fuzz_target!(|text: &str| {
    let Ok(read) = text.parse::<StringToSign>() else {
        return;
    };
    let lines: Vec<_> = text.split('\n').collect();
    let [algorithm, time, scope, hash] = lines.as_slice() else {
        panic!("{} lines", lines.len());
    };
    assert_eq!(*algorithm, "AWS4-HMAC-SHA256");
    assert_eq!((time.len(), hash.len()), (16, 64));
    let parts: Vec<_> = scope.split('/').collect();
    let [day, region, service, "aws4_request"] = parts.as_slice() else {
        panic!("{scope}");
    };
    assert!(time.starts_with(day));
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));

    let name = "key".parse().expect("a name");
    let grant = |service: &str, region: &str| {
        let sigv4 = Sigv4Grant::new(vec![service.to_owned()], vec![region.to_owned()]).expect("a grant");
        SecretGrant::new(Some(SecretPurpose::Sigv4(sigv4)), false)
    };
    match grant(service, region).permit_sigv4(&name, read.clone(), NOW) {
        Ok(permit) => {
            assert_eq!((permit.text(), permit.day()), (text, *day));
            assert_eq!((permit.service(), permit.region()), (*service, *region));
            assert!(("20150830T122100Z"..="20150830T125100Z").contains(time));
            assert_eq!(permit.time(), read.time());
        }
        Err(refusal) => assert_eq!(refusal.code(), "time-not-granted"),
    }
    let longer = format!("{service}x");
    assert!(grant(&longer, region).permit_sigv4(&name, read.clone(), NOW).is_err());
    assert!(grant(service, &format!("{region}x")).permit_sigv4(&name, read, NOW).is_err());
});
