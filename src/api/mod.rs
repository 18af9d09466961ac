//! The edge to the API: what a request looks like, who it goes to and under which token, and what an answer means.
//!
//! The only user of reqwest. One [`Client::attempt`] is one HTTP request and ends in one
//! [`Seen`](crate::delivery::outcome::Seen). Not here: when to send, what to retry, how long to wait
//! (`delivery/`), which runtime runs it and how long it took (`engine/`), what a field may hold (`fields/`).

mod answer;
mod certificate;
mod client;
mod complaint;
mod connections;
mod echo;
mod endpoint;
mod envelope;
mod expiry;
mod knock;
mod options;
mod proxy;
mod quota;
mod signature;
mod token;
mod token_command;
mod trouble;
mod way;

pub use answer::{Answer, Sent, classify};
pub use certificate::Certificate;
pub use client::{
    ANSWER_BYTES_MAX, Answered, CONNECT_TIMEOUT_MS, CONNECTION_AGE_MAX_MS, Canonical, Client, ClientOptions,
    IDEMPOTENCY_KEY_BYTES_MAX, PING_MS, READ_TIMEOUT_MS, Request, TIMEOUT_MS,
};
pub use connections::{ANSWER_HEADER_BYTES_MAX, ANSWER_HEADERS_MAX};
pub use endpoint::{Endpoint, URL_BYTES_MAX};
pub use envelope::{Envelope, body};
pub use knock::{KNOCK_TIMEOUT_MS, KnockError, Knocked, addresses, knock};
pub use options::{HttpVersion, Verify};
pub use proxy::{Proxy, ProxyUrl};
pub use signature::{Mask, signature};
pub use token::{REREAD_PAUSE_MS, REREADS_MAX, TOKEN_BYTES_MAX, Token, TokenError, TokenSource};
pub use token_command::TOKEN_COMMAND_TIMEOUT_MS;
pub use trouble::{Trouble, TroubleKind};

use std::path::PathBuf;

/// Why no request can be made at all. Nothing has been sent when one of these is returned.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The text is no URL, or not one that a request can go to.
    #[error("the endpoint is no usable URL: {problem}")]
    Url {
        /// What is wrong with it, without the text itself: it may hold a password.
        problem: &'static str,
    },
    /// Neither `http` nor `https`.
    #[error("the endpoint's scheme is neither https nor http")]
    Scheme,
    /// `user:password@` in the URL.
    #[error("the endpoint holds a user name or password")]
    Credentials,
    /// A query or a fragment.
    #[error("the endpoint has a query or a fragment")]
    Query,
    /// Plain `http` to another machine: the token would travel in clear.
    #[error("the endpoint is plain http, so the token would travel in clear")]
    PlainHttp,
    /// The path has no trailing slash.
    #[error("the endpoint's path {path:?} does not end with a slash")]
    Slash {
        /// The path.
        path: String,
    },
    /// The file of certificate authorities is unreadable.
    #[error("failed to read the certificate authorities in {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file of certificate authorities holds no certificate.
    #[error("no certificate could be read from {}", path.display())]
    CaPem {
        /// The file.
        path: PathBuf,
    },
    /// The file of the client certificate is unreadable.
    #[error("failed to read the client certificate in {}", path.display())]
    ClientCertificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read the private key.
    #[error("the file of the client certificate and its key, {}, may be read by others (mode {mode:03o})", path.display())]
    ClientKeyPermissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file of the client certificate does not hold a certificate and its key.
    #[error("the client certificate in {} cannot be used: {problem}", path.display())]
    ClientPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What was given as a proxy is none.
    #[error("{source_name} names no usable proxy: {problem}")]
    Proxy {
        /// The setting or the variable.
        source_name: String,
        /// What is wrong with it, without the text itself: it may hold a password.
        problem: &'static str,
    },
    /// The user agent holds characters that a header cannot carry.
    #[error("the user agent holds characters that a header cannot carry")]
    UserAgent,
    /// The HTTP client could not be set up: no TLS, no resolver.
    #[error("failed to set up the HTTP client")]
    Client {
        /// Why; its text holds no URL.
        source: reqwest::Error,
    },
}

impl ApiError {
    /// What the operator can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            ApiError::Url { .. } | ApiError::Scheme => {
                "give the whole endpoint: https://HOST/api/v1/device_app_user_update/"
            }
            ApiError::Credentials => {
                "leave user and password out of the URL; the token comes from token_file"
            }
            ApiError::Query => "leave out everything from ? or # on",
            ApiError::PlainHttp => {
                "use https:// (plain http is for loopback, or where api.allow_plain_http is set)"
            }
            ApiError::Slash { .. } => {
                "add the slash: it is part of the path, and servers answer its absence with a redirect"
            }
            ApiError::CaFile { .. } | ApiError::CaPem { .. } => {
                "api.ca_file must be a readable file of PEM certificates"
            }
            ApiError::ClientCertificate { .. } | ApiError::ClientPem { .. } => {
                "api.client_certificate must be a readable PEM file of the certificate, its intermediates and its \
                 unencrypted private key"
            }
            ApiError::ClientKeyPermissions { .. } => "chmod 600 the file: it holds a private key",
            ApiError::Proxy { .. } => {
                "give a proxy as http://HOST:PORT, with USER:PASSWORD@ before the host where it asks for them; \
                 api.proxy may also be env, or absent for none"
            }
            ApiError::UserAgent => "use printable ASCII characters only",
            ApiError::Client { .. } => {
                "check the system's certificate store, or name the authorities in api.ca_file"
            }
        }
    }
}
