//! What the operator may see of an instance. Never a payload.

use crate::{InstanceName, Span, Timestamp};

use super::budget::UpstreamName;
use super::lease::{Lease, LeaseOrigin};
use super::policy::InstancePlan;
use super::revocation::UnrevokedLeases;
use crate::failure::FailureRecord;

#[derive(Debug, Clone)]
pub struct InstanceSnapshot<'s> {
    pub name: &'s InstanceName,
    /// How it is kept.
    pub plan: &'s InstancePlan,
    pub activity: InstanceActivity,
    /// Whether its users have a valid lease.
    pub readiness: Readiness,
    /// The lease that was given out last, or else the one that will be when it is saved.
    pub lease: Option<&'s Lease>,
    /// For how long what it holds is kept, if it is no longer configured.
    pub leaves_in: Option<Span>,
    /// How many leases wait to be revoked.
    pub retired: usize,
    /// What was not revoked although it should have been.
    pub abandoned: Option<&'s UnrevokedLeases>,
    /// Workers that use it.
    pub users: u32,
    /// How many calls failed since the last that did not.
    pub failures: u32,
    /// How the last one failed.
    pub failure: Option<&'s FailureRecord>,
    /// Why what it holds could not be saved when that was last tried.
    pub unsaved: Option<&'s str>,
    /// Whether the lease that is given out is unsaved. The one that is held may be another by now.
    pub published_unsaved: bool,
    /// When a call last brought something.
    pub last_success: Option<Timestamp>,
    /// When it is obtained or renewed next, if that is known.
    pub next: Option<Timestamp>,
}

/// What goes on with an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceActivity {
    /// It is called: `obtain`, `renew`, `revoke`.
    Calling(&'static str, Span),
    /// What it holds is good.
    Holding,
    /// It is no longer configured, and its state is being deleted.
    Leaving,
    /// A person has to act before it is called with success.
    NeedsAttention,
    /// A file is all it has, and the file holds nothing that is good.
    NoFile,
    /// The component says that it needs no tokens.
    NotRequired,
    /// The last call failed; the next is in a while.
    Retrying,
    /// What it holds is being saved; so often that failed.
    Saving(u32),
    /// It is on demand and not in use.
    Unused,
    /// It waits for its upstream's budget, or for other calls to end; until then at least, if that is known.
    Waiting(Option<Span>),
}

/// Whether the users of a lease have a valid one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// There is a good one, and it is given out.
    Ready,
    NotNeeded,
    /// There is none yet, or none that is saved.
    Missing,
    /// The last one ended.
    Expired,
}

#[derive(Debug, Clone, Copy)]
pub struct UpstreamSnapshot<'s> {
    pub name: &'s UpstreamName,
    /// Instances that wait for it.
    pub waiting: usize,
    /// Calls that had to wait for its budget, since the start.
    pub waits: u64,
    /// Time until calls to it are allowed again.
    pub blocked_for: Option<Span>,
}

impl LeaseOrigin {
    pub fn word(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::File => "file",
        }
    }
}
