#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::Path;

use super::*;
use crate::{Colour, CoordinatorFile, WorkerConfig};

#[test]
fn template_of_a_coordinator_is_valid_with_and_without_workers() {
    for text in [
        CoordinatorTemplate.render(),
        CoordinatorTemplate
            .render()
            .replace("# [coordinator]\n# listen", "[coordinator]\nlisten")
            .replace("# advertise", "advertise"),
    ] {
        let config = CoordinatorFile::parse(&text, Path::new("deputy.toml"));
        let config = config.map_err(|errors| errors.render(Colour::Never)).unwrap();
        assert_eq!(config.state_dir.as_deref(), Some(Path::new("state")));
        assert_eq!(config.instances.len(), 0);
    }
}

#[test]
fn template_of_a_service_has_the_places_of_its_unit() {
    let config = CoordinatorFile::parse(&ServiceTemplate.render(), Path::new("deputy.toml"));
    let config = config.map_err(|errors| errors.render(Colour::Never)).unwrap();
    assert_eq!(config.state_dir.as_deref(), Some(Path::new("/var/lib/deputy")));
    assert_eq!(config.coordinator.control.as_deref(), Some(Path::new("/run/deputy/control.sock")));
}

#[test]
fn template_of_a_worker_is_valid_with_and_without_a_receiver() {
    for receiver in [None, Some(("aws-credentials".to_owned(), vec!["s3".to_owned()]))] {
        let (join, output, state) = ("join".to_owned(), "published".to_owned(), "worker-state".to_owned());
        let template = WorkerTemplate { join, output, state, receiver };
        let config = WorkerConfig::parse(&template.render(), Path::new("worker.toml"));
        let config = config.map_err(|errors| errors.render(Colour::Never)).unwrap();
        assert_eq!(config.warnings.render(Colour::Never), "");
    }
}
