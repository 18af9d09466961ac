//! The doctor's checks of the way to the API: the name, the connection, the certificate.
//!
//! The token stays here. Not here: how it is knocked (`api/knock.rs`).

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::runtime::{Builder, Runtime};

use super::{CONNECT, DNS, failed};
use crate::api::{
    self, ClientOptions, Endpoint, KNOCK_TIMEOUT_MS, KnockError, Knocked, Trouble, TroubleKind,
};
use crate::cli::fatal::Fatal;
use crate::cli::parts;
use crate::deliver::way_out;
use crate::engine::clock;
use crate::exit::Exit;
use crate::report::CheckRecord;
use crate::settings::Settings;

/// A certificate that expires within this time is told of, in seconds.
const CERTIFICATE_SOON_S: i64 = 14 * 86_400;

/// Addresses told at most.
const ADDRESSES_MAX: usize = 4;

/// Who asks.
pub(super) struct Network {
    runtime: Runtime,
}

impl Network {
    pub(super) fn new() -> io::Result<Network> {
        Ok(Network { runtime: Builder::new_current_thread().enable_all().build()? })
    }

    /// Ends it. A question about a name that nobody answers is not waited for.
    pub(super) fn close(self) {
        self.runtime.shutdown_background();
    }

    /// The addresses of the API's host.
    pub(super) fn dns(&self, settings: &Settings, endpoint: Option<&Endpoint>) -> CheckRecord {
        let Some(endpoint) = endpoint else { return CheckRecord::skipped(DNS, "there is no address") };
        if settings.api.proxy.is_some() && !endpoint.is_loopback() {
            return CheckRecord::skipped(DNS, "api.proxy is set: the proxy looks the name up");
        }
        let (host, _) = endpoint.host_and_port();
        let hint = "check the host in api.url, and this machine's resolver";
        match self.runtime.block_on(api::addresses(endpoint)) {
            Ok(addresses) if addresses.is_empty() => {
                CheckRecord::failed(DNS, Exit::Temporary, format!("{host} has no address"), hint)
            }
            Ok(addresses) => {
                let told: Vec<String> =
                    addresses.iter().take(ADDRESSES_MAX).map(ToString::to_string).collect();
                CheckRecord::ok(DNS, format!("{host} is {}", told.join(", ")))
            }
            Err(error) => {
                CheckRecord::failed(DNS, Exit::Temporary, format!("{host} is not found: {error}"), hint)
            }
        }
    }

    /// A connection, and what the server says without being told the token; and its clock.
    pub(super) fn connect(
        &self,
        settings: &Settings,
        endpoint: Option<&Endpoint>,
    ) -> (CheckRecord, Option<SystemTime>) {
        let Some(endpoint) = endpoint else {
            return (CheckRecord::skipped(CONNECT, "there is no address"), None);
        };
        let options = match options(settings, endpoint.clone()) {
            Ok(options) => options,
            Err(fatal) => return (failed(CONNECT, &fatal), None),
        };
        let knocked = async { api::knock(&options).await };
        match self.runtime.block_on(knocked) {
            Ok(knocked) => (opened(&knocked, clock::wall_s()), knocked.date),
            Err(KnockError::Client(error)) => (failed(CONNECT, &error.into()), None),
            Err(error @ (KnockError::NotConnected(_) | KnockError::NoAnswer(_))) => (closed(&error), None),
        }
    }
}

fn options(settings: &Settings, endpoint: Endpoint) -> Result<ClientOptions, Fatal> {
    let rules = Arc::new(parts::rule_set(settings)?);
    let options = parts::client_options(settings, endpoint, &rules)?;
    Ok(ClientOptions { timeout_ms: options.timeout_ms.min(KNOCK_TIMEOUT_MS), ..options })
}

/// What an answer tells.
fn opened(knocked: &Knocked, now_s: i64) -> CheckRecord {
    let Knocked { status, version, certificate, trouble, .. } = knocked;
    // Who asks for credentials keeps a run from the API until it gets them, and the run ends as this does.
    if let Some(Trouble { text, kind: kind @ TroubleKind::Credentials }) = trouble {
        return CheckRecord::failed(CONNECT, Exit::Temporary, text, way_out(*kind));
    }
    let mut says = format!("answers {status} to a HEAD without the token, by {version}");
    if let Some(trouble) = trouble {
        says.push_str(&format!(": {}", trouble.text));
    }
    let mut hints = Vec::new();
    if let Some(certificate) = certificate {
        let names = match certificate.names.join(", ") {
            names if names.is_empty() => String::new(),
            names => format!("for {names} and "),
        };
        let until = clock::rfc3339(certificate.expires_s);
        says.push_str(&format!("; TLS, its certificate is {names}valid until {until}"));
        if certificate.expires_s - now_s < CERTIFICATE_SOON_S {
            hints.push("the server's certificate expires soon; tell whoever runs it");
        }
    }
    match status {
        300..=399 => {
            hints.push("it redirects: check scheme, host and path in api.url, and the slash at its end")
        }
        404 | 410 => hints.push("it may not know the path: check api.url"),
        429 => hints.push("it is pushing back: a run would wait"),
        500.. => hints.push("it is not well: a run would wait, and end with 5 after outage_max"),
        _ => {}
    }
    if hints.is_empty() {
        return CheckRecord::ok(CONNECT, says);
    }
    CheckRecord::warning(CONNECT, says, Some(hints.join("; ")))
}

/// What it means that there is no answer.
fn closed(error: &KnockError) -> CheckRecord {
    let says = error.to_string();
    match error {
        KnockError::NotConnected(trouble) => {
            let exit = if trouble.may_pass() { Exit::Temporary } else { Exit::Config };
            let hint = match trouble.kind {
                TroubleKind::Connection => {
                    "check scheme, host and port in api.url, api.proxy, the network, and whether the API is up"
                }
                TroubleKind::Certificate
                | TroubleKind::Proxy
                | TroubleKind::Credentials
                | TroubleKind::Redirect
                | TroubleKind::Page => way_out(trouble.kind),
            };
            CheckRecord::failed(CONNECT, exit, says, hint)
        }
        KnockError::Client(_) => {
            CheckRecord::failed(CONNECT, Exit::Config, says, way_out(TroubleKind::Certificate))
        }
        KnockError::NoAnswer(_) => {
            CheckRecord::warning(CONNECT, says, Some("the API may answer updates alone; --probe FILE tells"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Certificate;
    use crate::report::CheckStatus;

    const NOW_S: i64 = 1_800_000_000;

    #[test]
    fn any_answer_is_one_and_some_are_worth_a_word() {
        let of = |status, days: i64| {
            let certificate =
                Certificate { expires_s: NOW_S + days * 86_400, names: vec!["gate.example".to_owned()] };
            let certificate = Some(certificate);
            let version = "HTTP/1.1".to_owned();
            opened(&Knocked { status, version, date: None, certificate, trouble: None }, NOW_S)
        };
        for status in [200, 204, 401, 403, 405] {
            assert_eq!(of(status, 90).status, CheckStatus::Ok, "{status}");
        }
        for (status, says) in [(301, "redirects"), (404, "path"), (429, "back"), (503, "well")] {
            let record = of(status, 90);
            assert_eq!(record.status, CheckStatus::Warning, "{status}");
            assert!(record.hint.expect("a hint").contains(says), "{status}");
        }
        let met = |status, text: &str, kind| {
            let trouble = Some(Trouble { text: text.to_owned(), kind });
            opened(
                &Knocked { status, version: "HTTP/1.1".to_owned(), date: None, certificate: None, trouble },
                NOW_S,
            )
        };
        let moved = met(301, "a redirect to https://gate.example/", TroubleKind::Redirect);
        assert!(
            moved.status == CheckStatus::Warning
                && moved.says.ends_with(": a redirect to https://gate.example/")
        );
        let refused = met(407, "the proxy asks", TroubleKind::Credentials);
        assert_eq!((refused.status, refused.exit_code), (CheckStatus::Failed, Some(Exit::Temporary.code())));
        assert!(refused.hint.expect("a hint").contains("api.proxy"));
        let soon = of(200, 3);
        assert_eq!(soon.status, CheckStatus::Warning);
        assert!(soon.says.contains("gate.example") && soon.hint.expect("a hint").contains("expires soon"));
    }
}
