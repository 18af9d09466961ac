//! One run of the real binary: started, perhaps killed or told to stop, and what it said.
//!
//! Not here: what it is to do (`steps.rs`), whether it did right (`checks.rs`).

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use simsync::sandbox::Sandbox;

use super::steps::Stop;
use crate::support::{TOKEN, binary, signal};

/// Longest time a run may take, in steps of [`PAUSE`].
const PAUSES_MAX: u32 = 300_000;

/// Between two looks at a run.
const PAUSE: Duration = Duration::from_micros(200);

/// A run that is over.
pub(crate) struct Ran {
    /// Exit code; none for one that was killed.
    pub(crate) code: Option<i32>,
    /// The last line of stdout, if it is a summary.
    pub(crate) summary: Option<Value>,
    /// The last line of stdout, if it is JSON at all.
    pub(crate) told: Option<Value>,
    pub(crate) stderr: String,
}

/// Runs `simsync` in a directory, with this end.
pub(crate) fn run(dir: &Path, sandbox: &Sandbox, args: &[String], stop: Stop) -> Result<Ran, String> {
    let failed = |error: std::io::Error| format!("the binary cannot be run: {error}");
    let (out, err) = (dir.join("out.jsonl"), dir.join("err.txt"));
    let mut command = Command::new(binary());
    command.args(args).current_dir(dir).env_clear().env("SIMSYNC_TOKEN", TOKEN);
    command.stdin(Stdio::null()).stdout(File::create(&out).map_err(failed)?);
    command.stderr(File::create(&err).map_err(failed)?);
    let seen = sandbox.stats().requests;
    let mut child = command.spawn().map_err(failed)?;
    let has_seen = |requests: u64| sandbox.stats().requests >= seen + requests;
    let code = match stop {
        Stop::Never | Stop::Rows(_) => wait(&mut child, || false)?,
        Stop::KillAfter(requests, delay_us) => {
            wait(&mut child, || has_seen(requests))?;
            std::thread::sleep(Duration::from_micros(delay_us));
            kill(&mut child)?
        }
        Stop::KillAt(delay_us) => {
            std::thread::sleep(Duration::from_micros(delay_us));
            kill(&mut child)?
        }
        Stop::TermAfter(requests) => {
            wait(&mut child, || has_seen(requests))?;
            signal(child.id(), Signal::TERM);
            wait(&mut child, || false)?
        }
    };
    let said = fs::read_to_string(&out).map_err(failed)?;
    let last = said.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    let summary = last.clone().filter(|last| last["type"] == "summary");
    Ok(Ran { code, summary, told: last, stderr: fs::read_to_string(&err).map_err(failed)? })
}

/// Waits until the process has ended, or something else is so.
fn wait(child: &mut Child, is_so: impl Fn() -> bool) -> Result<Option<i32>, String> {
    for _ in 0..PAUSES_MAX {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status.code());
        }
        if is_so() {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
    kill(child)?;
    Err("the run hangs".into())
}

fn kill(child: &mut Child) -> Result<Option<i32>, String> {
    child.kill().map_err(|error| error.to_string())?;
    Ok(child.wait().map_err(|error| error.to_string())?.code())
}

/// Waits until nothing is under way at the sandbox any more.
pub(crate) fn wait_for_quiet(sandbox: &Sandbox) -> Result<(), String> {
    for _ in 0..PAUSES_MAX {
        let stats = sandbox.stats();
        if stats.connections_open == 0 && stats.in_flight == 0 {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err("connections stay open after the run".into())
}
