//! The token file that Hadoop's clients read (`HADOOP_TOKEN_FILE_LOCATION`), merged from the leases of all instances.
//!
//! `settings` parses the input and `merge` makes the file; they do no I/O and are tested natively. Each call writes the whole
//! file from all deliveries. A delivery that is no token file is rejected, and nothing of a payload enters an error.

mod merge;
mod settings;

use bindings::exports::delegation::tokens::receiver::{Accepted, Bound, Delivery, Guest, Rejection};
use deputy_kit::outputs::{self, OutputFiles};
use deputy_kit::types::{Failure, Settings};
use merge::{InstanceTokens, merge};
use settings::{KINDS, MergeSettings};

deputy_kit::export_component!(
    HadoopCredentials,
    "
        package deputy:connector;
        world component { export delegation:tokens/receiver@0.2.0; include delegation:tokens/describes-itself@0.2.0; }
    "
);

struct HadoopCredentials;

deputy_kit::describe!(HadoopCredentials);

impl Guest for HadoopCredentials {
    fn kinds(settings: Settings) -> Result<Vec<String>, Failure> {
        MergeSettings::read(&settings).map(|_| KINDS.map(str::to_owned).to_vec())
    }

    fn check(settings: Settings, bound: Vec<Bound>) -> Result<(), Failure> {
        let instances: Vec<&str> = bound.iter().map(|bound| bound.instance.as_str()).collect();
        MergeSettings::read(&settings)?.check_instances(&instances)
    }

    fn accept(settings: Settings, deliveries: Vec<Delivery>) -> Result<Accepted, Failure> {
        let settings = MergeSettings::read(&settings)?;
        let mut all = Vec::new();
        let mut rejected = Vec::new();
        for delivery in &deliveries {
            match InstanceTokens::read(&settings, &delivery.instance, &delivery.payload) {
                Ok(tokens) => all.push(tokens),
                Err(failure) => rejected.push(Rejection { instance: delivery.instance.clone(), failure }),
            }
        }
        // With a rejection nothing is published, and the host calls again without it.
        if rejected.is_empty() {
            match merge(&settings, all) {
                Ok(file) => {
                    let file = file.to_bytes(settings.version);
                    outputs::put(&OutputFiles::from([(settings.file.to_owned(), file)]))?;
                }
                Err(ties) => rejected = ties,
            }
        }
        Ok(Accepted { rejected, facts: Vec::new() })
    }
}
