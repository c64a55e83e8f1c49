//! What became of spans.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;

use crate::table::metrics_table;

metrics_table! {
    TraceMetrics {
        exported: Counter, "trace_spans_exported", "Spans that the trace collector accepted";
        dropped: Counter, "trace_spans_dropped",
            "Spans that were dropped because the trace collector was slow, unreachable or rejected them";
    }
}

impl TraceMetrics {
    pub(crate) fn set(&self, exported: u64, dropped: u64) {
        self.exported.inner().store(exported, Ordering::Relaxed);
        self.dropped.inner().store(dropped, Ordering::Relaxed);
    }
}
