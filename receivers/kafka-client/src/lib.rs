//! Kafka tokens as the properties of Java clients: a file for each cluster, with the login by `tokenauth`.
//!
//! `settings` parses the input and `properties` makes a file; they do no I/O and are tested natively. Each call writes all files
//! from all deliveries. A delivery with a value that could begin another line is rejected, and nothing of a payload enters an
//! error.

mod properties;
mod settings;

use bindings::exports::delegation::tokens::receiver::{Accepted, Bound, Delivery, Guest, Rejection};
use deputy_kit::outputs::{self, OutputFiles};
use deputy_kit::tokens::KAFKA_TOKEN;
use deputy_kit::types::{Failure, Settings};
use properties::properties;
use settings::ClientSettings;

deputy_kit::export_component!(
    KafkaClient,
    "
        package deputy:connector;
        world component { export delegation:tokens/receiver@0.2.0; include delegation:tokens/describes-itself@0.2.0; }
    "
);

struct KafkaClient;

deputy_kit::describe!(KafkaClient);

impl Guest for KafkaClient {
    fn kinds(settings: Settings) -> Result<Vec<String>, Failure> {
        ClientSettings::read(&settings).map(|_| vec![KAFKA_TOKEN.to_owned()])
    }

    fn check(settings: Settings, bound: Vec<Bound>) -> Result<(), Failure> {
        let instances: Vec<&str> = bound.iter().map(|bound| bound.instance.as_str()).collect();
        ClientSettings::read(&settings)?.check_instances(&instances)
    }

    fn accept(settings: Settings, deliveries: Vec<Delivery>) -> Result<Accepted, Failure> {
        let settings = ClientSettings::read(&settings)?;
        let mut files = OutputFiles::new();
        let mut rejected = Vec::new();
        for delivery in &deliveries {
            match properties(&settings, &delivery.instance, &delivery.kind, &delivery.payload) {
                Ok(file) => drop(files.insert(settings.file(&delivery.instance), file)),
                Err(failure) => rejected.push(Rejection { instance: delivery.instance.clone(), failure }),
            }
        }
        // With a rejection nothing is published, and the host calls again without it.
        if rejected.is_empty() {
            outputs::put(&files)?;
        }
        Ok(Accepted { rejected, facts: Vec::new() })
    }
}
