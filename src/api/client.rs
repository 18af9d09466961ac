//! One attempt: one HTTP request, its answer read to the end, and what it taught.
//!
//! Edge. A [`Client`] belongs to one `current_thread` runtime: its connections live there (performance A2). Not
//! here: what an answer means (`answer.rs`), limits and retries (`delivery/`), latency (`engine/` measures it).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
};
use reqwest::{Method, Url};
use tokio::time::Instant;

use super::answer::{Answer, Sent, classify};
use super::connections::Connections;
use super::options::{HttpVersion, Verify};
use super::proxy::Proxy;
use super::quota::quota;
use super::signature::Mask;
use super::trouble::{self, Trouble, TroubleKind};
use super::way::{Stage, Way};
use super::{ApiError, Endpoint, Token};
use crate::delivery::outcome::{Outcome, Seen};
use crate::update::{FieldKind, Fields};

/// Default bound on making a connection, TLS included, in milliseconds.
pub const CONNECT_TIMEOUT_MS: u64 = 10_000;

/// Default bound on silence within an attempt, in milliseconds.
pub const READ_TIMEOUT_MS: u64 = 30_000;

/// Default bound on a whole attempt, in milliseconds.
pub const TIMEOUT_MS: u64 = 30_000;

/// Default bound on the bytes of an answer's body that are read.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Default age at which connections are opened anew, in milliseconds.
pub const CONNECTION_AGE_MAX_MS: u64 = 300_000;

/// Default time after which a busy HTTP/2 connection is asked for a sign of life, and how long that may take, in
/// milliseconds. All requests share the connection: one that died in silence would have every one of them time out.
pub const PING_MS: u64 = 10_000;

/// Longest idempotency key sent, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Brings a value into a field's canonical form; `None` where it is no value of that field.
pub type Canonical = Arc<dyn Fn(FieldKind, &str) -> Option<String> + Send + Sync>;

/// What a client is made from.
#[derive(Clone)]
pub struct ClientOptions {
    /// Where requests go.
    pub endpoint: Endpoint,
    /// Bound on making a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Bound on silence, in milliseconds; without effect where it is not below `timeout_ms`.
    pub read_timeout_ms: u64,
    /// Bound on a whole attempt, in milliseconds.
    pub timeout_ms: u64,
    /// Attempts at once, which is how many connections are kept.
    pub in_flight: usize,
    /// Bound on the bytes of an answer's body that are read.
    pub answer_bytes_max: usize,
    /// The `User-Agent`.
    pub user_agent: String,
    /// What makes an answer an acknowledgment.
    pub verify: Verify,
    /// The HTTP version.
    pub http: HttpVersion,
    /// Silence of a busy HTTP/2 connection after which it is asked for a sign of life, and how long that may take, in
    /// milliseconds. Without a sign the connection is given up.
    pub ping_ms: u64,
    /// Age at which connections are opened anew, in milliseconds.
    pub connection_age_max_ms: u64,
    /// By which proxy.
    pub proxy: Proxy,
    /// PEM certificates of the authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM certificates that say who we are, with their private key; private to its owner.
    pub client_certificate: Option<PathBuf>,
    /// How an echo is brought into the form of what was sent.
    pub canonical: Canonical,
    /// The wall clock, for `Retry-After` dates and the age of connections.
    pub now: fn() -> SystemTime,
    /// Who knows the addresses of names, instead of the system.
    #[cfg(test)]
    pub(crate) resolver: Option<Arc<tests::Names>>,
}

impl ClientOptions {
    /// The defaults.
    pub fn new(endpoint: Endpoint, canonical: Canonical, now: fn() -> SystemTime) -> ClientOptions {
        ClientOptions {
            endpoint,
            connect_timeout_ms: CONNECT_TIMEOUT_MS,
            read_timeout_ms: READ_TIMEOUT_MS,
            timeout_ms: TIMEOUT_MS,
            in_flight: 64,
            answer_bytes_max: ANSWER_BYTES_MAX,
            user_agent: concat!("simsync/", env!("CARGO_PKG_VERSION")).to_owned(),
            verify: Verify::default(),
            http: HttpVersion::default(),
            ping_ms: PING_MS,
            connection_age_max_ms: CONNECTION_AGE_MAX_MS,
            proxy: Proxy::default(),
            ca_file: None,
            client_certificate: None,
            canonical,
            now,
            #[cfg(test)]
            resolver: None,
        }
    }
}

/// What is sent.
#[derive(Clone)]
pub struct Request {
    /// The body, ready: see [`body`](super::body()).
    pub body: Vec<u8>,
    /// The `Idempotency-Key`: printable ASCII, at most [`IDEMPOTENCY_KEY_BYTES_MAX`] bytes.
    pub idempotency_key: String,
    /// The fields in the body, to hold the echo against.
    pub sent: Arc<Fields>,
    /// Other values of the row, which the server may quote.
    pub unsent: Option<Arc<Fields>>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// For the scheduler.
    pub seen: Seen,
    /// Why there is no answer, masked: for people, at the doctor's and in logs.
    pub trouble: Option<Trouble>,
}

/// A set of connections to one endpoint.
pub struct Client {
    connections: Connections,
    way: Way,
    url: Url,
    /// What all requests carry.
    headers: HeaderMap,
    answer_bytes_max: usize,
    verify: Verify,
    canonical: Canonical,
    now: fn() -> SystemTime,
}

impl Client {
    /// Makes a client. Connects to nobody yet. Connections are tied to the runtime that makes the first attempt.
    ///
    /// # Errors
    ///
    /// Where the options cannot be followed.
    pub fn new(options: &ClientOptions) -> Result<Client, ApiError> {
        let way = Way::of(options)?;
        Ok(Client {
            connections: Connections::new(options, &way)?,
            way,
            url: options.endpoint.url().clone(),
            headers: shared_headers(&options.user_agent)?,
            answer_bytes_max: options.answer_bytes_max,
            verify: options.verify,
            canonical: Arc::clone(&options.canonical),
            now: options.now,
        })
    }

    /// Sends one request and reads its answer. Exactly one request reaches the wire, at most; dropping the future
    /// closes the connection.
    pub async fn attempt(&self, token: &Token, request: &Request) -> Answered {
        let Some(http_request) = self.http_request(token, request) else {
            let text = "the idempotency key is no header value".to_owned();
            let seen = Seen {
                outcome: Outcome::NotConnected,
                status: None,
                quota: None,
                token_generation: token.generation,
            };
            return Answered { seen, trouble: Some(Trouble { text, kind: TroubleKind::Connection }) };
        };
        // Held until the answer is read: the connections may be replaced meanwhile.
        let http = self.connections.current((self.now)());
        let began = Instant::now();
        let mut response = match http.execute(http_request).await {
            Ok(response) => response,
            Err(error) => return self.broken(token, request, &error, Stage::Head).await,
        };
        let status = response.status().as_u16();
        let mut body = Vec::with_capacity(self.room(response.content_length()));
        let (cut, error) = loop {
            match response.chunk().await {
                // Bytes behind the bound are not waited for: the connection is closed instead.
                Ok(Some(chunk)) if body.len() + chunk.len() > self.answer_bytes_max => {
                    body.extend_from_slice(&chunk[..self.answer_bytes_max - body.len()]);
                    break (true, None);
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break (false, None),
                Err(error) => break (true, Some(error)),
            }
        };
        if let Some(error) = &error
            && !self.is_settled_by_its_head(status)
        {
            return self.broken(token, request, error, Stage::Body { bytes: body.len(), began }).await;
        }
        let headers = response.headers();
        let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let answer = Answer { status, retry_after, body: &body, cut, is_coded: is_coded(headers) };
        let unsent = request.unsent.as_deref();
        let sent = Sent { fields: &request.sent, unsent, token: token.expose() };
        let outcome = classify(&answer, &sent, self.verify, &*self.canonical, (self.now)());
        let trouble = match &error {
            Some(error) => {
                let stage = Stage::Body { bytes: body.len(), began };
                Some(masked(token, request, self.way.in_words(error, stage).await))
            }
            None => {
                let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
                self.way.of_answer(status, location).map(|trouble| masked(token, request, trouble))
            }
        };
        Answered {
            seen: Seen {
                outcome,
                status: Some(status),
                quota: quota(&|name| headers.get(name)?.to_str().ok(), (self.now)()),
                token_generation: token.generation,
            },
            trouble,
        }
    }

    fn http_request(&self, token: &Token, request: &Request) -> Option<reqwest::Request> {
        if request.idempotency_key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            return None;
        }
        let key = HeaderValue::from_str(&request.idempotency_key).ok()?;
        let mut http_request = reqwest::Request::new(Method::POST, self.url.clone());
        let headers = http_request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(AUTHORIZATION, token.header().clone());
        headers.insert(IDEMPOTENCY_KEY, key);
        *http_request.body_mut() = Some(request.body.clone().into());
        Some(http_request)
    }

    /// Room for a body of a stated length, within the bound: a length is only a promise.
    fn room(&self, stated: Option<u64>) -> usize {
        let usual = 1024;
        stated
            .map_or(usual, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
            .min(self.answer_bytes_max)
            .min(8192)
    }

    async fn broken(
        &self,
        token: &Token,
        request: &Request,
        error: &reqwest::Error,
        stage: Stage,
    ) -> Answered {
        let seen = Seen {
            outcome: trouble::outcome(error),
            status: None,
            quota: None,
            token_generation: token.generation,
        };
        Answered { seen, trouble: Some(masked(token, request, self.way.in_words(error, stage).await)) }
    }

    /// Whether the body can change nothing about the verdict, so that the head alone is a definite answer.
    fn is_settled_by_its_head(&self, status: u16) -> bool {
        match status {
            200..=299 => self.verify == Verify::None,
            300..=399 | 401 | 403 | 407 | 408 | 425 | 429 | 500.. => true,
            _ => false,
        }
    }
}

fn masked(token: &Token, request: &Request, trouble: Trouble) -> Trouble {
    let text =
        Mask::with_unsent(&request.sent, request.unsent.as_deref(), token.expose()).line(&trouble.text);
    Trouble { text, ..trouble }
}

/// Whether the body is in a coding that was not asked for (RFC 9110 section 8.4). It is not undone: a few bytes may
/// stand for many, and a server that does not heed `Accept-Encoding` may not be the one that was meant.
fn is_coded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| {
        let value = value.as_bytes().trim_ascii();
        !value.is_empty() && !value.eq_ignore_ascii_case(b"identity")
    })
}

fn shared_headers(user_agent: &str) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    // Without it a server may take every coding for welcome (RFC 9110 section 12.5.3).
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_str(user_agent).map_err(|_| ApiError::UserAgent)?);
    Ok(headers)
}

#[cfg(test)]
pub(crate) mod tests;
