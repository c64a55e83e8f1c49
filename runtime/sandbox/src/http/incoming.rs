//! An answer's body on its way to the component: counted, limited, timed. It never hands on a piece that is over a
//! limit, and its end, however it comes, ends the connection and completes the audit record.

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

/// An answer's body.
pub(crate) struct ResponseBody<B> {
    /// None when it is over.
    open: Option<Open<B>>,
}

struct Open<B> {
    body: B,
    budget: Arc<CallBudget>,
    record: ExchangeRecord,
    meter: Arc<BodyMeter>,
    /// Bytes that may still come.
    left: u64,
    /// Between two pieces, as the component asked for.
    asked: Option<Duration>,
    whole: Deadline,
    /// For the whole exchange.
    end: Timer,
    /// For the next piece; runs only while the component waits for one.
    next: Option<(Timer, NetworkWait)>,
    _connection: Option<AbortOnDropJoinHandle<()>>,
}

impl<B: Body<Data = Bytes> + Unpin> ResponseBody<B> {
    pub(crate) fn new(
        body: B,
        budget: Arc<CallBudget>,
        record: ExchangeRecord,
        whole: Deadline,
        asked: Option<Duration>,
        connection: Option<AbortOnDropJoinHandle<()>>,
    ) -> Self {
        if body.is_end_stream() {
            return Self { open: None };
        }
        let (left, meter) = (budget.limits().response.as_u64(), record.meter());
        let end = whole.timer();
        let open = Open { body, budget, record, meter, left, asked, whole, end, next: None, _connection: connection };
        Self { open: Some(open) }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Open<B> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestFailure>>> {
        if let Poll::Ready(late) = Pin::new(&mut self.end).poll(context) {
            return Poll::Ready(Some(Err(RequestFailure::late(late, RequestPhase::Body))));
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
                let (whole, asked) = (self.whole, self.asked);
                let span = self.budget.limits().between_bytes;
                let budget = &self.budget;
                let (next, _) = self.next.get_or_insert_with(|| {
                    (whole.step(span, Limit::BetweenBytes, asked).timer(), budget.wait_for_network())
                });
                Pin::new(next).poll(context).map(|late| Some(Err(RequestFailure::late(late, RequestPhase::Body))))
            }
        }
    }

    fn take(&mut self, frame: &Frame<Bytes>) -> Result<(), RequestFailure> {
        if let Some(trailers) = frame.trailers_ref() {
            // How large they may be is the connection's to know, as with the head.
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
