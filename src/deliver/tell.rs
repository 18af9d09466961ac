//! What the driver tells beside the fates of updates: why sending pauses, and what is wrong with the connection.
//!
//! Not here: the loop (`driver.rs`), the scheduler's condition itself (`delivery/`).

use super::driver::{Driver, Progress};
use super::hours::Flow;
use super::{NO_API, Stopped};
use crate::api::{Trouble, TroubleKind};
use crate::delivery::outcome::{Outcome, Seen, StopCause};
use crate::delivery::{Bound, Condition, Slowing};
use crate::event::Event;
use crate::report::{plural, rate};

/// Why nothing is sent at this time of day.
const REASON_HOURS: &str = "delivery.window says pause";

/// Kinds of trouble with the connection that are told.
const TROUBLES_MAX: usize = 4;

/// Milliseconds between two signs of life.
const BEAT_MS: u64 = 1_000;

/// What keeps requests from the API, or answers in its place.
#[derive(Default)]
pub(super) struct InTheWay {
    /// What it was last, where nothing has answered as an API does since.
    latest: Option<Trouble>,
    /// Where the latest redirect leads.
    redirect: Option<Trouble>,
    /// Whether a page of HTML was told.
    is_page_told: bool,
}

impl InTheWay {
    /// Keeps what an attempt met.
    fn note(&mut self, seen: &Seen, trouble: Option<&Trouble>) {
        if let Outcome::Page { signature } = &seen.outcome {
            self.latest = Some(Trouble { text: signature.clone(), kind: TroubleKind::Page });
            return;
        }
        match trouble.map(|trouble| (trouble.kind, trouble)) {
            Some((TroubleKind::Redirect, trouble)) => {
                self.latest = None;
                self.redirect = Some(trouble.clone());
            }
            // Whose head has come has answered, whatever became of its body.
            Some((TroubleKind::Connection, _)) | None if seen.status.is_some() => self.latest = None,
            Some((
                TroubleKind::Connection
                | TroubleKind::Certificate
                | TroubleKind::Proxy
                | TroubleKind::Credentials
                | TroubleKind::Page,
                trouble,
            )) => self.latest = Some(trouble.clone()),
            None => {}
        }
    }

    /// What an outage is told to be, unless it is the API that is not well: where nothing ever answered, whatever was
    /// met last, which may be a mistyped name; later only what certainly is not the API's.
    fn outage(&self, is_answered: bool) -> Option<&Trouble> {
        self.latest.as_ref().filter(|trouble| !is_answered || trouble.kind != TroubleKind::Connection)
    }

    /// Why nothing but probes is sent.
    fn probing(&self) -> &'static str {
        match self.latest.as_ref().map(|trouble| trouble.kind) {
            Some(TroubleKind::Proxy | TroubleKind::Credentials) => "a proxy is in the way, probing",
            Some(TroubleKind::Certificate) => "a certificate is not accepted, probing",
            Some(TroubleKind::Page) => "a page of HTML answers in the API's place, probing",
            Some(TroubleKind::Connection | TroubleKind::Redirect) | None => "server is failing, probing",
        }
    }
}

/// Why sending is slow, in words.
fn slow_words(slowing: Slowing, adapts: bool) -> String {
    let at_most = |gap_us: u64| format!("at most {}/s", rate(1_000_000_000 / gap_us.max(1)));
    match slowing {
        Slowing::Failing { gap_us } => format!("{}, because too many requests fail", at_most(gap_us)),
        Slowing::TurnedAway { gap_us } => {
            format!(
                "{}, because the API turns requests away (429 or 503): what comes faster, or certain rows",
                at_most(gap_us)
            )
        }
        Slowing::Quota { gap_us } => {
            format!("{}, because the API's rate limit headers leave no more", at_most(gap_us))
        }
        Slowing::Guarding { in_flight } => {
            format!("first contact, {in_flight} at once until the first success")
        }
        Slowing::Token => "one at a time until the new token has passed".to_owned(),
        Slowing::Full { bound: Bound::Own, .. } if adapts => {
            "delivery.max_in_flight allows no more at once".to_owned()
        }
        Slowing::Full { bound: Bound::Own, .. } => "delivery.concurrency allows no more at once".to_owned(),
        Slowing::Full { bound: Bound::Api, .. } => {
            "with more at once the API gets slower or pushes back, as far as is known yet".to_owned()
        }
        Slowing::Full { in_flight, bound: Bound::Open } => {
            format!("{in_flight} at once so far, more while answers come as quickly as before")
        }
        Slowing::Retries { updates } => {
            format!("what is left, {}, waits for its retry", plural(updates as u64, "update"))
        }
    }
}

/// What is told of trouble: a redirect is an answer, and everything else is none.
fn trouble_words(trouble: &Trouble) -> String {
    let text = &trouble.text;
    match trouble.kind {
        TroubleKind::Redirect => format!("what answers at the API's address is {text}"),
        TroubleKind::Connection
        | TroubleKind::Certificate
        | TroubleKind::Proxy
        | TroubleKind::Credentials
        | TroubleKind::Page => format!("no answer from the API: {text}"),
    }
}

/// What to do about what is in the way.
pub fn way_out(kind: TroubleKind) -> &'static str {
    match kind {
        TroubleKind::Page => NO_API,
        TroubleKind::Credentials => {
            "it is the proxy that refuses, not the API: give api.proxy the user name and password that the proxy accepts \
             (http://USER:PASSWORD@HOST:PORT)"
        }
        TroubleKind::Proxy => {
            "it is the proxy that is in the way, not the API: check host and port in api.proxy, and whether the proxy lets \
             the API's host and port through"
        }
        TroubleKind::Certificate => {
            "check the host in api.url, the authorities in api.ca_file and api.client_certificate, and this machine's clock"
        }
        TroubleKind::Redirect => {
            "check api.url: scheme, host, path and its trailing slash, and whether a portal or a proxy answers in its \
             place; redirects are never followed, because they would drop the body or leak the token"
        }
        TroubleKind::Connection => "check scheme, host and port in api.url, api.proxy, DNS and the network",
    }
}

impl Driver<'_, '_> {
    /// Keeps progress and status alive, once a second.
    pub(super) fn beat(&mut self) {
        let now_ms = self.now_ms();
        if now_ms >= self.beat_ms {
            self.beat_ms = now_ms + BEAT_MS;
            let Progress { rows, bytes, bytes_total } = self.progress;
            self.emitter.emit(Event::Progressed { rows, bytes, bytes_total });
            self.tell_limit();
            self.tell_cleared_so_far();
            self.tell_slowing();
        }
    }

    /// Tells why sending is slower than its rate, if that has changed.
    pub(super) fn tell_slowing(&mut self) {
        let why = if self.paused.is_none() && self.is_going() { self.slowing() } else { None };
        if why != self.slowed {
            self.slowed.clone_from(&why);
            self.emitter.emit(Event::Slowed { why });
        }
    }

    fn slowing(&self) -> Option<String> {
        match self.scheduler.slowing(self.flow.gap_us(), self.now_ms()) {
            Some(slowing) => Some(slow_words(slowing, self.rules.scheduler.adapts)),
            None => self.slow_window().map(|window| format!("delivery.window {window}")),
        }
    }

    /// Announces a pass after the main one.
    pub(super) fn later(&mut self, about: &'static str, updates: u64) {
        self.emitter.emit(Event::LaterPassStarted { about, updates });
    }

    /// Tells how many attempts may be on the wire at once, if that has changed.
    pub(super) fn tell_limit(&mut self) {
        let in_flight = self.scheduler.in_flight_limit() as u64;
        if self.limit_told != Some(in_flight) {
            self.limit_told = Some(in_flight);
            self.emitter.emit(Event::LimitChanged { in_flight });
        }
    }

    /// Tells when sending pauses and goes on, once each.
    pub(super) fn tell_condition(&mut self) {
        let now_ms = self.now_ms();
        let (reason, until_ms) = match self.scheduler.condition(now_ms) {
            Condition::Open
            | Condition::Guarding
            | Condition::Quiet { .. }
            | Condition::BreakerOpen { .. }
                if self.flow == Flow::Closed =>
            {
                (Some(REASON_HOURS), self.opens_in_ms().map(|in_ms| now_ms.saturating_add(in_ms)))
            }
            Condition::Open | Condition::Guarding | Condition::Draining => (None, None),
            Condition::Quiet { until_ms } => (Some(self.quiet_reason), Some(until_ms)),
            Condition::BreakerOpen { .. } => (Some(self.in_the_way.probing()), None),
            Condition::AwaitingToken => (Some("token refused, reading it again"), None),
        };
        if reason == self.paused {
            return;
        }
        self.paused = reason;
        match reason {
            Some(reason) => {
                let for_ms = until_ms.map(|until_ms| until_ms.saturating_sub(now_ms));
                self.emitter.emit(Event::Paused { reason, for_ms });
            }
            None => self.emitter.emit(Event::Resumed),
        }
    }

    /// Stops for what the scheduler has decided.
    pub(super) fn stop_for(&mut self, cause: StopCause) {
        let stopped = match &cause {
            StopCause::Outage => self.in_the_way.outage(self.is_answered).cloned().map(Stopped::Unreachable),
            StopCause::Redirected { .. } => self.in_the_way.redirect.clone().map(Stopped::Redirected),
            StopCause::TokenRefused
            | StopCause::NothingAccepted { .. }
            | StopCause::RefusalsInARow { .. }
            | StopCause::SignatureBudget { .. }
            | StopCause::ErrorBudget { .. } => None,
        };
        self.stop(stopped.unwrap_or(Stopped::Cause(cause)));
    }

    /// Stops at once for trouble that waiting does not end, a certificate that is not accepted, unless the API has
    /// answered before in this run: then one of several servers may be wrong, or a renewal is under way.
    pub(super) fn stop_for_good(&mut self, trouble: Trouble) {
        if !trouble.may_pass() && !self.is_answered && self.is_going() {
            self.stop(Stopped::Untrusted(trouble.text));
        }
    }

    /// Keeps what else than the API has answered, or kept the request from it, and says once that it is a page: rows
    /// only wait for it then, and nobody would know why.
    pub(super) fn note_in_the_way(&mut self, seen: &Seen, trouble: Option<&Trouble>) {
        self.in_the_way.note(seen, trouble);
        let Outcome::Page { signature } = &seen.outcome else { return };
        if !std::mem::replace(&mut self.in_the_way.is_page_told, true) {
            self.emitter.emit(Event::Noticed { text: format!("{signature}: {NO_API}") });
        }
    }

    /// Names each kind of trouble with the connection once: a name that does not resolve, a refused connection, a
    /// certificate. Without it an operator sees an outage where there is a typing error.
    pub(super) fn tell_trouble(&mut self, trouble: &Trouble) {
        if self.troubles.len() < TROUBLES_MAX && !self.troubles.contains(trouble) {
            self.troubles.push(trouble.clone());
            self.emitter.emit(Event::Noticed { text: trouble_words(trouble) });
        }
    }
}
