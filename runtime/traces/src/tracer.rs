//! Where spans begin and go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deputy_core::TraceContext;
use deputy_core::schedule::Ratio;
use deputy_support::{LockUnpoisoned as _, wall_nanos};
use tokio::sync::{mpsc, oneshot};

use crate::collected::CollectedSpans;
use crate::message::SpanKind;
use crate::span::OpenSpan;
use crate::span_data::SpanData;

/// Spans that wait to be sent: a minute of a coordinator that renews thirty leases in a second. About 2 MiB.
pub(crate) const QUEUE: usize = 4096;

/// How long the end of a process waits for what is queued.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Begins spans, and queues those that ended. Cheap to clone. The default traces nothing.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<TracerState>>);

struct TracerState {
    queue: mpsc::Sender<QueueItem>,
    counts: Arc<TraceCounts>,
    sample: Ratio,
    ids: Mutex<fastrand::Rng>,
}

pub(crate) enum QueueItem {
    Span(SpanData),
    /// Answered when everything before it was sent or dropped.
    Flush(oneshot::Sender<()>),
}

/// What became of the spans, since the start.
#[derive(Debug, Default)]
pub struct TraceCounts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl TraceCounts {
    /// Spans that the collector took.
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Spans that found the queue full, or that the collector did not take.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn add_exported(&self, spans: u64) {
        self.exported.fetch_add(spans, Ordering::Relaxed);
    }

    pub(crate) fn add_dropped(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }
}

impl Tracer {
    /// A tracer, and the end of its queue.
    pub(crate) fn new(sample: Ratio, seed: u64) -> (Self, mpsc::Receiver<QueueItem>, Arc<TraceCounts>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let counts = Arc::new(TraceCounts::default());
        let ids = Mutex::new(fastrand::Rng::with_seed(seed));
        let state = TracerState { queue, counts: Arc::clone(&counts), sample, ids };
        (Self(Some(Arc::new(state))), receiver, counts)
    }

    /// Keeps the spans of all leases in memory, a bounded number of them.
    pub fn memory() -> (Self, CollectedSpans) {
        let (tracer, queue, _) = Self::new(Ratio::thousandths(1000), 1);
        (tracer, CollectedSpans(queue))
    }

    /// What became of the spans; `None` if nothing is traced.
    pub fn counts(&self) -> Option<Arc<TraceCounts>> {
        self.0.as_ref().map(|state| Arc::clone(&state.counts))
    }

    /// Begins a trace, if it is in the share that is traced.
    pub fn root(&self, name: &'static str) -> OpenSpan {
        let Some(state) = &self.0 else { return OpenSpan::none() };
        let (trace, span) = state.ids();
        // The random part of the trace's id decides, so that all who see it would decide the same.
        if !state.sample.takes(trace as u64) {
            return OpenSpan::none();
        }
        self.open(TraceContext { trace, span }, None, name)
    }

    /// Begins a part of a span, which may be another process's.
    pub fn child(&self, parent: TraceContext, name: &'static str) -> OpenSpan {
        let Some(state) = &self.0 else { return OpenSpan::none() };
        let (_, span) = state.ids();
        self.open(TraceContext { span, ..parent }, Some(parent.span), name)
    }

    /// Waits until what is queued was sent, but not long.
    pub async fn flush(&self) {
        let Some(state) = &self.0 else { return };
        let (reply, flushed) = oneshot::channel();
        let flush = async {
            if state.queue.send(QueueItem::Flush(reply)).await.is_ok() {
                flushed.await.ok();
            }
        };
        tokio::time::timeout(FLUSH_TIMEOUT, flush).await.ok();
    }

    fn open(&self, context: TraceContext, parent: Option<u64>, name: &'static str) -> OpenSpan {
        let data = SpanData {
            context,
            parent,
            name,
            kind: SpanKind::Internal,
            began: wall_nanos(),
            ended: 0,
            attributes: Vec::new(),
            failure: None,
        };
        OpenSpan::new(self.clone(), data)
    }

    /// Queues a span, or drops it. Never waits.
    pub(crate) fn send(&self, span: SpanData) {
        if let Some(state) = &self.0
            && state.queue.try_send(QueueItem::Span(span)).is_err()
        {
            state.counts.add_dropped(1);
        }
    }
}

impl TracerState {
    /// Random numbers for a trace and a span. Zero is no id.
    fn ids(&self) -> (u128, u64) {
        let mut rng = self.ids.lock_unpoisoned();
        (rng.u128(1..), rng.u64(1..))
    }
}
