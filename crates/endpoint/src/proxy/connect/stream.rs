//! Streams whose beginning was read already, to tell what they are.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What a connection is made of, whatever lies beneath it.
pub(in crate::proxy) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Any of them.
pub(in crate::proxy) type Io = Box<dyn Stream>;

/// How much is read at once to tell. Most heads are shorter.
const FIRST_BYTES: usize = 4096;

/// The first byte of a handshake of TLS (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 0x16;

/// A stream, and what was read of it.
pub(in crate::proxy) struct Begun<S> {
    first: Bytes,
    stream: S,
}

impl<S> Begun<S> {
    pub(in crate::proxy) fn new(first: Bytes, stream: S) -> Self {
        Self { first, stream }
    }

    /// Whether what it begins with is a handshake of TLS.
    pub(in crate::proxy) fn is_tls(&self) -> bool {
        self.first.first() == Some(&HANDSHAKE)
    }
}

impl<S: AsyncRead + Unpin> Begun<S> {
    /// Waits for the first bytes; none, if it ends without any.
    pub(in crate::proxy) async fn read(mut stream: S) -> io::Result<Self> {
        let mut first = Vec::with_capacity(FIRST_BYTES);
        stream.read_buf(&mut first).await?;
        Ok(Self { first: first.into(), stream })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.first.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let length = this.first.len().min(buf.remaining());
        buf.put_slice(&this.first[..length]);
        this.first.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
