//! Proxies: which one is asked, what it learns, and what its own complaints are taken for.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::peer::{Authority, Peer, Security};
use crate::support::{Ran, TOKEN, Workspace, export, finish};

/// What no output may hold.
const SECRET: &str = "hunter2";

/// After how many requests which answer is given, ascending.
type Turns = Arc<Mutex<Vec<(usize, &'static str)>>>;

/// A proxy that answers the whole way itself (a forward proxy) or connects to a peer, whatever it is asked for.
struct Proxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    /// From which requests on other answers are given, and which.
    turns: Turns,
}

impl Proxy {
    /// `to` is the port that tunnels end at; `answer` is for everything else.
    fn start(to: Option<u16>, answer: &'static str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let turns = Turns::default();
        let (told, later) = (Arc::clone(&heads), Arc::clone(&turns));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, told, later) = (stream.unwrap(), Arc::clone(&told), Arc::clone(&later));
                std::thread::spawn(move || serve(stream, to, (answer, &later), &told));
            }
        });
        Proxy { port, heads, turns }
    }

    /// After so many requests, more than at the turn before, it gives this answer.
    fn turn(&self, after: usize, answer: &'static str) {
        self.turns.lock().unwrap().push((after, answer));
    }

    fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}127.0.0.1:{}", self.port)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// An answer, and those that follow it.
type Answers<'a> = (&'static str, &'a Turns);

fn serve(stream: TcpStream, to: Option<u16>, (answer, turns): Answers<'_>, told: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if !matches!(reader.read_line(&mut head), Ok(1..)) {
                return;
            }
        }
        told.lock().unwrap().push(head.clone());
        if let (true, Some(to)) = (head.starts_with("CONNECT "), to) {
            writer.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
            let there = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let (mut up, mut down) = (there.try_clone().unwrap(), there);
            // Nothing follows a CONNECT until it is answered, so the reader holds nothing back.
            std::thread::spawn(move || std::io::copy(&mut reader, &mut up));
            std::io::copy(&mut down, &mut writer).unwrap_or_default();
            return;
        }
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let mut body = vec![0; length.unwrap_or_default()];
        reader.read_exact(&mut body).unwrap();
        let asked = told.lock().unwrap().len();
        let turned = turns.lock().unwrap().iter().rfind(|(after, _)| asked > *after).copied();
        let answer = turned.map_or(answer, |(_, answer)| answer);
        writer.write_all(answer.as_bytes()).unwrap_or_default();
    }
}

const CREATED: &str = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
/// Nothing, on a connection that stays open.
const SILENCE: &str = "";
const ASKS_FOR_CREDENTIALS: &str = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";

/// An endpoint that no name server knows; only a proxy answers for it.
const NOWHERE: &str = "http://gate.invalid/api/v1/device_app_user_update/";

/// A workspace with six rows that gives up after a second.
fn workspace(more: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.configure(&format!("[delivery]\noutage_max = \"1s\"\n[api]\nallow_plain_http = true\n{more}"));
    workspace.write("crm.csv", export(6));
    workspace
}

fn sync(workspace: &Workspace, url: &str) -> Command {
    workspace.command(&["sync", "--api-url", url, "--rate", "unlimited", "--json", "crm.csv"])
}

#[track_caller]
fn assert_silent(ran: &Ran) {
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!told.contains(SECRET) && !told.contains(TOKEN), "{told}");
}

#[test]
fn a_proxy_is_used_when_it_is_named_and_gets_its_credentials() {
    let proxy = Proxy::start(None, CREATED);
    let workspace = workspace(&format!("proxy = \"{}\"\n", proxy.url(&format!("jane:{SECRET}@"))));
    let ran = finish(sync(&workspace, NOWHERE)).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 6);
    assert_silent(&ran);
    let heads = proxy.heads();
    assert_eq!(heads.len(), 6);
    for head in heads {
        assert!(head.starts_with(&format!("POST {NOWHERE} HTTP/1.1\r\n")), "{head}");
        // jane:hunter2
        assert!(head.contains("proxy-authorization: Basic amFuZTpodW50ZXIy\r\n"), "{head}");
    }
    for args in [&["config", "show"][..], &["config", "show", "--json"], &["config", "check"]] {
        let ran = workspace.run(args).expect(0);
        assert_silent(&ran);
        assert_eq!(ran.stdout.contains("********@127.0.0.1"), args.contains(&"show"), "{}", ran.stdout);
    }
}

#[test]
fn a_tunnel_through_a_proxy_shows_it_no_token() {
    let ours = Authority::new("ours");
    let certificate = ours.issue("gate.invalid", 2999);
    let peer = Peer::start(Some(Security { certificate, clients_of: None, alpn: &["h2", "http/1.1"] }));
    let proxy = Proxy::start(Some(peer.port), CREATED);
    let workspace = workspace(&format!(
        "http = \"auto\"\nca_file = \"ca.pem\"\nproxy = \"{}\"\n",
        proxy.url(&format!("jane:{SECRET}@"))
    ));
    workspace.write("ca.pem", ours.pem());
    let url = NOWHERE.replace("http:", "https:");
    let ran = finish(sync(&workspace, &url)).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), peer.requests()), (6, (0, 6)));
    assert_silent(&ran);
    for head in proxy.heads() {
        assert!(head.starts_with("CONNECT gate.invalid:443 HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("Basic amFuZTpodW50ZXIy"), "{head}");
        assert!(!head.contains(TOKEN) && !head.to_lowercase().contains("bearer"), "{head}");
    }
}

#[test]
fn a_proxy_of_the_environment_is_used_only_where_env_is_said() {
    let proxy = Proxy::start(None, CREATED);
    let in_environment = |workspace: &Workspace, names: &[(&str, &str)]| {
        let mut command = sync(workspace, NOWHERE);
        command
            .env("HTTP_PROXY", proxy.url(""))
            .env("http_proxy", proxy.url(""))
            .env("ALL_PROXY", proxy.url(""));
        command.envs(names.iter().copied());
        finish(command)
    };
    // Without a word nobody answers for the name.
    let ran = in_environment(&workspace(""), &[]).expect(5).expect_books();
    assert_eq!((ran.rows("pending"), ran.rows("failed"), proxy.heads().len()), (6, 0, 0));
    let said = workspace("proxy = \"env\"\n");
    assert_eq!(in_environment(&said, &[("NO_PROXY", "other.invalid")]).expect(0).rows("synced"), 6);
    assert_eq!(proxy.heads().len(), 6);
    let excepted = workspace("proxy = \"env\"\n");
    in_environment(&excepted, &[("NO_PROXY", "gate.invalid")]).expect(5);
    assert_eq!(proxy.heads().len(), 6);
    // What is no proxy is not passed over, or the token would go straight out.
    let strange = format!("socks5://jane:{SECRET}@127.0.0.1:1080");
    let ran = in_environment(&workspace("proxy = \"env\"\n"), &[("HTTP_PROXY", &strange)]).expect(10);
    assert!(ran.stderr.contains("HTTP_PROXY names no usable proxy"), "{}", ran.stderr);
    assert_silent(&ran);
}

#[test]
fn loopback_is_reached_without_a_proxy() {
    let proxy = Proxy::start(None, CREATED);
    let workspace = workspace(&format!("proxy = \"{}\"\n", proxy.url("")));
    assert_eq!(workspace.sync(&["crm.csv"]).expect(0).rows("synced"), 6);
    assert_eq!((workspace.sandbox.stats().subjects, proxy.heads().len()), (6, 0));
}

#[test]
fn a_407_is_the_proxys_word_and_no_rows() {
    // In the open it is an answer, in front of a tunnel there is none.
    for url in [NOWHERE.to_owned(), NOWHERE.replace("http:", "https:")] {
        let proxy = Proxy::start(None, ASKS_FOR_CREDENTIALS);
        let workspace = workspace(&format!("proxy = \"{}\"\n", proxy.url(&format!("jane:{SECRET}@"))));
        let authority = Authority::new("ours");
        workspace.write("ca.pem", authority.pem());
        let mut command = sync(&workspace, &url);
        command.env("SIMSYNC_API_CA_FILE", workspace.path("ca.pem"));
        let ran = finish(command).expect(5).expect_books();
        assert_eq!(ran.rows("failed"), 0, "{url}");
        assert_silent(&ran);
        let why = format!("the proxy http://********@127.0.0.1:{} does not accept the user name", proxy.port);
        let stopped = ran.summary()["stopped"].to_string();
        assert!(stopped.contains("could not be reached") && stopped.contains(&why), "{stopped}");
    }
}

#[test]
fn a_proxy_that_refuses_in_the_middle_of_a_run_is_what_is_told_and_not_the_api() {
    let proxy = Proxy::start(None, CREATED);
    proxy.turn(2, ASKS_FOR_CREDENTIALS);
    let workspace = workspace(&format!("proxy = \"{}\"\n", proxy.url(&format!("jane:{SECRET}@"))));
    let hasty = [("BACKOFF_INITIAL", "10ms"), ("BACKOFF_MAX", "50ms")];
    let args = ["sync", "-q", "--api-url", NOWHERE, "--max-in-flight", "1", "crm.csv"];
    let mut command = workspace.command(&args);
    command.envs(hasty.map(|(name, value)| (format!("SIMSYNC_DELIVERY_{name}"), value)));
    let ran = finish(command).expect(5);
    assert_silent(&ran);
    assert!(proxy.heads().len() > 2);
    let why = format!("the proxy http://********@127.0.0.1:{} does not accept the user name", proxy.port);
    assert!(
        ran.stderr.contains(&format!("error: the API could not be reached for as long as outage_max: {why}"))
    );
    assert!(!ran.stderr.contains("API is down or"), "{}", ran.stderr);
    assert!(ran.stderr.contains("give api.proxy the user name and password"), "{}", ran.stderr);
    // Who watches a run is told the same.
    let proxy = Proxy::start(None, CREATED);
    proxy.turn(2, ASKS_FOR_CREDENTIALS);
    workspace.configure(&format!(
        "[delivery]\noutage_max = \"1s\"\n[api]\nallow_plain_http = true\nproxy = \"{}\"\n",
        proxy.url("")
    ));
    workspace.write("crm.csv", export(40));
    let ran = finish(sync(&workspace, NOWHERE)).expect(5).expect_books();
    assert!(ran.stdout.contains("a proxy is in the way, probing"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("server is failing"), "{}", ran.stdout);
}

#[test]
fn a_silence_after_a_proxys_refusal_is_told_as_the_silence() {
    // What is told at the end is what was met last, whatever was met first, and whether or not it was met before.
    for answered_first in [false, true] {
        let proxy = Proxy::start(None, if answered_first { CREATED } else { SILENCE });
        proxy.turn(1, ASKS_FOR_CREDENTIALS);
        proxy.turn(2, SILENCE);
        let workspace = workspace(&format!("timeout = \"200ms\"\nproxy = \"{}\"\n", proxy.url("")));
        let mut command = sync(&workspace, NOWHERE);
        command.args(["--max-in-flight", "1"]);
        let hasty = [("BACKOFF_INITIAL", "10ms"), ("BACKOFF_MAX", "50ms"), ("OUTAGE_MAX", "2s")];
        command.envs(hasty.map(|(name, value)| (format!("SIMSYNC_DELIVERY_{name}"), value)));
        let ran = finish(command).expect(5).expect_books();
        assert!(proxy.heads().len() > 3, "{answered_first}");
        let stopped = ran.summary()["stopped"].to_string();
        let why =
            if answered_first { "the API is down or keeps pushing back" } else { "no head of an answer" };
        assert!(stopped.contains(why), "{answered_first}: {stopped}");
        assert!(!ran.stderr.contains("user name and password"), "{}", ran.stderr);
    }
}

#[test]
fn a_doctor_behind_a_proxy_that_wants_credentials_ends_as_a_run_would() {
    for url in [NOWHERE.to_owned(), NOWHERE.replace("http:", "https:")] {
        let proxy = Proxy::start(None, ASKS_FOR_CREDENTIALS);
        let workspace = workspace(&format!("proxy = \"{}\"\n", proxy.url(&format!("jane:{SECRET}@"))));
        workspace.write("ca.pem", Authority::new("ours").pem());
        let mut command = workspace.command(&["doctor", "--json", "--api-url", &url]);
        command.env("SIMSYNC_API_CA_FILE", workspace.path("ca.pem"));
        let ran = finish(command).expect(5);
        let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let found = lines.iter().find(|line| line["check"] == "connect").unwrap();
        assert_eq!(found["status"], "failed", "{found}");
        let says = found["says"].as_str().unwrap();
        let why = format!("the proxy http://********@127.0.0.1:{} does not accept the user name", proxy.port);
        assert!(says.contains(&why), "{says}");
        let hint = found["hint"].as_str().unwrap();
        assert!(hint.contains("give api.proxy the user name and password"), "{hint}");
        assert_silent(&ran);
    }
}

#[test]
fn what_is_no_proxy_is_refused_without_being_printed() {
    let workspace = workspace(&format!("proxy = \"socks5://jane:{SECRET}@proxy.example:1080\"\n"));
    for ran in [finish(sync(&workspace, NOWHERE)), workspace.run(&["config", "check"])] {
        let ran = ran.expect(10);
        assert!(ran.stderr.contains("api.proxy names no usable proxy: its scheme"), "{}", ran.stderr);
        assert_silent(&ran);
    }
}
