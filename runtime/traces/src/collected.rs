//! Spans in memory.

use tokio::sync::mpsc;

use crate::message::ExportedSpan;
use crate::tracer::QueueItem;

/// The spans of a [tracer in memory](crate::Tracer::memory).
pub struct CollectedSpans(pub(crate) mpsc::Receiver<QueueItem>);

impl CollectedSpans {
    /// Those that have ended since the last time.
    pub fn take(&mut self) -> Vec<ExportedSpan> {
        let mut spans = Vec::new();
        while let Ok(item) = self.0.try_recv() {
            if let QueueItem::Span(span) = item {
                spans.push(span.into());
            }
        }
        spans
    }
}
