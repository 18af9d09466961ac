//! The connections of a client: how they are made, and that they are made anew when they are old.
//!
//! Edge. reqwest looks names up when it opens a connection and keeps it for as long as it is busy; a server that moved
//! would never be found. So the whole set is replaced every so often: attempts that are under way end on the old
//! one, which closes with the last of them. Not here: requests and answers (`client.rs`).

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::ClientBuilder;

use super::client::ClientOptions;
use super::options::HttpVersion;
use super::proxy::Proxy;
use super::trouble;
use super::way::Way;
use super::{ApiError, Endpoint};

/// Bound on the headers of an answer.
pub const ANSWER_HEADERS_MAX: usize = 100;

/// Bound on the bytes of an answer's headers under HTTP/2. Under HTTP/1.1 it is the library's read buffer, 408 KiB.
pub const ANSWER_HEADER_BYTES_MAX: u32 = 64 * 1024;

/// Bound on the bytes of a file of certificates.
const PEM_BYTES_MAX: u64 = 4 << 20;

/// How long an unused connection is kept, in milliseconds: shorter than servers and their balancers keep it, as a
/// rule, so that few requests meet a connection that is just being closed.
const IDLE_MS: u64 = 50_000;

/// The connections in use, and how to make others.
pub(super) struct Connections {
    recipe: Recipe,
    age_max: Duration,
    made: Mutex<Made>,
}

struct Made {
    http: reqwest::Client,
    at: SystemTime,
}

impl Connections {
    /// Makes the first set. Connects to nobody yet.
    pub(super) fn new(options: &ClientOptions, way: &Way) -> Result<Connections, ApiError> {
        let recipe = Recipe::new(options, way);
        let made = Mutex::new(Made { http: recipe.make()?, at: (options.now)() });
        Ok(Connections { recipe, age_max: Duration::from_millis(options.connection_age_max_ms), made })
    }

    /// The connections for an attempt that begins now. Holding them keeps them.
    pub(super) fn current(&self, now: SystemTime) -> reqwest::Client {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back by more than the age says nothing about it any more.
        let age = now.duration_since(made.at).unwrap_or_else(|back| back.duration());
        if age >= self.age_max {
            match self.recipe.make() {
                Ok(http) => made.http = http,
                // A file of certificates that is just being replaced, say. The old ones still serve.
                Err(error) => tracing::warn!("connections are not opened anew: {error}"),
            }
            made.at = now;
        }
        made.http.clone()
    }
}

/// One connection made as all others are, that tells of the certificate it was shown.
pub(super) fn telling(options: &ClientOptions, way: &Way) -> Result<reqwest::Client, ApiError> {
    let recipe = Recipe::new(options, way);
    recipe.built(recipe.builder()?.tls_info(true))
}

/// What connections are made from. Files are read each time: certificates are renewed while runs last.
struct Recipe {
    endpoint: Endpoint,
    connect_timeout: Duration,
    read_timeout: Option<Duration>,
    timeout: Duration,
    in_flight: usize,
    http: HttpVersion,
    ping: Duration,
    proxy: Proxy,
    ca_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    #[cfg(test)]
    resolver: Option<std::sync::Arc<super::client::tests::Names>>,
}

impl Recipe {
    fn new(options: &ClientOptions, way: &Way) -> Recipe {
        Recipe {
            endpoint: options.endpoint.clone(),
            connect_timeout: way.connect_timeout(),
            read_timeout: way.read_timeout(),
            timeout: Duration::from_millis(options.timeout_ms),
            in_flight: options.in_flight,
            http: options.http,
            ping: Duration::from_millis(options.ping_ms),
            proxy: options.proxy.clone(),
            ca_file: options.ca_file.clone(),
            client_certificate: options.client_certificate.clone(),
            #[cfg(test)]
            resolver: options.resolver.clone(),
        }
    }

    fn make(&self) -> Result<reqwest::Client, ApiError> {
        self.built(self.builder()?)
    }

    fn built(&self, builder: ClientBuilder) -> Result<reqwest::Client, ApiError> {
        builder.build().map_err(|source| {
            match (&self.client_certificate, trouble::identity_problem(&source)) {
                (Some(path), Some(problem)) => ApiError::ClientPem { path: path.clone(), problem },
                (None, _) | (_, None) => ApiError::Client { source: source.without_url() },
            }
        })
    }

    fn builder(&self) -> Result<ClientBuilder, ApiError> {
        let mut builder = reqwest::Client::builder()
            .http1_max_headers(ANSWER_HEADERS_MAX)
            .tcp_nodelay(true)
            // The environment's proxy would see the token; a redirect would drop the body or carry it elsewhere;
            // a retry of the library's own would pass the rate limit by (reliability, section 4).
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .pool_max_idle_per_host(self.in_flight)
            .pool_idle_timeout(Duration::from_millis(IDLE_MS))
            .connect_timeout(self.connect_timeout)
            .timeout(self.timeout);
        if let Some(read_timeout) = self.read_timeout {
            builder = builder.read_timeout(read_timeout);
        }
        if let Some(proxy) = self.proxy.of(&self.endpoint)? {
            builder = builder.proxy(proxy);
        }
        #[cfg(test)]
        if let Some(resolver) = &self.resolver {
            builder = builder.dns_resolver(std::sync::Arc::clone(resolver));
        }
        self.with_tls(self.with_version(builder))
    }

    fn with_version(&self, builder: ClientBuilder) -> ClientBuilder {
        let builder = match self.http {
            HttpVersion::One => return builder.http1_only(),
            HttpVersion::Two => builder.http2_prior_knowledge(),
            HttpVersion::Auto => builder,
        };
        builder
            .http2_max_header_list_size(ANSWER_HEADER_BYTES_MAX)
            .http2_keep_alive_interval(self.ping)
            .http2_keep_alive_timeout(self.ping)
    }

    fn with_tls(&self, builder: ClientBuilder) -> Result<ClientBuilder, ApiError> {
        let is_tls = self.endpoint.url().scheme() == "https";
        let mut builder = builder;
        if is_tls {
            builder = builder.https_only(true).tls_version_min(reqwest::tls::Version::TLS_1_2);
        }
        match &self.ca_file {
            Some(path) => builder = builder.tls_certs_only(authorities(path)?),
            // Nobody's certificate is looked at; a machine without authorities can rehearse nevertheless.
            None if !is_tls && !self.is_proxy_tls() => builder = builder.tls_certs_only([]),
            None => {}
        }
        if let Some(path) = &self.client_certificate {
            builder = builder.identity(identity(path)?);
        }
        Ok(builder)
    }

    fn is_proxy_tls(&self) -> bool {
        match &self.proxy {
            Proxy::None => false,
            Proxy::At(url) => url.is_tls(),
            Proxy::Environment => true,
        }
    }
}

fn authorities(path: &Path) -> Result<Vec<reqwest::Certificate>, ApiError> {
    let (pem, _) = read(path).map_err(|source| ApiError::CaFile { path: path.to_owned(), source })?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if certificates.is_empty() { Err(ApiError::CaPem { path: path.to_owned() }) } else { Ok(certificates) }
}

fn identity(path: &Path) -> Result<reqwest::Identity, ApiError> {
    let (pem, mode) =
        read(path).map_err(|source| ApiError::ClientCertificate { path: path.to_owned(), source })?;
    // The key is a credential as the token is.
    if mode & 0o077 != 0 {
        return Err(ApiError::ClientKeyPermissions { path: path.to_owned(), mode });
    }
    reqwest::Identity::from_pem(&pem)
        .map_err(|_| ApiError::ClientPem { path: path.to_owned(), problem: missing(&pem) })
}

/// What a file of a certificate and its key lacks.
fn missing(pem: &[u8]) -> &'static str {
    let pem = String::from_utf8_lossy(pem);
    if pem.contains("ENCRYPTED") {
        "its private key is encrypted"
    } else if !pem.contains("-----BEGIN CERTIFICATE-----") {
        "there is no certificate in it"
    } else if !pem.contains("PRIVATE KEY-----") {
        "there is no private key in it"
    } else {
        "it is no PEM of a certificate and a private key"
    }
}

/// A file's bytes, and the permissions of the very file that was read.
fn read(path: &Path) -> std::io::Result<(Vec<u8>, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    let mut bytes = Vec::new();
    file.take(PEM_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok((bytes, mode))
}
