//! S3 credentials as AWS's tools and SDKs read them: a shared credentials file with a profile for each instance, a config
//! file by which a program reads again what it has held too long, and for each instance the JSON of a `credential_process`.
//!
//! `settings` and `credentials` parse the input, `profiles` and `files` make the output; they do no I/O and are tested
//! natively. Each call writes all files from all deliveries. A delivery with a value that could begin another line of a file is
//! rejected, and nothing of a payload enters an error.

mod credentials;
mod files;
mod profiles;
mod settings;

use bindings::exports::delegation::tokens::receiver::{Accepted, Bound, Delivery, Guest, Rejection};
use credentials::InstanceCredentials;
use deputy_kit::outputs;
use deputy_kit::tokens::AWS_CREDENTIAL_PROCESS;
use deputy_kit::types::{Failure, Settings};
use profiles::profiles;
use settings::ProfileSettings;

deputy_kit::export_component!(
    AwsCredentialsReceiver,
    "
        package deputy:connector;
        world component { export delegation:tokens/receiver@0.2.0; include delegation:tokens/describes-itself@0.2.0; }
    "
);

struct AwsCredentialsReceiver;

deputy_kit::describe!(AwsCredentialsReceiver);

impl Guest for AwsCredentialsReceiver {
    fn kinds(settings: Settings) -> Result<Vec<String>, Failure> {
        ProfileSettings::read(&settings).map(|_| vec![AWS_CREDENTIAL_PROCESS.to_owned()])
    }

    fn check(settings: Settings, bound: Vec<Bound>) -> Result<(), Failure> {
        let instances: Vec<&str> = bound.iter().map(|bound| bound.instance.as_str()).collect();
        let settings = ProfileSettings::read(&settings)?;
        settings.check_instances(&instances)?;
        profiles(&settings, &instances).map(drop)
    }

    fn accept(settings: Settings, deliveries: Vec<Delivery>) -> Result<Accepted, Failure> {
        let settings = ProfileSettings::read(&settings)?;
        let mut held = Vec::new();
        let mut rejected = Vec::new();
        for delivery in &deliveries {
            match InstanceCredentials::of(delivery) {
                Ok(credentials) => held.push(credentials),
                Err(failure) => rejected.push(Rejection { instance: delivery.instance.clone(), failure }),
            }
        }
        // With a rejection nothing is published, and the host calls again without it.
        if rejected.is_empty() {
            outputs::put(&files::all(&settings, &held)?)?;
        }
        Ok(Accepted { rejected, facts: Vec::new() })
    }
}
