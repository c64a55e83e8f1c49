//! Whose state an instance's is.

use deputy_config::InstanceEntry;
use deputy_core::{Digest, StateIdentity};
use deputy_support::sha256;

/// The identity that an instance's component saves state as, once its digest is known. `None` without a component.
pub fn state_identity(entry: &InstanceEntry, component: Digest) -> Option<StateIdentity> {
    let owner = entry.state_owner(component)?;
    Some(StateIdentity::new(sha256(owner.as_bytes())))
}
