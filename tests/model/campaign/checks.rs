//! What must hold after a step: journal, books, row files and server against the model.
//!
//! Not here: how the model comes to what it expects (`rulings.rs`, `outcomes.rs`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use simsync::sandbox::Sandbox;

use super::journal::Seen;
use super::memory::{Entry, Outcome, State};
use super::rows::{Field, Listed, Row};
use super::rulings::{Plan, Ruling};
use super::world::Input;

/// What a run left, as the model has resolved it.
pub(crate) struct Result_<'a> {
    pub(crate) plan: &'a Plan,
    /// By carrier.
    pub(crate) outcomes: &'a BTreeMap<u64, Outcome>,
    /// Carriers of updates whose subjects were cleared before.
    pub(crate) cleared: &'a BTreeSet<u64>,
    pub(crate) rows: u64,
    /// Rows beside those, of which nothing is to be sent.
    pub(crate) fillers: u64,
}

/// What the journal has, without the counts of refusals that the model does not count.
pub(crate) fn comparable(seen: Option<&Seen>, entry: &Entry) -> Option<Seen> {
    let mut seen = Seen { acked_at_s: 0, ..seen?.clone() };
    if entry.is_uncounted {
        seen.refusals.iter_mut().for_each(|refusal| refusal.2 = 0);
    }
    Some(seen)
}

/// An entry as it must stand in the journal.
pub(crate) fn as_seen(entry: &Entry) -> Seen {
    let shown = |(field, (state, version)): (&Field, &(State, _))| {
        let value = match state {
            State::Known(value) => Some(value.clone()),
            State::Unknown => None,
        };
        (*field, (value, *version))
    };
    Seen {
        fields: entry.fields.iter().map(shown).collect(),
        acked: entry.acked,
        last_known: entry.last_known.clone(),
        cleared_first: entry.cleared_first(),
        acked_at_s: 0,
        doubts: entry.doubts.iter().map(|doubt| (doubt.version, doubt.fields.clone())).collect(),
        refusals: entry
            .refusals
            .iter()
            .map(|of| (of.version, of.how, if entry.is_uncounted { 0 } else { of.count }))
            .collect(),
    }
}

impl Result_<'_> {
    /// The outcome of the update that a row is part of.
    fn outcome(&self, ordinal: u64) -> Option<Outcome> {
        let subject = self.plan.subjects.get(&ordinal)?;
        let behind = self.plan.updates.iter().filter(|update| update.carrier >= ordinal);
        let update = behind.filter(|update| update.subject == *subject).min_by_key(|of| of.carrier)?;
        self.outcomes.get(&update.carrier).copied()
    }

    /// The books, by the names of the summary.
    pub(crate) fn books(&self) -> BTreeMap<&'static str, u64> {
        let names = [
            "synced",
            "folded",
            "duplicate",
            "unchanged",
            "superseded",
            "conflict",
            "held",
            "rejected",
            "failed",
            "in_doubt",
            "pending",
            "filtered",
            "elsewhere",
        ];
        let mut books: BTreeMap<&'static str, u64> = names.map(|name| (name, 0)).into();
        for (ordinal, ruling) in &self.plan.rulings {
            let name = match ruling {
                Ruling::Filtered => "filtered",
                Ruling::Rejected => "rejected",
                Ruling::Duplicate => "duplicate",
                Ruling::Superseded => "superseded",
                Ruling::Unchanged => "unchanged",
                Ruling::Conflict => "conflict",
                Ruling::Held => "held",
                Ruling::Folded | Ruling::FoldedRefused => "folded",
                Ruling::RefusedBefore => "failed",
                Ruling::Send => match self.outcomes.get(ordinal) {
                    Some(Outcome::Synced) => "synced",
                    Some(Outcome::Failed(..)) => "failed",
                    Some(outcome) if outcome.is_open() => "in_doubt",
                    Some(_) | None => "pending",
                },
            };
            *books.entry(name).or_default() += 1;
        }
        *books.entry("unchanged").or_default() += self.fillers;
        books.insert("read", self.rows + self.fillers);
        books
    }

    /// The plan's counts, by the names of the summary, as far as nothing was sent yet.
    pub(crate) fn planned(&self) -> Vec<(&'static str, u64)> {
        let books = self.books();
        let mut planned: Vec<(&str, u64)> = [
            "read",
            "rejected",
            "filtered",
            "duplicate",
            "superseded",
            "unchanged",
            "conflict",
            "held",
            "folded",
        ]
        .map(|name| (name, books[name]))
        .to_vec();
        planned.extend([("send", books["pending"]), ("refused_before", books["failed"])]);
        planned
    }

    /// Whether rows are left that are worth an exit code of their own.
    pub(crate) fn leaves_rows(&self) -> bool {
        let books = self.books();
        ["superseded", "conflict", "held", "rejected", "failed", "in_doubt"]
            .iter()
            .any(|name| books[name] > 0)
    }

    /// Whether every row is ruled on, so that the batch is closed in the end.
    pub(crate) fn closes(&self, is_newest: bool) -> bool {
        self.books()["held"] == 0 && (is_newest || !self.plan.is_overtaken)
    }

    /// Ordinals of the rows of each row file, with the kind of why they are listed.
    pub(crate) fn row_files(&self) -> BTreeMap<&'static str, BTreeMap<u64, &'static str>> {
        let mut files: BTreeMap<&'static str, BTreeMap<u64, &'static str>> =
            ROW_FILES.map(|name| (name, BTreeMap::new())).into();
        for (ordinal, ruling) in &self.plan.rulings {
            let (name, kind) = match ruling {
                Ruling::Rejected => ("rejected.csv", "rejected"),
                Ruling::Conflict => ("conflicts.csv", "conflict"),
                Ruling::Held => ("in_doubt.csv", "held"),
                Ruling::Superseded => ("superseded.csv", "superseded"),
                Ruling::RefusedBefore | Ruling::FoldedRefused => ("failed.csv", "refused"),
                Ruling::Send | Ruling::Folded => match self.outcome(*ordinal) {
                    Some(Outcome::Failed(how, _)) => ("failed.csv", how.name()),
                    Some(outcome) if outcome.is_open() => ("in_doubt.csv", "in-doubt"),
                    Some(outcome) if outcome != Outcome::Synced && self.cleared.contains(ordinal) => {
                        ("in_doubt.csv", "rejected")
                    }
                    Some(_) | None => continue,
                },
                Ruling::Filtered | Ruling::Duplicate | Ruling::Unchanged => continue,
            };
            files.entry(name).or_default().insert(*ordinal, kind);
        }
        files
    }

    /// Holds the summary against the model.
    pub(crate) fn check_summary(&self, summary: &Value) -> Result<(), String> {
        for (name, expected) in self.books() {
            let told = &summary["rows"][name];
            if *told != expected {
                return Err(format!("rows.{name} is {told}, and should be {expected}"));
            }
        }
        let resent = self.plan.updates.iter().filter(|update| update.is_in_doubt).count();
        let told = &summary["plan"]["in_doubt_resent"];
        if *told != resent {
            return Err(format!("plan.in_doubt_resent is {told}, and should be {resent}"));
        }
        Ok(())
    }
}

/// The row files there can be.
pub(crate) const ROW_FILES: [&str; 5] =
    ["rejected.csv", "failed.csv", "in_doubt.csv", "conflicts.csv", "superseded.csv"];

/// Holds the rows of a row file against those it must have, cell by cell.
pub(crate) fn check_row_file(
    name: &str,
    listed: &[Listed],
    expected: &BTreeMap<u64, &'static str>,
    (input, plan): (&Input, &Plan),
    run_id: &str,
) -> Result<(), String> {
    // What was refused before may have been so for a conflict.
    let alike = |kind: &'static str| if kind == "deferred" { "refused" } else { kind };
    let found: Vec<(u64, &str)> =
        listed.iter().map(|listed| (ordinal_of(listed, input), alike(kind_of(&listed.reason)))).collect();
    let wanted: Vec<(u64, &str)> = expected.iter().map(|(ordinal, kind)| (*ordinal, alike(kind))).collect();
    if found != wanted {
        return Err(format!("{name} has rows {found:?}, and should have {wanted:?}"));
    }
    for (ordinal, listed) in expected.keys().zip(listed) {
        let mut row = input.rows[usize::try_from(ordinal - 1).unwrap()].clone();
        let own = super::rows::Origin { run: run_id.to_owned(), row: plan.numbered(*ordinal) };
        row.origin = row.origin.or(Some(own));
        if row.is_broken {
            row.cells.remove(&Field::Number);
        }
        if listed.row != row {
            return Err(format!("{name} has {:?}, and should have {row:?}", listed.row));
        }
    }
    Ok(())
}

/// The place of a listed row among those of the input.
fn ordinal_of(listed: &Listed, input: &Input) -> u64 {
    let file = input.files.iter().find(|(name, _)| *name == listed.file);
    file.map_or(0, |(_, before)| before + listed.line - 1)
}

/// The kind that a reason is of.
pub(crate) fn kind_of(reason: &str) -> &'static str {
    const KINDS: [&str; 8] =
        ["refused", "exhausted", "echo-mismatch", "deferred", "in-doubt", "held", "conflict", "superseded"];
    let group = reason.split('.').next().unwrap_or_default();
    KINDS.into_iter().find(|kind| *kind == group).unwrap_or("rejected")
}

/// What is remembered as known must be what the server holds.
pub(crate) fn check_server(sandbox: &Sandbox, memory: &BTreeMap<String, Entry>) -> Result<(), String> {
    for (subject, entry) in memory {
        for (field, (state, version)) in &entry.fields {
            let State::Known(value) = state else { continue };
            let held =
                sandbox.subject(subject).and_then(|view| view.fields.get(field.kind().name()).cloned());
            if held.clone().unwrap_or_default() != *value {
                return Err(format!(
                    "{subject} {field:?} is {value:?} of {version:?} for all we know, and {held:?} at the server"
                ));
            }
        }
    }
    Ok(())
}

/// After an export that went through whole, every subject has its last values.
pub(crate) fn check_goal(sandbox: &Sandbox, rows: &[Row]) -> Result<(), String> {
    let mut goal: BTreeMap<(&String, Field), &String> = BTreeMap::new();
    for row in rows {
        goal.extend(row.cells.iter().map(|(field, value)| ((&row.subject, *field), value)));
    }
    for ((subject, field), value) in goal {
        let held = sandbox.subject(subject).and_then(|view| view.fields.get(field.kind().name()).cloned());
        if held.clone().unwrap_or_default() != *value {
            return Err(format!(
                "{subject} {field:?} should end as {value:?}, and is {held:?} at the server"
            ));
        }
    }
    Ok(())
}
