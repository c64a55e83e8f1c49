#![expect(clippy::disallowed_methods, reason = "a test arranges its own files")]

use std::collections::VecDeque;
use std::sync::Arc;

use deputy_core::{SecretSource, TracePlan};
use deputy_sources::SourceContext;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::message::ExportTraceServiceResponse;
use crate::tracer::QUEUE;

/// A collector that gives these answers one after the other, and is silent then.
struct TestCollector {
    plan: TracePlan,
    /// Heads and bodies.
    requests: mpsc::UnboundedReceiver<(String, Vec<u8>)>,
    _running: JoinSet<()>,
}

const TOOK_ALL: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
const REFUSED: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

async fn start(scheme: &str, tls: Option<ServerConfig>, answers: &[&'static [u8]]) -> TestCollector {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = mpsc::unbounded_channel();
    let mut answers: VecDeque<&[u8]> = answers.iter().copied().collect();
    let mut running = JoinSet::new();
    running.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let Some(answer) = answers.pop_front() else { std::future::pending().await };
            match &tls {
                None => exchange(&mut stream, answer, &sender).await,
                Some(config) => {
                    let accepted = TlsAcceptor::from(Arc::new(config.clone())).accept(stream).await;
                    // A client that does not trust the certificate goes away.
                    if let Ok(mut stream) = accepted {
                        exchange(&mut stream, answer, &sender).await;
                    }
                }
            }
        }
    });
    let collector = format!("{scheme}://127.0.0.1:{port}/base").parse().unwrap();
    let plan = TracePlan { collector, roots: None, headers: Vec::new(), sample: Ratio::thousandths(1000) };
    TestCollector { plan, requests, _running: running }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    answer: &[u8],
    requests: &mpsc::UnboundedSender<(String, Vec<u8>)>,
) {
    let mut read = Vec::new();
    let (head, body) = loop {
        read.push(stream.read_u8().await.unwrap());
        if read.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8(read).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            break (head, body);
        }
    };
    stream.write_all(answer).await.unwrap();
    stream.flush().await.unwrap();
    requests.send((head, body)).unwrap();
}

async fn prepared(plan: &TracePlan) -> (Tracer, TraceExporter) {
    let collector = Collector::open(plan, Arc::new(SourceContext::of_process())).await.unwrap();
    let resource = Resource { role: "worker", instance: "00c0ffee".into(), group: "etl".into(), host: String::new() };
    TraceExporter::new(collector, resource, plan.sample, 7)
}

async fn exporter(plan: &TracePlan) -> (Tracer, Arc<TraceCounts>, JoinSet<()>) {
    let (tracer, exporter) = prepared(plan).await;
    let mut running = JoinSet::new();
    running.spawn(exporter.run());
    let counts = tracer.counts().unwrap();
    (tracer, counts, running)
}

#[tokio::test]
async fn exporter_posts_spans_and_counts_what_is_refused() {
    // `partial_success { rejected_spans: 1 }`
    let partly = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\x0a\x02\x08\x01";
    assert!(ExportTraceServiceResponse::decode(&partly[partly.len() - 4..]).unwrap().partial_success.is_some());
    let mut collector = start("http", None, &[TOOK_ALL, partly, REFUSED]).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "Bearer abc\n").unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    collector.plan.headers = vec![("authorization".to_owned(), SecretSource::File(token))];
    let (tracer, counts, _running) = exporter(&collector.plan).await;
    let mut root = tracer.root("lease").with("deputy.instance", &"s3-prod");
    let context = root.context().unwrap();
    root.child("wait").end();
    root.fail("throttled");
    root.end();
    tracer.flush().await;
    let (head, body) = collector.requests.recv().await.unwrap();
    assert!(head.starts_with("POST /base/v1/traces HTTP/1.1\r\n"), "{head}");
    for header in ["content-type: application/x-protobuf\r\n", "authorization: Bearer abc\r\n"] {
        assert!(head.contains(header), "{head}");
    }
    let sent = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    let [process] = sent.resource_spans.as_slice() else { panic!("{sent:?}") };
    let attributes = &process.resource.as_ref().unwrap().attributes;
    assert_eq!(
        attributes.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(),
        ["service.name", "service.version", "service.instance.id", "deputy.role", "deputy.group"]
    );
    let [wait, lease] = process.scope_spans[0].spans.as_slice() else { panic!("{sent:?}") };
    assert_eq!((wait.name.as_str(), lease.name.as_str()), ("wait", "lease"));
    assert_eq!(lease.trace_id, context.trace.to_be_bytes());
    assert_eq!((&wait.trace_id, &wait.parent_span_id), (&lease.trace_id, &lease.span_id));
    assert!(lease.parent_span_id.is_empty() && lease.start_time_unix_nano <= wait.start_time_unix_nano);
    assert_eq!(lease.status.as_ref().unwrap().message, "throttled");
    assert_eq!((counts.exported(), counts.dropped()), (2, 0));
    // One of two is refused, and then a whole batch for good.
    tracer.root("lease").child("wait").end();
    tracer.flush().await;
    assert_eq!((counts.exported(), counts.dropped()), (3, 1));
    tracer.root("lease").end();
    tracer.flush().await;
    assert_eq!((counts.exported(), counts.dropped()), (3, 2));
}

#[tokio::test]
async fn exporter_repeats_what_a_busy_collector_did_not_take() {
    let mut collector = start("http", None, &[BUSY, TOOK_ALL]).await;
    let (tracer, counts, _running) = exporter(&collector.plan).await;
    tracer.root("lease").end();
    let first = collector.requests.recv().await.unwrap().1;
    assert_eq!(collector.requests.recv().await.unwrap().1, first);
    tracer.flush().await;
    assert_eq!((counts.exported(), counts.dropped()), (1, 0));
}

#[tokio::test]
async fn exporter_of_a_silent_collector_holds_a_bounded_number() {
    let collector = start("http", None, &[]).await;
    let (tracer, counts, _running) = exporter(&collector.plan).await;
    let began = deputy_support::timer_now();
    let spans = (QUEUE + BATCH + 1000) as u64;
    for _ in 0..spans {
        tracer.root("lease").end();
    }
    assert!(began.elapsed() < Duration::from_secs(5), "nothing waits");
    let dropped = counts.dropped();
    assert!((1000..=spans - QUEUE as u64).contains(&dropped), "{dropped}");
    assert_eq!(counts.exported(), 0);
}

#[tokio::test]
async fn exporter_drops_a_batch_after_a_few_attempts() {
    // Nothing listens there any longer.
    let plan = start("http", None, &[]).await.plan;
    let (tracer, mut exporter) = prepared(&plan).await;
    exporter.backoff = Backoff::new(Span::millis(1), Span::millis(2));
    let counts = tracer.counts().unwrap();
    let mut running = JoinSet::new();
    running.spawn(exporter.run());
    tracer.root("lease").end();
    while counts.dropped() == 0 {
        pause(Duration::from_millis(5)).await;
    }
    assert_eq!((counts.exported(), counts.dropped()), (0, 1));
}

#[tokio::test]
async fn exporter_trusts_the_configured_roots_alone() {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    let mut collector = start("https", Some(config), &[TOOK_ALL, TOOK_ALL]).await;
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    let sources = Arc::new(SourceContext::of_process());
    collector.plan.roots = Some(roots.clone());
    let missing = Collector::open(&collector.plan, Arc::clone(&sources)).await;
    assert!(matches!(missing, Err(crate::CollectorError::Roots(..))));
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&roots, other.cert.pem()).unwrap();
    let (tracer, counts, _running) = exporter(&collector.plan).await;
    tracer.root("lease").end();
    // The first attempt does not trust the certificate; the next one reads the file again.
    tokio::time::timeout(Duration::from_millis(1500), collector.requests.recv()).await.unwrap_err();
    std::fs::write(&roots, key.cert.pem()).unwrap();
    collector.requests.recv().await.unwrap();
    tracer.flush().await;
    assert_eq!((counts.exported(), counts.dropped()), (1, 0));
}

#[test]
fn tracer_samples_a_share_and_is_empty_without_a_collector() {
    let (tracer, _queue, _) = Tracer::new(Ratio::thousandths(100), 1);
    let traced = (0..10_000).filter(|_| !tracer.root("lease").is_none()).count();
    assert!((800..1200).contains(&traced), "{traced}");
    let none = Tracer::default();
    assert!(none.root("lease").is_none() && none.root("lease").child("wait").context().is_none());
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap();
    assert!(none.child(context, "apply").is_none());
}

#[test]
fn tracer_drops_what_the_queue_does_not_hold() {
    let (tracer, _queue, counts) = Tracer::new(Ratio::thousandths(1000), 1);
    (0..QUEUE + 3).for_each(|_| tracer.root("lease").end());
    assert_eq!(counts.dropped(), 3);
}

#[test]
fn span_bounds_its_texts_and_attributes() {
    let (tracer, mut queue, _) = Tracer::new(Ratio::thousandths(1000), 1);
    let mut span = tracer.root("lease");
    (0..100).for_each(|_| span.set("deputy.instance", &"x".repeat(10_000)));
    span.since(u64::MAX).end();
    let Ok(QueueItem::Span(data)) = queue.try_recv() else { panic!("no span") };
    let sent = crate::message::ExportedSpan::from(data);
    assert!(sent.attributes.len() <= 16 && sent.encode_to_vec().len() < 8_000);
    assert!(sent.end_time_unix_nano >= sent.start_time_unix_nano);
}
