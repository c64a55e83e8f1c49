//! The same of a worker's file: any text is a configuration or a list of findings.
#![no_main]

use std::path::Path;

use deputy_config::{Colour, OnChange, WorkerConfig};
use deputy_fuzz::shown;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match WorkerConfig::parse(text, Path::new("worker.toml")) {
    Ok(config) => {
        config.warnings.render(Colour::Never);
        assert!(config.endpoints.aws.iter().all(|aws| aws.listen.ip().to_canonical().is_loopback()));
        for receiver in config.receivers.values() {
            // Where it runs of itself, there is a place for its files, and no user may execute them, and others may not write them.
            assert!(receiver.component().is_none() || receiver.publish.output.is_some());
            assert_eq!(receiver.publish.mode.bits() & !0o664, 0);
            if let Some(OnChange::Command { command, .. }) = &receiver.publish.on_change {
                assert!(command.program().starts_with("/"));
            }
        }
    }
    Err(errors) => shown(text, &errors),
});
