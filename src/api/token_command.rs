//! Running the token command: bounded in time and output, and quiet about what it printed.
//!
//! Blocks. Not here: what makes a token (`token.rs`).

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::signature::{Mask, masked_line};
use super::token::{TokenError, TokenSource, read_bounded};
use crate::update::Fields;

/// How long a token command may take, in milliseconds.
pub const TOKEN_COMMAND_TIMEOUT_MS: u64 = 30_000;

/// How often a running command is looked at, in milliseconds.
const POLL_MS: u64 = 10;

/// How long output may stay open behind the command's end (a process it left behind may hold it), in milliseconds.
const OUTPUT_GRACE_MS: u64 = 1_000;

/// Bytes of its standard error that are looked at.
const STDERR_BYTES_MAX: u64 = 4096;

/// Runs `sh -c COMMAND` and returns what it printed, at most a little more than a token may be long.
pub(super) fn run(command: &str, timeout_ms: u64) -> Result<Vec<u8>, TokenError> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env_remove(TokenSource::ENV_NAME)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| TokenError::Spawn { source })?;
    let stdout = read_aside(child.stdout.take(), |pipe| {
        let bytes = read_bounded(&mut *pipe)?;
        drain(pipe)?;
        Ok(bytes)
    });
    let stderr = read_aside(child.stderr.take(), |pipe| {
        let mut bytes = Vec::new();
        pipe.take(STDERR_BYTES_MAX).read_to_end(&mut bytes)?;
        drain(pipe)?;
        Ok(bytes)
    });
    let status = wait(&mut child, timeout_ms)?;
    let output = |pipe: &Receiver<std::io::Result<Vec<u8>>>| match pipe
        .recv_timeout(Duration::from_millis(OUTPUT_GRACE_MS))
    {
        Ok(read) => read.map_err(|source| TokenError::Spawn { source }),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            Err(TokenError::Timeout { timeout_ms })
        }
    };
    if status.success() {
        return output(&stdout);
    }
    // A failed command's words are told even where something keeps its output open.
    let printed = output(&stdout).unwrap_or_default();
    let said = output(&stderr).unwrap_or_default();
    Err(TokenError::Command { status: in_words(status), stderr: first_line(&said, &printed) })
}

/// Reads a pipe on a thread of its own, so that a command that fills both never waits for its reader. The thread
/// ends with the pipe; nobody waits for it longer than a bound.
fn read_aside<P, F>(pipe: Option<P>, read: F) -> Receiver<std::io::Result<Vec<u8>>>
where
    P: Read + Send + 'static,
    F: FnOnce(&mut P) -> std::io::Result<Vec<u8>> + Send + 'static,
{
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let read = pipe.map_or_else(|| Ok(Vec::new()), |mut pipe| read(&mut pipe));
        // Nobody listens any more after a timeout.
        sender.send(read).ok();
    });
    receiver
}

fn drain(pipe: &mut impl Read) -> std::io::Result<()> {
    std::io::copy(pipe, &mut std::io::sink()).map(|_| ())
}

/// Waits for the command's end by counting looks at it: a coarse clock, but none of our own.
fn wait(child: &mut Child, timeout_ms: u64) -> Result<ExitStatus, TokenError> {
    for _ in 0..=timeout_ms / POLL_MS {
        if let Some(status) = child.try_wait().map_err(|source| TokenError::Spawn { source })? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(POLL_MS));
    }
    // It may have ended just now; either way it is gone and reaped afterwards.
    child.kill().and_then(|()| child.wait()).map_err(|source| TokenError::Spawn { source })?;
    Err(TokenError::Timeout { timeout_ms })
}

fn in_words(status: ExitStatus) -> String {
    status.code().map_or_else(|| "killed by a signal".to_owned(), |code| format!("exit code {code}"))
}

/// The first line of its standard error. Masked like a server's complaint, and with whatever it printed: a shell
/// that traces its commands writes the token to both.
fn first_line(said: &[u8], printed: &[u8]) -> String {
    let printed = String::from_utf8_lossy(printed);
    let said = String::from_utf8_lossy(said);
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let line = masked_line(line, &Mask::new(&Fields::default(), Some(printed.trim())));
    if line.is_empty() { "it said nothing on its standard error".to_owned() } else { line }
}
