//! nginx as a child of its test: its own directory, configuration and port, in the foreground, killed on drop.
//!
//! Not here: what it is asked to do (`nginx.rs`).

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use simsync::sandbox::ENDPOINT_PATH;
use tempfile::TempDir;

/// Ports tried until one is still free when nginx asks for it.
const STARTS_MAX: u32 = 20;

/// What a test asks of it: lines of its configuration, by where they stand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lines<'a> {
    /// In `http`.
    pub(super) http: &'a str,
    /// In `server`.
    pub(super) server: &'a str,
    /// In the location that is passed on.
    pub(super) location: &'a str,
}

/// A running nginx.
pub(super) struct Nginx {
    child: Child,
    dir: TempDir,
    address: SocketAddr,
}

impl Nginx {
    /// nginx in front of a server, if there is an nginx on this machine; says so if there is none.
    pub(super) fn before(upstream: SocketAddr, lines: Lines<'_>) -> Option<Nginx> {
        let Ok(version) = Command::new("nginx").arg("-V").stdin(Stdio::null()).output() else {
            crate::support::skipped("nginx is not on the PATH");
            return None;
        };
        let built = String::from_utf8_lossy(&version.stderr).into_owned();
        for _ in 0..STARTS_MAX {
            let nginx = Nginx::start(upstream, lines, &built);
            if nginx.is_some() {
                return nginx;
            }
        }
        panic!("nginx does not start; is its configuration right?\n{built}");
    }

    /// Starts it on a port that was free a moment ago; `None` when it did not come up there.
    fn start(upstream: SocketAddr, lines: Lines<'_>, built: &str) -> Option<Nginx> {
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        fs::write(dir.path().join("nginx.conf"), configuration(dir.path(), address, upstream, lines, built))
            .unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).arg("-c").arg(dir.path().join("nginx.conf"));
        command.arg("-e").arg(dir.path().join("error.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut nginx = Nginx { child: command.spawn().unwrap(), dir, address };
        nginx.is_up().then_some(nginx)
    }

    /// Waits until it takes connections, or has ended.
    fn is_up(&mut self) -> bool {
        for _ in 0..1_000 {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            // Somebody else may have taken the port: then it says so and ends.
            if TcpStream::connect(self.address).is_ok() {
                return !self.errors().contains("[emerg]");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// The endpoint behind it.
    pub(super) fn url(&self) -> String {
        format!("http://{}{ENDPOINT_PATH}", self.address)
    }

    /// Requests it answered, by status.
    pub(super) fn answers(&self) -> BTreeMap<String, u64> {
        let log = fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        let mut answers = BTreeMap::new();
        for status in log.lines() {
            *answers.entry(status.to_owned()).or_default() += 1;
        }
        answers
    }

    /// What it complained of.
    pub(super) fn errors(&self) -> String {
        fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself; a child that is not waited for stays as a zombie.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

fn configuration(
    dir: &Path,
    address: SocketAddr,
    upstream: SocketAddr,
    lines: Lines<'_>,
    built: &str,
) -> String {
    let dir = dir.display();
    // Its directories of the machine belong to somebody else; those of modules it was built without, it does not know.
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .into_iter()
        .filter(|module| !built.contains(&format!("--without-http_{module}_module")))
        .map(|module| format!("  {module}_temp_path {dir}/{module};\n"))
        .collect();
    let Lines { http, server, location } = lines;
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nerror_log {dir}/error.log warn;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n{paths}  log_format status '$status';\n  access_log {dir}/access.log status;\n  \
         keepalive_requests 10000;\n  {http}\n\
         upstream api {{ server {upstream} max_fails=0; keepalive 16; }}\n\
         server {{\n  listen {address};\n  {server}\n  location / {{\n    {location}\n    \
         proxy_pass http://api;\n    proxy_http_version 1.1;\n    proxy_set_header Connection \"\";\n    \
         proxy_next_upstream off;\n  }}\n}}\n}}\n"
    )
}
