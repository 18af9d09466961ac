//! What HTTP/2 peers say in frames (RFC 9113), written by hand: whether a request that has no answer was looked at.

use super::*;

/// A frame of a type, with flags, on a stream (section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![0, length[0], length[1], kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

const SETTINGS: u8 = 4;
const ACK: u8 = 1;

/// Whether the end of the body is among these bytes.
fn is_whole(heard: &[u8]) -> bool {
    const END: &[u8] = br#"}"}"#;
    heard.windows(END.len()).any(|window| window == END)
}

/// A peer that takes what comes on a connection and, once a request is there, says this.
fn saying(said: Vec<u8>) -> Server {
    Server::start(move |peer| {
        peer.send(&frame(SETTINGS, 0, 0, &[]));
        peer.send(&frame(SETTINGS, ACK, 0, &[]));
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        // The body ends the request, and nothing in it is compressed; other frames may follow.
        while !is_whole(&heard) {
            match peer.stream.read(&mut buffer) {
                Ok(read @ 1..) => heard.extend_from_slice(&buffer[..read]),
                Ok(0) | Err(_) => return,
            }
        }
        peer.seen.send(String::new()).ok();
        peer.send(&said);
        // Until the other side has taken note.
        drop(peer.stream.read_to_end(&mut Vec::new()));
    })
}

fn outcome_of(said: Vec<u8>) -> (Answered, Server) {
    let server = saying(said);
    let mut options = options(&server.url());
    options.http = HttpVersion::Two;
    options.timeout_ms = 20_000;
    (attempt_with(&options), server)
}

#[test]
fn a_refused_stream_has_done_nothing() {
    const RST_STREAM: u8 = 3;
    for (reason, expected) in
        [(7, Outcome::Unprocessed), (2, Outcome::Disconnected), (8, Outcome::Disconnected)]
    {
        let (answered, server) = outcome_of(frame(RST_STREAM, 0, 1, &[0, 0, 0, reason]));
        assert_eq!(answered.seen.outcome, expected, "{answered:?}");
        assert_eq!(server.requests().len(), 1, "the library tries nothing again");
    }
}

/// A connection belongs to many requests: what its end says may quote any of them, in any spelling.
#[test]
fn what_a_server_says_as_it_closes_a_connection_is_not_repeated() {
    const GOAWAY: u8 = 7;
    let mut last_words = vec![0, 0, 0, 0, 0, 0, 0, 11];
    last_words.extend_from_slice(b"+449999999999 of Ren\xc3\xa9e: too many");
    let (answered, _server) = outcome_of(frame(GOAWAY, 0, 0, &last_words));
    let text = answered.trouble.expect("told").text;
    assert!(!text.contains("9999") && !text.contains("Ren"), "{text}");
    assert!(text.contains("excessive load"), "the reason of RFC 9113 section 7 in words: {text}");
}

#[test]
fn a_request_behind_the_last_that_is_served_has_done_nothing() {
    const GOAWAY: u8 = 7;
    for (last_stream, reason, expected) in [
        (0, 0, Outcome::Unprocessed),
        // An error says nothing about what was done before it.
        (0, 11, Outcome::Disconnected),
    ] {
        let (answered, server) = outcome_of(frame(GOAWAY, 0, 0, &[0, 0, 0, last_stream, 0, 0, 0, reason]));
        assert_eq!(answered.seen.outcome, expected, "{answered:?}");
        assert_eq!(server.requests().len(), 1);
    }
}

const HEADERS: u8 = 1;
const PING: u8 = 6;
const END_OF_HEADERS: u8 = 4;
const END_OF_STREAM: u8 = 1;

/// `:status: 201`, its name from the static table (RFC 7541 section 6.2.1 and appendix A).
const CREATED: &[u8] = b"\x48\x03201";

/// Reads the next frame: its type, its flags and its payload; `None` at the end.
fn next_frame(stream: &mut TcpStream) -> Option<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).expect("short")];
    stream.read_exact(&mut payload).ok()?;
    Some((head[3], head[4], payload))
}

/// A peer that takes requests, and pings: what comes of the first is the test's; it hears of every ping and of every
/// whole request.
fn pinged(on_ping: impl Fn(&mut Peer, u32, &[u8]) + Send + Sync + 'static) -> Server {
    Server::start(move |peer| {
        peer.send(&frame(SETTINGS, 0, 0, &[]));
        peer.send(&frame(SETTINGS, ACK, 0, &[]));
        // What a connection begins with (RFC 9113 section 3.4).
        peer.stream.read_exact(&mut [0; 24]).unwrap_or_default();
        let mut pings = 0;
        while let Some((kind, flags, payload)) = next_frame(&mut peer.stream) {
            if kind == PING && flags & ACK == 0 {
                pings += 1;
                peer.seen.send("ping".to_owned()).ok();
                on_ping(peer, pings, &payload);
            } else if is_whole(&payload) {
                peer.seen.send("request".to_owned()).ok();
            }
        }
    })
}

/// With more time for an attempt than a test has, and pings of our own making.
fn pinging(server: &Server, ping_ms: u64) -> ClientOptions {
    let mut options = options(&server.url());
    options.http = HttpVersion::Two;
    (options.timeout_ms, options.read_timeout_ms) = (600_000, 600_000);
    options.ping_ms = ping_ms;
    options
}

#[test]
fn a_peer_that_falls_silent_is_noticed_and_the_next_request_goes_elsewhere() {
    let silent = pinged(|_, _, _| {});
    let answers = attempts_with(&pinging(&silent, 100), 2);
    for answered in answers {
        assert_eq!(answered.seen.outcome, Outcome::TimedOut, "{answered:?}");
        assert!(answered.trouble.is_some_and(|trouble| trouble.text.contains("pings are not answered")));
    }
    assert_eq!(silent.connections(), 2);
    assert_eq!(silent.requests(), ["request", "ping", "request", "ping"]);
}

#[test]
fn a_peer_that_is_slow_and_answers_pings_is_waited_for() {
    let slow = pinged(|peer, pings, payload| {
        peer.send(&frame(PING, ACK, 0, payload));
        if pings == 4 {
            peer.send(&frame(HEADERS, END_OF_HEADERS | END_OF_STREAM, 1, CREATED));
        }
    });
    // Long enough that a stall of the machine is no silence.
    let answered = attempt_with(&pinging(&slow, 500));
    assert_eq!(answered.seen.outcome, Outcome::Acknowledged, "{answered:?}");
    assert_eq!(slow.requests()[..5], ["request", "ping", "ping", "ping", "ping"]);
}

#[test]
fn many_headers_are_read_as_long_as_they_keep_the_bound() {
    // A field counts with its name, its value and 32 bytes (RFC 9113 section 6.5.2).
    for (fifties, expected) in [(5, Outcome::Acknowledged), (6, Outcome::Disconnected)] {
        let server = Server::start(move |peer| {
            peer.send(&frame(SETTINGS, 0, 0, &[]));
            peer.send(&frame(SETTINGS, ACK, 0, &[]));
            peer.stream.read_exact(&mut [0; 24]).unwrap_or_default();
            while let Some((_, _, payload)) = next_frame(&mut peer.stream) {
                if is_whole(&payload) {
                    break;
                }
            }
            peer.send(&frame(HEADERS, END_OF_STREAM, 1, CREATED));
            for _ in 0..fifties {
                peer.send(&frame(CONTINUATION, 0, 1, &field().repeat(50)));
            }
            peer.send(&frame(CONTINUATION, END_OF_HEADERS, 1, &[]));
            drop(peer.stream.read_to_end(&mut Vec::new()));
        });
        let answered = attempt_with(&pinging(&server, 60_000));
        assert_eq!(answered.seen.outcome, expected, "{fifties}: {answered:?}");
    }
}

const CONTINUATION: u8 = 9;

/// A literal field that is not indexed, with a name of one letter and a value of 200 bytes (RFC 7541 section 6.2.2).
fn field() -> Vec<u8> {
    let mut field = vec![0, 1, b'x', 0x7f, 73];
    field.extend_from_slice(&[b'y'; 200]);
    field
}

#[test]
fn headers_without_end_are_cut_off() {
    let endless = Server::start(|peer| {
        peer.send(&frame(SETTINGS, 0, 0, &[]));
        peer.send(&frame(SETTINGS, ACK, 0, &[]));
        let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
        while !is_whole(&heard) {
            match peer.stream.read(&mut buffer) {
                Ok(read @ 1..) => heard.extend_from_slice(&buffer[..read]),
                Ok(0) | Err(_) => return,
            }
        }
        peer.send(&frame(HEADERS, 0, 1, &field()));
        while peer.send(&frame(CONTINUATION, 0, 1, &field())) {}
    });
    let mut options = options(&endless.url());
    options.http = HttpVersion::Two;
    options.timeout_ms = 60_000;
    assert_eq!(attempt_with(&options).seen.outcome, Outcome::Disconnected);
}

#[test]
fn a_server_of_the_other_version_is_no_answer() {
    let server = Server::answering(answer("400 Bad Request", "", "what?"));
    let mut options = options(&server.url());
    options.http = HttpVersion::Two;
    let answered = attempt_with(&options);
    assert_eq!(answered.seen.status, None, "{answered:?}");
    let text = answered.trouble.expect("told").text;
    assert!(text.contains("may not speak HTTP/2"), "{text}");
}
