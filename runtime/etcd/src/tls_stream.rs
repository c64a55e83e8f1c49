//! A TLS connection that notes how it ends before the member has sent anything.
//!
//! In TLS 1.3 the client's handshake is over before the member has looked at its certificate: a refusal is an alert, or the
//! end, on a connection that seemed to be open. HTTP/2 above it does not pass the alert on.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use deputy_core::in_one_line;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What was heard of the member so far.
#[derive(Default)]
pub(crate) struct TlsProgress {
    has_answered: AtomicBool,
    end: OnceLock<String>,
}

pub(crate) struct NotedStream<S> {
    stream: S,
    progress: Arc<TlsProgress>,
}

/// Whether the peer ended a handshake, and did not only send what is no TLS or a certificate that is not trusted.
pub(crate) fn is_ended_by_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let library = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match library {
        Some(error) => matches!(error, rustls::Error::AlertReceived(_)),
        None => matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof),
    }
}

impl TlsProgress {
    /// Why a connection that failed has no TLS; `None` if the member has sent something over it.
    pub(crate) fn refusal(&self) -> Option<String> {
        if self.has_answered.load(Ordering::Acquire) {
            return None;
        }
        Some(self.end.get().map_or_else(|| "it closed the connection".to_owned(), Clone::clone))
    }

    fn note(&self, end: String) {
        // The first one is the cause.
        self.end.get_or_init(|| end);
    }
}

impl<S> NotedStream<S> {
    pub(crate) fn new(stream: S) -> (Self, Arc<TlsProgress>) {
        let progress = Arc::new(TlsProgress::default());
        (Self { stream, progress: Arc::clone(&progress) }, progress)
    }
}

impl<S: AsyncRead + Unpin> NotedStream<S> {
    /// A failure to write before the member has sent anything: it had closed its end, and its alert comes before that end. The
    /// failure is passed on when the reading has ended, too, which is at once for a connection that takes no more; the caller
    /// of the connection waits for a limited time.
    fn after_alert<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(written, Poll::Ready(Err(_))) && self.progress.refusal().is_some() {
            let mut byte = [0];
            // It notes what it finds.
            ready!(Pin::new(&mut *self).poll_read(context, &mut ReadBuf::new(&mut byte))).ok();
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for NotedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        match &read {
            Ok(()) if buffer.filled().len() > before => self.progress.has_answered.store(true, Ordering::Release),
            Ok(()) => {}
            Err(error) => self.progress.note(in_one_line(error)),
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for NotedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.after_alert(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.after_alert(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.after_alert(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
