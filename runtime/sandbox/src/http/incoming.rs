//! The body of a response: counted, limited, timed. It never passes on a piece that is over a limit, and its end, however
//! it comes, closes the connection and completes the audit record.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use deputy_core::{Limit, PolicyDenial};
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use wasmtime_wasi_http::Error;

use super::exchange_record::{BodyMeter, ExchangeRecord};
use super::failure::{RequestFailure, RequestPhase};
use super::outgoing::section;
use crate::call_budget::CallBudget;
use crate::network::{Deadline, Timer};
use crate::network_wait::NetworkWait;

/// The body of a response.
pub(crate) struct ResponseBody<B> {
    /// `None` once the body has ended.
    open: Option<OpenBody<B>>,
}

struct OpenBody<B> {
    body: B,
    budget: Arc<CallBudget>,
    record: ExchangeRecord,
    meter: Arc<BodyMeter>,
    /// Bytes that may still be received.
    left: u64,
    /// The longest gap between two pieces, as the component requested.
    requested: Option<Duration>,
    total: Deadline,
    /// For the whole exchange.
    end: Timer,
    /// For the next piece, while the component waits for one.
    next: Option<(Timer, NetworkWait)>,
    _connection: Option<AbortOnDropJoinHandle<()>>,
}

impl<B: Body<Data = Bytes> + Unpin> ResponseBody<B> {
    pub(crate) fn new(
        body: B,
        budget: Arc<CallBudget>,
        record: ExchangeRecord,
        total: Deadline,
        requested: Option<Duration>,
        connection: Option<AbortOnDropJoinHandle<()>>,
    ) -> Self {
        if body.is_end_stream() {
            return Self { open: None };
        }
        let left = budget.limits().response.as_u64();
        let meter = record.meter();
        let end = total.timer();
        let open =
            OpenBody { body, budget, record, meter, left, requested, total, end, next: None, _connection: connection };
        Self { open: Some(open) }
    }
}

impl<B: Body<Data = Bytes> + Unpin> OpenBody<B> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestFailure>>> {
        if let Poll::Ready(timed_out) = Pin::new(&mut self.end).poll(context) {
            return Poll::Ready(Some(Err(RequestFailure::timed_out(timed_out, RequestPhase::Body))));
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(_))) => {
                Poll::Ready(Some(Err(RequestFailure::failed("response-incomplete", Error::HttpResponseIncomplete))))
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.next = None;
                Poll::Ready(Some(self.take(&frame).map(|()| frame)))
            }
            Poll::Pending => {
                let between_bytes = self.budget.limits().between_bytes;
                let (next, _) = self.next.get_or_insert_with(|| {
                    let deadline = self.total.step(between_bytes, Limit::BetweenBytes, self.requested);
                    (deadline.timer(), self.budget.wait_for_network())
                });
                Pin::new(next)
                    .poll(context)
                    .map(|timed_out| Some(Err(RequestFailure::timed_out(timed_out, RequestPhase::Body))))
            }
        }
    }

    fn take(&mut self, frame: &Frame<Bytes>) -> Result<(), RequestFailure> {
        if let Some(trailers) = frame.trailers_ref() {
            // The connection limits their size, as that of the head.
            return Ok(self.budget.usage.take_received(section(trailers))?);
        }
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        self.left = self.left.checked_sub(bytes as u64).ok_or(PolicyDenial::Limit(Limit::Response))?;
        self.budget.usage.take_received(bytes)?;
        self.meter.add_received(bytes);
        Ok(())
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(open) = &mut self.open else { return Poll::Ready(None) };
        match std::task::ready!(open.poll(context)) {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Err(failure)) => {
                let error = failure.end(&mut open.record);
                self.open = None;
                Poll::Ready(Some(Err(error)))
            }
            None => {
                self.open = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.open.as_ref().map_or_else(|| SizeHint::with_exact(0), |open| open.body.size_hint())
    }
}
