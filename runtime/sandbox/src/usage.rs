//! What a call has used of its counted limits.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use deputy_core::{Limit, Limits, PolicyDenial};

/// What a call has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallUsage {
    /// HTTP requests, TCP connections and name lookups, denied ones included.
    pub requests: u32,
    pub secret_operations: u32,
    /// Bytes sent to the network.
    pub sent: u64,
    /// Bytes received from the network.
    pub received: u64,
    pub output_files: u32,
    /// Bytes of these files.
    pub output_bytes: u64,
    /// The most bytes of memory that its instances had at once.
    pub memory: u64,
    /// Processor time of the component, and of the host for it.
    pub cpu: Duration,
}

/// The counters of one call, shared by all its capabilities. Each takes from them before it acts, so that a limit holds
/// over all of them together.
pub(crate) struct UsageCounters {
    limits: Limits,
    requests: AtomicU32,
    secret_operations: AtomicU32,
    kerberos_bytes: AtomicU64,
    kerberos_contexts: AtomicU32,
    state_operations: AtomicU32,
    sent: AtomicU64,
    received: AtomicU64,
    output_files: AtomicU32,
    output_bytes: AtomicU64,
    memory: AtomicU64,
}

impl UsageCounters {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            requests: AtomicU32::new(0),
            secret_operations: AtomicU32::new(0),
            kerberos_bytes: AtomicU64::new(0),
            kerberos_contexts: AtomicU32::new(0),
            state_operations: AtomicU32::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            output_files: AtomicU32::new(0),
            output_bytes: AtomicU64::new(0),
            memory: AtomicU64::new(0),
        }
    }

    pub(crate) fn snapshot(&self) -> CallUsage {
        CallUsage {
            requests: self.requests.load(Ordering::Relaxed),
            secret_operations: self.secret_operations.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            output_files: self.output_files.load(Ordering::Relaxed),
            output_bytes: self.output_bytes.load(Ordering::Relaxed),
            memory: self.memory.load(Ordering::Relaxed),
            cpu: Duration::ZERO,
        }
    }

    /// Notes how much memory the call's instances have.
    pub(crate) fn note_memory(&self, bytes: usize) {
        self.memory.fetch_max(bytes as u64, Ordering::Relaxed);
    }

    /// Takes one HTTP request, TCP connection or name lookup.
    pub(crate) fn take_request(&self) -> Result<(), PolicyDenial> {
        let used = self.requests.fetch_add(1, Ordering::Relaxed);
        if used < self.limits.requests { Ok(()) } else { Err(PolicyDenial::Limit(Limit::Requests)) }
    }

    /// Takes one operation on a secret.
    pub(crate) fn take_secret_operation(&self) -> Result<(), PolicyDenial> {
        let used = self.secret_operations.fetch_add(1, Ordering::Relaxed);
        if used < self.limits.secret_operations { Ok(()) } else { Err(PolicyDenial::Limit(Limit::SecretOperations)) }
    }

    /// Takes one Kerberos context.
    pub(crate) fn take_kerberos_context(&self) -> Result<(), PolicyDenial> {
        let used = self.kerberos_contexts.fetch_add(1, Ordering::Relaxed);
        if used < self.limits.kerberos_contexts { Ok(()) } else { Err(PolicyDenial::Limit(Limit::KerberosContexts)) }
    }

    /// Takes bytes of messages that Kerberos contexts are about to protect or open.
    pub(crate) fn take_kerberos(&self, bytes: usize) -> Result<(), PolicyDenial> {
        take(&self.kerberos_bytes, bytes, self.limits.kerberos_bytes.as_u64(), Limit::KerberosBytes)
    }

    /// Takes one load or save of state.
    pub(crate) fn take_state_operation(&self) -> Result<(), PolicyDenial> {
        let used = self.state_operations.fetch_add(1, Ordering::Relaxed);
        if used < self.limits.state_operations { Ok(()) } else { Err(PolicyDenial::Limit(Limit::StateOperations)) }
    }

    /// Takes bytes that are about to be sent.
    pub(crate) fn take_sent(&self, bytes: usize) -> Result<(), PolicyDenial> {
        take(&self.sent, bytes, self.limits.sent.as_u64(), Limit::Sent)
    }

    /// Takes bytes that were received and are about to be handed to the component.
    pub(crate) fn take_received(&self, bytes: usize) -> Result<(), PolicyDenial> {
        take(&self.received, bytes, self.limits.received.as_u64(), Limit::Received)
    }

    /// Takes one file of this size, if both limits have room for it. Unlike a sent byte, a denied file is not counted: a
    /// smaller one may follow.
    pub(crate) fn take_output(&self, bytes: usize) -> Result<(), PolicyDenial> {
        if self.output_files.load(Ordering::Relaxed) >= self.limits.output_files {
            return Err(PolicyDenial::Limit(Limit::OutputFiles));
        }
        let max = self.limits.output_bytes.as_u64();
        self.output_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes as u64).filter(|total| *total <= max)
            })
            .map_err(|_| PolicyDenial::Limit(Limit::OutputBytes))?;
        self.output_files.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn take(used: &AtomicU64, bytes: usize, limit: u64, name: Limit) -> Result<(), PolicyDenial> {
    let bytes = bytes as u64;
    let before = used.fetch_add(bytes, Ordering::Relaxed);
    if before.saturating_add(bytes) <= limit { Ok(()) } else { Err(PolicyDenial::Limit(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_core::ByteSize;

    #[test]
    fn usage_is_limited_over_all_capabilities_together() {
        let usage = UsageCounters::new(Limits { requests: 2, sent: ByteSize::bytes(10), ..Limits::default() });
        assert_eq!([(); 3].map(|()| usage.take_request().is_ok()), [true, true, false]);
        assert_eq!([4, 6, 1].map(|bytes| usage.take_sent(bytes).is_ok()), [true, true, false]);
        assert_eq!(usage.take_sent(1), Err(PolicyDenial::Limit(Limit::Sent)));
    }

    #[test]
    fn usage_of_outputs_is_not_raised_by_a_denied_file() {
        let limits = Limits { output_files: 2, output_bytes: ByteSize::bytes(10), ..Limits::default() };
        let usage = UsageCounters::new(limits);
        assert_eq!([6, 5, usize::MAX].map(|bytes| usage.take_output(bytes).is_ok()), [true, false, false]);
        assert_eq!(usage.take_output(5), Err(PolicyDenial::Limit(Limit::OutputBytes)));
        assert_eq!(usage.take_output(4), Ok(()));
        assert_eq!(usage.take_output(0), Err(PolicyDenial::Limit(Limit::OutputFiles)));
        assert_eq!((usage.snapshot().output_files, usage.snapshot().output_bytes), (2, 10));
    }
}
