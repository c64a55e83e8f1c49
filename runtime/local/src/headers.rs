//! Headers of replies whose body is a secret.

use http::HeaderMap;

pub(crate) const OBTAINED_AT: &str = "deputy-obtained-at";
pub(crate) const REVISION: &str = "deputy-revision";
pub(crate) const KIND: &str = "deputy-kind";
pub(crate) const SERVICE: &str = "deputy-service";
/// Where the S3 of an instance is.
pub(crate) const REGION: &str = "deputy-region";
pub(crate) const ENDPOINT: &str = "deputy-endpoint";
pub(crate) const VALID_UNTIL: &str = "deputy-valid-until";

/// The groups that receive instances, if the group of a new join token receives none.
pub const OTHER_GROUPS: &str = "deputy-other-groups";
pub const TOKEN_EXPIRES: &str = "deputy-expires";
pub const TOKEN_ID: &str = "deputy-token";

/// The text of a reply's header, if it has one.
pub fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
