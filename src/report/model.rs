//! The summary of a run as data: what `summary.json` and the last line of `--json` hold, and what the text for people
//! is rendered from, at the end of the run as well as years later. Mirror types: the facts know nothing of JSON.
//!
//! Not here: filling them from the numbers (`build.rs`), rendering (`summary.rs`, `survey_text.rs`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Halt;

/// Version of the shape of everything written as JSON. Members are only added; a change of meaning counts it up.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything a run tells about itself. A member missing in an older file reads as empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Always `summary`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Version of the program.
    pub tool_version: String,
    /// Id of the run.
    pub run_id: String,
    /// `sync`, `plan`, `check`, …
    pub command: String,
    /// The target, as text for people.
    pub target: String,
    /// The batch, as hex; empty where there is none.
    pub batch: String,
    /// Whether an open batch was continued.
    pub resumed: bool,
    /// Whether another batch of the target is newer: what to do next depends on it.
    #[serde(skip)]
    pub overtaken: bool,
    /// The key field.
    pub key: Option<String>,
    /// How it came to be the key, in a few words; empty where a notice tells.
    pub key_by: String,
    /// The exit code; `None` when the run has no end (yet).
    pub exit_code: Option<u8>,
    /// What the exit code means.
    pub exit_meaning: String,
    /// Why the run stopped early, if it did.
    pub stopped: Option<String>,
    /// The refusals that stopped it, if they did: what to do next depends on it.
    #[serde(skip)]
    pub halt: Option<Halt>,
    /// Wall clock at the start, RFC 3339.
    pub started_at: String,
    /// Wall clock at the end, RFC 3339.
    pub ended_at: String,
    /// Length of the run, in seconds.
    pub duration_s: f64,
    /// Length of its delivery, in seconds.
    pub delivery_s: f64,
    /// Seconds spent paused.
    pub paused_s: f64,
    /// Rows by their fate.
    pub rows: RowCounts,
    /// Whether the books close: every row read in exactly one place.
    pub balanced: bool,
    /// Updates to send.
    pub updates: u64,
    /// Updates settled per second of delivery.
    pub updates_per_s: f64,
    /// Updates refused for a conflict and deferred, whatever became of them later.
    pub deferred: u64,
    /// True swaps that the run has broken, by a clear that was acknowledged; `None` in summaries of older versions.
    pub swaps_broken: Option<u64>,
    /// Attempts, retries included.
    pub attempts: u64,
    /// Attempts of updates that had been attempted before in this run.
    pub retries: u64,
    /// Attempts that might be on the wire at once in the end, where the adaptive limit had settled by then; `None` in a
    /// run that sent nothing.
    pub in_flight_limit: Option<u64>,
    /// Answers by status; `none` for attempts without an answer.
    pub http: BTreeMap<String, u64>,
    /// Attempts by what became of them.
    pub outcomes: BTreeMap<String, u64>,
    /// Mean time from sending to the end of the answer, in milliseconds.
    pub latency_mean_ms: u64,
    /// Longest of them, in milliseconds.
    pub latency_max_ms: u64,
    /// Records made durable in the journal.
    pub committed: u64,
    /// Inputs in their order.
    pub inputs: Vec<InputRecord>,
    /// Reasons of rejected rows, most frequent first.
    pub rejections: Vec<Reason>,
    /// Warnings, most frequent first.
    pub warnings: Vec<Reason>,
    /// Silent normalisations, most frequent first.
    pub fixes: Vec<Reason>,
    /// Alarms about whole columns.
    pub column_alarms: Vec<AlarmRecord>,
    /// Lines that are no rows.
    pub skipped: SkippedRecord,
    /// Which column stands for which field, input by input.
    pub columns: Vec<ColumnRecord>,
    /// Server complaints, most frequent first.
    pub signatures: Vec<Complaint>,
    /// Things about the whole run.
    pub notices: Vec<String>,
    /// Those of them that `-q` tells, too, even on success.
    #[serde(skip)]
    pub alerts: Vec<String>,
    /// Gates that tripped.
    pub gates: Vec<GateRecord>,
    /// What the plan found, once it was made.
    pub plan: Option<PlanRecord>,
    /// Files of the run.
    pub files: Vec<FileRecord>,
    /// What to do next, in sentences.
    pub next: Vec<String>,
}

/// Rows by their fate, as in [`crate::stats::Rows`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each member is documented where it is defined, in stats::Rows")]
pub struct RowCounts {
    pub read: u64,
    pub synced: u64,
    pub folded: u64,
    pub duplicate: u64,
    pub unchanged: u64,
    pub superseded: u64,
    pub conflict: u64,
    pub held: u64,
    pub rejected: u64,
    pub failed: u64,
    pub in_doubt: u64,
    pub pending: u64,
    pub filtered: u64,
    pub elsewhere: u64,
}

/// An input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InputRecord {
    /// Name as given.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// `csv` or `ndjson`.
    pub format: String,
}

/// A place, with its file's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlaceRecord {
    /// Ordinal of the row in the batch, from 1.
    pub row: u64,
    /// Name of the input as given.
    pub file: String,
    /// Line on which the record begins, from 1.
    pub line: u64,
}

/// Lines passed over because they are no rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SkippedRecord {
    /// Blank lines: empty, of white space, or of delimiters only.
    pub blank: u64,
    /// Lines of footers and trailers.
    pub footer: u64,
    /// Headers that repeat the header of their input.
    pub header: u64,
}

/// A column that stands for a field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ColumnRecord {
    /// Name of the input as given.
    pub file: String,
    /// The field.
    pub field: String,
    /// The column, as the input names it.
    pub column: String,
    /// How it came to stand for the field.
    pub by: String,
}

/// An alarm about a column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlarmRecord {
    /// The column, as the input names it.
    pub column: String,
    /// The field it stands for.
    pub field: String,
    /// The rule's code.
    pub code: String,
    /// Values that show it.
    pub affected: u64,
    /// Values in the column.
    pub values: u64,
    /// Where first, if it has a place.
    pub first: Option<PlaceRecord>,
    /// All of it in a sentence.
    pub text: String,
}

/// A rule, how often it applied, and where first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reason {
    /// The rule's code.
    pub code: String,
    /// How often it applied.
    pub count: u64,
    /// The field, if it is about one.
    pub field: Option<String>,
    /// Where first.
    pub first: PlaceRecord,
    /// The next places, a few of them.
    pub next: Vec<PlaceRecord>,
    /// The same by field, where it applied to several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldReason>,
    /// What the rule says.
    pub says: String,
    /// What helps.
    pub remedy: String,
}

/// How often a rule applied to one of several fields, and where first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldReason {
    /// The field.
    pub field: Option<String>,
    /// How often the rule applied to it.
    pub count: u64,
    /// Where first.
    pub first: PlaceRecord,
    /// The next places, a few of them.
    pub next: Vec<PlaceRecord>,
}

/// A cluster of equal complaints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Complaint {
    /// A short name for it within its run: `S1` for the most frequent. What `replay --signature` takes.
    pub id: String,
    /// The complaint, masked.
    pub signature: String,
    /// How often.
    pub count: u64,
    /// How these updates failed.
    pub kind: String,
    /// Where first.
    pub first: PlaceRecord,
}

/// The short name of a run's complaint by its place in the list, from 1.
pub(super) fn complaint_id(nth: u64) -> String {
    format!("S{nth}")
}

/// A gate that tripped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GateRecord {
    /// Its name in the configuration.
    pub gate: String,
    /// What it found.
    pub text: String,
    /// Whether `--yes` let the run go on.
    pub overridden: bool,
}

/// What the plan found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanRecord {
    /// Rows by disposition.
    pub rows: PlanCounts,
    /// Updates that would change a field, by field.
    pub field_changes: BTreeMap<String, u64>,
    /// Updates for subjects the ledger does not know.
    pub subjects_new: u64,
    /// Updates for subjects the ledger knows.
    pub subjects_changed: u64,
    /// Those of them that change nothing: sent again because `resend_after` has passed, or by `--full`.
    pub updates_refreshed: u64,
    /// Updates to send that settle what an earlier run left in doubt: those left in doubt, and others that overwrite
    /// them.
    pub in_doubt_resent: u64,
    /// Subjects with an update in doubt that these are about; `journal stats` counts them over all of a target.
    pub subjects_in_doubt: u64,
    /// Places of the first of them.
    pub in_doubt_places: Vec<PlaceRecord>,
    /// Updates refused earlier in this batch and not sent again.
    pub refused_before: u64,
    /// Rows to send that clear a field.
    pub clears: u64,
    /// Subjects of the input with nothing to change.
    pub subjects_unchanged: u64,
    /// Subjects of this target of which an acknowledgement is known.
    pub subjects_known: u64,
    /// Known subjects that are not in this input; `None` where it is no whole export.
    pub subjects_missing: Option<u64>,
    /// Subjects that are not in this input, and that an earlier run left with an update in doubt.
    pub left_in_doubt: u64,
    /// Subjects that an earlier run cleared to break a swap, to which nothing was given since, and to which this
    /// input gives nothing either.
    pub left_cleared: u64,
    /// Known subjects that were not in the last whole export.
    pub subjects_missing_before: Option<u64>,
    /// Rows with a value, by field.
    pub filled: BTreeMap<String, u64>,
    /// Updates to send as examples, masked; of a plan alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<SampleRecord>,
    /// Chains of subjects that take what others of the input give up: sent release before assign.
    pub chains: u64,
    /// Subjects of the longest chain.
    pub chain_longest: u64,
    /// Updates that wait for another subject's.
    pub chain_waiting: u64,
    /// Pairs of rows beyond `plan.chain_rows_max`, whose order is left to the server.
    pub chain_unordered: u64,
    /// True swaps: rings of subjects, in which no order releases before it assigns.
    pub swaps: u64,
    /// Subjects in them.
    pub swap_subjects: u64,
    /// Those of the swaps that are broken by clearing one of their subjects first.
    pub swaps_broken: u64,
    /// The places of the first swaps' rows, swap by swap.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub swap_places: Vec<Vec<PlaceRecord>>,
    /// What is cleared first to break them, in the order of the swaps; of the first ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub swap_clears: Vec<ClearRecord>,
    /// Why swaps are not broken although it was asked for; of the first ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub swap_obstacles: Vec<ObstacleRecord>,
    /// Attempts per second the limiter allows; `None` without a limit.
    pub rate_per_s: Option<f64>,
    /// Seconds sending takes at that rate, without retries.
    pub duration_s: Option<f64>,
    /// When it would be done if it began when the plan was made, RFC 3339.
    pub done_at: Option<String>,
}

/// An update to send, as an example.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SampleRecord {
    /// Where it stands.
    pub place: PlaceRecord,
    /// Whether nothing of its subject was acknowledged before.
    pub is_new: bool,
    /// What it changes, in wire order.
    pub changes: Vec<ChangeRecord>,
}

/// One field of such an update.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeRecord {
    /// The field.
    pub field: String,
    /// What was known before: `new`, `was known`, `was unknown`.
    pub before: String,
    /// Whether it is cleared.
    pub cleared: bool,
    /// The new value, masked so that it identifies nobody; empty where it is cleared.
    pub value: String,
}

/// Rows by disposition, as in [`crate::event::PlanRows`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each member is documented where it is defined, in event::PlanRows")]
pub struct PlanCounts {
    pub read: u64,
    pub rejected: u64,
    pub filtered: u64,
    pub elsewhere: u64,
    pub duplicate: u64,
    pub superseded: u64,
    pub unchanged: u64,
    pub conflict: u64,
    pub held: u64,
    pub folded: u64,
    pub refused_before: u64,
    pub send: u64,
}

/// What a subject of a true swap is cleared of before the others of it are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClearRecord {
    /// The row that carries the subject's update, which is sent last.
    pub place: PlaceRecord,
    /// The fields.
    pub fields: Vec<String>,
}

/// Why a true swap is not broken although it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObstacleRecord {
    /// The first row of the swap.
    pub place: PlaceRecord,
    /// Why, and what would break it.
    pub why: String,
}

/// A file of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileRecord {
    /// Its name in the run's directory.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Rows in it; `None` for a file that holds no rows.
    pub rows: Option<u64>,
}
