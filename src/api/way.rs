//! The way of an attempt, for what is said when it leads nowhere: by which proxy it goes, and under which bounds.
//!
//! reqwest's errors name neither. Which of its bounds ended an attempt follows from how far the attempt had come; why a
//! connection was not made in time is looked at again, with a connection of its own that nothing is sent on. Not here:
//! what other errors mean (`trouble.rs`), the connections themselves (`connections.rs`).

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::client::ClientOptions;
use super::proxy::{Proxy, ProxyUrl};
use super::trouble::{self, Trouble, TroubleKind, causes};
use super::{ApiError, Endpoint};

/// Longest look at why a connection was not made in time, in milliseconds.
const LOOK_MS_MAX: u64 = 1_000;

/// Shortest time between two such looks.
const LOOKS_APART: Duration = Duration::from_secs(1);

/// Characters of the place that a redirect names that are told, at most.
const PLACE_CHARS_MAX: usize = 200;

/// What a tunnel's errors begin with: their type has no name outside of its library.
const TUNNEL: &str = "tunnel error: ";

/// The way, as far as it has to be known.
#[derive(Debug, Clone)]
pub(super) struct Way {
    endpoint: Endpoint,
    proxy: Option<ProxyUrl>,
    /// Whether the environment may except the API's host from its proxy.
    may_be_direct: bool,
    connect_timeout: Duration,
    read_timeout: Option<Duration>,
    timeout: Duration,
    /// What was found when it was last looked why a connection was not made, and when.
    looked: Arc<Mutex<Option<(Instant, Trouble)>>>,
}

/// How far an attempt had come when it was given up.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    /// There was no head of an answer.
    Head,
    /// There was one, and so many bytes of a body.
    Body {
        /// Read so far.
        bytes: usize,
        /// When the attempt began.
        began: Instant,
    },
}

/// What an error was about.
enum Leg {
    /// The connection to the proxy.
    ToProxy,
    /// What the proxy was asked to do.
    Tunnel(String),
    /// Everything behind it.
    Rest,
}

impl Way {
    /// The way that the options ask for.
    pub(super) fn of(options: &ClientOptions) -> Result<Way, ApiError> {
        let read_timeout = Duration::from_millis(options.read_timeout_ms);
        let (proxy, may_be_direct) = options.proxy.for_endpoint(&options.endpoint)?;
        Ok(Way {
            endpoint: options.endpoint.clone(),
            proxy,
            may_be_direct,
            connect_timeout: connect_timeout(options),
            read_timeout: (options.read_timeout_ms < options.timeout_ms).then_some(read_timeout),
            timeout: Duration::from_millis(options.timeout_ms),
            looked: Arc::default(),
        })
    }

    /// Bound on making a connection.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Bound on silence, where it is below that on the whole attempt.
    pub(super) fn read_timeout(&self) -> Option<Duration> {
        self.read_timeout
    }

    /// Why an attempt has no answer, not masked yet.
    pub(super) async fn in_words(&self, error: &reqwest::Error, stage: Stage) -> Trouble {
        if error.is_timeout() && !trouble::is_ping(error) && !is_systems(error) {
            if error.is_connect() {
                return self.unconnected().await;
            }
            return Trouble { text: self.late(stage), kind: TroubleKind::Connection };
        }
        let Some(proxy) = &self.proxy else { return trouble::in_words(error, "the server") };
        let told = self.told();
        match self.leg(error) {
            Leg::ToProxy => {
                let trouble = trouble::in_words(error, &told);
                if !trouble.may_pass() {
                    return trouble;
                }
                let text = format!("{told} cannot be reached: {}", trouble.text);
                Trouble { text, kind: TroubleKind::Proxy }
            }
            Leg::Tunnel(words) => {
                let text = match words.as_str() {
                    "proxy authorization required" => return asks_for_credentials(&told, proxy),
                    "unsuccessful" => format!("{told} refuses a tunnel to the API's host and port"),
                    _ => format!("{told} did not make a tunnel to the API's host and port: {words}"),
                };
                Trouble { text, kind: TroubleKind::Proxy }
            }
            Leg::Rest => {
                let trouble = trouble::in_words(error, "the server");
                Trouble { text: format!("{}, by way of {told}", trouble.text), ..trouble }
            }
        }
    }

    /// What an answer says that is none of the API's: a 407 is a proxy's alone (RFC 9110 section 15.5.8), and a
    /// redirect names another place (`location`), which is told and never gone to.
    pub(super) fn of_answer(&self, status: u16, location: Option<&str>) -> Option<Trouble> {
        if matches!(status, 300..=399) {
            let text = format!("a redirect to {} (HTTP {status})", self.place(location?)?);
            return Some(Trouble { text, kind: TroubleKind::Redirect });
        }
        if status != 407 {
            return None;
        }
        if let Some(proxy) = &self.proxy {
            return Some(asks_for_credentials(&self.told(), proxy));
        }
        let text =
            "a proxy that nobody named asks for a user name and password (407): see api.proxy".to_owned();
        Some(Trouble { text, kind: TroubleKind::Credentials })
    }

    /// A place that a redirect names, without what may be secret in it: who logs in, and the query.
    fn place(&self, location: &str) -> Option<String> {
        let mut url = self.endpoint.url().join(location).ok()?;
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url.as_str().chars().take(PLACE_CHARS_MAX).collect())
    }

    fn leg(&self, error: &reqwest::Error) -> Leg {
        let is_tunneled = self.endpoint.url().scheme() == "https";
        if !is_tunneled {
            return if error.is_connect() { Leg::ToProxy } else { Leg::Rest };
        }
        let words = causes(error).find_map(|cause| Some(cause.to_string().strip_prefix(TUNNEL)?.to_owned()));
        match words {
            Some(words) if words.contains("underlying connection") => Leg::ToProxy,
            // What the tunnel met is the deepest cause; the level above says that it was a tunnel.
            Some(words) if words.contains("io error") => Leg::Tunnel(deepest(error).unwrap_or(words)),
            Some(words) => Leg::Tunnel(words),
            None => Leg::Rest,
        }
    }

    /// Why no connection was made in time. Whoever asks soon after another one is told what that one found.
    async fn unconnected(&self) -> Trouble {
        let mut looked = self.looked.lock().await;
        if let Some((_, found)) = looked.as_ref().filter(|(at, _)| at.elapsed() < LOOKS_APART) {
            return found.clone();
        }
        let found = self.look().await;
        *looked = Some((Instant::now(), found.clone()));
        found
    }

    /// Looks why no connection was made in time.
    async fn look(&self) -> Trouble {
        let within = Shown(self.connect_timeout);
        let told = self.told();
        let (host, port) = match &self.proxy {
            Some(proxy) => proxy.host_and_port(),
            None => self.endpoint.host_and_port(),
        };
        let until = Instant::now() + Duration::from_millis(LOOK_MS_MAX).min(self.timeout / 10);
        let is_tls = self.endpoint.url().scheme() == "https";
        // Who is asked for the connection is in the way where there is a proxy.
        let kind = if self.proxy.is_some() { TroubleKind::Proxy } else { TroubleKind::Connection };
        let (kind, what) = match timeout_at(until, lookup_host((host, port))).await {
            Err(_late) => (kind, format!("nobody says which address the name of {told} has")),
            Ok(Err(error)) => (kind, format!("the name of {told} has no address: {error}")),
            Ok(Ok(addresses)) => {
                let addresses: Vec<_> = addresses.collect();
                match (timeout_at(until, TcpStream::connect(&addresses[..])).await, &self.proxy) {
                    // It may wait for the API behind it.
                    (Ok(Ok(_)), Some(_)) if is_tls => (
                        TroubleKind::Connection,
                        format!(
                            "{told} takes connections, and makes no tunnel, or there is no TLS through it"
                        ),
                    ),
                    (Ok(Ok(_)), None) if is_tls => (
                        kind,
                        "the server takes connections, and the TLS handshake comes to no end".to_owned(),
                    ),
                    (Ok(Ok(_)), _) => (kind, format!("{told} was slow to take a connection")),
                    (Ok(Err(_)) | Err(_), _) => (kind, format!("{told} does not answer at all")),
                }
            }
        };
        Trouble { text: format!("no connection within {within} (api.connect_timeout): {what}"), kind }
    }

    /// Which bound ended an attempt whose request had left.
    fn late(&self, stage: Stage) -> String {
        let by = if self.proxy.is_some() { format!(", by way of {}", self.told()) } else { String::new() };
        match (stage, self.read_timeout) {
            (Stage::Head, Some(silence)) => {
                format!("no head of an answer within {} (api.read_timeout){by}", Shown(silence))
            }
            (Stage::Head, None) => {
                format!("no head of an answer within {} (api.timeout){by}", Shown(self.timeout))
            }
            (Stage::Body { bytes, began }, Some(silence)) if began.elapsed() < self.timeout => {
                let after = if bytes == 0 { "its head" } else { "a part of its body" };
                format!(
                    "the answer stopped after {after}, and nothing came for {} (api.read_timeout){by}",
                    Shown(silence)
                )
            }
            (Stage::Body { .. }, _) => format!(
                "the answer's body was not at its end within {} (api.timeout){by}",
                Shown(self.timeout)
            ),
        }
    }

    /// Who takes the connection.
    fn told(&self) -> String {
        match &self.proxy {
            Some(proxy) if self.may_be_direct => {
                format!("the proxy {proxy} (unless NO_PROXY excepts the API's host)")
            }
            Some(proxy) => format!("the proxy {proxy}"),
            None => "the server".to_owned(),
        }
    }
}

/// Bound on making a connection, a little before the other bounds, which run from the same moment: a connection that
/// cannot be made is to be told from an answer that does not come, because with it the request certainly did not leave.
fn connect_timeout(options: &ClientOptions) -> Duration {
    let others_ms = options.timeout_ms.min(options.read_timeout_ms);
    Duration::from_millis(options.connect_timeout_ms.min(others_ms - others_ms / 10))
}

/// Whether it is the system that gave a connection up, by a bound of its own.
fn is_systems(error: &reqwest::Error) -> bool {
    causes(error)
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.raw_os_error().is_some()))
}

fn asks_for_credentials(told: &str, proxy: &ProxyUrl) -> Trouble {
    let text = if proxy.has_credentials() {
        format!("{told} does not accept the user name and password it was given (407)")
    } else {
        format!("{told} asks for a user name and password (407), which api.proxy may hold before the host")
    };
    Trouble { text, kind: TroubleKind::Credentials }
}

fn deepest(error: &reqwest::Error) -> Option<String> {
    causes(error).skip(1).last().map(|cause: &(dyn StdError + 'static)| cause.to_string())
}

/// A bound as people write it.
struct Shown(Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            ms if ms % 1_000 == 0 => write!(f, "{} s", ms / 1_000),
            ms => write!(f, "{ms} ms"),
        }
    }
}

impl Proxy {
    /// The proxy for an endpoint, and whether the environment may except the endpoint from it.
    fn for_endpoint(&self, endpoint: &Endpoint) -> Result<(Option<ProxyUrl>, bool), ApiError> {
        let url = self.url_of(endpoint)?;
        let may_be_direct = url.is_some() && *self == Proxy::Environment && Proxy::has_exceptions();
        Ok((url, may_be_direct))
    }
}
