//! Connections that are opened anew when they are old, and what that is for: names that move.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::*;

/// What the tests say a name stands for, and how often somebody asked.
#[derive(Default)]
pub(crate) struct Names {
    port: Mutex<u16>,
    asked: AtomicUsize,
}

impl Resolve for Names {
    fn resolve(&self, _name: Name) -> Resolving {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // A port of zero stands for the port of the URL, any other goes first.
        let addrs: Addrs =
            Box::new(std::iter::once(SocketAddr::from(([127, 0, 0, 1], *self.port.lock().expect("a port")))));
        Box::pin(std::future::ready(Ok(addrs)))
    }
}

/// Runs attempts on one runtime with one client.
fn run<T>(options: &ClientOptions, attempts: impl AsyncFnOnce(&Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = Client::new(options).expect("a client");
    runtime.block_on(attempts(&client))
}

async fn acknowledged(client: &Client) {
    let answered = client.attempt(&token(), &request()).await;
    assert_eq!(answered.seen.outcome, Outcome::Acknowledged, "{answered:?}");
}

#[test]
fn connections_are_opened_anew_when_they_are_old() {
    static NOW_MS: AtomicU64 = AtomicU64::new(1_705_314_600_000);
    let server = Server::answering(answer("201 Created", "", "{}"));
    let mut options = options(&server.url());
    options.now = || UNIX_EPOCH + Duration::from_millis(NOW_MS.load(Ordering::SeqCst));
    options.connection_age_max_ms = 60_000;
    run(&options, async |client: &Client| {
        for (forward_ms, connections) in [(0, 1), (59_999, 1), (1, 2), (0, 2), (59_999, 2), (100_000, 3)] {
            NOW_MS.fetch_add(forward_ms, Ordering::SeqCst);
            acknowledged(client).await;
            assert_eq!(server.connections(), connections);
        }
        // A clock that is set back a little is no age, one that is set back a lot tells nothing about it.
        NOW_MS.fetch_sub(1_000, Ordering::SeqCst);
        acknowledged(client).await;
        assert_eq!(server.connections(), 3);
        NOW_MS.fetch_sub(3_600_000, Ordering::SeqCst);
        acknowledged(client).await;
        assert_eq!(server.connections(), 4);
    });
}

#[test]
fn an_attempt_under_way_ends_on_the_old_connection() {
    static NOW_S: AtomicU64 = AtomicU64::new(1_705_314_600);
    let (arrived, has_arrived) = channel();
    let (go, may_go) = channel::<()>();
    let may_go = Mutex::new(may_go);
    let turn = AtomicUsize::new(0);
    let server = Server::start(move |peer| {
        let is_first = turn.fetch_add(1, Ordering::SeqCst) == 0;
        while peer.request().is_some() {
            if is_first {
                arrived.send(()).expect("awaited");
                may_go.lock().expect("one at a time").recv().expect("told");
            }
            peer.send(answer("201 Created", "", "{}").as_bytes());
        }
    });
    let mut options = options(&server.url());
    options.now = || UNIX_EPOCH + Duration::from_secs(NOW_S.load(Ordering::SeqCst));
    run(&options, async |client: &Client| {
        let (token, request) = (token(), request());
        let slow = client.attempt(&token, &request);
        let others = async {
            while has_arrived.try_recv().is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            NOW_S.fetch_add(301, Ordering::SeqCst);
            acknowledged(client).await;
            assert_eq!(server.connections(), 2);
            go.send(()).expect("awaited");
        };
        let (answered, ()) = tokio::join!(slow, others);
        assert_eq!(answered.seen.outcome, Outcome::Acknowledged, "{answered:?}");
        assert_eq!((server.connections(), server.requests().len()), (2, 2));
    });
}

#[test]
fn a_name_that_moves_is_followed() {
    static NOW_S: AtomicU64 = AtomicU64::new(1_705_314_600);
    let (old, new) = (
        Server::answering(answer("201 Created", "", "{}")),
        Server::answering(answer("201 Created", "", "{}")),
    );
    let names = Arc::new(Names::default());
    *names.port.lock().expect("a port") = old.port;
    let url = "http://gate.example/api/v1/device_app_user_update/";
    let endpoint = Endpoint::parse(url, true).expect(url);
    let mut options = ClientOptions { endpoint, ..options(&old.url()) };
    options.now = || UNIX_EPOCH + Duration::from_secs(NOW_S.load(Ordering::SeqCst));
    options.resolver = Some(Arc::clone(&names));
    run(&options, async |client: &Client| {
        acknowledged(client).await;
        *names.port.lock().expect("a port") = new.port;
        acknowledged(client).await;
        // Nobody asks while a connection serves.
        assert_eq!((old.requests().len(), new.connections(), names.asked.load(Ordering::SeqCst)), (2, 0, 1));
        NOW_S.fetch_add(300, Ordering::SeqCst);
        acknowledged(client).await;
        assert_eq!((old.requests().len(), new.requests().len()), (0, 1));
        assert_eq!(names.asked.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn what_cannot_be_opened_anew_stays_as_it_is() {
    static NOW_S: AtomicU64 = AtomicU64::new(1_705_314_600);
    let server = Server::answering(answer("201 Created", "", "{}"));
    let file = tempfile::NamedTempFile::new().expect("a file");
    let authority = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).expect("a certificate");
    std::fs::write(file.path(), authority.cert.pem()).expect("written");
    let mut options = options(&server.url());
    options.now = || UNIX_EPOCH + Duration::from_secs(NOW_S.load(Ordering::SeqCst));
    options.ca_file = Some(file.path().to_owned());
    run(&options, async |client: &Client| {
        acknowledged(client).await;
        std::fs::write(file.path(), "half a certif").expect("written");
        NOW_S.fetch_add(300, Ordering::SeqCst);
        acknowledged(client).await;
        assert_eq!(server.connections(), 1);
        std::fs::write(file.path(), authority.cert.pem()).expect("written");
        NOW_S.fetch_add(300, Ordering::SeqCst);
        acknowledged(client).await;
        assert_eq!(server.connections(), 2);
    });
}
