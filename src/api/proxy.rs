//! The proxy that the operator chose, checked once: a URL, the environment's, or none.
//!
//! Never printed with its credentials. Not here: the connection through it (`connections.rs`).

use std::env;
use std::fmt;

use reqwest::{NoProxy, Url};

use super::{ApiError, Endpoint};

/// What stands for credentials.
const MASK: &str = "********";

/// By which proxy the API is reached. An endpoint on loopback is reached directly under every choice: its token may be
/// in clear because it never leaves the machine.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Proxy {
    /// None, whatever the environment says.
    #[default]
    None,
    /// That of `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY`, less what `NO_PROXY` excepts; read when a client is made.
    Environment,
    /// This one.
    At(ProxyUrl),
}

/// Address of a proxy, with the credentials it may hold.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl(Url);

impl Proxy {
    /// The text that stands for [`Proxy::Environment`].
    pub const ENVIRONMENT: &'static str = "env";

    /// Takes the setting: a URL, or `env`. A URL without a scheme is one of `http`, as curl has it.
    ///
    /// # Errors
    ///
    /// [`ApiError::Proxy`], without the text itself: it may hold a password.
    pub fn parse(text: &str) -> Result<Proxy, ApiError> {
        if text.trim() == Proxy::ENVIRONMENT {
            return Ok(Proxy::Environment);
        }
        ProxyUrl::parse(text)
            .map(Proxy::At)
            .map_err(|problem| ApiError::Proxy { source_name: "api.proxy".to_owned(), problem })
    }

    /// The proxy for an endpoint, if there is one. The environment may except the endpoint from its own.
    pub(super) fn url_of(&self, endpoint: &Endpoint) -> Result<Option<ProxyUrl>, ApiError> {
        match self {
            _ if endpoint.is_loopback() => Ok(None),
            Proxy::None => Ok(None),
            Proxy::At(url) => Ok(Some(url.clone())),
            Proxy::Environment => from_environment(endpoint.url().scheme()),
        }
    }

    /// Whether the environment excepts hosts from its proxy.
    pub(super) fn has_exceptions() -> bool {
        ["NO_PROXY", "no_proxy"].iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
    }

    /// The same, as reqwest wants it.
    pub(super) fn of(&self, endpoint: &Endpoint) -> Result<Option<reqwest::Proxy>, ApiError> {
        let Some(url) = self.url_of(endpoint)? else { return Ok(None) };
        let except = if *self == Proxy::Environment { NoProxy::from_env() } else { None };
        let proxy =
            reqwest::Proxy::all(url.0).map_err(|source| ApiError::Client { source: source.without_url() })?;
        Ok(Some(proxy.no_proxy(except)))
    }
}

/// The variables that may name a proxy for a scheme, the first that is set wins. Both cases are common.
const fn variables(is_tls: bool) -> [&'static str; 4] {
    if is_tls {
        ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    } else {
        ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
    }
}

/// Unlike the library's own look at the environment, a value that is no proxy is an error: passing it over would send
/// the requests, and the token, straight out.
fn from_environment(scheme: &str) -> Result<Option<ProxyUrl>, ApiError> {
    let set = variables(scheme == "https").into_iter().find_map(|name| {
        let value = env::var_os(name).filter(|value| !value.is_empty())?;
        Some((name, value))
    });
    let Some((name, value)) = set else { return Ok(None) };
    let problem = |problem| ApiError::Proxy { source_name: name.to_owned(), problem };
    let text = value.to_str().ok_or_else(|| problem("it is no text"))?;
    ProxyUrl::parse(text).map(Some).map_err(problem)
}

impl ProxyUrl {
    fn parse(text: &str) -> Result<ProxyUrl, &'static str> {
        let text = text.trim();
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("it holds white space");
        }
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&whole).map_err(|_| "host or port cannot be read")?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("its scheme is neither http nor https");
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("something follows host and port");
        }
        Ok(ProxyUrl(url))
    }

    /// Whether it holds a user name or a password.
    pub(super) fn has_credentials(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }

    /// Host and port of the proxy itself.
    pub(super) fn host_and_port(&self) -> (String, u16) {
        let host = self.0.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        (bare, self.0.port_or_known_default().unwrap_or_default())
    }

    /// Whether the way to the proxy itself is TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }
}

/// Without credentials.
impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        let port = self.0.port_or_known_default().unwrap_or_default();
        let credentials = if self.has_credentials() { format!("{MASK}@") } else { String::new() };
        write!(f, "{}://{credentials}{host}:{port}", self.0.scheme())
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proxy::None => f.write_str("none"),
            Proxy::Environment => f.write_str(Proxy::ENVIRONMENT),
            Proxy::At(url) => url.fmt(f),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_proxy_and_what_is_shown_of_it() {
        for (text, shown) in [
            ("env", "env"),
            ("http://proxy.example:3128", "http://proxy.example:3128"),
            (" proxy.example:3128/\n", "http://proxy.example:3128"),
            ("https://proxy.example", "https://proxy.example:443"),
            ("http://[::1]:3128", "http://[::1]:3128"),
            ("http://jane:hunter2@proxy.example:3128", "http://********@proxy.example:3128"),
            ("jane:hunter2@proxy.example", "http://********@proxy.example:80"),
        ] {
            let proxy = Proxy::parse(text).expect(text);
            assert_eq!(proxy.to_string(), shown, "{text}");
            assert!(!format!("{proxy:?} {proxy}").contains("hunter2"));
        }
    }

    #[test]
    fn what_is_none_is_refused_without_being_shown() {
        for text in [
            "",
            "http://",
            "socks5://hunter2@proxy.example:1080",
            "http://hunter2@proxy.example:99999",
            "http://proxy.example/hunter2",
            "http://proxy.example/?hunter2",
            "http://proxy .example/hunter2",
        ] {
            let error = Proxy::parse(text).expect_err(text);
            assert!(matches!(error, ApiError::Proxy { .. }), "{text}");
            assert!(!format!("{error} {error:?} {}", error.remedy()).contains("hunter2"), "{text}");
        }
    }
}
