//! Whether it rests between two things that it does.
use deputy_core::time::MonotonicTime;

#[derive(Default)]
pub(crate) struct Loops {
    second: u64,
    idle: usize,
    ends: usize,
}

impl Loops {
    fn now(&mut self, now: MonotonicTime) {
        let second = now.as_millis() / 1000;
        if second != self.second {
            *self = Self { second, idle: 0, ends: 0 };
        }
    }

    /// A call ended. What follows may be a pause, a wait and a place in a queue.
    pub(crate) fn ended(&mut self, now: MonotonicTime) {
        self.now(now);
        self.ends += 1;
    }

    /// It wanted to be woken, or was looked after, and did so much. A wake for nothing is a small waste: an instance may
    /// have lost interest meanwhile. In one second there are not more of these than things to lose interest in.
    pub(crate) fn woke(&mut self, now: MonotonicTime, actions: usize, instances: usize) {
        self.now(now);
        self.idle += usize::from(actions == 0);
        let most = 2 * instances + 4 * self.ends + 10;
        assert!(self.idle <= most, "woken {} times in a second for nothing, with {instances} instances", self.idle);
    }
}
