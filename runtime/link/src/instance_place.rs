//! Where the S3 of an instance is, in its message.

use deputy_core::{InstanceName, S3Place};

use crate::message::InstancePlace;

impl InstancePlace {
    /// The message; `None` if nothing is known.
    pub(crate) fn of(instance: &InstanceName, place: &S3Place) -> Option<Self> {
        let region = place.region.clone().unwrap_or_default();
        let endpoint = place.endpoint.clone().unwrap_or_default();
        let message = Self { instance: instance.to_string(), region, endpoint };
        (!message.region.is_empty() || !message.endpoint.is_empty()).then_some(message)
    }

    /// What the message says. What its sender should not have sent is left out.
    pub(crate) fn place(&self) -> S3Place {
        S3Place { region: known(&self.region), endpoint: known(&self.endpoint) }.usable()
    }
}

fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_place_leaves_out_what_is_no_variable() {
        let message = InstancePlace {
            instance: "s3".to_owned(),
            region: "eu-west-1".to_owned(),
            endpoint: "http://a".repeat(1_000_000),
        };
        let place = message.place();
        assert_eq!((place.region.as_deref(), place.endpoint), (Some("eu-west-1"), None));
    }
}
