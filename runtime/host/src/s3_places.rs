//! Where the S3 of each instance is, for `deputy exec`: what the operator's configuration says of it.
//!
//! A receiver's settings name it for clients, and win over the provider's, which name the STS. Only a configuration is asked,
//! never a component: credentials with another endpoint would lead a program's requests elsewhere.

use std::collections::BTreeMap;

use deputy_config::{Choice, CoordinatorFile, ReceiverComponent, WorkerConfig};
use deputy_core::{InstanceName, S3Place, S3Places};

/// As a coordinator's configuration has it: its own receivers, those of its groups, its instances.
pub(crate) fn of_coordinator(config: &CoordinatorFile) -> S3Places {
    let mut places = config.local.as_ref().map(of_worker).unwrap_or_default();
    for receiver in config.groups.values().flat_map(|group| group.receivers.values()) {
        add_receiver(&mut places, receiver);
    }
    for entry in config.instances.values() {
        if let Some(instance) = &entry.component {
            add(&mut places, &entry.name, S3Place::of_provider(&instance.settings));
        }
    }
    places
}

/// As a worker's own receivers have it.
pub(crate) fn of_worker(config: &WorkerConfig) -> S3Places {
    let mut places = BTreeMap::new();
    for receiver in config.receivers.values() {
        if let Choice::Worker(component) = &receiver.choice {
            add_receiver(&mut places, component);
        }
    }
    places
}

fn add_receiver(places: &mut S3Places, receiver: &ReceiverComponent) {
    for instance in &receiver.instances {
        add(places, instance, S3Place::of_settings(&receiver.settings, instance.as_str()));
    }
}

fn add(places: &mut S3Places, instance: &InstanceName, place: S3Place) {
    let known = places.remove(instance).unwrap_or_default();
    places.insert(instance.clone(), known.or(place));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn s3_places_are_of_receivers_first_and_then_of_instances() {
        let config = r#"
            [instances.a]
            component = "s3-sts.wasm"
            deliver-to = ["g"]
            settings = { region = "eu-west-1", endpoint = "https://sts.eu-west-1.amazonaws.com" }
            [instances.b]
            component = "s3-sts.wasm"
            settings = { region = "us-east-1", endpoint = "http://b:8333" }
            [instances.c]
            component = "s3-sts.wasm"
            [receivers.own]
            component = "aws-credentials.wasm"
            output = "/run/deputy"
            instances = ["b"]
            settings = { "region.b" = "own" }
            [groups.g.receivers.aws]
            component = "aws-credentials.wasm"
            instances = ["a"]
            settings = { "endpoint.a" = "http://a" }
        "#;
        let places = of_coordinator(&CoordinatorFile::parse(config, Path::new("deputy.toml")).unwrap());
        let place = |name: &str| {
            let place: &S3Place = &places[&name.parse::<InstanceName>().unwrap()];
            (place.region.clone().unwrap_or_default(), place.endpoint.clone().unwrap_or_default())
        };
        assert_eq!(place("a"), ("eu-west-1".to_owned(), "http://a".to_owned()));
        assert_eq!(place("b"), ("own".to_owned(), "http://b:8333".to_owned()));
        assert_eq!(place("c"), (String::new(), String::new()));
    }
}
