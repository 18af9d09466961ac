//! A knock at the API's door: whether its name has addresses, whether a connection can be made, what certificate is
//! shown, and whether HTTP is spoken behind it.
//!
//! Edge. Nothing is sent but a request without a body and without the token, so that nothing can be changed by it. Not
//! here: an attempt (`client.rs`), what the doctor makes of it (`cli/doctor/`).

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, LOCATION, USER_AGENT};
use reqwest::tls::TlsInfo;
use reqwest::{Method, Request};

use super::certificate::Certificate;
use super::client::ClientOptions;
use super::connections;
use super::trouble::{self, Trouble};
use super::way::{Stage, Way};
use super::{ApiError, Endpoint};
use crate::delivery::outcome::Outcome;

/// Bound on looking a name up, in milliseconds. A connection has its own bound.
pub const KNOCK_TIMEOUT_MS: u64 = 10_000;

/// Who opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knocked {
    /// The status that was answered. A method that is not allowed is as good an answer as any.
    pub status: u16,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// The server's clock, where it says so.
    pub date: Option<SystemTime>,
    /// The certificate it showed, where there is TLS and it can be read.
    pub certificate: Option<Certificate>,
    /// What the answer says that is none of the API's: a proxy's refusal, or the place a redirect names.
    pub trouble: Option<Trouble>,
}

/// Why nobody opened.
#[derive(Debug, thiserror::Error)]
pub enum KnockError {
    /// No client can be made.
    #[error(transparent)]
    Client(#[from] ApiError),
    /// No connection.
    #[error("no connection can be made: {}", .0.text)]
    NotConnected(Trouble),
    /// A connection, and no answer on it.
    #[error("a connection was made, and there is no answer on it: {}", .0.text)]
    NoAnswer(Trouble),
}

/// The addresses of the endpoint's host, as the system knows them.
///
/// # Errors
///
/// When the name is not known, or nobody says in [`KNOCK_TIMEOUT_MS`].
pub async fn addresses(endpoint: &Endpoint) -> std::io::Result<Vec<IpAddr>> {
    let asked = tokio::net::lookup_host(endpoint.host_and_port());
    let found = tokio::time::timeout(Duration::from_millis(KNOCK_TIMEOUT_MS), asked).await??;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.dedup();
    Ok(addresses)
}

/// Asks for the head of the endpoint, without the token, by a connection as attempts have it.
///
/// # Errors
///
/// When there is no answer.
pub async fn knock(options: &ClientOptions) -> Result<Knocked, KnockError> {
    let way = Way::of(options)?;
    let client = connections::telling(options, &way)?;
    let mut request = Request::new(Method::HEAD, options.endpoint.url().clone());
    if let Ok(user_agent) = options.user_agent.parse() {
        request.headers_mut().insert(USER_AGENT, user_agent);
    }
    let response = match client.execute(request).await {
        Ok(response) => response,
        Err(error) => {
            let trouble = way.in_words(&error, Stage::Head).await;
            let is_connected = !matches!(trouble::outcome(&error), Outcome::NotConnected);
            let why = if is_connected { KnockError::NoAnswer } else { KnockError::NotConnected };
            return Err(why(trouble));
        }
    };
    let date = response.headers().get(DATE).and_then(|value| value.to_str().ok());
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let tls = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    Ok(Knocked {
        status: response.status().as_u16(),
        version: format!("{:?}", response.version()),
        date: date.and_then(|text| httpdate::parse_http_date(text).ok()),
        certificate: tls.and_then(Certificate::read),
        trouble: way.of_answer(response.status().as_u16(), location),
    })
}
