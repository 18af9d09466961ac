//! `status.json`: how a running run stands, for monitors and for `show` of a run that never came to its end.
//!
//! Not here: `summary.json` (`model.rs`), which takes its place at the end.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::event::Stamped;
use crate::report::glance::Glance;
use crate::report::model::{RowCounts, SCHEMA_VERSION};
use crate::report::run_dir::{Durable, STATUS_FILE, write_atomic};
use crate::report::{Reporter, View};

/// Milliseconds of the run between two writes.
const WRITE_EVERY_MS: u64 = 1_000;

#[derive(Serialize)]
struct Writing<'a> {
    schema_version: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    tool_version: &'a str,
    run_id: &'a str,
    command: &'a str,
    target: &'a str,
    started_at: &'a str,
    updated_at: String,
    pid: u32,
    exit_code: Option<u8>,
    stopped: Option<&'a str>,
    #[serde(flatten)]
    glance: Glance,
}

/// What is read back of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) schema_version: u32,
    pub(super) tool_version: String,
    pub(super) run_id: String,
    pub(super) command: String,
    pub(super) target: String,
    pub(super) started_at: String,
    pub(super) updated_at: String,
    pub(super) pid: u32,
    pub(super) phase: String,
    pub(super) at_ms: u64,
    pub(super) rows: RowCounts,
    pub(super) updates: u64,
    pub(super) attempts: u64,
    pub(super) retries: u64,
}

/// Writes `status.json` every second, and at the end.
pub(super) struct StatusFile {
    dir: PathBuf,
    wall: fn() -> String,
    written_ms: Option<u64>,
    has_failed: bool,
}

impl StatusFile {
    /// Writes into the run's directory.
    pub(super) fn new(dir: PathBuf, wall: fn() -> String) -> StatusFile {
        StatusFile { dir, wall, written_ms: None, has_failed: false }
    }

    fn write(&mut self, view: &View<'_>) {
        self.written_ms = Some(view.stats.at_ms);
        let run = &view.stats.run;
        let status = Writing {
            schema_version: SCHEMA_VERSION,
            kind: "status",
            tool_version: run.tool_version,
            run_id: &run.run_id,
            command: run.command,
            target: &run.target,
            started_at: &run.started_at,
            updated_at: (self.wall)(),
            pid: std::process::id(),
            exit_code: view.stats.exit_code,
            stopped: view.stats.stopped.as_deref(),
            glance: view.glance(),
        };
        let written = serde_json::to_vec(&status)
            .map_err(std::io::Error::from)
            .and_then(|bytes| write_atomic(&self.dir, STATUS_FILE, &bytes, Durable::Process));
        // A status that cannot be written stops no run; it is said once, and the next second tries again.
        if let Err(error) = written
            && !std::mem::replace(&mut self.has_failed, true)
        {
            tracing::warn!(%error, "cannot write status.json");
        }
    }
}

impl Reporter for StatusFile {
    fn on_event(&mut self, stamped: &Stamped, view: &View<'_>) {
        if matches!(stamped.event, crate::event::Event::RunEnded { .. }) {
            self.write(view);
        }
        self.on_tick(view);
    }

    fn on_tick(&mut self, view: &View<'_>) {
        if self.written_ms.is_none_or(|written_ms| view.stats.at_ms >= written_ms + WRITE_EVERY_MS) {
            self.write(view);
        }
    }
}
