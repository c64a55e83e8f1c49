//! S3 credentials as AWS's tools and SDKs read them: a shared credentials file with a profile for each instance, a config
//! file if settings need one, and for each instance the JSON of a `credential_process`.
//!
//! `settings` and `credentials` parse the input, `files` makes the output; they do no I/O and are tested natively. Each call
//! writes all files from all deliveries. Values that could begin another line of a file are refused, and nothing of a payload
//! enters an error.

mod credentials;
mod files;
mod settings;

use bindings::exports::delegation::tokens::receiver::{Delivery, Guest};
use credentials::InstanceCredentials;
use deputy_kit::outputs;
use deputy_kit::types::{Failure, Settings};
use settings::ProfileSettings;

mod bindings {
    #![allow(unsafe_code, unused_qualifications, reason = "generated from the contract, documented there")]
    #![allow(clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package deputy:aws-credentials;
            world aws-credentials { export delegation:tokens/receiver@0.1.0; }
        ",
        world: "deputy:aws-credentials/aws-credentials",
        with: { "delegation:tokens/types@0.1.0": deputy_kit::types },
        generate_all,
    });

    export!(AwsCredentialsReceiver with_types_in self);
    use super::AwsCredentialsReceiver;
}

struct AwsCredentialsReceiver;

impl Guest for AwsCredentialsReceiver {
    fn services() -> Vec<String> {
        vec!["s3".to_owned()]
    }

    fn accept(settings: Settings, deliveries: Vec<Delivery>) -> Result<(), Failure> {
        let settings = ProfileSettings::read(&settings)?;
        let credentials: Vec<InstanceCredentials> = deliveries.iter().map(credentials).collect::<Result<_, _>>()?;
        outputs::put(&files::all(&settings, &credentials)?)
    }
}

fn credentials(delivery: &Delivery) -> Result<InstanceCredentials<'_>, Failure> {
    InstanceCredentials::read(&delivery.instance, &delivery.service, &delivery.tokens.payload)
}
