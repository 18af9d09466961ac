//! Connections that can be made to break: the accepting side of the sandbox and a switch beside every stream.
//!
//! An HTTP library answers correctly or not at all; to reset a connection or to stop in the middle of an answer,
//! the stream beneath it fails on purpose. Not here: which request meets that (`state.rs`).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Pause after a failed accept, in milliseconds: out of file descriptors, mostly, which takes time to pass.
const ACCEPT_PAUSE_MS: u64 = 20;

/// Connections accepted and open.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) accepted: AtomicU64,
    pub(super) open: AtomicU64,
}

/// The switch of one connection.
#[derive(Debug)]
pub(super) struct Switch {
    /// Bytes that may still be written; `u64::MAX` is no limit.
    budget_bytes: AtomicU64,
    /// Whether the end is a reset and not an orderly close.
    reset: AtomicBool,
    /// Requests so far.
    requests: AtomicU64,
}

impl Switch {
    fn new() -> Switch {
        Switch {
            budget_bytes: AtomicU64::new(u64::MAX),
            reset: AtomicBool::new(false),
            requests: AtomicU64::new(0),
        }
    }

    /// The connection is reset at the next byte written.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
        self.budget_bytes.store(0, Ordering::Relaxed);
    }

    /// The connection is closed after so many more bytes.
    pub(super) fn cut_after(&self, bytes: u64) {
        self.budget_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Counts a request; how many there have been.
    pub(super) fn request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A listener whose connections have switches.
pub(super) struct Listener {
    pub(super) inner: TcpListener,
    pub(super) counts: Arc<Counts>,
}

impl axum::serve::Listener for Listener {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        loop {
            match self.inner.accept().await {
                Ok((tcp, addr)) => {
                    // Without it an answer in two segments waits for the other side's delayed acknowledgement.
                    if let Err(error) = tcp.set_nodelay(true) {
                        tracing::debug!(%error, "sandbox: TCP_NODELAY not set");
                    }
                    self.counts.accepted.fetch_add(1, Ordering::Relaxed);
                    self.counts.open.fetch_add(1, Ordering::Relaxed);
                    let switch = Arc::new(Switch::new());
                    return (Stream { tcp, switch, counts: Arc::clone(&self.counts) }, addr);
                }
                Err(error) => {
                    tracing::debug!(%error, "sandbox: connection not accepted");
                    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// The connection that a request came on.
#[derive(Clone)]
pub(super) struct Link(pub(super) Arc<Switch>);

impl Connected<IncomingStream<'_, Listener>> for Link {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Link {
        Link(Arc::clone(&stream.io().switch))
    }
}

/// A stream with a switch.
pub(super) struct Stream {
    tcp: TcpStream,
    switch: Arc<Switch>,
    counts: Arc<Counts>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stream {
    /// Writes within the budget, or fails once it is used up.
    fn write_limited(&mut self, cx: &mut Context<'_>, buf: &[u8], budget: u64) -> Poll<io::Result<usize>> {
        let allowed = buf.len().min(usize::try_from(budget).unwrap_or(usize::MAX));
        if allowed == 0 && !buf.is_empty() {
            if self.switch.reset.load(Ordering::Relaxed) {
                // A close with a lingering time of zero sends RST in the place of FIN.
                self.tcp.set_zero_linger()?;
            }
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let written = Pin::new(&mut self.tcp).poll_write(cx, &buf[..allowed]);
        if let Poll::Ready(Ok(bytes)) = written {
            self.switch.budget_bytes.store(budget - bytes as u64, Ordering::Relaxed);
        }
        written
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.switch.budget_bytes.load(Ordering::Relaxed) {
            u64::MAX => Pin::new(&mut self.tcp).poll_write(cx, buf),
            budget => self.write_limited(cx, buf, budget),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.switch.budget_bytes.load(Ordering::Relaxed) {
            u64::MAX => Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs),
            budget => {
                let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
                self.write_limited(cx, first, budget)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
