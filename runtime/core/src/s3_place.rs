//! Where the S3 of an instance is, as far as the operator's configuration says it.

use std::collections::BTreeMap;

use crate::{InstanceName, misleads};

/// Labels of the names of servers that are an STS and no S3: AWS's, and their kind.
const STS_LABELS: [&str; 2] = ["sts", "sts-fips"];

/// The most bytes of a region or an address.
const MAX_TEXT: usize = 2048;

/// Where the S3 of each instance is.
pub type S3Places = BTreeMap<InstanceName, S3Place>;

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
        Self { region: region.cloned(), endpoint: endpoint.map(|url| without_user(url)) }
    }

    /// What the settings of a provider of S3 credentials say. Of most servers that are not AWS's, the STS is the S3 as well.
    pub fn of_provider(settings: &BTreeMap<String, String>) -> Self {
        let endpoint = settings.get("endpoint").map(|url| without_user(url)).filter(|endpoint| !is_sts_alone(endpoint));
        Self { region: settings.get("region").cloned(), endpoint }
    }

    /// The same with what another place says and this one does not.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { region: self.region.or(other.region), endpoint: self.endpoint.or(other.endpoint) }
    }

    /// The same without texts that no program should get as a variable: long ones, and those with control characters.
    #[must_use]
    pub fn usable(self) -> Self {
        Self {
            region: self.region.filter(|text| is_usable(text)),
            endpoint: self.endpoint.filter(|text| is_usable(text)),
        }
    }
}

fn is_usable(text: &str) -> bool {
    text.len() <= MAX_TEXT && !text.chars().any(misleads)
}

/// A URL without user and password, which are for the component alone.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
    format!("{scheme}://{server}{path}")
}

/// Whether its name or its path says that a URL is that of an STS and not of an S3.
fn is_sts_alone(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    let is_sts = |label: &str| STS_LABELS.iter().any(|sts| label.eq_ignore_ascii_case(sts));
    !path.is_empty() || host.split('.').any(is_sts)
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

    #[test]
    fn s3_place_has_no_user_and_no_password() {
        for (url, shown) in [
            ("http://me:hunter2@minio:9000", "http://minio:9000"),
            ("http://me@b@minio", "http://minio"),
            ("http://minio/a@b", "http://minio/a@b"),
        ] {
            let settings = [("endpoint.a".to_owned(), url.to_owned())].into();
            assert_eq!(S3Place::of_settings(&settings, "a").endpoint.as_deref(), Some(shown));
        }
        let provider = S3Place::of_provider(&[("endpoint".to_owned(), "http://me:hunter2@minio".to_owned())].into());
        assert_eq!(provider.endpoint.as_deref(), Some("http://minio"));
        let sts = S3Place::of_provider(&[("endpoint".to_owned(), "https://me:b@sts.example".to_owned())].into());
        assert_eq!(sts.endpoint, None);
    }

    #[test]
    fn s3_place_has_no_text_that_is_no_variable() {
        let longest = "a".repeat(MAX_TEXT);
        let longer = "a".repeat(MAX_TEXT + 1);
        for (text, is_kept) in [
            ("eu-west-1", true),
            (longest.as_str(), true),
            (longer.as_str(), false),
            ("a\nb", false),
            ("\u{202e}", false),
        ] {
            let place = S3Place { region: Some(text.to_owned()), endpoint: Some(text.to_owned()) }.usable();
            assert_eq!((place.region.is_some(), place.endpoint.is_some()), (is_kept, is_kept));
        }
    }

    #[test]
    fn s3_place_of_a_provider_is_no_address_of_an_sts_alone() {
        let endpoint = |url: &str| S3Place::of_provider(&[("endpoint".to_owned(), url.to_owned())].into()).endpoint;
        for url in ["http://127.0.0.1:8333", "https://s3.example.com/", "https://[::1]:9000"] {
            assert_eq!(endpoint(url).as_deref(), Some(url));
        }
        for url in [
            "https://sts.eu-west-1.amazonaws.com",
            "https://STS-FIPS.us-east-1.amazonaws.com/",
            "https://vpce-1.sts.us-east-1.vpce.amazonaws.com:443",
            "https://example.com/sts",
        ] {
            assert_eq!(endpoint(url), None, "{url}");
        }
    }
}
