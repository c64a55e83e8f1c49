//! The lease and the clock of the endpoints' tests.

use std::sync::Arc;

use deputy_core::time::{Clock, MonotonicTime, Now};
use deputy_core::{Delivery, InstanceName, LeaseVersion, Revision, SecretBytes, Timestamp};
use deputy_link::DeliveredState;

/// The expiry of the lease.
pub(super) const HOUR: Timestamp = Timestamp::from_millis(3_600_999);

/// One lease of `s3-prod`.
pub(super) fn held(payload: &str) -> Arc<DeliveredState> {
    let instance: InstanceName = "s3-prod".parse().unwrap();
    let stamp = LeaseVersion { revision: Revision(7), obtained_at: Timestamp::from_millis(0) };
    let payload = Arc::new(SecretBytes::new(payload.as_bytes().to_vec()));
    let service = "s3".parse().unwrap();
    let kind = "aws-credential-process/1".parse().unwrap();
    let delivery = Delivery {
        instance: instance.clone(),
        service,
        kind,
        stamp,
        valid_until: HOUR,
        next_at: None,
        renewable_until: None,
        payload,
        trace: None,
    };
    Arc::new(DeliveredState { deliveries: [(instance, delivery)].into(), complete: true, ..DeliveredState::default() })
}

/// A stopped clock.
pub(super) fn clock(now: u64) -> Arc<dyn Clock> {
    Arc::new(move || Now { mono: MonotonicTime::default(), wall: Timestamp::from_millis(now) })
}
