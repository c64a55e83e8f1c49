//! An answer's body by itself, from a source that does as a test says.

use super::*;
use crate::http::exchange_record::ExchangeRecord;
use crate::http::incoming::ResponseBody;
use ::http::HeaderMap;
use deputy_core::{ByteSize, Limit, Span};
use futures::FutureExt;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::mpsc;

type Source = mpsc::UnboundedSender<Result<Frame<Bytes>, &'static str>>;

/// A body, the end that feeds it, and what is recorded.
fn body(limits: Limits, asked: Option<Duration>) -> (WasiBody, Source, AuditedBudget) {
    let (source, mut frames) = mpsc::unbounded_channel();
    let frames = futures::stream::poll_fn(move |context| frames.poll_recv(context));
    let audited = AuditedBudget::new(limits);
    let what = AuditAction::Http {
        method: "GET".into(),
        target: String::new(),
        path: String::new(),
        address: None,
        status: None,
        sent: 0,
        received: 0,
        injected: vec![],
    };
    let whole = crate::network::Deadline::after(audited.budget.limits().exchange, Limit::Exchange);
    let mut record = ExchangeRecord::begin(&audited.budget, what);
    record.audit().done();
    let body = ResponseBody::new(StreamBody::new(frames), Arc::clone(&audited.budget), record, whole, asked, None);
    (body.boxed_unsync(), source, audited)
}

fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

async fn next(body: &mut WasiBody) -> Option<Result<Frame<Bytes>, Error>> {
    tokio::time::timeout(Duration::from_secs(10), body.frame()).await.unwrap()
}

#[tokio::test]
async fn response_trailers_count_as_received_but_not_as_body() {
    for (received, passes) in [(6, true), (5, false)] {
        let limits = Limits { received: ByteSize::bytes(received), response: ByteSize::bytes(0), ..Limits::default() };
        let (mut body, source, audited) = body(limits, None);
        let trailers = HeaderMap::from_iter([("a".parse().unwrap(), "b".parse().unwrap())]);
        source.send(Ok(Frame::trailers(trailers))).unwrap();
        assert_eq!(next(&mut body).await.unwrap().is_ok(), passes);
        assert_eq!(audited.budget.findings.denials().is_empty(), passes);
    }
}

#[tokio::test]
async fn response_ends_at_a_limit() {
    let (mut body, source, audited) = body(Limits { response: ByteSize::bytes(3), ..Limits::default() }, None);
    for text in ["abc", "d", "e"] {
        source.send(data(text)).unwrap();
    }
    assert!(next(&mut body).await.unwrap().is_ok());
    assert!(matches!(next(&mut body).await, Some(Err(Error::HttpResponseBodySize(None)))));
    assert!(source.is_closed(), "the connection is let go at once");
    assert_eq!(audited.only_outcome(), (AuditOutcome::Refused, Some("over-limit:response".into())));
    assert!(next(&mut body).await.is_none());
}

#[tokio::test]
async fn response_timer_runs_only_while_the_component_waits() {
    let limits = Limits { between_bytes: Span::millis(100), ..Limits::default() };
    let (mut body, source, audited) = body(limits, None);
    source.send(data("a")).unwrap();
    assert!(next(&mut body).await.unwrap().is_ok());
    // The component computes, and then asks; the piece is there a little later.
    crate::testing::pause(200).await;
    assert!(next(&mut body).now_or_never().is_none());
    source.send(data("b")).unwrap();
    assert!(next(&mut body).await.unwrap().is_ok(), "its own time is not the server's");
    assert!(matches!(next(&mut body).await, Some(Err(Error::ConnectionReadTimeout))));
    assert_eq!(
        (audited.budget.findings.denials(), audited.budget.findings.timeouts()),
        (vec![], vec![Limit::BetweenBytes])
    );
}

#[tokio::test]
async fn response_gap_restarts_with_each_piece() {
    let (mut body, source, _book) = body(Limits { between_bytes: Span::millis(800), ..Limits::default() }, None);
    for _ in 0..3 {
        assert!(next(&mut body).now_or_never().is_none());
        crate::testing::pause(400).await;
        source.send(data("a")).unwrap();
        assert!(next(&mut body).await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn response_gap_may_be_shorter_on_request() {
    let (mut body, _source, audited) = body(Limits::default(), Some(Duration::from_millis(50)));
    assert!(matches!(next(&mut body).await, Some(Err(Error::ConnectionReadTimeout))));
    assert_eq!(audited.only_outcome(), (AuditOutcome::Failed, Some("body-timeout".into())));
    assert!(audited.budget.findings.denials().is_empty());
}

#[tokio::test]
async fn response_that_never_stops_ends_at_the_exchange_limit() {
    let limits = Limits { exchange: Span::millis(100), ..Limits::default() };
    let (mut body, source, audited) = body(limits, None);
    let error = loop {
        source.send(data("x")).unwrap();
        match next(&mut body).await.unwrap() {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::HttpResponseTimeout), "{error:?}");
    assert_eq!(
        (audited.budget.findings.denials(), audited.budget.findings.timeouts()),
        (vec![], vec![Limit::Exchange])
    );
}

#[tokio::test]
async fn response_that_breaks_off_is_reported_without_text() {
    let (mut body, source, audited) = body(Limits::default(), None);
    source.send(Err("at 10.0.0.1")).unwrap();
    let Some(Err(error)) = next(&mut body).await else { panic!("no error") };
    assert_eq!(format!("{error:?}"), "HttpResponseIncomplete");
    assert_eq!(audited.only_outcome(), (AuditOutcome::Failed, Some("response-incomplete".into())));
}
