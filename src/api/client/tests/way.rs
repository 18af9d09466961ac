//! Why there is no answer, in words: which bound ended an attempt, and whether it is the proxy that is in the way.

use super::*;
use crate::api::Proxy;

/// What is said when an attempt under these options has no answer of the API.
fn told(options: &ClientOptions) -> String {
    let text = attempt_with(options).trouble.expect("told").text;
    assert!(!text.contains("hunter2"), "{text}");
    text
}

/// A server that says this after a request, and then a drop every so often, if ever.
fn saying(head: &'static str, drip_ms: Option<u64>) -> Server {
    Server::start(move |peer| {
        peer.request();
        peer.send(head.as_bytes());
        match drip_ms {
            Some(drip_ms) => {
                while peer.send(b"x") {
                    std::thread::sleep(Duration::from_millis(drip_ms));
                }
            }
            None => drop(peer.stream.read_to_end(&mut Vec::new())),
        }
    })
}

#[test]
fn a_timeout_says_which_bound_it_was_and_how_far_the_attempt_had_come() {
    const HEAD: &str = "HTTP/1.1 201 Created\r\nContent-Length: 9999\r\n\r\n";
    for (server, read_timeout_ms, timeout_ms, expected) in [
        (saying("", None), 400, 600_000, "no head of an answer within 400 ms (api.read_timeout)"),
        (saying("", None), 600_000, 2_000, "no head of an answer within 2 s (api.timeout)"),
        (
            saying(HEAD, None),
            400,
            600_000,
            "the answer stopped after its head, and nothing came for 400 ms (api.read_timeout)",
        ),
        (
            saying("HTTP/1.1 201 Created\r\nContent-Length: 9999\r\n\r\nxx", None),
            400,
            600_000,
            "the answer stopped after a part of its body, and nothing came for 400 ms (api.read_timeout)",
        ),
        (
            saying(HEAD, Some(20)),
            2_000,
            3_000,
            "the answer's body was not at its end within 3 s (api.timeout)",
        ),
    ] {
        let mut options = options(&server.url());
        (options.read_timeout_ms, options.timeout_ms) = (read_timeout_ms, timeout_ms);
        assert_eq!(told(&options), expected);
    }
}

#[test]
fn a_connection_that_is_not_made_in_time_says_what_it_waited_for() {
    let silent = Server::start(|peer| drop(peer.stream.read_to_end(&mut Vec::new())));
    let mut options = options(&silent.url().replace("http:", "https:"));
    (options.connect_timeout_ms, options.timeout_ms) = (300, 600_000);
    assert_eq!(
        told(&options),
        "no connection within 300 ms (api.connect_timeout): the server takes connections, and the TLS handshake \
         comes to no end"
    );
}

#[test]
fn why_no_connection_is_made_is_not_looked_at_for_every_attempt() {
    let silent = Server::start(|peer| drop(peer.stream.read_to_end(&mut Vec::new())));
    let mut options = options(&silent.url().replace("http:", "https:"));
    (options.connect_timeout_ms, options.timeout_ms) = (50, 600_000);
    let texts: Vec<_> = attempts_with(&options, 4).into_iter().map(|answered| answered.trouble).collect();
    assert!(texts.iter().all(|trouble| *trouble == texts[0] && trouble.is_some()), "{texts:?}");
    let connections = silent.connections.load(Ordering::SeqCst);
    assert!(connections < 8, "{connections}: as many looks as attempts");
}

/// Options by way of a proxy at this port.
fn by_proxy(scheme: &str, credentials: &str, port: u16) -> ClientOptions {
    let endpoint = Endpoint::parse(&format!("{scheme}://gate.invalid/x/"), true).expect("an endpoint");
    let mut options = ClientOptions::new(endpoint, Arc::new(|_, text: &str| Some(text.to_owned())), now);
    options.proxy = Proxy::parse(&format!("http://{credentials}127.0.0.1:{port}")).expect("a proxy");
    options.connect_timeout_ms = 5_000;
    options
}

#[test]
fn a_proxy_that_is_in_the_way_is_named_and_what_it_does() {
    let answering = |answer: &'static str| {
        Server::start(move |peer| {
            // A CONNECT has no body; a request in the open has one.
            while peer.request().is_some() && peer.send(answer.as_bytes()) {}
        })
    };
    const ASKS: &str = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
    const REFUSES: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    const TUNNEL: &str = "HTTP/1.1 200 Connected\r\n\r\n";
    for (scheme, credentials, answer, expected) in [
        ("https", "", ASKS, "the proxy http://127.0.0.1:# asks for a user name and password (407)"),
        ("http", "", ASKS, "the proxy http://127.0.0.1:# asks for a user name and password (407)"),
        (
            "https",
            "jane:hunter2@",
            ASKS,
            "the proxy http://********@127.0.0.1:# does not accept the user name and password it was given (407)",
        ),
        ("https", "", REFUSES, "the proxy http://127.0.0.1:# refuses a tunnel to the API's host and port"),
        ("https", "", "", "the proxy http://127.0.0.1:# takes connections, and makes no tunnel"),
        ("https", "", TUNNEL, "the proxy http://127.0.0.1:# takes connections, and makes no tunnel"),
        ("http", "", "", "no head of an answer within 500 ms (api.timeout), by way of the proxy http://127"),
    ] {
        let server = answering(answer);
        let mut options = by_proxy(scheme, credentials, server.port);
        options.timeout_ms = 500;
        let text = told(&options).replace(&server.port.to_string(), "#");
        assert!(text.contains(expected), "{answer}: {text}");
    }
    let closes = Server::start(|peer| drop(peer.request()));
    let text = told(&by_proxy("https", "", closes.port));
    assert!(text.contains("did not make a tunnel"), "{text}");
    let no_tls = Server::start(|peer| {
        peer.request();
        peer.send(TUNNEL.as_bytes());
        drop(peer.stream.read(&mut [0; 4096]));
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let text = told(&by_proxy("https", "", no_tls.port));
    assert!(text.ends_with(&format!(", by way of the proxy http://127.0.0.1:{}", no_tls.port)), "{text}");
}

#[test]
fn a_proxy_that_cannot_be_reached_is_not_taken_for_the_api() {
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    for scheme in ["http", "https"] {
        let text = told(&by_proxy(scheme, "jane:hunter2@", port));
        let expected = format!("the proxy http://********@127.0.0.1:{port} cannot be reached: ");
        assert!(text.starts_with(&expected) && text.contains("refused"), "{text}");
    }
}
