//! Why there is no answer: reqwest's errors as outcomes, and in words.
//!
//! The only place that looks into errors of the libraries below reqwest. Not here: answers (`answer.rs`), proxies and
//! timeouts (`way.rs`).

use std::error::Error as StdError;
use std::io;

use crate::delivery::outcome::Outcome;

/// Why an attempt has no answer, in words for people, masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The deepest cause.
    pub text: String,
    /// What is in the way.
    pub kind: TroubleKind,
}

/// What is in the way of an attempt: what to do about it depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// There is no connection to the API, or no answer on it.
    Connection,
    /// A certificate is not accepted, on this side or the other.
    Certificate,
    /// A proxy cannot be reached, or makes no tunnel.
    Proxy,
    /// A proxy asks for a user name and password, or for other ones.
    Credentials,
    /// What answers names another place.
    Redirect,
    /// A page of HTML answers in the API's place.
    Page,
}

impl Trouble {
    /// Whether it may pass by itself. A certificate that is not accepted does not: somebody has to change something.
    pub fn may_pass(&self) -> bool {
        self.kind != TroubleKind::Certificate
    }
}

/// What a broken attempt taught.
pub(super) fn outcome(error: &reqwest::Error) -> Outcome {
    // The order matters: a connection that could not be made in time is both, and the request did not leave.
    if error.is_connect() || error.is_builder() || is_refused_for_a_certificate(error) {
        Outcome::NotConnected
    } else if is_unprocessed(error) {
        Outcome::Unprocessed
    } else if error.is_timeout() {
        Outcome::TimedOut
    } else {
        Outcome::Disconnected
    }
}

/// The words of the deepest cause, not masked yet. The levels above it name the URL and say little. `whose`
/// certificate it is, where it is about one.
pub(super) fn in_words(error: &reqwest::Error, whose: &str) -> Trouble {
    if let Some(words) = causes(error).find_map(|cause| certificate_trouble(cause, whose)) {
        return Trouble { text: words, kind: TroubleKind::Certificate };
    }
    if is_ping(error) {
        let text = "the connection fell silent: its HTTP/2 pings are not answered".to_owned();
        return Trouble { text, kind: TroubleKind::Connection };
    }
    let deepest = causes(error).skip(1).last();
    let mut text = deepest.map_or_else(|| "failed without a cause".to_owned(), own_words);
    // What we found wrong with its frames, not what it told us.
    if causes(error).any(|cause| cause.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_library)) {
        text.push_str(" (the server may not speak HTTP/2; api.http chooses the version)");
    }
    Trouble { text, kind: TroubleKind::Connection }
}

/// Whether a connection of HTTP/2 was given up because it showed no sign of life.
pub(super) fn is_ping(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.to_string() == "keep-alive timed out")
}

/// A cause without what the server added in words of its own: an end of an HTTP/2 connection may quote any of its
/// requests (RFC 9113 section 6.8), and only the values of one are known here.
fn own_words(cause: &(dyn StdError + 'static)) -> String {
    let of_http2 = cause.downcast_ref::<h2::Error>();
    match of_http2.and_then(|error| Some((error, error.reason()?))) {
        Some((error, reason)) if error.is_remote() => format!("HTTP/2 error received: {reason}"),
        Some((_, reason)) => format!("HTTP/2 error: {reason}"),
        None => cause.to_string(),
    }
}

/// The error and what caused it. An [`io::Error`] passes over the error it wraps, which is the one that matters here.
pub(super) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    }
    std::iter::successors(Some(error), |error| cause(*error))
}

/// Whether the server says that it did nothing for the request: the stream was refused or is behind the last one that a
/// closing connection serves (RFC 9113 sections 8.7 and 6.8).
fn is_unprocessed(error: &reqwest::Error) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<h2::Error>()).any(|error| {
        let reason = error.reason();
        error.is_remote()
            && (reason == Some(h2::Reason::REFUSED_STREAM)
                || error.is_go_away() && reason == Some(h2::Reason::NO_ERROR))
    })
}

/// Whether the handshake ended with an alert about certificates, which under TLS 1.3 may arrive after the request has
/// been written (RFC 8446 section 4.4.2.4).
fn is_refused_for_a_certificate(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| alert_of(cause).is_some_and(is_about_certificates))
}

fn alert_of(cause: &(dyn StdError + 'static)) -> Option<rustls::AlertDescription> {
    match cause.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::AlertReceived(alert)) => Some(*alert),
        _ => None,
    }
}

/// Whether an alert is about the certificate that we showed, or did not show.
fn is_about_certificates(alert: rustls::AlertDescription) -> bool {
    use rustls::AlertDescription as Alert;
    [
        Alert::BadCertificate,
        Alert::UnsupportedCertificate,
        Alert::CertificateRevoked,
        Alert::CertificateExpired,
        Alert::CertificateUnknown,
        Alert::CertificateRequired,
        Alert::UnknownCA,
        Alert::AccessDenied,
        // A signature that cannot be verified (RFC 8446 section 6.2): another authority of the same name.
        Alert::DecryptError,
    ]
    .contains(&alert)
}

/// What is wrong with our own certificate and key, where that is why connections cannot be made.
pub(super) fn identity_problem(error: &reqwest::Error) -> Option<&'static str> {
    use rustls::CertificateError as Wrong;
    causes(error).find_map(|cause| {
        let error = cause.downcast_ref::<rustls::Error>()?;
        if matches!(error, rustls::Error::InconsistentKeys(_)) {
            return Some("the private key in it belongs to another certificate");
        }
        if matches!(error, rustls::Error::General(why) if why.contains("private key")) {
            return Some("its private key is of a kind that cannot be used");
        }
        let rustls::Error::InvalidCertificate(wrong) = error else { return None };
        let is_of_version_1 =
            matches!(wrong, Wrong::Other(other) if other.to_string() == "UnsupportedCertVersion");
        Some(if is_of_version_1 {
            "it is an X.509 certificate of version 1, and version 3 is needed"
        } else {
            "its certificate cannot be read"
        })
    })
}

/// What is wrong with a certificate, on this side or the other.
fn certificate_trouble(cause: &(dyn StdError + 'static), whose: &str) -> Option<String> {
    use rustls::CertificateError as Wrong;
    if let Some(alert) = alert_of(cause).filter(|alert| is_about_certificates(*alert)) {
        return Some(format!("{whose} asks for another client certificate, or for one at all ({alert:?})"));
    }
    let Some(rustls::Error::InvalidCertificate(wrong)) = cause.downcast_ref::<rustls::Error>() else {
        return None;
    };
    let what = if matches!(wrong, Wrong::UnknownIssuer | Wrong::BadSignature) {
        "comes from no authority that is trusted here"
    } else if matches!(wrong, Wrong::Expired | Wrong::ExpiredContext { .. }) {
        "has expired"
    } else if matches!(wrong, Wrong::NotValidYet | Wrong::NotValidYetContext { .. }) {
        "is not valid yet"
    } else if matches!(wrong, Wrong::NotValidForName | Wrong::NotValidForNameContext { .. }) {
        "is for another host name"
    } else if matches!(wrong, Wrong::Revoked) {
        "has been revoked"
    } else {
        "is not acceptable"
    };
    Some(format!("{whose}'s certificate {what} ({wrong})"))
}
