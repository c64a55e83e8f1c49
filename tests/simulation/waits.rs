//! Whether everybody's turn comes: how long an instance waits at most follows from the budget, from how many may be
//! called before it, and from how long calls take.

use std::collections::BTreeMap;

use deputy_core::schedule::{Configuration, Doing, Mono, UpstreamName, View};
use deputy_core::{InstanceName, Span};

use crate::budget::pace;
use crate::counts::Counts;
use crate::service::LONGEST_CALL;

#[derive(Default)]
pub(crate) struct Waits {
    /// Until when the turn of those who wait must have come.
    waiting: BTreeMap<InstanceName, (UpstreamName, Mono)>,
    /// Until when those whom a service told to wait leave it alone.
    paused: BTreeMap<UpstreamName, Mono>,
}

impl Waits {
    /// Another configuration: other budgets, upstreams and limits.
    pub(crate) fn restart(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn pause(&mut self, upstream: &UpstreamName, span: Span, now: Mono, configuration: &Configuration) {
        let until = self.paused.entry(upstream.clone()).or_default();
        *until = (*until).max(now.plus(span));
        let more = Span::millis(span.as_millis() + pace(configuration, upstream));
        for (other, until) in self.waiting.values_mut() {
            if other == upstream {
                *until = until.plus(more);
            }
        }
    }

    /// A call begins: nobody there was told to wait.
    pub(crate) fn called(&self, upstream: &UpstreamName, now: Mono) {
        let until = self.paused.get(upstream).copied().unwrap_or_default();
        assert!(until <= now, "{upstream} is called, and asked to be left alone until {until:?}");
    }

    pub(crate) fn look<'a>(
        &mut self,
        views: impl Iterator<Item = View<'a>>,
        configuration: &Configuration,
        now: Mono,
        counts: &mut Counts,
    ) {
        for view in views {
            if !matches!(view.doing, Doing::Waiting(_)) {
                self.waiting.remove(view.name);
            } else if let Some((_, until)) = self.waiting.get(view.name) {
                assert!(now <= *until, "{} starves: its turn should have come at {until:?}", view.name);
            } else {
                counts.waits += 1;
                let upstream = view.plan.upstream.clone();
                let until = now.plus(self.longest(&upstream, configuration, now));
                self.waiting.insert(view.name.clone(), (upstream, until));
            }
        }
    }

    /// Everybody else may be called before it once: by the budget of its upstream, and by the limit of all calls.
    fn longest(&self, upstream: &UpstreamName, configuration: &Configuration, now: Mono) -> Span {
        let here = configuration.plans.values().filter(|plan| plan.upstream == *upstream).count() as u64;
        let rounds = (configuration.plans.len() / configuration.calls.max(1)) as u64 + 2;
        let paused = self.paused.get(upstream).map_or(0, |until| until.since(now).as_millis());
        Span::millis(paused + (here + 1) * pace(configuration, upstream) + rounds * LONGEST_CALL)
    }
}
