//! Where the S3 of an instance is, as far as the operator's configuration says it.

use std::collections::BTreeMap;

/// A region and an address, which are no secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Place {
    pub region: Option<String>,
    /// The URL, if it is not AWS's.
    pub endpoint: Option<String>,
}

impl S3Place {
    /// What the settings of a receiver of AWS credentials say of an instance.
    pub fn of_settings(settings: &BTreeMap<String, String>, instance: &str) -> Self {
        let region = settings.get(&format!("region.{instance}")).or_else(|| settings.get("region"));
        let endpoint = settings.get(&format!("endpoint.{instance}"));
        Self { region: region.cloned(), endpoint: endpoint.cloned() }
    }

    /// The same with what another place says and this one does not.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { region: self.region.or(other.region), endpoint: self.endpoint.or(other.endpoint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_place_of_an_instance_wins_over_a_general_one() {
        let settings = [("region", "us-east-1"), ("region.a", "eu-west-1"), ("endpoint.b", "http://b")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let a = S3Place::of_settings(&settings, "a");
        assert_eq!((a.region.as_deref(), a.endpoint.as_deref()), (Some("eu-west-1"), None));
        let b = S3Place::of_settings(&settings, "b");
        assert_eq!((b.region.as_deref(), b.endpoint.as_deref()), (Some("us-east-1"), Some("http://b")));
        assert_eq!(a.or(b).endpoint.as_deref(), Some("http://b"));
    }
}
