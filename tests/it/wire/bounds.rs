//! Answers that never end, or are more than they seem: each ends at a bound of ours, within the attempt's own time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::http;
use crate::support::{Ran, Workspace, export, finish};

/// Quick retries and short times, so that a run against a hopeless server ends.
const HOPELESS: &str = "[delivery]\nbackoff_initial = \"10ms\"\nbackoff_max = \"20ms\"\noutage_max = \"3s\"\n\
                        [api]\ntimeout = \"1s\"\nconnect_timeout = \"1s\"\n";

/// A server that takes a request and then does what a test wants with the connection.
struct Raw {
    addr: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Raw {
    fn start(answer: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Raw {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let (counted, answer) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, counted, answer) =
                    (stream.unwrap(), Arc::clone(&counted), Arc::clone(&answer));
                std::thread::spawn(move || {
                    while is_request(&mut stream) {
                        counted.fetch_add(1, Ordering::SeqCst);
                        // The other side gives up at its bound; that is what is tested.
                        if answer(&mut stream).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Raw { addr, requests }
    }

    /// Runs a file of two rows against it to its end.
    fn sync(&self, settings: &str) -> (Workspace, Ran) {
        let workspace = Workspace::new();
        workspace.configure(settings);
        workspace.write("crm.csv", export(2));
        let url = format!("http://{}/api/v1/device_app_user_update/", self.addr);
        let args = ["sync", "--api-url", &url, "--rate", "unlimited", "--json", "crm.csv"];
        let ran = finish(workspace.command(&args)).expect_books();
        (workspace, ran)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Reads one request; the body is one JSON object, whose end is the request's.
fn is_request(stream: &mut TcpStream) -> bool {
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while !heard.ends_with(b"}") {
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => heard.extend_from_slice(&buffer[..read]),
            Ok(0) | Err(_) => return false,
        }
    }
    true
}

/// The attempts ended one by one without an answer, the run as it does against a server that is down: no row has failed
/// by it.
#[track_caller]
fn assert_down(server: &Raw, ran: &Ran) {
    assert_eq!((ran.code, ran.rows("failed"), ran.rows("synced")), (5, 0, 0), "{}", ran.stdout);
    assert!(http(ran, "none") >= 2 && server.requests() >= 2, "{}", ran.stdout);
}

#[test]
fn a_body_that_drips_for_ever_is_a_timeout() {
    let server = Raw::start(|stream| {
        stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n")?;
        loop {
            stream.write_all(b" ")?;
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let (_workspace, ran) = server.sync(HOPELESS);
    assert_down(&server, &ran);
}

#[test]
fn headers_that_drip_for_ever_are_a_timeout() {
    let server = Raw::start(|stream| {
        stream.write_all(b"HTTP/1.1 201 Created\r\nX: ")?;
        loop {
            stream.write_all(b"y")?;
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let (_workspace, ran) = server.sync(HOPELESS);
    assert_down(&server, &ran);
}

/// What is silent is given up after `api.read_timeout`, long before the attempt's own end; what drips is not.
#[test]
fn a_server_that_falls_silent_is_a_timeout_of_its_own() {
    const DRIPS: u32 = 12;
    let patient =
        HOPELESS.replace("[api]\ntimeout = \"1s\"", "[api]\ntimeout = \"1h\"\nread_timeout = \"1s\"");
    for head in ["", "HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\n"] {
        let silent = Raw::start(move |stream| {
            stream.write_all(head.as_bytes())?;
            // Until the other side gives up; then this one is told.
            stream.read_to_end(&mut Vec::new()).map(drop)
        });
        let (_workspace, ran) = silent.sync(&patient);
        assert_down(&silent, &ran);
    }
    // Longer in all than the silence that is allowed, and never silent for as long.
    let dripping = Raw::start(|stream| {
        stream.write_all(format!("HTTP/1.1 201 Created\r\nContent-Length: {DRIPS}\r\n\r\n").as_bytes())?;
        (0..DRIPS).try_for_each(|_| {
            std::thread::sleep(Duration::from_millis(150));
            stream.write_all(b" ")
        })
    });
    let (_workspace, ran) = dripping.sync(&patient);
    assert_eq!((ran.code, ran.rows("synced"), dripping.requests()), (0, 2, 2), "{}", ran.stdout);
}

#[test]
fn interim_answers_without_end_are_a_timeout() {
    let server = Raw::start(|stream| {
        loop {
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")?;
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let (_workspace, ran) = server.sync(HOPELESS);
    assert_down(&server, &ran);
}

#[test]
fn headers_without_end_break_the_connection() {
    // The attempt may take as long as it likes: the bound is one of bytes.
    let patient = HOPELESS.replace("timeout = \"1s\"", "timeout = \"1h\"");
    let server = Raw::start(|stream| {
        stream.write_all(b"HTTP/1.1 201 Created\r\n")?;
        loop {
            stream.write_all(format!("X: {}\r\n", "y".repeat(8192)).as_bytes())?;
        }
    });
    let (_workspace, ran) = server.sync(&patient);
    assert_down(&server, &ran);
}

#[test]
fn a_body_without_end_is_cut_off_and_proves_nothing() {
    let patient = HOPELESS.replace("timeout = \"1s\"", "timeout = \"1h\"");
    let server = Raw::start(|stream| {
        stream.write_all(b"HTTP/1.1 201 Created\r\n\r\n{\"status\":\"success\"}")?;
        loop {
            stream.write_all(&[b' '; 8192])?;
        }
    });
    let (workspace, ran) = server.sync(&patient);
    assert_eq!((ran.code, ran.rows("failed"), server.requests()), (3, 2, 2), "{}", ran.stdout);
    for row in workspace.last_rows("failed.csv") {
        assert_eq!(
            (row["_reason"].as_str(), row["_signature"].as_str()),
            ("echo-mismatch", "201 answer is too long to be checked")
        );
    }
}

#[test]
fn a_compressed_answer_is_not_unpacked_and_proves_nothing() {
    // A gibibyte of blanks is about a mebibyte of gzip, and the first 64 KiB of that are 64 MiB.
    let bomb = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        for _ in 0..64 {
            gzip.write_all(&[b' '; 1 << 20]).unwrap();
        }
        gzip.finish().unwrap()
    };
    assert!(bomb.len() > 60_000);
    let server = Raw::start(move |stream| {
        let length = bomb.len();
        let head =
            format!("HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(&bomb)
    });
    let (workspace, ran) = server.sync(HOPELESS);
    assert_eq!((ran.code, ran.rows("failed"), server.requests()), (3, 2, 2), "{}", ran.stdout);
    for row in workspace.last_rows("failed.csv") {
        assert_eq!(row["_reason"], "echo-mismatch");
        assert_eq!(row["_signature"], "201 answer is compressed, which was not asked for");
    }
}
