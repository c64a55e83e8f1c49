//! Any text is a configuration or has faults that can be shown, and a faultless one says what it says in one way.
#![no_main]

use std::path::Path;

use deputy_config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Config::parse(text, Path::new("deputy.toml")) {
        Ok(config) => {
            let again = Config::parse(text, Path::new("deputy.toml")).expect("it was faultless a moment ago");
            assert_eq!(config.instances, again.instances);
        }
        Err(faults) => assert!(!faults.to_string().is_empty()),
    }
});
