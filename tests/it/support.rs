//! What every test of the real binary needs: a private workspace, a sandbox in this process, and runs of `simsync`.
//!
//! The sandbox outlives the binary, so a test can kill the binary and ask the sandbox what arrived.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use simsync::sandbox::{Faults, RequestView, Sandbox, SandboxOptions};
use tempfile::TempDir;

/// Token of every sandbox here.
pub(crate) const TOKEN: &str = "canary-token-5d1f";

/// Another binary than the one of this build, such as a release build. A campaign may set it before it runs the first.
pub(crate) static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    BINARY.get_or_init(|| env!("CARGO_BIN_EXE_simsync").into())
}

/// A private directory with a sandbox beside it.
pub(crate) struct Workspace {
    /// The directory.
    pub(crate) dir: TempDir,
    /// The API.
    pub(crate) sandbox: Sandbox,
}

/// A finished run of the binary.
pub(crate) struct Ran {
    /// Its exit code; -1 when it was killed.
    pub(crate) code: i32,
    /// What it wrote to stdout.
    pub(crate) stdout: String,
    /// What it wrote to stderr.
    pub(crate) stderr: String,
}

impl Workspace {
    /// A workspace whose sandbox misbehaves like this.
    pub(crate) fn with(faults: Faults) -> Workspace {
        let options = SandboxOptions { token: TOKEN.into(), faults, ..SandboxOptions::default() };
        Workspace { dir: tempfile::tempdir().unwrap(), sandbox: Sandbox::start(options).unwrap() }
    }

    /// A workspace whose sandbox behaves.
    pub(crate) fn new() -> Workspace {
        Workspace::with(Faults::default())
    }

    /// A path in the workspace.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file into the workspace.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A command of the binary in the workspace, with the token in the environment and no other setting.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).current_dir(self.dir.path()).env_clear();
        command.env("SIMSYNC_TOKEN", TOKEN).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `simsync sync` against the sandbox, unlimited, with `--json`; further arguments follow.
    pub(crate) fn sync_command(&self, args: &[&str]) -> Command {
        let url = self.sandbox.url();
        let mut all = vec!["sync", "--api-url", &url, "--rate", "unlimited", "--json"];
        all.extend_from_slice(args);
        self.command(&all)
    }

    /// Runs any command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        finish(self.command(args))
    }

    /// Runs `simsync sync` against the sandbox to its end.
    pub(crate) fn sync(&self, args: &[&str]) -> Ran {
        finish(self.sync_command(args))
    }

    /// Starts `simsync sync` against the sandbox and leaves it running; its output goes to files.
    pub(crate) fn sync_in_background(&self, args: &[&str]) -> Child {
        let mut command = self.sync_command(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Waits until the sandbox has seen so many requests.
    pub(crate) fn wait_for_requests(&self, count: u64) {
        for _ in 0..6_000 {
            if self.sandbox.stats().requests >= count {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the sandbox saw {} requests, not {count}", self.sandbox.stats().requests);
    }

    /// The directories of past runs, oldest first.
    pub(crate) fn run_dirs(&self) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = fs::read_dir(self.path("simsync-state/runs"))
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        dirs.sort();
        dirs
    }

    /// A file of the newest run, if it exists.
    pub(crate) fn last_run_file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.run_dirs().last()?.join(name)).ok()
    }

    /// The last value of a field at the sandbox.
    pub(crate) fn at_server(&self, key: &str, field: &str) -> Option<String> {
        self.sandbox.subject(key)?.fields.get(field).cloned()
    }
}

impl Ran {
    /// The summary: the last line of `--json`.
    pub(crate) fn summary(&self) -> Value {
        let last =
            self.stdout.lines().last().unwrap_or_else(|| panic!("no summary; stderr: {}", self.stderr));
        serde_json::from_str(last).unwrap()
    }

    /// Rows of one fate, from the summary.
    pub(crate) fn rows(&self, fate: &str) -> u64 {
        self.summary()["rows"][fate].as_u64().unwrap_or_else(|| panic!("no rows.{fate} in {}", self.stdout))
    }

    /// Asserts the exit code, showing everything when it differs.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that the books close (promise 1).
    #[track_caller]
    pub(crate) fn expect_books(self) -> Ran {
        let rows = self.summary()["rows"].clone();
        let rows = rows.as_object().unwrap();
        let read = rows["read"].as_u64().unwrap();
        let sum: u64 =
            rows.iter().filter(|(name, _)| *name != "read").map(|(_, count)| count.as_u64().unwrap()).sum();
        assert_eq!(read, sum, "{rows:?}");
        self
    }
}

impl Workspace {
    /// A workspace whose sandbox is of this kind; its token is [`TOKEN`].
    pub(crate) fn of(options: SandboxOptions) -> Workspace {
        let options = SandboxOptions { token: TOKEN.into(), ..options };
        Workspace { dir: tempfile::tempdir().unwrap(), sandbox: Sandbox::start(options).unwrap() }
    }

    /// Writes the configuration file that every command of the workspace finds.
    pub(crate) fn configure(&self, text: &str) {
        self.write("simsync.toml", text);
    }

    /// Puts other faults into force.
    pub(crate) fn fault(&self, faults: Faults) {
        self.sandbox.set_faults(faults).unwrap();
    }

    /// The subjects of all requests so far, in order of arrival.
    pub(crate) fn arrivals(&self) -> Vec<String> {
        self.sandbox.requests().into_iter().filter_map(|request| request.subject).collect()
    }

    /// The requests that named a subject, in order of arrival.
    pub(crate) fn history(&self, key: &str) -> Vec<RequestView> {
        self.sandbox.subject(key).map(|subject| subject.history).unwrap_or_default()
    }

    /// The rows of a row file of the newest run, by column; none when there is no such file.
    pub(crate) fn last_rows(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let text = self.last_run_file(name).unwrap_or_default();
        csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
    }
}

/// Longest time a run of the binary may take here, in seconds: a run that hangs must fail its test, not the suite.
const RUN_S_MAX: u64 = 120;

/// Runs a command to its end; one that hangs is killed.
pub(crate) fn finish(mut command: Command) -> Ran {
    finished(command.spawn().unwrap())
}

/// Waits for the end of a run; one that hangs is killed.
pub(crate) fn finished(child: Child) -> Ran {
    let pid = child.id();
    let (ended, watched) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let waited = watched.recv_timeout(Duration::from_secs(RUN_S_MAX));
        if waited == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            signal(pid, rustix::process::Signal::KILL);
        }
    });
    let ran = ran(child.wait_with_output().unwrap());
    drop(ended);
    watchdog.join().unwrap();
    ran
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // The process may have ended by itself; then nobody is left to be told.
    rustix::process::kill_process(pid, signal).unwrap_or_default();
}

/// The outcome of a process.
pub(crate) fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// SIGKILL after a while, whether the command has ended by then or not.
pub(crate) fn kill_after(command: &mut Command, delay_ms: u64) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(delay_ms));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Says why a test did nothing where it could not do it: past the harness, which keeps to itself what a test prints
/// that passes.
pub(crate) fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    std::io::stderr().write_all(format!("skipped: {test}: {why}\n").as_bytes()).unwrap_or_default();
}

/// A valid IMEI with this serial: 14 digits and their Luhn digit (3GPP TS 23.003 annex B).
pub(crate) fn imei(serial: u32) -> String {
    let body = format!("35686800{serial:06}");
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let digit = u32::from(digit - b'0');
            let doubled = if index % 2 == 0 { digit * 2 } else { digit };
            doubled / 10 + doubled % 10
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// A clean export of so many subjects: `crm id,mobile,imei,tier`.
pub(crate) fn export(rows: u32) -> String {
    let mut text = String::from("crm id,mobile,imei,tier\n");
    for row in 0..rows {
        writeln!(text, "C-{row:06},+4479{:08},{},basic", 10_000_000 + row, imei(row)).unwrap();
    }
    text
}

/// A fixture's path.
pub(crate) fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).to_string_lossy().into_owned()
}

/// `simsync replay` against the sandbox, unlimited, with `--json`.
pub(crate) fn replay(ws: &Workspace, args: &[&str]) -> Ran {
    let url = ws.sandbox.url();
    let own = ["replay", "--api-url", &url, "--rate", "unlimited", "--json"];
    finish(ws.command(&[&own, args].concat()))
}

/// The name of the newest run.
pub(crate) fn last_run(ws: &Workspace) -> String {
    ws.run_dirs().pop().unwrap().file_name().unwrap().to_string_lossy().into_owned()
}
