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

/// What a run left, as the model has resolved it.
pub(crate) struct Result_<'a> {
    pub(crate) plan: &'a Plan,
    /// By carrier.
    pub(crate) outcomes: &'a BTreeMap<u64, Outcome>,
    pub(crate) rows: u64,
}

/// What the journal has, without the counts of refusals that the model does not count.
pub(crate) fn comparable(seen: Option<&Seen>, entry: &Entry) -> Option<Seen> {
    let mut seen = seen?.clone();
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
        books.insert("read", self.rows);
        books
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
        let books = self.books();
        books["held"] == 0 && (is_newest || books["superseded"] == 0)
    }

    /// Ordinals of the rows of each row file.
    pub(crate) fn row_files(&self) -> BTreeMap<&'static str, BTreeSet<u64>> {
        let mut files: BTreeMap<&'static str, BTreeSet<u64>> =
            ROW_FILES.map(|name| (name, BTreeSet::new())).into();
        for (ordinal, ruling) in &self.plan.rulings {
            let name = match ruling {
                Ruling::Rejected => "rejected.csv",
                Ruling::Conflict => "conflicts.csv",
                Ruling::Held => "in_doubt.csv",
                Ruling::RefusedBefore | Ruling::FoldedRefused => "failed.csv",
                Ruling::Send | Ruling::Folded => match self.outcome(*ordinal) {
                    Some(Outcome::Failed(..)) => "failed.csv",
                    Some(outcome) if outcome.is_open() => "in_doubt.csv",
                    Some(_) | None => continue,
                },
                Ruling::Duplicate | Ruling::Superseded | Ruling::Unchanged => continue,
            };
            files.entry(name).or_default().insert(*ordinal);
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
pub(crate) const ROW_FILES: [&str; 4] = ["rejected.csv", "failed.csv", "in_doubt.csv", "conflicts.csv"];

/// Holds the rows of a row file against those it must have, cell by cell.
pub(crate) fn check_row_file(
    name: &str,
    listed: &[Listed],
    expected: &BTreeSet<u64>,
    rows: &[Row],
    run_id: &str,
) -> Result<(), String> {
    let found: BTreeSet<u64> = listed.iter().map(|listed| listed.line - 1).collect();
    if found != *expected || listed.len() != expected.len() {
        return Err(format!("{name} has rows {found:?}, and should have {expected:?}"));
    }
    for (ordinal, listed) in expected.iter().zip(listed) {
        let mut row = rows[usize::try_from(ordinal - 1).unwrap()].clone();
        let own = super::rows::Origin { run: run_id.to_owned(), row: *ordinal };
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
