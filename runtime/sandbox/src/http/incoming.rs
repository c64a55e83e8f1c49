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

use super::echo::EchoGuard;
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
    /// Looks for secrets that the host sent.
    guard: Option<EchoGuard>,
    /// What comes after the bytes that the guard held back.
    then: Option<Frame<Bytes>>,
    /// Whether the body itself has ended.
    ended: bool,
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
        let open = OpenBody {
            body,
            budget,
            record,
            meter,
            left,
            requested,
            total,
            end,
            next: None,
            guard: None,
            then: None,
            ended: false,
            _connection: connection,
        };
        Self { open: Some(open) }
    }

    /// The same body, whose pieces pass this guard.
    pub(crate) fn searched_by(mut self, guard: Option<EchoGuard>) -> Self {
        if let Some(open) = &mut self.open {
            open.guard = guard;
        }
        self
    }
}

impl<B: Body<Data = Bytes> + Unpin> OpenBody<B> {
    /// The next frame that the component may have.
    fn poll_clear(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestFailure>>> {
        loop {
            if let Some(frame) = self.then.take() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            let next = std::task::ready!(self.poll(context));
            let Some(guard) = &mut self.guard else { return Poll::Ready(next) };
            let frame = match next {
                Some(Ok(frame)) => frame,
                Some(Err(failure)) => return Poll::Ready(Some(Err(failure))),
                None => {
                    self.ended = true;
                    return Poll::Ready(guard.rest().map(|rest| Ok(Frame::data(rest))));
                }
            };
            match search(guard, frame) {
                Err(denial) => return Poll::Ready(Some(Err(denial.into()))),
                Ok((Some(clear), then)) => {
                    self.then = then;
                    return Poll::Ready(Some(Ok(clear)));
                }
                // All of it is held back.
                Ok((None, _)) => {}
            }
        }
    }

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

/// What the component may have of a frame, and what comes right after it.
type Cleared = (Option<Frame<Bytes>>, Option<Frame<Bytes>>);

fn search(guard: &mut EchoGuard, frame: Frame<Bytes>) -> Result<Cleared, PolicyDenial> {
    match frame.into_data() {
        Ok(piece) => {
            let clear = guard.pass(piece)?;
            Ok(((!clear.is_empty()).then(|| Frame::data(clear)), None))
        }
        Err(trailers) => {
            if let Some(headers) = trailers.trailers_ref() {
                guard.check_headers(headers)?;
            }
            Ok(match guard.rest() {
                Some(rest) => (Some(Frame::data(rest)), Some(trailers)),
                None => (Some(trailers), None),
            })
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(open) = &mut self.open else { return Poll::Ready(None) };
        match std::task::ready!(open.poll_clear(context)) {
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
        self.open.as_ref().is_none_or(|open| {
            let holds = open.then.is_some() || open.guard.as_ref().is_some_and(EchoGuard::holds);
            open.body.is_end_stream() && !holds
        })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.open {
            None => SizeHint::with_exact(0),
            Some(open) if open.guard.is_some() => SizeHint::default(),
            Some(open) => open.body.size_hint(),
        }
    }
}
