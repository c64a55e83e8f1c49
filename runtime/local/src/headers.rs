//! Headers of replies whose body is a secret.

pub(crate) const OBTAINED_AT: &str = "deputy-obtained-at";
pub(crate) const REVISION: &str = "deputy-revision";
pub(crate) const KIND: &str = "deputy-kind";
pub(crate) const SERVICE: &str = "deputy-service";
pub(crate) const VALID_UNTIL: &str = "deputy-valid-until";

/// The groups that receive instances, if the group of a new join token receives none.
pub const OTHER_GROUPS: &str = "deputy-other-groups";
pub const TOKEN_EXPIRES: &str = "deputy-expires";
pub const TOKEN_ID: &str = "deputy-token";
