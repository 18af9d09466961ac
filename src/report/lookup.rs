//! What `lookup` tells of a subject, for people and for programs. No member holds a value of a field.
//!
//! Not here: finding it (`cli/lookup.rs`), what an entry means (`ledger.rs`).

use serde::Serialize;

use crate::report::json::to_line;
use crate::report::model::SCHEMA_VERSION;
use crate::report::style::{Align, Paint, clean, plural, table, thousands};

/// Runs of a batch named in a line; the rest is counted.
const RUNS_SHOWN_MAX: usize = 3;

/// A moment, as a program and as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// RFC 3339, UTC.
    pub at: String,
    /// The same in the machine's time zone, or the configured one.
    pub local: String,
}

/// Where something came from: the batch and the row in it, and the runs about that batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The batch's sequence on its target.
    pub batch: u64,
    /// The row's ordinal in it.
    pub row: u64,
    /// Runs about that batch, oldest first; empty where none is recorded any more.
    pub runs: Vec<String>,
}

/// What is known of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldLine {
    /// Its name.
    pub field: &'static str,
    /// `acknowledged`, `cleared`, `unknown` or `never sent`.
    pub state: &'static str,
    /// What set it, or may have set it.
    pub by: Option<Trace>,
    /// Whether a value given for it is the one acknowledged; `None` when none was given or nobody knows.
    pub equals_given: Option<bool>,
}

/// An update in doubt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoubtLine {
    /// The update.
    pub by: Trace,
    /// Fields it may have set.
    pub fields: Vec<&'static str>,
}

/// An update that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureLine {
    /// The update.
    pub by: Trace,
    /// `refused`, `exhausted`, `echo-mismatch`, or `deferred`: refused for a conflict, and tried again after the
    /// others.
    pub kind: &'static str,
    /// The last answer's status.
    pub status: Option<u16>,
    /// The complaint, with all values masked.
    pub signature: String,
    /// Definite refusals.
    pub refusals: u32,
}

/// What is known of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubjectReport {
    /// When its last acknowledgement came; `None` when there was none.
    pub acknowledged_at: Option<Moment>,
    /// The newest update acknowledged.
    pub acknowledged_by: Option<Trace>,
    /// All nine fields, in wire order.
    pub fields: Vec<FieldLine>,
    /// Updates in doubt, oldest first.
    pub in_doubt: Vec<DoubtLine>,
    /// Failed updates, oldest first.
    pub failures: Vec<FailureLine>,
}

/// A run that is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunOn {
    /// Its id.
    pub run_id: String,
    /// Its process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// Since when.
    pub since: Moment,
}

/// The answer to a lookup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LookupReport {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Always `lookup`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether anything is known.
    pub found: bool,
    /// Whether nobody can tell yet: nothing was folded, and there is something to fold.
    pub not_known_yet: bool,
    /// The target.
    pub target: String,
    /// Its key field; `None` when nothing was ever sent there.
    pub key: Option<&'static str>,
    /// Fields it was looked up by.
    pub by: Vec<&'static str>,
    /// As of when; `None` when nothing was ever folded.
    pub as_of: Option<Moment>,
    /// Records that a killed run left and that are not in the answer, for nothing may be written there.
    pub records_unread: u64,
    /// Whether a process holds the journal, so that what it has done since is not in it.
    pub run_is_on: bool,
    /// Who it is, where its lock says so.
    pub run: Option<RunOn>,
    /// The subjects.
    pub subjects: Vec<SubjectReport>,
    /// How many there are; no more than a few are listed.
    pub subjects_total: u64,
}

impl LookupReport {
    /// Name of the schema and of this message.
    pub const HEAD: (u32, &'static str) = (SCHEMA_VERSION, "lookup");

    /// One line of JSON.
    pub fn json(&self) -> String {
        to_line(self)
    }

    /// For people.
    pub fn text(&self, paint: Paint) -> String {
        let by = self.by.join(" and ");
        let target = clean(&self.target);
        let mut text = match self.key {
            None if self.not_known_yet => format!("looked up by {by} at {target}\n"),
            Some(key) => format!("looked up by {by} at {target} (key field: {key})\n"),
            None => format!("looked up by {by} at {target}, where nothing was ever sent\n"),
        };
        text.push_str(&self.as_of_text(paint));
        if self.not_known_yet {
            text.push_str(&format!("{}\n", paint.yellow("not known yet")));
            return text;
        }
        if !self.found {
            text.push_str(&format!("{}\n", paint.yellow("nothing is known of such a subject")));
            return text;
        }
        if self.subjects_total > 1 {
            let total = thousands(self.subjects_total);
            let shown = thousands(self.subjects.len() as u64);
            text.push_str(&format!("{total} subjects match; {shown} are shown\n"));
        }
        for subject in &self.subjects {
            text.push_str(&subject.text(paint));
        }
        text
    }

    fn as_of_text(&self, paint: Paint) -> String {
        let as_of = match &self.as_of {
            Some(moment) => format!("as of {}", moment.text()),
            None => "nothing was folded yet".to_owned(),
        };
        if !self.run_is_on && self.records_unread > 0 {
            let left = plural(self.records_unread, "record");
            let note = paint.yellow("note:");
            return format!(
                "{as_of}, the last fold\n{note} {left} of a run that was killed are not in it, for the state directory may \
                 not be written to\n"
            );
        }
        if !self.run_is_on {
            return format!("{as_of}; no run is on\n");
        }
        let who = match &self.run {
            Some(run) => format!(
                "run {} is on (process {} on {}, since {})",
                clean(&run.run_id),
                run.pid,
                clean(&run.host),
                run.since.text()
            ),
            None => "a run is on".to_owned(),
        };
        let note = paint.yellow("note:");
        match self.as_of {
            Some(_) => format!("{as_of}, the last fold\n{note} {who}; what it has done since is not in it\n"),
            None => {
                format!("{note} {who}; it is the first one here, and can be looked up when it has ended\n")
            }
        }
    }
}

impl Moment {
    fn text(&self) -> String {
        format!("{} ({})", self.local, self.at)
    }
}

impl Trace {
    /// `batch 3, row 17, run 2026…`
    fn text(&self) -> String {
        format!("batch {}, row {}{}", self.batch, self.row, self.runs_text())
    }

    fn runs_text(&self) -> String {
        let shown: Vec<_> = self.runs.iter().take(RUNS_SHOWN_MAX).map(|run| clean(run)).collect();
        match self.runs.len() {
            0 => String::new(),
            1 => format!(", run {}", shown.join("")),
            runs if runs > RUNS_SHOWN_MAX => {
                format!(", one of {}: {}, …", plural(runs as u64, "run"), shown.join(", "))
            }
            _ => format!(", one of the runs {}", shown.join(", ")),
        }
    }
}

impl SubjectReport {
    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        match (&self.acknowledged_at, &self.acknowledged_by) {
            (Some(at), Some(by)) => {
                text.push_str(&format!(
                    "{} {}, by {}\n",
                    paint.bold("last acknowledged:"),
                    at.text(),
                    by.text()
                ));
            }
            (_, _) => text.push_str(&format!("{} never\n", paint.bold("last acknowledged:"))),
        }
        let mut rows = vec![["FIELD", "STATE", "BATCH", "ROW", "VALUE GIVEN"].map(String::from).to_vec()];
        for line in &self.fields {
            let (batch, row) = line
                .by
                .as_ref()
                .map_or((String::new(), String::new()), |by| (by.batch.to_string(), by.row.to_string()));
            let given = match line.equals_given {
                Some(true) => "equal",
                Some(false) => "different",
                None => "",
            };
            rows.push(vec![line.field.into(), line.state.into(), batch, row, given.into()]);
        }
        let align = [Align::Left, Align::Left, Align::Right, Align::Right, Align::Left];
        text.push_str(&table(2, &align, &rows));
        for doubt in &self.in_doubt {
            let (by, fields) = (doubt.by.text(), doubt.fields.join(", "));
            text.push_str(&format!(
                "  {} {by}: {fields} may or may not have been set\n",
                paint.yellow("in doubt:")
            ));
        }
        for failure in &self.failures {
            let status = failure.status.map_or(String::new(), |status| format!(" ({status})"));
            text.push_str(&format!(
                "  {} {}{status}, {}: {}\n",
                paint.red("failed:"),
                failure.kind,
                failure.by.text(),
                clean(&failure.signature)
            ));
        }
        text
    }
}
