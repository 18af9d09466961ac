//! HTTP/1.1 and HTTP/2: which one is spoken, and that it makes no difference.

use super::peer::{Authority, Peer, Security};
use crate::support::{Workspace, export, finish};

const ROWS: u32 = 60;

/// Runs a file against a peer that offers these protocols; the requests of each version, and the connections.
fn spoken(alpn: &'static [&'static str], http: &str) -> ((usize, usize), usize) {
    let ours = Authority::new("ours");
    let certificate = ours.issue("127.0.0.1", 2999);
    let peer = Peer::start(Some(Security { certificate, clients_of: None, alpn }));
    let workspace = Workspace::new();
    workspace.write("ca.pem", ours.pem());
    workspace.configure(&format!("[api]\nca_file = \"ca.pem\"\nhttp = \"{http}\"\n"));
    workspace.write("crm.csv", export(ROWS));
    let url = peer.url("https", "127.0.0.1");
    let args = ["sync", "--api-url", &url, "--rate", "unlimited", "--json", "crm.csv"];
    assert_eq!(finish(workspace.command(&args)).expect(0).expect_books().rows("synced"), u64::from(ROWS));
    (peer.requests(), peer.connections())
}

#[test]
fn the_version_is_agreed_on_with_the_server() {
    let rows = usize::try_from(ROWS).unwrap();
    assert_eq!(spoken(&["h2", "http/1.1"], "auto").0, (0, rows));
    assert_eq!(spoken(&["http/1.1"], "auto").0, (rows, 0));
    assert_eq!(spoken(&[], "auto").0, (rows, 0));
    assert_eq!(spoken(&["h2", "http/1.1"], "1.1").0, (rows, 0));
    assert_eq!(spoken(&["h2", "http/1.1"], "2").0, (0, rows));
}

#[test]
fn http_2_is_spoken_in_clear_when_asked_for() {
    let peer = Peer::start(None);
    let workspace = Workspace::new();
    workspace.configure("[api]\nhttp = \"2\"\n[delivery]\nsenders = 2\nconcurrency = 32\n");
    workspace.write("crm.csv", export(ROWS));
    let url = peer.url("http", "127.0.0.1");
    let args = ["sync", "--api-url", &url, "--rate", "unlimited", "--json", "crm.csv"];
    assert_eq!(finish(workspace.command(&args)).expect(0).rows("synced"), u64::from(ROWS));
    assert_eq!(peer.requests(), (0, usize::try_from(ROWS).unwrap()));
    assert!(peer.connections() <= 2, "many requests share a connection: {}", peer.connections());
}

#[test]
fn refused_streams_are_asked_again_at_once_and_are_no_sign_of_an_outage() {
    const REFUSED: usize = 20;
    let peer = Peer::refusing(None, 30..30 + REFUSED);
    let workspace = Workspace::new();
    workspace.configure("[api]\nhttp = \"2\"\n[delivery]\nsenders = 1\nconcurrency = 16\n");
    workspace.write("crm.csv", export(ROWS));
    let url = peer.url("http", "127.0.0.1");
    let args = ["sync", "--api-url", &url, "--rate", "unlimited", "--json", "crm.csv"];
    let ran = finish(workspace.command(&args)).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("in_doubt")), (u64::from(ROWS), 0));
    assert_eq!(peer.requests(), (0, usize::try_from(ROWS).unwrap() + REFUSED));
    assert!(!ran.stdout.contains(r#""type":"paused""#), "{}", ran.stdout);
}

#[test]
fn what_is_applied_is_the_same_under_http_2() {
    let workspace = Workspace::new();
    workspace.configure("[api]\nhttp = \"2\"\n");
    workspace.write("crm.csv", export(ROWS));
    assert_eq!(workspace.sync(&["crm.csv"]).expect(0).expect_books().rows("synced"), u64::from(ROWS));
    let stats = workspace.sandbox.stats();
    assert_eq!((stats.subjects, stats.duplicates), (60, 0));
    assert_eq!(workspace.sync(&["crm.csv"]).expect(0).rows("unchanged"), u64::from(ROWS));
}
