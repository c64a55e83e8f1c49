//! Any text is a configuration or a list of findings that can be shown, each at a place in it.
#![no_main]

use std::path::Path;

use deputy_config::{Colour, CoordinatorFile};
use deputy_core::grant::SecretPurpose;
use deputy_fuzz::shown;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let path = Path::new("deputy.toml");
    match CoordinatorFile::parse(text, path) {
        Ok(config) => {
            config.warnings.render(Colour::Never);
            assert!((1..=1000).contains(&config.coordinator.calls));
            assert_eq!(config.coordinator.control_mode.bits() & !0o660, 0);
            assert!(config.budgets.values().all(|budget| budget.per_minute > 0 && budget.burst > 0));
            // A receiver gets nothing that its group does not.
            for group in config.groups.values() {
                assert!(group.receivers.values().all(|receiver| receiver.instances.is_subset(&group.instances)));
            }
            for entry in config.instances.values() {
                assert!(entry.deliver_to.iter().all(|group| config.groups.contains_key(group)));
                // There is a component or a file, and a service, from one of them.
                assert!(entry.component.is_some() || (entry.file.is_some() && entry.service.is_some()));
                assert!(entry.upstream.iter().all(|name| config.budgets.contains_key(name)));
                let retry = entry.policy.retry;
                assert!(retry.floor.as_millis() > 0 && retry.floor <= retry.most && retry.floor <= retry.slow);
                let visible = |b: u8| b == b'\n' || b == b' ' || b.is_ascii_graphic();
                assert!(entry.canonical(None).bytes().all(visible));
            }
            for instance in config.instances.values().filter_map(|entry| entry.component.as_ref()) {
                // Every granted secret has a source, and what a rule sends is a secret of the instance.
                assert!(instance.grant.secrets.keys().eq(instance.sources.keys()));
                for rule in &instance.grant.http {
                    let client = rule.send.tls.client.iter().map(|(_, name)| name);
                    for name in client.chain(rule.send.inject.iter().map(|injection| &injection.secret)) {
                        assert!(instance.sources.contains_key(name), "{name}");
                    }
                }
                for grant in instance.grant.secrets.values() {
                    if let Some(SecretPurpose::Sign(algorithms)) = grant.purpose() {
                        assert!(!algorithms.is_empty());
                    }
                }
                assert!(instance.limits.memory.as_u64() > 0 && instance.limits.wall.as_millis() > 0);
            }
        }
        Err(errors) => shown(text, &errors),
    }
});
