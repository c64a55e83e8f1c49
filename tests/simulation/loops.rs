//! Whether it rests between two things that it does.

use deputy_core::schedule::Mono;

#[derive(Default)]
pub(crate) struct Loops {
    second: u64,
    idle: usize,
}

impl Loops {
    /// It wanted to be woken, or was looked after, and did so much. A wake for nothing is a small waste: an instance may
    /// have lost interest meanwhile. In one second there are not more of these than things to lose interest in.
    pub(crate) fn woke(&mut self, now: Mono, actions: usize, instances: usize) {
        let second = now.as_millis() / 1000;
        if second != self.second {
            (self.second, self.idle) = (second, 0);
        }
        self.idle += usize::from(actions == 0);
        let most = 2 * instances + 10;
        assert!(self.idle <= most, "woken {} times in a second for nothing, with {instances} instances", self.idle);
    }
}
