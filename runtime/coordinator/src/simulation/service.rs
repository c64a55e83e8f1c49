//! The service: it remembers what it issued, and to whom.

use std::sync::Arc;

use deputy_core::failure::FailureKind;
use deputy_core::schedule::{CallOutcome, Lease, ProviderCall, ScheduledCallId};
use deputy_core::{CallFailure, InstanceName, SecretBytes, Span, TokenExpiry, Tokens};

use super::clock::right;
use super::machine::MachineEvent;
use super::world::{SimulatedWorld, WorldEvent, millis, once_in};

/// A call on its way to the service.
pub(super) struct CallInFlight {
    pub(super) machine: usize,
    pub(super) process: u64,
    /// The leadership that it belongs to.
    pub(super) fencing: u64,
    pub(super) id: ScheduledCallId,
    pub(super) began: u64,
    pub(super) name: InstanceName,
    pub(super) work: ProviderCall,
}

impl SimulatedWorld {
    pub(super) fn reach_service(&mut self, call: CallInFlight) {
        let fails = self.is_faulty() && (self.truth < self.service_fails_until || once_in(&mut self.dice, 20));
        let outcome = match &call.work {
            _ if self.is_faulty() && once_in(&mut self.dice, 12) => {
                let retry_after = Some(Span::millis(millis(&mut self.dice, 1000, 20_000)));
                self.counts.paused += 1;
                CallOutcome::Failed(CallFailure { retry_after, ..CallFailure::new(FailureKind::Throttled, "") })
            }
            _ if fails => CallOutcome::Failed(CallFailure::new(FailureKind::Unavailable, "")),
            ProviderCall::Revoke(lease) => {
                self.checks.revoked(&call.name, payload(lease));
                self.counts.revoked += 1;
                CallOutcome::Revoked
            }
            ProviderCall::Obtain | ProviderCall::Renew(_) => {
                let number = self.checks.obtained(&call, self.truth);
                self.counts.obtained += 1;
                let holder = self.lock_holder();
                self.counts.obtained_deposed += u64::from(holder != Some((call.machine, call.process)));
                let life = Span::millis(self.lives[&call.name]);
                let payload = SecretBytes::new(number.to_be_bytes().to_vec());
                let tokens = Tokens::new("test/1".parse().unwrap(), payload);
                CallOutcome::Obtained(Tokens { expiry: TokenExpiry::At(right(self.truth).plus(life)), ..tokens })
            }
        };
        let slowest = if self.is_faulty() { 3000 } else { 300 };
        let delay = millis(&mut self.dice, 1, slowest);
        let event = MachineEvent::Ended(call.id, outcome);
        self.at(self.truth + delay, WorldEvent::Machine(call.machine, call.process, 0, event));
    }
}

/// The number of a payload: the later ones are greater.
pub(super) fn payload(lease: &Lease) -> u64 {
    number(&lease.payload)
}

fn number(payload: &Arc<SecretBytes>) -> u64 {
    u64::from_be_bytes(payload.expose().try_into().unwrap())
}
