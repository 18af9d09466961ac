//! What the journal's tools tell: sizes, findings, what was removed. For people and for programs.
//!
//! Not here: the tools (`journal/`, `cli/journal.rs`).

use serde::Serialize;

use crate::report::json::to_line;
use crate::report::lookup::Moment;
use crate::report::model::SCHEMA_VERSION;
use crate::report::style::{Align, Paint, clean, plural, table, thousands};

/// A message of a tool under `--json`: its own members after the version of the schema and its name.
#[derive(Serialize)]
struct Message<'a, T> {
    schema_version: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    content: &'a T,
}

fn line<T: Serialize>(kind: &'static str, content: &T) -> String {
    to_line(&Message { schema_version: SCHEMA_VERSION, kind, content })
}

/// Space on the disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DiskRecord {
    /// The store.
    pub store_bytes: u64,
    /// The ledger.
    pub ledger_bytes: u64,
    /// Files of runs and the rest.
    pub other_bytes: u64,
}

impl DiskRecord {
    fn total(&self) -> u64 {
        self.store_bytes + self.ledger_bytes + self.other_bytes
    }

    fn text(&self) -> String {
        format!(
            "{} (store {}, ledger {}, files of runs and the rest {})",
            size(self.total()),
            size(self.store_bytes),
            size(self.ledger_bytes),
            size(self.other_bytes)
        )
    }
}

/// An open batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchRecord {
    /// Its sequence.
    pub batch: u64,
    /// Its rows.
    pub rows: u64,
    /// When it was begun.
    pub begun: Moment,
}

/// A target of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetRecord {
    /// Its name.
    pub target: String,
    /// Its key field.
    pub key: Option<&'static str>,
    /// Batches begun so far.
    pub batches: u64,
    /// Those not yet ruled on as a whole.
    pub open_batches: Vec<BatchRecord>,
    /// Subjects known.
    pub subjects: u64,
    /// Those with unknown fields.
    pub subjects_unknown: u64,
    /// Those with an update in doubt.
    pub subjects_in_doubt: u64,
    /// Those that were cleared to break a swap, and of which nothing was acknowledged since.
    pub subjects_cleared: u64,
    /// Those whose last update failed.
    pub subjects_failed: u64,
    /// Oldest of the subjects' last acknowledgements.
    pub oldest_acknowledgement: Option<Moment>,
    /// Newest acknowledgement.
    pub newest_acknowledgement: Option<Moment>,
}

/// `journal stats`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatsReport {
    /// The state directory.
    pub state: String,
    /// Number of the ledger's generation.
    pub generation: u64,
    /// Entries in it.
    pub entries: u64,
    /// Entries of no target listed.
    pub entries_elsewhere: u64,
    /// Records an earlier run had left in the log, folded by this command.
    pub log_records: u64,
    /// Last sequence of the log.
    pub sequence: u64,
    /// Runs recorded.
    pub runs: u64,
    /// Targets by name.
    pub targets: Vec<TargetRecord>,
    /// Space taken.
    pub disk: DiskRecord,
}

impl StatsReport {
    /// One line of JSON.
    pub fn json(&self) -> String {
        line("journal_stats", self)
    }

    /// For people.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!("journal in {}\n", clean(&self.state));
        let rows = [
            ("ledger", format!("generation {}, {}", self.generation, plural(self.entries, "entry"))),
            ("log", format!("sequence {}, {} folded now", self.sequence, plural(self.log_records, "record"))),
            ("runs", thousands(self.runs)),
            ("disk", self.disk.text()),
        ];
        let rows: Vec<Vec<String>> = rows.map(|(name, value)| vec![name.into(), value]).into();
        text.push_str(&table(2, &[Align::Left, Align::Left], &rows));
        for target in &self.targets {
            text.push_str(&target.text(paint));
        }
        if self.entries_elsewhere > 0 {
            let entries = plural(self.entries_elsewhere, "entry");
            text.push_str(&format!("{entries} of an earlier key field or an unnamed target\n"));
        }
        text
    }
}

impl TargetRecord {
    fn text(&self, paint: Paint) -> String {
        let key = self.key.map_or_else(|| "no key field yet".to_owned(), |key| format!("key field {key}"));
        let mut text = format!("{} {} ({key})\n", paint.bold("target"), clean(&self.target));
        let shown = |moment: &Option<Moment>| {
            moment.as_ref().map_or_else(|| "none".to_owned(), |moment| moment.local.clone())
        };
        let cleared = match self.subjects_cleared {
            0 => String::new(),
            cleared => format!(", {} cleared to break a swap and given nothing since", thousands(cleared)),
        };
        let subjects = format!(
            "{} ({} with unknown fields, {} in doubt, {} failed{cleared})",
            thousands(self.subjects),
            thousands(self.subjects_unknown),
            thousands(self.subjects_in_doubt),
            thousands(self.subjects_failed)
        );
        let batches =
            format!("{}, {} open", thousands(self.batches), thousands(self.open_batches.len() as u64));
        let acknowledgements = format!(
            "newest {}, oldest {}",
            shown(&self.newest_acknowledgement),
            shown(&self.oldest_acknowledgement)
        );
        let rows = [("subjects", subjects), ("batches", batches), ("acknowledged", acknowledgements)];
        let mut rows: Vec<Vec<String>> = rows.map(|(name, value)| vec![name.into(), value]).into();
        for open in &self.open_batches {
            let about = format!("{}, begun {}", plural(open.rows, "row"), open.begun.local);
            rows.push(vec![format!("batch {}", open.batch), about]);
        }
        if !self.open_batches.is_empty() {
            let goes_on = "open until the command that began it has run to its end; where the target has moved: with \
                           api.target set to the name above, beside the new api.url";
            rows.push(vec![String::new(), goes_on.to_owned()]);
        }
        text.push_str(&table(2, &[Align::Left, Align::Left], &rows));
        text
    }
}

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingRecord {
    /// What was found.
    pub what: String,
    /// What is lost by it.
    pub lost: String,
}

/// `journal verify`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Whether nothing is wrong.
    pub sound: bool,
    /// Values of the log.
    pub log_values: u64,
    /// Records in them.
    pub log_records: u64,
    /// Named values.
    pub named_values: u64,
    /// Number of the ledger's generation.
    pub generation: u64,
    /// Its pages.
    pub pages: u64,
    /// Its entries that could be read.
    pub entries: u64,
    /// What is wrong.
    pub findings: Vec<FindingRecord>,
    /// How many findings there were.
    pub findings_total: u64,
    /// Whether nothing may be written there: the file system is read-only, or another user's.
    pub read_only: bool,
    /// Whether nothing was ever recorded: the run that was to create the journal was killed over it.
    pub blank: bool,
}

impl VerifyReport {
    /// One line of JSON.
    pub fn json(&self) -> String {
        line("journal_verify", self)
    }

    /// For people.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!(
            "read {}, {} with {}, {} of the ledger's generation {} with {}\n",
            plural(self.named_values, "named value"),
            plural(self.log_values, "log value"),
            plural(self.log_records, "record"),
            plural(self.pages, "page"),
            self.generation,
            plural(self.entries, "entry")
        );
        if self.read_only {
            text.push_str("nothing may be written there (a read-only file system, or another user's): a copy of the store elsewhere was read\n");
        }
        if self.blank {
            text.push_str("nothing was ever recorded: a run was killed while it created the journal\n");
        }
        for finding in &self.findings {
            let what = clean(&finding.what);
            text.push_str(&format!("{} {what}\n  lost: {}\n", paint.red("damaged:"), clean(&finding.lost)));
        }
        let shown = self.findings.len() as u64;
        if self.findings_total > shown {
            text.push_str(&format!("and {} more\n", thousands(self.findings_total - shown)));
        }
        if self.sound {
            text.push_str(&format!("{}\n", paint.green("nothing is wrong")));
        }
        text
    }
}

/// `journal compact`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CompactReport {
    /// Space taken before.
    pub before: DiskRecord,
    /// Space taken now.
    pub after: DiskRecord,
}

impl CompactReport {
    /// One line of JSON.
    pub fn json(&self) -> String {
        line("journal_compact", self)
    }

    /// For people.
    pub fn text(&self) -> String {
        format!("before: {}\nafter:  {}\n", self.before.text(), self.after.text())
    }
}

/// A subject that was cleared to break a swap and is forgotten as such.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ClearedRecord {
    /// The state directory whose journal knew it.
    pub state: String,
    /// What it was cleared of.
    pub fields: Vec<String>,
    /// Whether the clear was acknowledged, or may only have been applied.
    pub is_certain: bool,
}

/// `journal forget` of a subject
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ForgetReport {
    /// Targets it was removed at.
    pub targets: Vec<String>,
    /// Targets whose key field was not among the values given.
    pub targets_passed_over: Vec<String>,
    /// Ledger entries removed.
    pub entries: u64,
    /// Rows removed from the files of runs.
    pub rows: u64,
    /// Files they stood in.
    pub files: u64,
    /// Where it was cleared to break a swap, and nothing was acknowledged since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cleared: Vec<ClearedRecord>,
    /// Rows that were left because nobody can tell whose they are: their key cell cannot be read.
    pub rows_unread: u64,
    /// Files these stand in.
    pub files_unread: Vec<String>,
}

impl ForgetReport {
    /// One line of JSON.
    pub fn json(&self) -> String {
        line("journal_forget", self)
    }

    /// For people.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!(
            "removed {} and {} in {}; the store was written anew\n",
            plural(self.entries, "ledger entry"),
            plural(self.rows, "row"),
            plural(self.files, "file")
        );
        for ClearedRecord { fields, is_certain, .. } in &self.cleared {
            let was = if *is_certain { "was" } else { "may have been" };
            let fields = fields.join(", ");
            text.push_str(&format!(
                "{} the subject {was} cleared of {fields} to break a swap, and the API has acknowledged nothing for it since: it \
                 is still without, and after this nothing names it; send a row that gives it what it is to have\n",
                paint.yellow("warning:")
            ));
        }
        if self.rows_unread > 0 {
            let rows = plural(self.rows_unread, "row");
            text.push_str(&format!("{} {rows} left, whose key cell cannot be read\n", paint.yellow("note:")));
            for file in &self.files_unread {
                text.push_str(&format!("  {}\n", clean(file)));
            }
        }
        for target in &self.targets_passed_over {
            let note = "another key field, not touched; give its value too:";
            text.push_str(&format!("{} {note} {}\n", paint.yellow("note:"), clean(target)));
        }
        text
    }
}

/// `journal forget --before`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForgetRunsReport {
    /// Whether they were removed, or only counted.
    pub removed: bool,
    /// Before when they began.
    pub before: Moment,
    /// Runs' directories.
    pub directories: u64,
    /// Runs recorded in the journal.
    pub records: u64,
    /// Older runs that stay because their batch is open, began to be sent, and is the newest of its target.
    pub kept: u64,
    /// Open batches that go with their runs: overtaken, or never begun to be sent.
    pub batches: u64,
    /// The oldest of the runs.
    pub first: Option<String>,
    /// The newest of them.
    pub last: Option<String>,
}

impl ForgetRunsReport {
    /// One line of JSON.
    pub fn json(&self) -> String {
        line("journal_forget_runs", self)
    }

    /// For people.
    pub fn text(&self) -> String {
        let would = if self.removed { "removed" } else { "would remove" };
        let range = match (&self.first, &self.last) {
            (Some(first), Some(last)) if first != last => format!(": {} to {}", clean(first), clean(last)),
            (Some(only), _) => format!(": {}", clean(only)),
            (None, _) => String::new(),
        };
        let directories = plural(self.directories, "directory");
        let mut text = format!(
            "{would} {directories} and {} of runs that began before {}{range}\n",
            plural(self.records, "record"),
            self.before.local
        );
        if self.batches > 0 {
            let batches = plural(self.batches, "open batch");
            text.push_str(&format!(
                "{would} {batches} with them: overtaken by a newer one, or never begun to be sent\n"
            ));
        }
        if self.kept > 0 {
            let kept = plural(self.kept, "run");
            text.push_str(&format!(
                "{kept} of batches that are still open stay: begun to be sent, not ended, and the newest of their \
                 target; they go once the batch has ended or another is newer\n"
            ));
        }
        text
    }
}

/// Bytes in the largest unit that leaves three digits: `849 MB`.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (unit, name) in UNITS {
        if bytes >= unit {
            let tenths = bytes / (unit / 10);
            return format!("{}.{} {name}", thousands(tenths / 10), tenths % 10);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (bytes, text) in [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (849_000_000, "849.0 MB")] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size(1_250_000_000_000), "1,250.0 GB");
    }

    #[test]
    fn a_message_carries_schema_and_name_before_its_own_members() {
        let report = CompactReport { before: DiskRecord::default(), after: DiskRecord::default() };
        let value: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(value["type"], "journal_compact");
        assert_eq!(value["schema_version"], SCHEMA_VERSION);
        assert_eq!(value["after"]["store_bytes"], 0);
    }
}
