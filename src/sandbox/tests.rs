//! The sandbox over real sockets, by a client of a few lines that knows nothing of the code it asks.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;

mod faults;
mod subjects;

const TOKEN: &str = "t0ken";
const IMEI: &str = "490154203237518";

/// An answer as it came.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

type Headers<'a> = &'a [(&'a str, &'a str)];

/// One connection.
struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Client {
    fn new(sandbox: &Sandbox) -> Client {
        let stream = TcpStream::connect(sandbox.addr()).unwrap();
        // Never reached unless something hangs that should not.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client { stream: BufReader::new(stream), host: sandbox.addr().to_string() }
    }

    fn write(&mut self, method: &str, path: &str, headers: Headers<'_>, body: &str) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head.push_str(&format!("Host: {}\r\n", self.host));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.stream.get_mut().write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    }

    fn read(&mut self) -> std::io::Result<Got> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                text => lines.push(text.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status line");
        let headers: Vec<_> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut got = Got { status, headers, body: String::new() };
        let bytes: usize = got.header("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; bytes];
        self.stream.read_exact(&mut body)?;
        got.body = String::from_utf8(body).unwrap();
        Ok(got)
    }

    fn call(&mut self, method: &str, path: &str, headers: Headers<'_>, body: &str) -> Got {
        self.write(method, path, headers, body);
        self.read().unwrap()
    }

    /// Sends an update in the documented envelope.
    fn send(&mut self, fields: &Value) {
        self.send_keyed(fields, "");
    }

    fn send_keyed(&mut self, fields: &Value, key: &str) {
        let body = json!({ "data": fields.to_string() }).to_string();
        let bearer = format!("Bearer {TOKEN}");
        let mut headers = vec![("Authorization", &*bearer), ("Content-Type", "application/json")];
        if !key.is_empty() {
            headers.push(("Idempotency-Key", key));
        }
        self.write("POST", ENDPOINT_PATH, &headers, &body);
    }

    fn update(&mut self, fields: Value) -> Got {
        self.send(&fields);
        self.read().unwrap()
    }
}

fn start_with(change: impl FnOnce(&mut SandboxOptions)) -> Sandbox {
    let mut options = SandboxOptions { token: TOKEN.to_owned(), ..SandboxOptions::default() };
    change(&mut options);
    Sandbox::start(options).unwrap()
}

fn start(faults: Faults) -> Sandbox {
    start_with(|options| options.faults = faults)
}

/// An update of the n-th subject.
fn fields(n: usize) -> Value {
    json!({ "user_external_id": format!("ext_{n}"), "user_class": "premium" })
}

#[test]
fn an_update_is_stored_and_echoed_as_the_vendors_page_shows() {
    let sandbox = start(Faults::default());
    let mut client = Client::new(&sandbox);
    let row = json!({
        "number": "+1234567890", "generic_id": "com.example.app.user123", "imei": "123456789012345",
        "imsi": "310260123456789", "iccid": "89014103211118510720", "username": "john.doe",
        "password": "$2a$10$N9qo8uL0ickgx2ZMRZoMye", "user_external_id": "ext_12345", "user_class": "premium",
    });
    let got = client.update(row.clone());
    assert_eq!(got.status, 201);
    let mut echo = got.json();
    let updated_at = echo.as_object_mut().unwrap().remove("updated_at").expect("updated_at");
    // 2024-01-15T10:30:00Z on the page.
    assert_eq!(updated_at.as_str().map(str::len), Some(20), "{updated_at}");
    assert!(updated_at.as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(echo.as_object_mut().unwrap().remove("status"), Some(json!("success")));
    assert_eq!(echo, row);
    // A partial update leaves the rest, and the echo is of all that is stored.
    let got = client.update(json!({ "user_external_id": "ext_12345", "user_class": "basic" }));
    assert_eq!(got.json()["imei"], "123456789012345");
    assert_eq!(got.json()["user_class"], "basic");
    assert_eq!(sandbox.subject("ext_12345").unwrap().applied, 2);
}

#[test]
fn what_stands_before_the_body_is_checked() {
    let sandbox = start(Faults::default());
    let mut client = Client::new(&sandbox);
    let body = json!({ "data": fields(1).to_string() }).to_string();
    let auth = ("Authorization", "Bearer t0ken");
    let content = ("Content-Type", "application/json; charset=utf-8");
    let table: [(&str, Headers<'_>, u16); 8] = [
        (ENDPOINT_PATH, &[auth, content], 201),
        (ENDPOINT_PATH, &[content], 401),
        (ENDPOINT_PATH, &[("Authorization", "Bearer other"), content], 401),
        (ENDPOINT_PATH, &[("Authorization", "Token t0ken"), content], 401),
        (ENDPOINT_PATH, &[auth], 415),
        (ENDPOINT_PATH, &[auth, ("Content-Type", "application/x-www-form-urlencoded")], 415),
        ("/api/v1/device_app_user_update", &[auth, content], 404),
        ("/api/v2/device_app_user_update/", &[auth, content], 404),
    ];
    for (path, headers, status) in table {
        assert_eq!(client.call("POST", path, headers, &body).status, status, "{path} {headers:?}");
    }
    assert_eq!(client.call("GET", ENDPOINT_PATH, &[auth], "").status, 405);
    let hint = client.call("POST", "/api/v1/device_app_user_update", &[auth, content], &body);
    assert!(hint.body.contains("with the slash"), "{}", hint.body);
    // Requests to another path are none of the endpoint's.
    assert_eq!(sandbox.stats().by_status, [(201, 1), (401, 3), (415, 2)].into());
}

#[test]
fn refusals_name_the_member() {
    let sandbox = start(Faults::default());
    let mut client = Client::new(&sandbox);
    let cases = [
        (json!({ "user_external_id": "a", "imei": "12345678901234X" }), 422, "imei"),
        (json!({ "user_external_id": "a", "shoe_size": "44" }), 400, "shoe_size"),
        (json!({ "user_external_id": 7 }), 400, "user_external_id"),
        (json!({ "user_class": "premium" }), 400, "detail"),
    ];
    for (sent, status, member) in cases {
        let got = client.update(sent);
        assert_eq!(
            (got.status, got.json().as_object().unwrap().keys().next().unwrap().as_str()),
            (status, member)
        );
    }
    let auth = [("Authorization", "Bearer t0ken"), ("Content-Type", "application/json")];
    let flat = client.call("POST", ENDPOINT_PATH, &auth, &fields(1).to_string());
    assert_eq!((flat.status, flat.json()), (400, json!({ "data": ["This field is required, alone."] })));
    assert_eq!(sandbox.stats().applied, 0);
}

#[test]
fn an_overlong_request_is_refused_and_recorded() {
    let sandbox = start(Faults::default());
    let mut client = Client::new(&sandbox);
    let auth = [("Authorization", "Bearer t0ken"), ("Content-Type", "application/json")];
    assert_eq!(client.call("POST", ENDPOINT_PATH, &auth, &" ".repeat(REQUEST_BYTES_MAX + 1)).status, 413);
    assert_eq!(sandbox.requests()[0].status, Some(413));
}

#[test]
fn options_that_cannot_be_are_refused() {
    let start = |change: fn(&mut SandboxOptions)| {
        let mut options = SandboxOptions::default();
        change(&mut options);
        Sandbox::start(options).map(|sandbox| sandbox.stop()).unwrap_err()
    };
    let error = start(|options| options.listen = "0.0.0.0:0".parse().unwrap());
    assert!(matches!(error, SandboxError::NotLoopback { .. }), "{error}");
    let error = start(|options| options.listen = "192.0.2.1:0".parse().unwrap());
    assert!(matches!(error, SandboxError::NotLoopback { .. }), "{error}");
    assert!(matches!(start(|options| options.token = String::new()), SandboxError::EmptyToken));
    assert!(matches!(start(|options| options.match_by.clear()), SandboxError::MatchBy));
    assert!(matches!(start(|options| options.match_by = vec![FieldKind::Password]), SandboxError::MatchBy));
    let error = start(|options| options.faults.shares.hang_after = 1.5);
    assert!(matches!(error, SandboxError::Faults(FaultsError::Share { .. })), "{error}");
}

#[test]
fn an_address_in_use_is_an_error_at_the_start() {
    let first = start(Faults::default());
    let options = SandboxOptions { listen: first.addr(), ..SandboxOptions::default() };
    assert!(matches!(Sandbox::start(options), Err(SandboxError::Listen { .. })));
}

#[test]
fn a_stop_ends_connections_and_frees_the_port() {
    let mut faults = Faults::default();
    faults.shares.hang_before = 1.0;
    let sandbox = start(faults);
    let addr = sandbox.addr();
    let mut client = Client::new(&sandbox);
    client.send(&fields(1));
    wait_for(&sandbox, |stats| stats.requests == 1);
    sandbox.stop();
    assert!(client.read().is_err());
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn debug_shows_no_token() {
    let mut options = SandboxOptions { token: "s3cret-one".to_owned(), ..SandboxOptions::default() };
    options.faults.token_after = Some(TokenAfter { requests: 1, token: "s3cret-two".to_owned() });
    let shown =
        format!("{options:?} {:?} {}", options.faults, serde_json::to_string(&options.faults).unwrap());
    assert!(!shown.contains("s3cret"), "{shown}");
}

/// Waits until the counts say so; the test's own time limit is the runner's.
fn wait_for(sandbox: &Sandbox, reached: impl Fn(&Stats) -> bool) {
    for _ in 0..2000 {
        if reached(&sandbox.stats()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never reached: {:?}", sandbox.stats());
}
