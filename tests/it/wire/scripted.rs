//! A TCP server that says what a test tells it to, for answers the sandbox does not give.
//!
//! Not here: any idea of what the endpoint is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A request as it was heard.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// Request line and headers.
    pub(crate) head: String,
    /// The update, taken out of the envelope `data-string`.
    pub(crate) update: Value,
}

/// The server. Its thread waits for connections until the process ends.
pub(crate) struct Scripted {
    addr: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Scripted {
    /// Answers each request with these bytes, by its ordinal from 0; none closes the connection without a word.
    pub(crate) fn start(answer: impl Fn(usize, &Heard) -> String + Send + 'static) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // A client that gave up has nothing to say, and nobody waits for the answer.
                let Some(request) = hear(&stream) else { continue };
                let ordinal = {
                    let mut heard = told.lock().unwrap();
                    heard.push(request.clone());
                    heard.len() - 1
                };
                stream.write_all(answer(ordinal, &request).as_bytes()).unwrap_or_default();
            }
        });
        Scripted { addr, heard }
    }

    /// The endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/api/v1/device_app_user_update/", self.addr)
    }

    /// All requests so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

/// A whole answer, the last on its connection.
pub(crate) fn answer(status: u16, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

/// The vendor page's answer: the status, and the update as it came.
pub(crate) fn echo(status: u16, heard: &Heard) -> String {
    let mut body = heard.update.clone();
    body["status"] = "success".into();
    answer(status, "application/json", &body.to_string())
}

fn hear(stream: &TcpStream) -> Option<Heard> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let update = serde_json::from_str(body["data"].as_str().unwrap()).unwrap();
    Some(Heard { head, update })
}
