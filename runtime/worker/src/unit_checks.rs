//! When to check that published units are still on the disk: another program may have removed one, or a file system with it.

use std::collections::BTreeMap;

use deputy_core::time::MonotonicTime;
use deputy_core::{ReceiverName, Span};
use deputy_support::Backoff;

const INTERVAL: Span = Span::secs(5);

/// The longest interval for a unit that is removed again and again: a workload that does so on purpose gets it back, but
/// ever more slowly.
const MAX_INTERVAL: Span = Span::secs(300);

/// The checks of all receivers' units.
#[derive(Debug, Default)]
pub(crate) struct UnitChecks(BTreeMap<ReceiverName, UnitCheck>);

#[derive(Debug)]
struct UnitCheck {
    due: MonotonicTime,
    is_running: bool,
    backoff: Backoff,
}

impl UnitChecks {
    /// Whether a receiver's unit is due for a check. If so, the check has begun.
    pub(crate) fn begin_if_due(&mut self, receiver: &ReceiverName, now: MonotonicTime) -> bool {
        let Some(check) = self.0.get_mut(receiver) else {
            let backoff = Backoff::new(INTERVAL, MAX_INTERVAL);
            let check = UnitCheck { due: now.plus(INTERVAL), is_running: false, backoff };
            self.0.insert(receiver.clone(), check);
            return false;
        };
        let is_due = !check.is_running && now >= check.due;
        check.is_running |= is_due;
        is_due
    }

    pub(crate) fn finish(&mut self, receiver: &ReceiverName, is_intact: bool, now: MonotonicTime, random: u16) {
        let Some(check) = self.0.get_mut(receiver) else { return };
        check.is_running = false;
        let wait = if is_intact {
            check.backoff.reset();
            INTERVAL
        } else {
            check.backoff.fail(random)
        };
        check.due = now.plus(wait);
    }

    pub(crate) fn forget(&mut self, receiver: &ReceiverName) {
        self.0.remove(receiver);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_check_backs_off_while_the_unit_is_removed() {
        let mut checks = UnitChecks::default();
        let aws = "aws".parse().unwrap();
        let at = |seconds: u64| MonotonicTime::from_millis(seconds * 1000);
        assert!(!checks.begin_if_due(&aws, at(0)), "it was just published");
        assert!(!checks.begin_if_due(&aws, at(4)) && checks.begin_if_due(&aws, at(5)));
        assert!(!checks.begin_if_due(&aws, at(500)), "one check at a time");
        let mut now = 500;
        let mut intervals = Vec::new();
        for _ in 0..8 {
            checks.finish(&aws, false, at(now), 0);
            let next = (now..).find(|second| checks.begin_if_due(&aws, at(*second))).unwrap();
            intervals.push(next - now);
            now = next;
        }
        assert_eq!(intervals, [5, 10, 20, 40, 80, 160, 300, 300]);
        checks.finish(&aws, true, at(now), 0);
        assert!(checks.begin_if_due(&aws, at(now + 5)));
        checks.finish(&aws, false, at(now + 5), 0);
        assert!(checks.begin_if_due(&aws, at(now + 10)), "the backoff begins again");
    }
}
