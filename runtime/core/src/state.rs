//! What an instance keeps beyond its leases: whether it may, and whose it is.

use std::fmt;
use std::str::FromStr;

use crate::{Digest, PolicyDenial};

/// Leave to keep state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateGrant {
    /// Whose state it also gets: what another component, or this one with other hosts or secrets, saved.
    pub inherit: Option<StateIdentity>,
}

/// Whose state it is: a digest of the component, the hosts and the secrets that it is granted. Settings are no part of it.
///
/// State is given to no other identity than the one that saved it, unless the operator [says so](StateGrant::inherit).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateIdentity(Digest);

/// A text is not an identity of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identity of state: write the 64 hexadecimal digits that `deputy status NAME` and the log show")]
pub struct StateIdentityError;

impl StateGrant {
    /// Leave for `own` to load and replace what `kept_for` saved.
    ///
    /// # Errors
    /// [`PolicyDenial::StateOfAnother`] if it is neither its own nor inherited.
    pub fn permit(&self, kept_for: StateIdentity, own: StateIdentity) -> Result<(), PolicyDenial> {
        if kept_for == own || self.inherit == Some(kept_for) {
            return Ok(());
        }
        Err(PolicyDenial::StateOfAnother { kept_for })
    }
}

impl StateIdentity {
    /// The identity with this digest.
    pub const fn new(digest: Digest) -> Self {
        Self(digest)
    }
}

impl FromStr for StateIdentity {
    type Err = StateIdentityError;

    fn from_str(text: &str) -> Result<Self, StateIdentityError> {
        text.parse().map(Self).map_err(|_| StateIdentityError)
    }
}

impl fmt::Display for StateIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_given_to_its_own_identity_or_the_heir() {
        let [own, former, other] = [1, 2, 3].map(|byte| StateIdentity::new(Digest::new([byte; 32])));
        let plain = StateGrant::default();
        assert_eq!(plain.permit(own, own), Ok(()));
        assert_eq!(plain.permit(former, own), Err(PolicyDenial::StateOfAnother { kept_for: former }));
        let heir = StateGrant { inherit: Some(former) };
        assert_eq!((heir.permit(former, own), heir.permit(own, own)), (Ok(()), Ok(())));
        assert!(heir.permit(other, own).is_err());
    }

    #[test]
    fn state_identity_survives_the_round_trip() {
        let identity = StateIdentity::new(Digest::new([7; 32]));
        assert_eq!(identity.to_string().parse(), Ok(identity));
        for text in ["", "7", &"0".repeat(63), &"A".repeat(64)] {
            assert_eq!(text.parse::<StateIdentity>(), Err(StateIdentityError), "{text}");
        }
    }
}
