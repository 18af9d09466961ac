//! Attempts against real sockets whose other end follows a script.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, UNIX_EPOCH};

use secrecy::SecretString;

use super::*;
use crate::api::{Envelope, body};

mod http2;
mod renewal;
mod way;

pub(crate) use renewal::Names;

const TOKEN: &str = "canary-Token";

/// Longest time an attempt may take here: one that hangs must fail its test, not the suite.
const ATTEMPT_MAX: Duration = Duration::from_secs(60);

/// A server on its own threads: what each connection does is the test's script.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Receiver<String>,
}

/// One connection of a scripted server.
struct Peer {
    stream: TcpStream,
    seen: std::sync::mpsc::Sender<String>,
}

impl Server {
    fn start(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (seen, requests) = channel();
        let counted = Arc::clone(&connections);
        let script = Arc::new(script);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                let (script, seen) = (Arc::clone(&script), seen.clone());
                std::thread::spawn(move || script(&mut Peer { stream, seen }));
            }
        });
        Server { port, connections, requests }
    }

    /// A server that answers every request on every connection alike.
    fn answering(answer: impl Into<Vec<u8>>) -> Server {
        let answer = answer.into();
        Server::start(move |peer| while peer.request().is_some() && peer.send(&answer) {})
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/device_app_user_update/", self.port)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }
}

impl Peer {
    /// Reads one whole request; `None` when the other side is gone.
    fn request(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = self.stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
            bytes.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())
                .unwrap_or_default();
            if rest.len() >= length {
                self.seen.send(text.clone()).ok();
                return Some(text);
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_705_314_600)
}

fn options(url: &str) -> ClientOptions {
    let endpoint = Endpoint::parse(url, false).expect(url);
    let mut options = ClientOptions::new(endpoint, Arc::new(|_, text: &str| Some(text.to_owned())), now);
    options.connect_timeout_ms = 5_000;
    options
}

fn request() -> Request {
    let mut fields = Fields::default();
    fields.set(FieldKind::Number, "+1234567890");
    fields.set(FieldKind::Username, "jane.doe");
    Request {
        body: body(Envelope::DataString, crate::fields::ClearAs::Empty, &fields),
        idempotency_key: "0123456789abcdef".to_owned(),
        sent: Arc::new(fields),
        unsent: None,
    }
}

fn token() -> Token {
    Token::new(7, &SecretString::from(TOKEN)).expect("a header")
}

fn attempts_with(options: &ClientOptions, count: usize) -> Vec<Answered> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = Client::new(options).expect("a client");
        let mut answers = Vec::new();
        for _ in 0..count {
            // Bounds of a connection's own are to end it, not the harness.
            let (token, request) = (token(), request());
            let attempt = client.attempt(&token, &request);
            let answered = tokio::time::timeout(ATTEMPT_MAX, attempt).await.expect("it ends by itself");
            // Promise 9, checked wherever an attempt is made.
            let shown = format!("{answered:?}");
            for secret in [TOKEN, "1234567890", "jane.doe"] {
                assert!(!shown.contains(secret), "{shown}");
            }
            assert_eq!(answered.seen.token_generation, 7);
            answers.push(answered);
        }
        answers
    })
}

fn attempt_with(options: &ClientOptions) -> Answered {
    attempts_with(options, 1).remove(0)
}

fn attempt(server: &Server) -> Answered {
    attempt_with(&options(&server.url()))
}

fn outcome(server: &Server) -> Outcome {
    attempt(server).seen.outcome
}

#[test]
fn what_is_on_the_wire() {
    let server = Server::answering(answer("201 Created", "", r#"{"status":"success"}"#));
    let answered = attempt(&server);
    assert_eq!(answered.seen.outcome, Outcome::Acknowledged);
    assert_eq!(answered.seen.status, Some(201));
    assert_eq!(answered.trouble, None);
    let requests = server.requests();
    let (head, body) = requests[0].split_once("\r\n\r\n").expect("a head");
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /api/v1/device_app_user_update/ HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: 127.0.0.1:{}", server.port);
    let agent = concat!("user-agent: simsync/", env!("CARGO_PKG_VERSION"));
    let expected = [
        "accept-encoding: identity",
        "accept: application/json",
        "authorization: Bearer canary-Token",
        "content-length: 65",
        "content-type: application/json",
        &host,
        "idempotency-key: 0123456789abcdef",
        agent,
    ];
    assert_eq!(lines, expected);
    assert_eq!(body, r#"{"data":"{\"number\":\"+1234567890\",\"username\":\"jane.doe\"}"}"#);
}

#[test]
fn a_connection_is_used_again_whatever_the_answer() {
    let chunked = "HTTP/1.1 422 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwrong\r\n0\r\n\r\n".to_owned();
    let answers = [
        answer("201 Created", "", "{}"),
        chunked,
        answer("500 X", "", &"long ".repeat(4000)),
        answer("204 No Content", "", ""),
        answer("429 X", "Retry-After: 2\r\n", "slow down"),
        answer("401 X", "WWW-Authenticate: Bearer\r\n", "who?"),
    ];
    let count = answers.len();
    let server = Server::start(move |peer| {
        for answer in &answers {
            if peer.request().is_none() || !peer.send(answer.as_bytes()) {
                return;
            }
        }
    });
    let seen = attempts_with(&options(&server.url()), count);
    let statuses: Vec<Option<u16>> = seen.iter().map(|answered| answered.seen.status).collect();
    assert_eq!(statuses, [201, 422, 500, 204, 429, 401].map(Some));
    assert_eq!(seen[1].seen.outcome, Outcome::Refused { signature: "422 wrong".into() });
    assert_eq!(seen[4].seen.outcome, Outcome::Throttled { retry_after_ms: Some(2_000) });
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_connection_closed_while_unused_costs_no_attempt() {
    let (closed, is_closed) = channel();
    let server = Server::start(move |peer| {
        peer.request();
        peer.send(answer("201 Created", "Connection: keep-alive\r\n", "{}").as_bytes());
        peer.stream.shutdown(std::net::Shutdown::Both).expect("closed");
        closed.send(()).expect("awaited");
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = Client::new(&options(&server.url())).expect("a client");
    for _ in 0..3 {
        let answered = runtime.block_on(client.attempt(&token(), &request()));
        assert_eq!(answered.seen.outcome, Outcome::Acknowledged);
        is_closed.recv().expect("closed");
        // The end of the connection has arrived; this lets its task on the runtime take note of it.
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
    }
    assert_eq!((server.connections(), server.requests().len()), (3, 3));
}

#[test]
fn a_broken_connection_is_never_tried_again_by_itself() {
    // Closed with the request unread, which resets; closed with it read; closed within the head of the answer.
    let unread = Server::start(|peer| drop(peer.stream.shutdown(std::net::Shutdown::Both)));
    let read = Server::start(|peer| drop(peer.request()));
    let in_head = Server::start(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 201 Cre");
    });
    let second_time = Server::start(|peer| {
        peer.request();
        peer.send(answer("201 Created", "", "{}").as_bytes());
        peer.request();
    });
    for server in [&unread, &read, &in_head] {
        let answered = attempt(server);
        assert_eq!(answered.seen.outcome, Outcome::Disconnected, "{answered:?}");
        assert_eq!(answered.seen.status, None);
        assert!(answered.trouble.is_some());
        assert_eq!(server.connections(), 1);
    }
    let seen = attempts_with(&options(&second_time.url()), 2);
    assert_eq!(seen[1].seen.outcome, Outcome::Disconnected);
    assert_eq!(second_time.requests().len(), 2);
}

#[test]
fn half_an_answer_is_none_unless_its_head_says_all() {
    let half = |status: &str, headers: &str| {
        let text = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 100\r\n\r\n{{\"status\":");
        Server::start(move |peer| {
            peer.request();
            peer.send(text.as_bytes());
        })
    };
    for status in ["201 Created", "400 X", "409 X", "422 X"] {
        let answered = attempt(&half(status, ""));
        assert_eq!(answered.seen.outcome, Outcome::Disconnected, "{status}");
        assert_eq!(answered.seen.status, None, "{status}");
    }
    let answered = attempt(&half("429 X", "Retry-After: 9\r\n"));
    assert_eq!(answered.seen.outcome, Outcome::Throttled { retry_after_ms: Some(9_000) });
    assert!(answered.trouble.is_some());
    assert_eq!(outcome(&half("401 X", "")), Outcome::TokenRefused);
    assert_eq!(outcome(&half("307 X", "")), Outcome::Redirected);
    let failed = outcome(&half("503 X", "Retry-After: 3\r\n"));
    assert!(matches!(failed, Outcome::ServerFailed { retry_after_ms: Some(3_000), .. }), "{failed:?}");
}

#[test]
fn garbage_is_no_answer() {
    let many_headers: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let huge_header = format!("X: {}\r\n", "y".repeat(1_000_000));
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
        "\0\u{1}\u{2}".repeat(3000),
        "HTTP/9.9 201 Created\r\n\r\n".to_owned(),
        "HTTP/1.1 2xx Created\r\n\r\n".to_owned(),
        "HTTP/1.1 201 Created\r\nno colon\r\n\r\n".to_owned(),
        "HTTP/1.1 201 Created\r\nContent-Length: many\r\n\r\n".to_owned(),
        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        answer("201 Created", &many_headers, "{}"),
        answer("201 Created", &huge_header, "{}"),
    ] {
        let start: String = garbage.chars().take(50).collect();
        let server = Server::start(move |peer| {
            peer.request();
            peer.send(garbage.as_bytes());
        });
        assert_eq!(outcome(&server), Outcome::Disconnected, "{start:?}");
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn interim_answers_are_passed_over() {
    let storm = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(50);
    let server =
        Server::answering(format!("HTTP/1.1 100 Continue\r\n\r\n{storm}{}", answer("201 X", "", "{}")));
    assert_eq!(outcome(&server), Outcome::Acknowledged);
}

#[test]
fn an_endless_answer_is_cut_off() {
    let endless = |status: &str| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n\r\nimsi already exists\n");
        Server::start(move |peer| {
            peer.request();
            peer.send(head.as_bytes());
            // Until the other side closes: the attempt would never end if it read on.
            while peer.send(&[b' '; 8192]) {}
        })
    };
    let signature = "201 answer is too long to be checked".to_owned();
    let fields = crate::update::FieldSet::EMPTY;
    assert_eq!(outcome(&endless("201 Created")), Outcome::EchoMismatch { fields, signature });
    assert_eq!(outcome(&endless("422 X")), Outcome::Conflict { signature: "422 imsi already exists".into() });
}

#[test]
fn the_bound_on_an_answer_is_exact() {
    let server = Server::answering(answer("201 X", "", &format!("{{}}{}", " ".repeat(998))));
    let mut options = options(&server.url());
    options.answer_bytes_max = 1000;
    assert_eq!(attempt_with(&options).seen.outcome, Outcome::Acknowledged);
    options.answer_bytes_max = 999;
    assert!(matches!(attempt_with(&options).seen.outcome, Outcome::EchoMismatch { .. }));
}

#[test]
fn a_slow_answer_is_timed_out_wherever_it_drips() {
    for head in ["", "HTTP/1.1 201 Created\r\n", "HTTP/1.1 201 Created\r\nContent-Length: 9999\r\n\r\n"] {
        let server = Server::start(move |peer| {
            peer.request();
            peer.send(head.as_bytes());
            let drop = if head.is_empty() { "" } else { "x" };
            while peer.send(drop.as_bytes()) {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let mut total = options(&server.url());
        total.timeout_ms = 400;
        let answered = attempt_with(&total);
        assert_eq!(answered.seen.outcome, Outcome::TimedOut, "{head}");
        assert_eq!(answered.seen.status, None, "{head}");
        assert!(answered.trouble.is_some());
    }
}

#[test]
fn silence_has_a_bound_of_its_own() {
    for head in ["", "HTTP/1.1 201 Created\r\nContent-Length: 9999\r\n\r\n"] {
        let server = Server::start(move |peer| {
            peer.request();
            peer.send(head.as_bytes());
            peer.request();
        });
        let mut options = options(&server.url());
        options.timeout_ms = 600_000;
        options.read_timeout_ms = 400;
        assert_eq!(attempt_with(&options).seen.outcome, Outcome::TimedOut, "{head}");
    }
}

#[test]
fn without_a_connection_nothing_has_left() {
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let refused = attempt_with(&options(&format!("http://127.0.0.1:{port}/x/")));
    assert_eq!(refused.seen.outcome, Outcome::NotConnected);
    assert!(refused.trouble.expect("told").text.contains("refused"));
    // A label longer than a name may have: it fails in the resolver, without a network.
    let unknown = attempt_with(&options(&format!("https://{}.example/x/", "a".repeat(64))));
    assert_eq!(unknown.seen.outcome, Outcome::NotConnected, "{unknown:?}");
    // No TLS at the other end; and an end that never says a word.
    let plain = Server::start(|peer| {
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let answered = attempt_with(&options(&plain.url().replace("http:", "https:")));
    assert_eq!(answered.seen.outcome, Outcome::NotConnected, "{answered:?}");
    let silent = Server::start(|peer| drop(peer.stream.read_to_end(&mut Vec::new())));
    let mut options = options(&silent.url().replace("http:", "https:"));
    for (connect_timeout_ms, timeout_ms) in [(100, 600_000), (600_000, 400)] {
        options.connect_timeout_ms = connect_timeout_ms;
        options.timeout_ms = timeout_ms;
        assert_eq!(attempt_with(&options).seen.outcome, Outcome::NotConnected);
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Server::answering(answer("201 Created", "", "{}"));
    for status in ["301 X", "302 X", "303 X", "307 X", "308 X"] {
        let location = format!("Location: {}\r\n", other.url());
        let server = Server::answering(answer(status, &location, ""));
        assert_eq!(outcome(&server), Outcome::Redirected, "{status}");
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn what_a_server_quotes_is_masked() {
    let quoted = format!("{{\"detail\":\"{TOKEN} may not set +1234567890 for JANE.DOE or jane.doe\"}}");
    let masked = "# may not set # for # or #";
    let forbidden = outcome(&Server::answering(answer("403 X", "", &quoted)));
    assert_eq!(forbidden, Outcome::Forbidden { signature: format!("403 {masked}") });
    let refused = outcome(&Server::answering(answer("422 X", "", &quoted)));
    assert_eq!(refused, Outcome::Refused { signature: format!("422 {masked}") });
}

#[test]
fn a_key_that_is_no_header_is_not_sent() {
    let server = Server::answering(answer("201 Created", "", "{}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = Client::new(&options(&server.url())).expect("a client");
    for key in ["a\r\nX: y".to_owned(), "k".repeat(IDEMPOTENCY_KEY_BYTES_MAX + 1)] {
        let request = Request { idempotency_key: key, ..request() };
        let answered = runtime.block_on(client.attempt(&token(), &request));
        assert_eq!(answered.seen.outcome, Outcome::NotConnected);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn options_that_cannot_be_followed_are_refused() {
    let mut options = options("http://127.0.0.1:9/x/");
    options.user_agent = "a\nb".to_owned();
    assert!(matches!(Client::new(&options), Err(ApiError::UserAgent)));
    options.user_agent = "a".to_owned();
    options.ca_file = Some("/nowhere/ca.pem".into());
    assert!(matches!(Client::new(&options), Err(ApiError::CaFile { .. })));
    let empty = tempfile::NamedTempFile::new().expect("a file");
    options.ca_file = Some(empty.path().to_owned());
    assert!(matches!(Client::new(&options), Err(ApiError::CaPem { .. })));
}

/// Runs itself again with a proxy in its environment: a process cannot change its own safely.
#[test]
fn a_proxy_in_the_environment_is_not_used() {
    const INSIDE: &str = "SIMSYNC_TEST_PROXY_INSIDE";
    if let Ok(url) = std::env::var(INSIDE) {
        assert_eq!(attempt_with(&options(&url)).seen.outcome, Outcome::Acknowledged);
        return;
    }
    let server = Server::answering(answer("201 Created", "", "{}"));
    let proxy = Server::answering(answer("201 Created", "", "{}"));
    let proxy_url = format!("http://127.0.0.1:{}", proxy.port);
    let mut command = std::process::Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", "api::client::tests::a_proxy_in_the_environment_is_not_used"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, &proxy_url);
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy").env(INSIDE, server.url());
    let output = command.output().expect("it ran");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((server.requests().len(), proxy.connections()), (1, 0));
}
