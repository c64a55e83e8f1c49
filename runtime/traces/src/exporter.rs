//! The task that sends spans.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deputy_core::schedule::Ratio;
use deputy_core::{Span, in_one_line};
use deputy_support::{Backoff, pause};
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};

use crate::collector::Collector;
use crate::message::{ExportTraceServiceRequest, InstrumentationScope, ResourceSpans, ScopeSpans};
use crate::resource::Resource;
use crate::span_data::SpanData;
use crate::tracer::{QueueItem, TraceCounts, Tracer};

/// Spans in one request, as in OpenTelemetry's own libraries.
const BATCH: usize = 512;

/// How long spans are gathered.
const GATHER: Duration = Duration::from_secs(1);

/// How often a batch is tried.
const ATTEMPTS: u32 = 4;

/// The delays between attempts.
const LEAST_DELAY: Span = Span::secs(1);
const MOST_DELAY: Span = Span::secs(30);

/// Posts what a tracer queued.
pub struct TraceExporter {
    collector: Collector,
    resource: Resource,
    queue: mpsc::Receiver<QueueItem>,
    counts: Arc<TraceCounts>,
    backoff: Backoff,
    rng: fastrand::Rng,
}

impl TraceExporter {
    /// A tracer, and the task that sends its spans to a collector.
    pub fn new(collector: Collector, resource: Resource, sample: Ratio, seed: u64) -> (Tracer, Self) {
        let (tracer, queue, counts) = Tracer::new(sample, seed);
        let backoff = Backoff::new(LEAST_DELAY, MOST_DELAY);
        let rng = fastrand::Rng::with_seed(seed.rotate_left(32));
        (tracer, Self { collector, resource, queue, counts, backoff, rng })
    }

    /// Runs until the tracer is dropped.
    pub async fn run(mut self) {
        while let Some(first) = self.queue.recv().await {
            let mut batch = Vec::new();
            let mut flushes = Vec::new();
            take(first, &mut batch, &mut flushes);
            let queue = &mut self.queue;
            let gather = async {
                while batch.len() < BATCH && flushes.is_empty() {
                    let Some(next) = queue.recv().await else { return };
                    take(next, &mut batch, &mut flushes);
                }
            };
            // What was taken before the timeout is kept.
            tokio::time::timeout(GATHER, gather).await.ok();
            if !batch.is_empty() {
                self.export(batch).await;
            }
            for flushed in flushes {
                flushed.send(()).ok();
            }
        }
    }

    async fn export(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len() as u64;
        let body = self.encode(batch);
        for attempt in 1..=ATTEMPTS {
            match self.collector.post(body.clone()).await {
                Ok(rejected) => {
                    let rejected = rejected.min(spans);
                    self.counts.add_exported(spans - rejected);
                    self.counts.add_dropped(rejected);
                    if self.backoff.failures() > 0 {
                        tracing::info!(dropped = self.counts.dropped(), "sending traces works again");
                    }
                    self.backoff.reset();
                    return;
                }
                Err(error) => {
                    if self.backoff.failures() == 0 {
                        let error = in_one_line(&error);
                        let collector = self.collector.url();
                        tracing::warn!(
                            collector,
                            error,
                            "sending traces failed; trying again, and nothing else is delayed"
                        );
                    }
                    let wait = self.backoff.fail(self.rng.u16(..)).duration();
                    if !error.is_temporary() || attempt == ATTEMPTS {
                        break;
                    }
                    let asked = error.retry_after().unwrap_or_default();
                    pause(wait.max(asked.min(MOST_DELAY.duration()))).await;
                }
            }
        }
        self.counts.add_dropped(spans);
    }

    fn encode(&self, batch: Vec<SpanData>) -> Bytes {
        let scope = InstrumentationScope { name: "deputy".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let spans = batch.into_iter().map(Into::into).collect();
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
        let resource_spans = vec![ResourceSpans { resource: Some(self.resource.message()), scope_spans }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
    }
}

fn take(item: QueueItem, batch: &mut Vec<SpanData>, flushes: &mut Vec<oneshot::Sender<()>>) {
    match item {
        QueueItem::Span(span) => batch.push(span),
        QueueItem::Flush(reply) => flushes.push(reply),
    }
}

#[cfg(test)]
mod tests;
