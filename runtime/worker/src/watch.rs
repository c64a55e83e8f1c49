//! When to look whether what was published is still there. Somebody may have removed it, or a file system with it.

use std::collections::BTreeMap;

use deputy_core::time::MonotonicTime;
use deputy_core::{ReceiverName, Span};
use deputy_support::Backoff;

/// Between two looks, and the most between two that found nothing: a workload that removes its files on purpose gets them
/// back, and not again and again at once.
const EVERY: Span = Span::secs(5);
const MOST: Span = Span::secs(300);

/// The looks at all receivers' units.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    turns: BTreeMap<ReceiverName, Turn>,
}

#[derive(Debug)]
struct Turn {
    next: MonotonicTime,
    is_looking: bool,
    backoff: Backoff,
}

impl Watch {
    /// Whether it is time to look at a receiver's unit; if so, the look has begun.
    pub(crate) fn begins(&mut self, receiver: &ReceiverName, now: MonotonicTime) -> bool {
        let Some(turn) = self.turns.get_mut(receiver) else {
            let turn = Turn { next: now.plus(EVERY), is_looking: false, backoff: Backoff::new(EVERY, MOST) };
            self.turns.insert(receiver.clone(), turn);
            return false;
        };
        let is_due = !turn.is_looking && now >= turn.next;
        turn.is_looking |= is_due;
        is_due
    }

    /// A look has ended.
    pub(crate) fn ended(&mut self, receiver: &ReceiverName, is_there: bool, now: MonotonicTime, random: u16) {
        let Some(turn) = self.turns.get_mut(receiver) else { return };
        turn.is_looking = false;
        let wait = if is_there {
            turn.backoff.reset();
            EVERY
        } else {
            turn.backoff.fail(random)
        };
        turn.next = now.plus(wait);
    }

    /// A receiver is gone.
    pub(crate) fn forget(&mut self, receiver: &ReceiverName) {
        self.turns.remove(receiver);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watch_looks_once_at_a_time_and_less_often_at_what_is_removed() {
        let (mut watch, aws) = (Watch::default(), "aws".parse().unwrap());
        let at = |seconds: u64| MonotonicTime::from_millis(seconds * 1000);
        assert!(!watch.begins(&aws, at(0)), "it was just published");
        assert!(!watch.begins(&aws, at(4)) && watch.begins(&aws, at(5)));
        assert!(!watch.begins(&aws, at(500)), "one look at a time");
        let (mut now, mut gaps) = (500, Vec::new());
        for _ in 0..8 {
            watch.ended(&aws, false, at(now), 0);
            let next = (now..).find(|second| watch.begins(&aws, at(*second))).unwrap();
            gaps.push(next - now);
            now = next;
        }
        assert_eq!(gaps, [5, 10, 20, 40, 80, 160, 300, 300]);
        watch.ended(&aws, true, at(now), 0);
        assert!(watch.begins(&aws, at(now + 5)));
        watch.ended(&aws, false, at(now + 5), 0);
        assert!(watch.begins(&aws, at(now + 10)), "it begins anew");
    }
}
