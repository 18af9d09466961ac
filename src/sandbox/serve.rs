//! The sandbox on HTTP: the documented endpoint and the controls beside it.
//!
//! Not here: what becomes of a request (`state.rs`). The controls need no token, so they listen to loopback names
//! alone: a page in a browser must not read them by way of a name that resolves to this machine.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Path, Query, Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;

use super::connection::{Counts, Link};
use super::faults::Faults;
use super::log::Stats;
use super::reply::{Answer, Reply};
use super::state::{Arrival, Now, State, Ticket};

/// Path of the documented endpoint; the slash at its end belongs to it.
pub const ENDPOINT_PATH: &str = "/api/v1/device_app_user_update/";

/// Longest request that is taken, in bytes.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// State and time, shared by all connections.
pub(super) struct Server {
    state: Mutex<State>,
    counts: Arc<Counts>,
    started: Instant,
}

impl Server {
    pub(super) fn new(state: State, counts: Arc<Counts>) -> Server {
        Server { state: Mutex::new(state), counts, started: Instant::now() }
    }

    /// The state. A panic while it was locked would be a bug of the sandbox; its counts are better than nothing.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Now {
        Now { elapsed: self.started.elapsed(), wall: Timestamp::now() }
    }

    pub(super) fn stats(&self) -> Stats {
        use std::sync::atomic::Ordering::Relaxed;
        let mut stats = self.lock().stats();
        stats.connections = self.counts.accepted.load(Relaxed);
        stats.connections_open = self.counts.open.load(Relaxed);
        stats
    }
}

/// Gives a ticket back however a request ends: a client that goes away drops the future that holds it.
struct Underway {
    server: Arc<Server>,
    ticket: Ticket,
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.server.lock().release(self.ticket);
    }
}

pub(super) fn router(server: Arc<Server>) -> Router {
    let controls = Router::new()
        .route("/sandbox/faults", get(show_faults).post(set_faults))
        .route("/sandbox/stats", get(stats))
        .route("/sandbox/subjects", get(subjects))
        .route("/sandbox/subjects/{key}", get(subject))
        .route("/sandbox/requests", get(requests))
        .route("/sandbox/reset", post(reset))
        .layer(from_fn(loopback_names_only));
    Router::new().route(ENDPOINT_PATH, post(update)).merge(controls).fallback(lost).with_state(server)
}

/// The documented endpoint.
async fn update(
    Shared(server): Shared<Arc<Server>>,
    ConnectInfo(Link(switch)): ConnectInfo<Link>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = to_bytes(body, REQUEST_BYTES_MAX).await.ok();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION).and_then(|value| value.split_once(' '));
    let arrival = Arrival {
        bearer: bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token),
        content_type: text(header::CONTENT_TYPE),
        idempotency_key: text(HeaderName::from_static("idempotency-key")),
        body: body.as_deref(),
    };
    let ordinal_on_connection = switch.request();
    let (plan, last) = {
        let now = server.now();
        let mut state = server.lock();
        let last = state.faults().connection_requests_max.is_some_and(|max| ordinal_on_connection >= max);
        (state.handle(&arrival, now), last)
    };
    let underway = Underway { server: Arc::clone(&server), ticket: plan.ticket };
    if plan.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(plan.delay_ms)).await;
    }
    let mut response = match plan.answer {
        Answer::Whole(reply) => respond(reply),
        Answer::Cut(reply) => {
            // The status line and some headers pass, the body never does entirely.
            switch.cut_after(reply.body.len() as u64 / 2 + 40);
            respond(reply)
        }
        Answer::Reset => {
            switch.reset();
            StatusCode::NO_CONTENT.into_response()
        }
        Answer::Hang => std::future::pending().await,
    };
    if last {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    drop(underway);
    response
}

fn respond(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, reply.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(value) = reply.retry_after.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(header::RETRY_AFTER, value);
    }
    if let Some(location) = reply.location {
        headers.insert(header::LOCATION, HeaderValue::from_static(location));
    }
    response
}

/// Every other path.
async fn lost(request: Request) -> Response {
    let says = if request.uri().path() == ENDPOINT_PATH.trim_end_matches('/') {
        format!("Not found. The endpoint is {ENDPOINT_PATH}, with the slash at its end.")
    } else {
        format!("Not found. The endpoint is {ENDPOINT_PATH}; the controls are under /sandbox/.")
    };
    respond(Reply::detail(404, &says))
}

async fn loopback_names_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    // Under HTTP/2 the host is part of the URI (RFC 9113 section 8.3.1).
    let host = host.or_else(|| request.uri().authority().map(|host| host.as_str())).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback = name.parse::<std::net::IpAddr>().is_ok_and(|addr| addr.is_loopback());
    if loopback || name.eq_ignore_ascii_case("localhost") {
        next.run(request).await
    } else {
        respond(Reply::detail(403, "The sandbox's controls answer to loopback names only."))
    }
}

async fn show_faults(Shared(server): Shared<Arc<Server>>) -> Response {
    let faults = server.lock().faults().clone();
    Json(faults).into_response()
}

async fn set_faults(Shared(server): Shared<Arc<Server>>, Json(faults): Json<Faults>) -> Response {
    if let Err(error) = faults.check() {
        return respond(Reply::detail(422, &format!("{error}: {}", error.remedy())));
    }
    let now = server.now();
    server.lock().set_faults(faults, now);
    StatusCode::NO_CONTENT.into_response()
}

async fn stats(Shared(server): Shared<Arc<Server>>) -> Response {
    Json(server.stats()).into_response()
}

async fn subjects(Shared(server): Shared<Arc<Server>>) -> Response {
    let subjects: Vec<_> = server.lock().views().subjects().collect();
    Json(subjects).into_response()
}

async fn subject(Shared(server): Shared<Arc<Server>>, Path(key): Path<String>) -> Response {
    let subject = server.lock().views().subject(&key);
    match subject {
        Some(view) => Json(view).into_response(),
        None => respond(Reply::detail(404, "No request has named this subject.")),
    }
}

/// Which records are wanted; all of them by default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    /// Ordinal of the last record already known.
    #[serde(default)]
    after: u64,
    rows_max: Option<usize>,
}

async fn requests(Shared(server): Shared<Arc<Server>>, Query(page): Query<Page>) -> Response {
    let mut lines = Vec::new();
    for record in server.lock().views().requests(page.after, page.rows_max.unwrap_or(usize::MAX)) {
        if serde_json::to_writer(&mut lines, &record).is_ok() {
            lines.push(b'\n');
        }
    }
    ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}

async fn reset(Shared(server): Shared<Arc<Server>>) -> Response {
    let now = server.now();
    server.lock().reset(now);
    StatusCode::NO_CONTENT.into_response()
}
