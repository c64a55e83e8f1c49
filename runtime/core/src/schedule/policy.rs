//! When to obtain, renew, retry and revoke, as configured.

use crate::retry::RetryPolicy;
use crate::time::Span;
use crate::{PayloadKind, ServiceName};

use super::budget::UpstreamName;
use super::orphans::REMOVAL_GRACE;
use super::ratio::Ratio;

/// How one instance's lease is kept. The default is that of an instance without configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// At any time, or on demand.
    pub mode: ObtainMode,
    /// After which share of a lease's life it is replaced.
    pub ratio: Ratio,
    /// By which share of that time, at most and by chance, it is replaced earlier.
    pub jitter: Ratio,
    /// The longest life of a lease, whatever the service says, and its life where the service says nothing.
    pub lifetime: Option<Span>,
    /// For how long after it was obtained a lease may be renewed; then a new one is obtained.
    pub max_lifetime: Option<Span>,
    /// How often the component is called for tokens at most.
    pub calls: CallRate,
    /// How failures are tried again.
    pub retry: RetryPolicy,
    pub revoke: RevocationPolicy,
    /// Which source is preferred if an instance has a component and a file.
    pub prefer: PreferredSource,
}

/// When an instance has a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObtainMode {
    Always,
    /// From the first request until it has not been used for this time.
    OnDemand(Span),
}

impl ObtainMode {
    pub fn is_on_demand(self) -> bool {
        matches!(self, Self::OnDemand(_))
    }
}

/// Which source is preferred if an instance has a component and a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreferredSource {
    /// The component; the file where it has brought nothing that is valid.
    Component,
    /// The file; the component where the file holds nothing that is valid, or grows old.
    File,
}

/// How often a component is called for tokens at most, whatever it says about how long they live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRate {
    /// The least time from the start of a call that brought tokens to the start of the next one.
    pub interval: Span,
    /// Calls in an hour in the long run, a fifth of them at once. At least one is allowed.
    pub per_hour: u32,
}

/// What is revoked, if the component can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationPolicy {
    /// A lease that was replaced, so long after it; `None` leaves it to expire.
    pub replaced: Option<Span>,
    /// The lease of an instance that is no longer configured, so long after its removal; `None` leaves it to expire.
    pub removed: Option<Span>,
    /// Every lease when the coordinator stops.
    pub shutdown: Switch,
}

/// What becomes of leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    Revoke,
    /// They are left to expire.
    Expire,
}

/// What the coordinator knows of an instance beside its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstancePlan {
    /// How its lease is kept.
    pub policy: Policy,
    /// Its rate limits apply.
    pub upstream: UpstreamName,
    /// The account at the upstream, if known. Throttling of one account says nothing about another.
    pub account: Option<UpstreamAccount>,
    /// The service, if the component has named it.
    pub service: Option<ServiceName>,
    /// The kind of what a file holds, if it is known.
    pub file_kind: Option<PayloadKind>,
    /// What its component can do; `None` if a file is all it has.
    pub component: Option<OptionalExports>,
    /// Covers all that decides about its tokens: component, settings, grants, secret sources. A lease that was
    /// obtained under another one is replaced.
    pub fingerprint: ConfigFingerprint,
    /// Whether its component may keep state.
    pub keeps_state: bool,
}

/// What a component exports beside `provider`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OptionalExports {
    /// `renewal`
    pub renews: bool,
    /// `revocation`
    pub revokes: bool,
}

/// Identifies an instance's configuration: equal fingerprints obtain equal tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConfigFingerprint(pub [u8; 16]);

impl ConfigFingerprint {
    /// The fingerprint of an instance whose component is not loaded. No lease has it.
    pub const UNKNOWN: Self = Self([0; 16]);

    /// Whether the component is loaded.
    pub fn is_known(self) -> bool {
        self != Self::UNKNOWN
    }
}

/// Identifies the secrets by which a service knows an instance: equal ones are one account there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamAccount(pub [u8; 16]);

/// The longest life by which a renewal is timed: a lease that never expires is renewed as well.
pub const LONGEST_LIFE: Span = Span::secs(366 * 86_400);

/// The life of a lease if neither service nor configuration say anything.
pub const ASSUMED_LIFETIME: Span = Span::secs(3600);

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: ObtainMode::Always,
            ratio: Ratio::thousandths(750),
            jitter: Ratio::thousandths(100),
            lifetime: None,
            max_lifetime: None,
            calls: CallRate::default(),
            retry: RetryPolicy::default(),
            revoke: RevocationPolicy::default(),
            prefer: PreferredSource::Component,
        }
    }
}

impl Policy {
    /// How long after it was obtained a lease of this life is replaced. `random` is uniform over all of `u16`.
    pub fn renewal_delay(&self, life: Span, random: u16) -> Span {
        self.jitter.scale(random).complement().apply(self.ratio.apply(life.min(LONGEST_LIFE)))
    }
}

impl CallRate {
    /// Calls that may be made at once.
    pub(super) fn burst(&self) -> u32 {
        (self.per_hour / 5).max(1)
    }
}

impl Default for CallRate {
    fn default() -> Self {
        Self { interval: Span::secs(1), per_hour: 1000 }
    }
}

impl Default for RevocationPolicy {
    fn default() -> Self {
        Self { replaced: Some(Span::secs(300)), removed: Some(REMOVAL_GRACE), shutdown: Switch::Expire }
    }
}
