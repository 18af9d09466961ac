//! The whole of `simsync sync`, unlimited, held against a bare reqwest loop that neither reads nor checks nor journals:
//! as many sender threads with single-threaded runtimes, 64 requests in flight, the same server. The server answers
//! 201 with the request's own body, which is an echo that agrees, and does nothing else.

use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::runtime;
use tokio::task::LocalSet;

mod export;
mod rounds;
mod server;

use export::write_export;
use rounds::{Bench, Contestant, timed};
use server::serve;

const IN_FLIGHT: usize = 64;

/// Sender threads, as `delivery.senders = 0` chooses them.
const SENDERS_MAX: usize = 4;

fn main() {
    let bench = Bench::from_args("pipeline", 100_000);
    let (input, state) = (bench.path("export.csv"), bench.path("state"));
    write_export(&input, bench.rows).expect("the build's directory can be written");
    let address = serve();
    let url = format!("http://{address}/api/v1/device_app_user_update/");
    let contestants: Vec<Contestant<'_>> = vec![
        ("bare reqwest loop", Box::new(|| bare(&url, bench.rows))),
        ("simsync sync: survey, journal, deliver", Box::new(|| sync(&url, &input, &state))),
    ];
    bench.run("rows", contestants);
    std::fs::remove_file(&input).expect("it was written above");
}

fn sync(url: &str, input: &Path, state: &Path) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simsync"));
    command.args(["sync", "-q", "--rate", "unlimited", "--api-url", url, "--state"]).arg(state).arg(input);
    command
        .args(["--max-in-flight", &IN_FLIGHT.to_string()])
        .env("SIMSYNC_TOKEN", "bench")
        .stdin(Stdio::null());
    let time =
        timed(|| assert!(command.status().expect("the binary is built").success(), "a clean run exits 0"));
    std::fs::remove_dir_all(state).expect("the run made it");
    time
}

fn bare(url: &str, rows: u64) -> Duration {
    let senders = std::thread::available_parallelism().map_or(1, usize::from).min(SENDERS_MAX);
    let url = Url::parse(url).expect("the server's address");
    let next = Arc::new(AtomicU64::new(0));
    timed(|| {
        let threads: Vec<_> = (0..senders)
            .map(|_| {
                let (url, next) = (url.clone(), Arc::clone(&next));
                std::thread::spawn(move || send(url, &next, rows, IN_FLIGHT / senders))
            })
            .collect();
        for thread in threads {
            thread.join().expect("a sender ends in order");
        }
    })
}

fn send(url: Url, next: &Arc<AtomicU64>, rows: u64, in_flight: usize) {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer bench"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let client =
        reqwest::Client::builder().http1_only().tcp_nodelay(true).no_proxy().build().expect("a client");
    let shared = Rc::new((client, url, headers, Arc::clone(next)));
    let tasks = LocalSet::new();
    for _ in 0..in_flight {
        let shared = Rc::clone(&shared);
        tasks.spawn_local(async move {
            let (client, url, headers, next) = &*shared;
            loop {
                let row = next.fetch_add(1, Ordering::Relaxed);
                if row >= rows {
                    return;
                }
                let key = HeaderValue::from_str(&format!("{row:032x}")).expect("digits");
                let request = client.post(url.clone()).headers(headers.clone());
                let request = request.header(HeaderName::from_static("idempotency-key"), key).body(body(row));
                let answer = request.send().await.expect("the server answers");
                assert_eq!(answer.status(), 201);
                answer.bytes().await.expect("the answer is whole");
            }
        });
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(tasks);
}

/// As long as the bodies of the export's updates.
fn body(row: u64) -> String {
    format!(
        r#"{{"data":"{{\"number\":\"+4479{row:08}\",\"imei\":\"35686800{row:07}\",\"imsi\":\"23415{row:010}\",\"iccid\":\"8944110{row:012}\",\"username\":\"subscriber.{row}@example.com\",\"user_external_id\":\"0035g00000{row:08}\",\"user_class\":\"standard\"}}"}}"#
    )
}
