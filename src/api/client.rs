//! One attempt: one HTTP request, its answer read to the end, and what it taught.
//!
//! Edge. A [`Client`] belongs to one `current_thread` runtime: its connections live there (performance A2). Not
//! here: what an answer means (`answer.rs`), limits and retries (`delivery/`), latency (`engine/` measures it).

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use reqwest::{Method, Url};

use super::answer::{Answer, Sent, classify};
use super::quota::quota;
use super::signature::Mask;
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

/// Bound on the headers of an answer.
pub const ANSWER_HEADERS_MAX: usize = 100;

/// Longest idempotency key sent, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// How long an unused connection is kept, in milliseconds: shorter than servers and their balancers keep it, as a
/// rule, so that few requests meet a connection that is just being closed.
const IDLE_MS: u64 = 50_000;

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
    /// PEM certificates of authorities that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// How an echo is brought into the form of what was sent.
    pub canonical: Canonical,
    /// The wall clock, for `Retry-After` dates.
    pub now: fn() -> SystemTime,
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
            ca_file: None,
            canonical,
            now,
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
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// For the scheduler.
    pub seen: Seen,
    /// Why there is no answer, in the words of the deepest cause, masked: for people, at the doctor's and in logs.
    pub trouble: Option<String>,
}

/// A set of connections to one endpoint.
pub struct Client {
    http: reqwest::Client,
    url: Url,
    /// What all requests carry.
    headers: HeaderMap,
    answer_bytes_max: usize,
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
        // A little before the other bounds, which run from the same moment: a connection that cannot be made is to
        // be told from an answer that does not come, because with it the request certainly did not leave.
        let others_ms = options.timeout_ms.min(options.read_timeout_ms);
        let connect_timeout_ms = options.connect_timeout_ms.min(others_ms - others_ms / 10);
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .http1_max_headers(ANSWER_HEADERS_MAX)
            .tcp_nodelay(true)
            // The environment's proxy would see the token; a redirect would drop the body or carry it elsewhere;
            // a retry of the library's own would pass the rate limit by (reliability, section 4).
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .pool_max_idle_per_host(options.in_flight)
            .pool_idle_timeout(Duration::from_millis(IDLE_MS))
            .connect_timeout(Duration::from_millis(connect_timeout_ms))
            .timeout(Duration::from_millis(options.timeout_ms));
        if options.read_timeout_ms < options.timeout_ms {
            builder = builder.read_timeout(Duration::from_millis(options.read_timeout_ms));
        }
        if options.endpoint.url().scheme() == "https" {
            builder = builder.https_only(true).tls_version_min(reqwest::tls::Version::TLS_1_2);
        }
        if let Some(path) = &options.ca_file {
            builder = builder.tls_certs_merge(authorities(path)?);
        }
        let http = builder.build().map_err(|source| ApiError::Client { source: source.without_url() })?;
        Ok(Client {
            http,
            url: options.endpoint.url().clone(),
            headers: shared_headers(&options.user_agent)?,
            answer_bytes_max: options.answer_bytes_max,
            canonical: Arc::clone(&options.canonical),
            now: options.now,
        })
    }

    /// Sends one request and reads its answer. Exactly one request reaches the wire, at most; dropping the future
    /// closes the connection.
    pub async fn attempt(&self, token: &Token, request: &Request) -> Answered {
        let Some(http_request) = self.http_request(token, request) else {
            return unanswered(
                token,
                Outcome::NotConnected,
                "the idempotency key is no header value".to_owned(),
            );
        };
        let mut response = match self.http.execute(http_request).await {
            Ok(response) => response,
            Err(error) => return self.broken(token, request, &error),
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
            && !is_settled_by_its_head(status)
        {
            return self.broken(token, request, error);
        }
        let headers = response.headers();
        let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let answer = Answer { status, retry_after, body: &body, cut };
        let sent = Sent { fields: &request.sent, token: token.expose() };
        let outcome = classify(&answer, &sent, &*self.canonical, (self.now)());
        Answered {
            seen: Seen {
                outcome,
                status: Some(status),
                quota: quota(&|name| headers.get(name)?.to_str().ok(), (self.now)()),
                token_generation: token.generation,
            },
            trouble: error.map(|error| self.trouble(token, request, &error)),
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

    /// The one place where reqwest's errors become outcomes.
    fn broken(&self, token: &Token, request: &Request, error: &reqwest::Error) -> Answered {
        // The order matters: a connection that could not be made in time is both, and the request did not leave.
        let outcome = if error.is_connect() || error.is_builder() {
            Outcome::NotConnected
        } else if error.is_timeout() {
            Outcome::TimedOut
        } else {
            Outcome::Disconnected
        };
        unanswered(token, outcome, self.trouble(token, request, error))
    }

    /// The words of the deepest cause. The levels above it name the URL and say little.
    fn trouble(&self, token: &Token, request: &Request, error: &reqwest::Error) -> String {
        let mut deepest: &dyn StdError = error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        let words =
            if error.source().is_none() { "failed without a cause".to_owned() } else { deepest.to_string() };
        Mask::new(&request.sent, token.expose()).line(&words)
    }
}

/// Whether the body can change nothing about the verdict, so that the head alone is a definite answer.
fn is_settled_by_its_head(status: u16) -> bool {
    matches!(status, 300..=399 | 401 | 403 | 408 | 425 | 429 | 500..)
}

fn unanswered(token: &Token, outcome: Outcome, trouble: String) -> Answered {
    Answered {
        seen: Seen { outcome, status: None, quota: None, token_generation: token.generation },
        trouble: Some(trouble),
    }
}

fn shared_headers(user_agent: &str) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_str(user_agent).map_err(|_| ApiError::UserAgent)?);
    Ok(headers)
}

fn authorities(path: &std::path::Path) -> Result<Vec<reqwest::Certificate>, ApiError> {
    let pem = std::fs::read(path).map_err(|source| ApiError::CaFile { path: path.to_owned(), source })?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if certificates.is_empty() { Err(ApiError::CaPem { path: path.to_owned() }) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests;
