//! Where requests go: the whole URL, checked once.
//!
//! Not here: the connection (`client.rs`), the name under which a journal keeps a target apart when the
//! configuration gives one (`settings.rs`).

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use super::ApiError;

/// Longest URL taken, in bytes.
pub const URL_BYTES_MAX: usize = 2048;

/// A URL that may be given a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
}

impl Endpoint {
    /// Checks a URL as typed. Plain http is taken only to loopback, or when allowed, because a token would travel
    /// in clear.
    ///
    /// # Errors
    ///
    /// One variant of [`ApiError`] per rule. None shows the text as typed, which may hold a password.
    pub fn parse(url: &str, allow_plain_http: bool) -> Result<Endpoint, ApiError> {
        if url.len() > URL_BYTES_MAX {
            return Err(ApiError::Url { problem: "it is too long" });
        }
        let typed = url.trim();
        if typed.chars().any(|c| c.is_whitespace() || c.is_control()) {
            // The parser would silently drop tabs and line ends from the middle of a URL.
            return Err(ApiError::Url { problem: "it holds white space" });
        }
        if !typed.contains("://") {
            return Err(ApiError::Url { problem: "it does not begin with https://" });
        }
        let url =
            Url::parse(typed).map_err(|_| ApiError::Url { problem: "host, port or path cannot be read" })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ApiError::Credentials);
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ApiError::Scheme);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(ApiError::Query);
        }
        let endpoint = Endpoint { url };
        if endpoint.url.scheme() == "http" && !allow_plain_http && !endpoint.is_loopback() {
            return Err(ApiError::PlainHttp);
        }
        if !endpoint.url.path().ends_with('/') {
            return Err(ApiError::Slash { path: endpoint.url.path().to_owned() });
        }
        Ok(endpoint)
    }

    /// The target as the journal knows it: `scheme://host/path`, the host in lower case, the port only where it is
    /// not the scheme's own.
    pub fn target(&self) -> String {
        self.url.as_str().to_owned()
    }

    /// Whether requests stay on this machine: an address of 127.0.0.0/8, `::1`, or a name under `localhost`
    /// (RFC 6761 section 6.3).
    pub fn is_loopback(&self) -> bool {
        let Some(host) = self.url.host_str() else { return false };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return address.to_canonical().is_loopback();
        }
        let name = host.trim_end_matches('.');
        name == "localhost" || name.ends_with(".localhost")
    }

    /// Host and port, for a look-up of the name before the first request.
    pub fn host_and_port(&self) -> (String, u16) {
        let host = self.url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        (bare, self.url.port_or_known_default().unwrap_or_default())
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> ApiError {
        Endpoint::parse(url, false).expect_err(url)
    }

    #[test]
    fn what_is_refused_and_why() {
        assert!(matches!(error("gate.example/x/"), ApiError::Url { .. }));
        assert!(matches!(error("localhost:8080/x/"), ApiError::Url { .. }));
        assert!(matches!(error(""), ApiError::Url { .. }));
        assert!(matches!(error("https://exa mple/x/"), ApiError::Url { .. }));
        assert!(matches!(error("https://gate.example/a\tb/"), ApiError::Url { .. }));
        assert!(matches!(error("https://gate.example:99999/x/"), ApiError::Url { .. }));
        assert!(matches!(
            error(&format!("https://gate.example/{}/", "a".repeat(4000))),
            ApiError::Url { .. }
        ));
        assert!(matches!(error("ftp://gate.example/x/"), ApiError::Scheme));
        assert!(matches!(error("file:///etc/passwd/"), ApiError::Scheme));
        assert!(matches!(error("https://user@gate.example/x/"), ApiError::Credentials));
        assert!(matches!(error("https://user:pass@gate.example/x/"), ApiError::Credentials));
        assert!(matches!(error("https://gate.example/x/?token=1"), ApiError::Query));
        assert!(matches!(error("https://gate.example/x/#a"), ApiError::Query));
        assert!(matches!(error("http://gate.example/x/"), ApiError::PlainHttp));
        assert!(matches!(error("http://127.0.0.1.example.org/x/"), ApiError::PlainHttp));
        assert!(matches!(error("http://notlocalhost/x/"), ApiError::PlainHttp));
        assert!(matches!(error("http://0.0.0.0/x/"), ApiError::PlainHttp));
        assert!(matches!(error("https://gate.example/api/v1/x"), ApiError::Slash { .. }));
    }

    #[test]
    fn an_error_never_shows_credentials() {
        for url in
            ["https://user:hunter2@gate.example/x/", "https://user:hunter2@[bad/x/", "https://a/x/?k=hunter2"]
        {
            let error = error(url);
            assert!(!format!("{error} {error:?} {}", error.remedy()).contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn loopback_is_known_in_all_its_spellings() {
        for url in [
            "http://127.0.0.1:9/x/",
            "http://127.9.9.9/x/",
            "http://[::1]:80/x/",
            "http://[::ffff:127.0.0.1]/x/",
            "http://LOCALHOST/x/",
            "http://localhost./x/",
            "http://api.localhost/x/",
            "http://0x7f.1/x/",
        ] {
            assert!(Endpoint::parse(url, false).expect(url).is_loopback(), "{url}");
        }
        assert!(!Endpoint::parse("http://10.0.0.1/x/", true).expect("allowed").is_loopback());
    }

    #[test]
    fn one_target_has_one_name() {
        let target = |url| Endpoint::parse(url, true).expect(url).target();
        assert_eq!(target("HTTPS://Gate.Example:443/api/v1/x/"), "https://gate.example/api/v1/x/");
        assert_eq!(target(" https://gate.example/api/./v1/x/\n"), "https://gate.example/api/v1/x/");
        assert_eq!(target("http://gate.example:80/x/"), "http://gate.example/x/");
        assert_eq!(target("https://gate.example:8443/x/"), "https://gate.example:8443/x/");
        assert_ne!(target("https://gate.example/X/"), target("https://gate.example/x/"));
        assert_ne!(target("https://gate.example/x/"), target("http://gate.example/x/"));
    }

    #[test]
    fn host_and_port_are_ready_for_a_look_up() {
        let parts = |url| Endpoint::parse(url, true).expect(url).host_and_port();
        assert_eq!(parts("https://gate.example/x/"), ("gate.example".to_owned(), 443));
        assert_eq!(parts("http://[::1]:81/x/"), ("::1".to_owned(), 81));
    }
}
