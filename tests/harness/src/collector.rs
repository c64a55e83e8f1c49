//! A small collector of traces, which speaks OTLP over HTTP and keeps the spans.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use deputy_traces::{AnyValueKind, ExportTraceServiceRequest, SpanAttribute};
use prost::Message as _;

/// A collector that runs until this process ends.
pub struct TraceCollector {
    port: u16,
    kept: Arc<Mutex<KeptTraces>>,
}

#[derive(Default)]
struct KeptTraces {
    manner: Manner,
    spans: Vec<CollectedSpan>,
    /// Heads and bodies as they came.
    bytes: Vec<u8>,
}

/// How it answers.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Manner {
    #[default]
    Takes,
    Refuses,
    Silent,
}

/// A span with what its process says of itself.
#[derive(Debug, Clone)]
pub struct CollectedSpan {
    pub process: BTreeMap<String, String>,
    pub name: String,
    pub trace: Vec<u8>,
    pub id: Vec<u8>,
    pub parent: Vec<u8>,
    pub attributes: BTreeMap<String, String>,
    pub failure: Option<String>,
    /// Nanoseconds since 1970.
    pub began: u64,
    pub ended: u64,
}

impl TraceCollector {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let kept = Arc::new(Mutex::new(KeptTraces::default()));
        let keeping = Arc::clone(&kept);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, kept) = (stream.unwrap(), Arc::clone(&keeping));
                thread::spawn(move || serve(stream, &kept));
            }
        });
        Self { port, kept }
    }

    /// One that accepts connections and answers nothing.
    pub fn silent() -> Self {
        Self::with(Manner::Silent)
    }

    /// One that takes nothing, and will not later.
    pub fn refusing() -> Self {
        Self::with(Manner::Refuses)
    }

    fn with(manner: Manner) -> Self {
        let collector = Self::start();
        collector.kept.lock().unwrap().manner = manner;
        collector
    }

    /// For `otlp` in `[traces]`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn spans(&self) -> Vec<CollectedSpan> {
        self.kept.lock().unwrap().spans.clone()
    }

    /// All that was received.
    pub fn received(&self) -> Vec<u8> {
        self.kept.lock().unwrap().bytes.clone()
    }
}

fn serve(stream: TcpStream, kept: &Mutex<KeptTraces>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or_default() == 0 {
            return;
        }
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let manner = {
        let mut kept = kept.lock().unwrap();
        kept.bytes.extend(head.as_bytes());
        kept.bytes.extend(&body);
        if kept.manner == Manner::Takes {
            let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            kept.spans.extend(collected(request));
        }
        kept.manner
    };
    let status = match manner {
        Manner::Takes => "200 OK",
        Manner::Refuses => "400 Bad Request",
        Manner::Silent => return thread::park(),
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    drop(reader.get_mut().write_all(answer.as_bytes()));
}

fn collected(request: ExportTraceServiceRequest) -> Vec<CollectedSpan> {
    let mut spans = Vec::new();
    for sent in request.resource_spans {
        let process = texts(sent.resource.unwrap_or_default().attributes);
        for span in sent.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(CollectedSpan {
                process: process.clone(),
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
                attributes: texts(span.attributes),
                failure: span.status.map(|status| status.message),
                began: span.start_time_unix_nano,
                ended: span.end_time_unix_nano,
            });
        }
    }
    spans
}

fn texts(attributes: Vec<SpanAttribute>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValueKind>| match value {
        Some(AnyValueKind::StringValue(text)) => text,
        Some(AnyValueKind::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|it| (it.key, text(it.value.and_then(|value| value.any_value_kind)))).collect()
}
