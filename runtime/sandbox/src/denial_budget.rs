//! How many denials of one component are recorded: per call, and per hour over all its calls.
//!
//! Refusals cost a component nothing, so their number is the component's choice; successes are bounded by its limits and
//! are always recorded. What is suppressed is counted in the audit log.

use deputy_audit::AuditSubject;
use deputy_core::Span;
use deputy_support::KeyedRateLimiter;

/// Recorded denials of one call.
pub(crate) const DENIALS_PER_CALL: u64 = 100;

/// Recorded denials of one instance or receiver in an hour.
const DENIALS_PER_HOUR: u32 = 1_000;

/// More instances and receivers than a coordinator has.
const ACTORS: usize = 100_000;

/// The hourly budget of each instance and receiver of a process.
pub(crate) struct DenialBudget(KeyedRateLimiter<String>);

impl Default for DenialBudget {
    fn default() -> Self {
        Self(KeyedRateLimiter::new(DENIALS_PER_HOUR, Span::secs(3600), ACTORS))
    }
}

impl DenialBudget {
    /// Whether one more denial may be recorded now.
    pub(crate) fn take(&self, subject: &AuditSubject, now: deputy_core::Timestamp) -> bool {
        let key = match subject {
            AuditSubject::Instance(name) => format!("instance {name}"),
            AuditSubject::Receiver(name) => format!("receiver {name}"),
            AuditSubject::Worker(id) => format!("worker {id}"),
        };
        self.0.acquire(key, now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_core::Timestamp;

    #[test]
    fn denial_budget_is_per_subject_and_refills() {
        let budget = DenialBudget::default();
        let (one, other) =
            (AuditSubject::Instance("s3".parse().unwrap()), AuditSubject::Receiver("s3".parse().unwrap()));
        let at = |secs: u64| Timestamp::from_millis(1_000_000_000 + secs * 1000);
        let taken = |subject, secs| (0..2 * DENIALS_PER_HOUR).filter(|_| budget.take(subject, at(secs))).count();
        assert_eq!(taken(&one, 0), DENIALS_PER_HOUR as usize);
        assert_eq!(taken(&other, 0), DENIALS_PER_HOUR as usize);
        assert_eq!(taken(&one, 1800), DENIALS_PER_HOUR as usize / 2);
    }
}
