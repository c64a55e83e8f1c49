//! What became of spans.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;

use crate::table::metrics_table;

metrics_table! {
    TraceMetrics {
        exported: Counter, "trace_spans_exported", "Spans that the collector of traces took";
        dropped: Counter, "trace_spans_dropped",
            "Spans that were dropped: the collector of traces was slow or away, or refused them";
    }
}

impl TraceMetrics {
    pub(crate) fn set(&self, exported: u64, dropped: u64) {
        self.exported.inner().store(exported, Ordering::Relaxed);
        self.dropped.inner().store(dropped, Ordering::Relaxed);
    }
}
