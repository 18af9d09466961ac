//! What HTTP/2 peers say in frames (RFC 9113), written by hand: whether a request that has no answer was looked at.

use super::*;

/// A frame of a type, with flags, on a stream (section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
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
        [(7, Outcome::NotConnected), (2, Outcome::Disconnected), (8, Outcome::Disconnected)]
    {
        let (answered, server) = outcome_of(frame(RST_STREAM, 0, 1, &[0, 0, 0, reason]));
        assert_eq!(answered.seen.outcome, expected, "{answered:?}");
        assert_eq!(server.requests().len(), 1, "the library tries nothing again");
    }
}

#[test]
fn a_request_behind_the_last_that_is_served_has_done_nothing() {
    const GOAWAY: u8 = 7;
    for (last_stream, reason, expected) in [
        (0, 0, Outcome::NotConnected),
        // An error says nothing about what was done before it.
        (0, 11, Outcome::Disconnected),
    ] {
        let (answered, server) = outcome_of(frame(GOAWAY, 0, 0, &[0, 0, 0, last_stream, 0, 0, 0, reason]));
        assert_eq!(answered.seen.outcome, expected, "{answered:?}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn headers_without_end_are_cut_off() {
    const HEADERS: u8 = 1;
    const CONTINUATION: u8 = 9;
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
        // A literal field that is not indexed, with a name of one letter and a value of 200 bytes (RFC 7541 section 6.2.2).
        let mut field = vec![0, 1, b'x', 0x7f, 73];
        field.extend_from_slice(&[b'y'; 200]);
        peer.send(&frame(HEADERS, 0, 1, &field));
        while peer.send(&frame(CONTINUATION, 0, 1, &field)) {}
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
