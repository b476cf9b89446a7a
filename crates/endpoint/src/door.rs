//! Listeners of either kind, for the server to be the same behind both.

use std::io;
use std::os::fd::AsFd;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::caller::{Owners, Stranger, of_tcp, of_unix};
use crate::table::Caller;

/// More cannot wait: the kernel's own limit (`net.core.somaxconn`).
const WAITING_MAX: usize = 4096;

/// Where connections come in.
pub(crate) trait Door: Send {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next one.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Who it is, if it may come in.
    fn caller(&mut self, stream: &Self::Stream, own_uid: u32) -> Result<Caller, Stranger>;

    /// Those that wait already. None, if the system has no room for them.
    fn waiting(&self) -> Vec<Self::Stream>;
}

/// TCP loopback.
pub(crate) struct Tcp {
    listener: TcpListener,
    owners: Owners,
}

impl Tcp {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, owners: Owners::default() }
    }
}

impl Door for Tcp {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.listener.accept().await?;
        // An answer is one write; it need not wait for another. If this fails, it is slower, not wrong.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    fn caller(&mut self, stream: &TcpStream, own_uid: u32) -> Result<Caller, Stranger> {
        of_tcp(stream, &mut self.owners, own_uid)
    }

    fn waiting(&self) -> Vec<TcpStream> {
        // The same socket, which never blocks, asked without waiting for an event.
        let Ok(socket) = self.listener.as_fd().try_clone_to_owned() else { return Vec::new() };
        let listener = std::net::TcpListener::from(socket);
        let accept = || -> io::Result<TcpStream> {
            let (stream, _) = listener.accept()?;
            stream.set_nonblocking(true)?;
            TcpStream::from_std(stream)
        };
        std::iter::from_fn(|| accept().ok()).take(WAITING_MAX).collect()
    }
}

/// A Unix socket.
pub(crate) struct Unix {
    listener: UnixListener,
}

impl Unix {
    pub(crate) fn new(listener: UnixListener) -> Self {
        Self { listener }
    }
}

impl Door for Unix {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }

    fn caller(&mut self, stream: &UnixStream, own_uid: u32) -> Result<Caller, Stranger> {
        of_unix(stream, own_uid)
    }

    fn waiting(&self) -> Vec<UnixStream> {
        let Ok(socket) = self.listener.as_fd().try_clone_to_owned() else { return Vec::new() };
        let listener = std::os::unix::net::UnixListener::from(socket);
        let accept = || -> io::Result<UnixStream> {
            let (stream, _) = listener.accept()?;
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream)
        };
        std::iter::from_fn(|| accept().ok()).take(WAITING_MAX).collect()
    }
}
