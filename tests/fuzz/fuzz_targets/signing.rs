//! A string to sign that can be read is one line each of what SigV4 has, and no key of its own chain.
#![no_main]

use deputy_core::grant::StringToSign;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(parsed) = text.parse::<StringToSign>() else { return };
    assert_eq!(parsed.text(), text);
    assert_eq!(text.lines().count(), 4);
    assert!(parsed.day().len() == 8 && parsed.day().bytes().all(|byte| byte.is_ascii_digit()));
    let scope = format!("{}/{}/{}/aws4_request", parsed.day(), parsed.region(), parsed.service());
    assert_eq!(text.lines().nth(2), Some(scope.as_str()));
    // The key chain signs these three: none of them may pass for a string to sign.
    for link in [parsed.region(), parsed.service(), "aws4_request"] {
        assert!(link.parse::<StringToSign>().is_err());
    }
});
