//! A receiver as it is called: which component, with which settings and limits.

#![deny(missing_docs)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{Digest, Limits, ReceiverName};

/// A receiver's component and what it is called with. There is no grant in it: a receiver reaches no network and no
/// secret, it gets deliveries and leaves files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverPlan {
    /// Its name.
    pub name: ReceiverName,
    /// The component's file.
    pub component: PathBuf,
    /// What the component's file must have as its SHA-256.
    pub sha256: Option<Digest>,
    /// The component's arguments. No secrets.
    pub settings: BTreeMap<String, String>,
    /// What a call may use.
    pub limits: Limits,
}
