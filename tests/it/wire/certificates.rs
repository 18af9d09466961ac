//! Certificates: whose are believed, and whose ours is.

use std::fs::{self, Permissions};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::peer::{Authority, Peer, Security};
use crate::support::{Ran, TOKEN, Workspace, export, finish};

/// A peer on 127.0.0.1 with a certificate of an authority, valid until the end of a year.
fn peer(authority: &Authority, name: &str, year: i32, clients_of: Option<&Authority>) -> Peer {
    let certificate = authority.issue(name, year);
    let clients_of = clients_of.map(Authority::der);
    Peer::start(Some(Security { certificate, clients_of, alpn: &["http/1.1"] }))
}

/// A workspace that trusts this authority, with further lines of `[api]`.
fn trusting(authority: &Authority, more: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("ca.pem", authority.pem());
    workspace.configure(&format!("[api]\nca_file = \"ca.pem\"\n{more}"));
    workspace.write("crm.csv", export(6));
    workspace
}

fn sync(workspace: &Workspace, peer: &Peer) -> Ran {
    let url = peer.url("https", "127.0.0.1");
    finish(workspace.command(&["sync", "--api-url", &url, "--rate", "unlimited", "--json", "crm.csv"]))
}

/// The run has stopped at once, as a matter of configuration, for a cause that it names; no row has lost anything by
/// it.
#[track_caller]
fn assert_untrusted(workspace: &Workspace, peer: &Peer, cause: &str) {
    let ran = sync(workspace, peer).expect(10).expect_books();
    assert_eq!((ran.rows("pending"), ran.rows("failed"), ran.rows("in_doubt")), (6, 0, 0));
    assert_eq!(peer.requests(), (0, 0), "no request has been answered, the token has not been read");
    assert!(peer.connections() > 0, "somebody was asked");
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert!(told.contains(cause) && told.contains("api.ca_file"), "{told}");
    // It is the same address still.
    let next = ran.summary()["next"].to_string();
    assert!(
        next.contains("correct what the error names, then run")
            && next.contains(&peer.url("https", "127.0.0.1")),
        "{next}"
    );
    assert!(!told.contains(TOKEN));
}

fn private(workspace: &Workspace, name: &str, text: &str) -> PathBuf {
    let path = workspace.write(name, text);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn an_authority_of_ones_own_is_trusted() {
    let ours = Authority::new("ours");
    let peer = peer(&ours, "127.0.0.1", 2999, None);
    let workspace = trusting(&ours, "");
    assert_eq!(sync(&workspace, &peer).expect(0).rows("synced"), 6);
}

#[test]
fn a_certificate_of_an_unknown_authority_stops_the_run_at_once() {
    let ours = Authority::new("ours");
    // Of another name; and of the same, as when an authority changes its key.
    for other in [Authority::new("other"), Authority::new("ours")] {
        let peer = peer(&other, "127.0.0.1", 2999, None);
        assert_untrusted(&trusting(&ours, ""), &peer, "comes from no authority that is trusted here");
    }
}

/// The rustls world reads the system's authorities from where `SSL_CERT_FILE` says.
#[test]
fn an_authority_of_ones_own_takes_the_place_of_the_systems() {
    let (ours, system) = (Authority::new("ours"), Authority::new("system"));
    let (by_ours, by_system) = (peer(&ours, "127.0.0.1", 2999, None), peer(&system, "127.0.0.1", 2999, None));
    let sync = |workspace: &Workspace, peer: &Peer| {
        workspace.write("system.pem", system.pem());
        workspace.write("crm.csv", export(6));
        let url = peer.url("https", "127.0.0.1");
        let args = ["sync", "--api-url", &url, "--rate", "unlimited", "--json", "crm.csv"];
        let mut command = workspace.command(&args);
        command.env("SSL_CERT_FILE", workspace.path("system.pem"));
        finish(command)
    };
    // Without a word it is the system's that are trusted, and nobody else's.
    assert_eq!(sync(&Workspace::new(), &by_system).expect(0).rows("synced"), 6);
    // With an own one it is that alone.
    assert_eq!(sync(&trusting(&ours, ""), &by_ours).expect(0).rows("synced"), 6);
    let answered = by_system.requests();
    for (workspace, peer) in [(Workspace::new(), &by_ours), (trusting(&ours, ""), &by_system)] {
        let asked = peer.connections();
        let ran = sync(&workspace, peer).expect(10).expect_books();
        assert_eq!((ran.rows("pending"), ran.rows("failed")), (6, 0));
        assert!(ran.stderr.contains("comes from no authority that is trusted here"), "{}", ran.stderr);
        assert!(peer.connections() > asked, "somebody was asked");
    }
    assert_eq!((by_system.requests(), by_ours.requests()), (answered, (6, 0)));
}

#[test]
fn an_expired_certificate_stops_the_run_at_once() {
    let ours = Authority::new("ours");
    let peer = peer(&ours, "127.0.0.1", 2001, None);
    assert_untrusted(&trusting(&ours, ""), &peer, "has expired");
}

#[test]
fn a_certificate_for_another_name_stops_the_run_at_once() {
    let ours = Authority::new("ours");
    let peer = peer(&ours, "gate.example", 2999, None);
    assert_untrusted(&trusting(&ours, ""), &peer, "is for another host name");
}

#[test]
fn a_server_that_asks_for_a_client_certificate_gets_ours() {
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let peer = peer(&ours, "127.0.0.1", 2999, Some(&clients));
    let workspace = trusting(&ours, "client_certificate = \"client.pem\"\n");
    private(&workspace, "client.pem", &clients.issue("simsync", 2999).pem);
    assert_eq!(sync(&workspace, &peer).expect(0).rows("synced"), 6);
}

#[test]
fn without_the_client_certificate_it_asks_for_the_run_stops_at_once() {
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let peer = peer(&ours, "127.0.0.1", 2999, Some(&clients));
    assert_untrusted(&trusting(&ours, ""), &peer, "asks for another client certificate, or for one at all");
    for other in [Authority::new("other"), Authority::new("clients")] {
        let workspace = trusting(&ours, "client_certificate = \"client.pem\"\n");
        private(&workspace, "client.pem", &other.issue("simsync", 2999).pem);
        assert_untrusted(&workspace, &peer, "asks for another client certificate, or for one at all");
    }
}

/// The certificate and the key of a file.
fn parted(pem: &str) -> (String, String) {
    let at = pem.find("-----BEGIN PRIVATE").unwrap();
    (pem[..at].to_owned(), pem[at..].to_owned())
}

/// The certificate without the version in it, which is one of the first version then, and its key.
fn first_version(pem: &str) -> String {
    let (certificate, key) = parted(pem);
    let body: String = certificate.lines().filter(|line| !line.starts_with("-----")).collect();
    let mut der = STANDARD.decode(body).unwrap();
    let version = der.windows(5).position(|bytes| bytes == [0xa0, 3, 2, 1, 2]).unwrap();
    der.drain(version..version + 5);
    // The length of the sequence that it began, and of the one around: their last bytes, without a borrow.
    assert!(der[3] >= 5 && der[version - 1] >= 5);
    der[3] -= 5;
    der[version - 1] -= 5;
    let body = STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n{key}")
}

#[test]
fn files_that_hold_no_certificates_are_refused_before_anything_is_asked() {
    let ours = Authority::new("ours");
    let peer = peer(&ours, "127.0.0.1", 2999, None);
    let client = ours.issue("simsync", 2999).pem;
    let (certificate_alone, key) = parted(&client);
    let (another, _) = parted(&ours.issue("simsync", 2999).pem);
    let (mismatched, key_alone) = (format!("{another}{key}"), key);
    let (version_1, encrypted) = (first_version(&client), client.replace("PRIVATE", "ENCRYPTED PRIVATE"));
    let no_key = client.replace(&key_alone, "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n");
    for (name, text, mode, cause) in [
        ("ca.pem", "no certificate", 0o644, "no certificate could be read from"),
        ("client.pem", client.as_str(), 0o640, "may be read by others (mode 640)"),
        ("client.pem", &certificate_alone, 0o600, "there is no private key in it"),
        ("client.pem", &key_alone, 0o600, "there is no certificate in it"),
        ("client.pem", "", 0o600, "there is no certificate in it"),
        ("client.pem", &encrypted, 0o600, "its private key is encrypted"),
        ("client.pem", &mismatched, 0o600, "the private key in it belongs to another certificate"),
        ("client.pem", &version_1, 0o600, "it is an X.509 certificate of version 1"),
        ("client.pem", &no_key, 0o600, "its private key is of a kind that cannot be used"),
    ] {
        let workspace = trusting(&ours, "client_certificate = \"client.pem\"\n");
        private(&workspace, "client.pem", &client);
        let path = workspace.write(name, text);
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let url = peer.url("https", "127.0.0.1");
        for args in [&["sync", "crm.csv"][..], &["config", "check"]] {
            let mut command = workspace.command(args);
            command.env("SIMSYNC_API_URL", &url);
            let ran = finish(command).expect(10);
            assert!(ran.stderr.contains(cause) && ran.stderr.contains(name), "{}", ran.stderr);
            assert!(!ran.stderr.contains("PRIVATE KEY"), "{}", ran.stderr);
            assert!(!workspace.path("simsync-state").exists(), "no row was looked at");
        }
    }
    assert_eq!(peer.connections(), 0);
}

/// Passes the first connection on to one peer, cut off when the third request has come, and all others to another.
fn moving(first: &Peer, then: &Peer) -> u16 {
    // With one request at a time, two were answered by then, however slow the machine is.
    const REQUESTS: usize = 3;
    let (count, first, then) = (first.count(), first.port, then.port);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (cut, to_cut) = std::sync::mpsc::channel::<TcpStream>();
    std::thread::spawn(move || {
        for stream in to_cut {
            while count() < REQUESTS {
                std::thread::sleep(Duration::from_millis(2));
            }
            stream.shutdown(Shutdown::Both).unwrap_or_default();
        }
    });
    std::thread::spawn(move || {
        for (ordinal, stream) in listener.incoming().enumerate() {
            let here = stream.unwrap();
            let there = TcpStream::connect(("127.0.0.1", if ordinal == 0 { first } else { then })).unwrap();
            for (from, to) in [(&here, &there), (&there, &here)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                std::thread::spawn(move || {
                    std::io::copy(&mut from, &mut to).unwrap_or_default();
                    // One side has ended; so has the connection.
                    to.shutdown(Shutdown::Both).unwrap_or_default();
                });
            }
            if ordinal == 0 {
                cut.send(here).unwrap();
            }
        }
    });
    port
}

#[test]
fn a_certificate_that_goes_wrong_in_the_middle_is_an_outage() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let (good, bad) = (peer(&ours, "127.0.0.1", 2999, None), peer(&other, "127.0.0.1", 2999, None));
    let workspace = trusting(&ours, "[delivery]\noutage_max = \"1s\"\nsenders = 1\n");
    workspace.write("crm.csv", export(20));
    let url =
        good.url("https", "127.0.0.1").replace(&good.port.to_string(), &moving(&good, &bad).to_string());
    let args = ["sync", "--api-url", &url, "--rate", "10/s", "--max-in-flight", "1", "--json", "crm.csv"];
    let ran = finish(workspace.command(&args)).expect(5).expect_books();
    assert!(ran.rows("synced") > 0 && ran.rows("failed") == 0, "{}", ran.stdout);
    assert!(ran.stdout.contains("comes from no authority that is trusted here"), "{}", ran.stdout);
}

#[test]
fn the_doctor_tells_which_certificate_it_was_shown() {
    let ours = Authority::new("ours");
    let workspace = trusting(&ours, "");
    let doctor = |peer: &Peer| {
        let url = peer.url("https", "localhost");
        finish(workspace.command(&["doctor", "--api-url", &url]))
    };
    let peer_of = |authority: &Authority, year| peer(authority, "localhost", year, None);
    let whole = peer_of(&ours, 2999);
    let told = doctor(&whole).expect(0).stdout;
    assert!(told.contains("answers 405 to a HEAD without the token"), "{told}");
    assert!(told.contains("its certificate is for localhost and valid until 2999-"), "{told}");
    for (peer, cause) in [
        (peer_of(&ours, 2001), "has expired"),
        (peer_of(&Authority::new("other"), 2999), "comes from no authority that is trusted here"),
        (peer(&ours, "gate.example", 2999, None), "is for another host name"),
    ] {
        let told = doctor(&peer).expect(10).stdout;
        assert!(told.contains("FAILED   connect") && told.contains(cause), "{told}");
        assert_eq!(peer.requests(), (0, 0));
    }
    assert!(!workspace.path("simsync-state").exists());
}
