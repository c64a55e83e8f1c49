//! A deadline for a client that takes nothing of what is written to it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use deputy_support::pause;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that fails when its client takes nothing for too long.
pub(crate) struct WriteDeadline<S> {
    stream: S,
    patience: Duration,
    /// Runs while the client takes nothing.
    deadline: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S> WriteDeadline<S> {
    pub(crate) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, deadline: None }
    }

    /// Passes on what a write returned, or fails when the client took nothing for too long.
    fn within<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(pause(patience)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteDeadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.within(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.within(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use deputy_support::timer_now;
    use futures::future::poll_immediate;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn write_deadline_ends_for_a_client_that_takes_nothing() {
        let patience = Duration::from_millis(50);
        let (server, _client) = duplex(8);
        let mut server = WriteDeadline::new(server, patience);
        let began = timer_now();
        let error = server.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(timer_now().duration_since(began) >= patience);
    }

    #[tokio::test]
    async fn write_deadline_begins_again_with_each_write() {
        let (server, mut client) = duplex(8);
        let mut server = WriteDeadline::new(server, Duration::from_secs(3600));
        server.write_all(&[0; 8]).await.unwrap();
        assert!(server.deadline.is_none());
        assert!(poll_immediate(server.write_u8(0)).await.is_none());
        assert!(server.deadline.is_some());
        client.read_exact(&mut [0; 8]).await.unwrap();
        server.write_u8(0).await.unwrap();
        assert!(server.deadline.is_none());
    }
}
