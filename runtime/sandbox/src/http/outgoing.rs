//! A component's request body, counted as it is sent.
//!
//! After the end of a request, the rest of its body is still read and discarded: a component may write all of its body
//! before it looks at the response, and JavaScript's `fetch` traps when the body is closed early. The drain is bounded in
//! size and time, and never outlives the call.

use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use ::http::HeaderMap;
use bytes::Bytes;
use deputy_support::LockUnpoisoned as _;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use wasmtime_wasi_http::{Error, WasiBody};

use super::exchange_record::{BodyFailure, BodyMeter};
use crate::call_budget::CallBudget;
use crate::network::Deadline;
use crate::tape::{TapedBody, TapedPlace, TapedSide};

/// The body of a request.
pub(crate) struct RequestBody {
    body: Option<WasiBody>,
    budget: Arc<CallBudget>,
    meter: Arc<BodyMeter>,
    drains: Weak<Mutex<JoinSet<()>>>,
    total: Deadline,
    /// Signals by its drop that nothing more will be sent.
    _open: Option<oneshot::Sender<()>>,
}

/// The tasks of one call that drain the bodies of ended requests.
#[derive(Default)]
pub(crate) struct BodyDrains(Arc<Mutex<JoinSet<()>>>);

impl BodyDrains {
    pub(crate) fn weak(&self) -> Weak<Mutex<JoinSet<()>>> {
        Arc::downgrade(&self.0)
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl RequestBody {
    pub(crate) fn new(
        body: WasiBody,
        budget: Arc<CallBudget>,
        meter: Arc<BodyMeter>,
        drains: Weak<Mutex<JoinSet<()>>>,
        total: Deadline,
    ) -> Self {
        Self { body: Some(body), budget, meter, drains, total, _open: None }
    }

    /// Completes when nothing more will be sent.
    pub(crate) fn sent(&mut self) -> oneshot::Receiver<()> {
        let (open, sent) = oneshot::channel();
        self._open = Some(open);
        sent
    }

    /// The component's body, to be read and [replaced](Self::put).
    pub(crate) fn body(&mut self) -> Option<&mut WasiBody> {
        self.body.as_mut()
    }

    /// Keeps what is read of the component's body.
    pub(crate) fn tape(&mut self, place: TapedPlace) {
        let taped = |body| TapedBody::new(body, place, TapedSide::Request).boxed_unsync();
        self.body = self.body.take().map(taped);
    }

    pub(crate) fn put(&mut self, bytes: Bytes) {
        self.body = Some(Full::new(bytes).map_err(|never| match never {}).boxed_unsync());
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match std::task::ready!(Pin::new(body).poll_frame(context)) {
            None => {
                self.body = None;
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.meter.fail(BodyFailure::Aborted);
                self.body = None;
                Poll::Ready(Some(Err(error)))
            }
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) + frame.trailers_ref().map_or(0, section);
                if let Err(denial) = self.budget.usage.take_sent(bytes) {
                    self.meter.fail(BodyFailure::Denied(denial));
                    return Poll::Ready(Some(Err(Error::HttpRequestBodySize(None))));
                }
                self.meter.add_sent(bytes);
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        let (Some(drains), Ok(runtime)) = (self.drains.upgrade(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let total = self.total;
        let max = self.budget.limits().sent.as_u64();
        let mut drains = drains.lock_unpoisoned();
        while drains.try_join_next().is_some() {}
        drains.spawn_on(
            async move {
                // A timeout ends the drain as well.
                total.run(drain(body, max)).await.ok();
            },
            &runtime,
        );
    }
}

async fn drain(mut body: WasiBody, max: u64) {
    let mut taken = 0;
    while let Some(Ok(frame)) = body.frame().await {
        taken += frame.data_ref().map_or(0, Bytes::len) as u64;
        if taken > max {
            return;
        }
    }
}

/// The size of a header or trailer section on the wire.
pub(super) fn section(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}
