//! The embedded API: the documented endpoint on loopback, with a memory, controls, and faults on demand.
//!
//! `POST /api/v1/device_app_user_update/` behaves as the vendor's page says and, where the page is silent, as its
//! options say. It remembers every request, so that a test or an operator can ask what really arrived and what was
//! really applied. It is an adversary as much as a stand-in: whatever it does wrong, its records say the truth.
//! It is NOT a model of the vendor's server beyond that page, and nothing of `api/` or `fields/` is shared with it.
//!
//! Controls, without a token and without a restart: `GET` and `POST /sandbox/faults` (JSON of [`Faults`]),
//! `GET /sandbox/stats`, `GET /sandbox/subjects`, `GET /sandbox/subjects/{key}`,
//! `GET /sandbox/requests?after=SEQ&rows_max=N` (JSON Lines), `POST /sandbox/reset`. They never show a password.
//!
//! Reading order: `wire` what arrives, `faults` and `bounds` what can go wrong, `chance` when, `state` what becomes
//! of a request, with `book`, `log`, `view`, `limit` and `reply` as its parts; `connection` and `serve` the network.

mod book;
mod bounds;
mod chance;
mod connection;
mod faults;
mod limit;
mod log;
mod reply;
mod serve;
mod state;
#[cfg(test)]
mod tests;
mod view;
mod wire;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::net::TcpSocket;
use tokio::sync::oneshot;

pub use bounds::{FaultsError, LATENCY_MS_MAX, RATE_MAX, RETRY_AFTER_S_MAX};
pub use faults::{
    EchoStyle, FailFirst, Faults, Outage, OutageKind, RateMax, RetryAfter, Shares, TokenAfter, Uniqueness,
    Window,
};
pub use log::Stats;
pub use serve::{ENDPOINT_PATH, REQUEST_BYTES_MAX};
pub use state::IDEMPOTENCY_KEY_BYTES_MAX;
pub use view::{RequestView, SubjectView};
pub use wire::{Clears, SandboxEnvelope, VALUE_CHARS_MAX};

use crate::update::FieldKind;
use connection::{Counts, Link, Listener};
use serve::Server;
use state::{Nature, State};

/// Records of requests kept by default; further ones are only counted. A record takes about 400 bytes.
pub const HISTORY_MAX: usize = 1_000_000;

/// Padding of an oversized answer, in bytes: more than a client should be willing to read.
pub const OVERSIZED_BYTES: usize = 256 * 1024;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// What the sandbox is.
#[derive(Clone)]
pub struct SandboxOptions {
    /// Where to listen: a loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The bearer token it accepts.
    pub token: String,
    /// The one envelope it understands.
    pub envelope: SandboxEnvelope,
    /// Which empty values clear a field.
    pub clears: Clears,
    /// Fields that identify the subject: the first present one decides.
    pub match_by: Vec<FieldKind>,
    /// Whether an `Idempotency-Key` seen before gets the answer it got then, with nothing applied again.
    pub honor_idempotency_key: bool,
    /// Most records of requests, and most keys, that are kept.
    pub history_max: usize,
    /// What it does wrong from the beginning.
    pub faults: Faults,
}

impl Default for SandboxOptions {
    fn default() -> SandboxOptions {
        SandboxOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token: "sandbox-token".to_owned(),
            envelope: SandboxEnvelope::default(),
            clears: Clears::default(),
            match_by: vec![
                FieldKind::UserExternalId,
                FieldKind::Number,
                FieldKind::GenericId,
                FieldKind::Imei,
            ],
            honor_idempotency_key: false,
            history_max: HISTORY_MAX,
            faults: Faults::default(),
        }
    }
}

impl fmt::Debug for SandboxOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxOptions")
            .field("listen", &self.listen)
            .field("envelope", &self.envelope)
            .field("match_by", &self.match_by)
            .finish_non_exhaustive()
    }
}

/// Why the sandbox does not start or take new faults.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It serves this machine alone: it has no TLS and its controls no token.
    #[error("{addr} is not a loopback address")]
    NotLoopback {
        /// What was given.
        addr: SocketAddr,
    },
    /// Nothing could be authorized.
    #[error("the token is empty")]
    EmptyToken,
    /// No subject could be told.
    #[error("the fields to match by are empty or hold the password")]
    MatchBy,
    /// The faults cannot be.
    #[error("faults: {0}")]
    Faults(#[from] FaultsError),
    /// The address cannot be had.
    #[error("cannot listen on {addr}")]
    Listen {
        /// What was given.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No thread or no event loop.
    #[error("cannot start its thread")]
    Thread(#[source] io::Error),
}

impl SandboxError {
    /// What the operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            SandboxError::NotLoopback { .. } => "listen on 127.0.0.1 or [::1]",
            SandboxError::EmptyToken => "give the token that clients will send",
            SandboxError::MatchBy => "name at least one field, and not password",
            SandboxError::Faults(error) => error.remedy(),
            SandboxError::Listen { .. } => "take another port, or 0 for any free one",
            SandboxError::Thread(_) => "look at the limits on threads and open files",
        }
    }
}

/// A running sandbox, on a thread of its own. Dropping it stops it.
pub struct Sandbox {
    addr: SocketAddr,
    server: Arc<Server>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Starts a sandbox and returns once it listens.
    ///
    /// # Errors
    /// Options that cannot be, an address that cannot be had, no thread.
    pub fn start(options: SandboxOptions) -> Result<Sandbox, SandboxError> {
        let listen = options.listen;
        if !listen.ip().is_loopback() {
            return Err(SandboxError::NotLoopback { addr: listen });
        }
        if options.token.is_empty() {
            return Err(SandboxError::EmptyToken);
        }
        if options.match_by.is_empty() || options.match_by.contains(&FieldKind::Password) {
            return Err(SandboxError::MatchBy);
        }
        options.faults.check()?;
        let nature = Nature {
            token: options.token,
            envelope: options.envelope,
            clears: options.clears,
            match_by: options.match_by,
            honor_idempotency_key: options.honor_idempotency_key,
            history_max: options.history_max,
        };
        let counts = Arc::new(Counts::default());
        let server = Arc::new(Server::new(State::new(nature, options.faults), Arc::clone(&counts)));
        let (stop, stopped) = oneshot::channel();
        let (ready, listening) = mpsc::channel();
        let served = Arc::clone(&server);
        let thread = std::thread::Builder::new()
            .name("sandbox".to_owned())
            .spawn(move || run(listen, served, counts, stopped, &ready))
            .map_err(SandboxError::Thread)?;
        let addr = listening.recv().map_err(|_| SandboxError::Thread(io::ErrorKind::Other.into()))??;
        Ok(Sandbox { addr, server, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// URL of the whole endpoint.
    pub fn url(&self) -> String {
        format!("http://{}{ENDPOINT_PATH}", self.addr)
    }

    /// Counts so far.
    pub fn stats(&self) -> Stats {
        self.server.stats()
    }

    /// Puts other faults into force, as `POST /sandbox/faults` does.
    ///
    /// # Errors
    /// Faults that cannot be; the old ones stay.
    pub fn set_faults(&self, faults: Faults) -> Result<(), SandboxError> {
        faults.check()?;
        let now = self.server.now();
        self.server.lock().set_faults(faults, now);
        Ok(())
    }

    /// Forgets subjects, records and counts (connections stay counted), and begins the faults anew.
    pub fn reset(&self) {
        let now = self.server.now();
        self.server.lock().reset(now);
    }

    /// One subject by its key, with its history.
    pub fn subject(&self, key: &str) -> Option<SubjectView> {
        self.server.lock().views().subject(key)
    }

    /// All subjects in order of first appearance, without their history.
    pub fn subjects(&self) -> Vec<SubjectView> {
        self.server.lock().views().subjects().collect()
    }

    /// All recorded requests in order of arrival.
    pub fn requests(&self) -> Vec<RequestView> {
        self.server.lock().views().requests(0, usize::MAX).collect()
    }

    /// Recorded requests after this ordinal, in order of arrival.
    pub fn requests_after(&self, seq: u64) -> Vec<RequestView> {
        self.server.lock().views().requests(seq, usize::MAX).collect()
    }

    /// Stops it: connections are closed, whatever is under way on them.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Dropping the sender is the signal.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the sandbox's thread panicked");
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end();
    }
}

/// The sandbox's thread: one event loop for everything, ended with all its connections at the stop.
fn run(
    listen: SocketAddr,
    server: Arc<Server>,
    counts: Arc<Counts>,
    stopped: oneshot::Receiver<()>,
    ready: &mpsc::Sender<Result<SocketAddr, SandboxError>>,
) {
    let told = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Err(error) => ready.send(Err(SandboxError::Thread(error))),
        Ok(runtime) => runtime.block_on(async {
            let (inner, addr) = match bind(listen) {
                Ok(bound) => bound,
                Err(source) => return ready.send(Err(SandboxError::Listen { addr: listen, source })),
            };
            let told = ready.send(Ok(addr));
            let service = serve::router(server).into_make_service_with_connect_info::<Link>();
            tokio::select! {
                // Ends on the sender's drop; both ways mean stop.
                _ = stopped => {}
                served = async { axum::serve(Listener { inner, counts }, service).await } => {
                    if let Err(error) = served {
                        tracing::error!(%error, "sandbox: serving ended");
                    }
                }
            }
            told
        }),
    };
    // Whoever started it is gone when this fails: nobody is left to be told.
    if told.is_err() {
        tracing::debug!("sandbox: nobody waited for its start");
    }
}

fn bind(listen: SocketAddr) -> io::Result<(tokio::net::TcpListener, SocketAddr)> {
    let socket = if listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    let listener = socket.listen(BACKLOG)?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}
