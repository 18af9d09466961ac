//! The dispositions of an export against what the model remembers: design.md section 2 once more, in memory, without
//! any of `src/plan`.
//!
//! Not here: what becomes of the updates (`outcomes.rs`).

mod ahead;
mod corrected;
mod dealt;
mod standing;

use std::collections::{BTreeMap, BTreeSet};

use super::laws::{Flaw, Laws};
use super::memory::{Entry, Facts, State, Version, values, version_of};
use super::rows::{Cells, Field, Row};
use super::swaps::{self, First};

/// What becomes of several rows of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Duplicates {
    Fold,
    Last,
    First,
    Each,
    Reject,
}

impl Duplicates {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Duplicates::Fold => "fold",
            Duplicates::Last => "last",
            Duplicates::First => "first",
            Duplicates::Each => "each",
            Duplicates::Reject => "reject",
        }
    }
}

/// What the rulings depend on beside rows and memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) duplicates: Duplicates,
    pub(crate) sends_conflicts: bool,
    pub(crate) holds_doubts: bool,
    pub(crate) is_full: bool,
    /// `send = "changed"`.
    pub(crate) sends_changed: bool,
    pub(crate) retries_failed: bool,
    /// `--break-cycles clear`.
    pub(crate) breaks_cycles: bool,
    /// `--order-by`.
    pub(crate) is_ordered: bool,
    pub(crate) batch: u64,
    /// The newest batch before it that is open.
    pub(crate) older_open: Option<u64>,
    /// Acknowledgments of before this moment are refreshed, in seconds since the Unix epoch.
    pub(crate) stale_before_s: Option<i64>,
    pub(crate) laws: Laws,
}

/// What is ruled on a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ruling {
    Filtered,
    Rejected,
    Duplicate,
    Superseded,
    Unchanged,
    Conflict,
    Held,
    Folded,
    RefusedBefore,
    FoldedRefused,
    Send,
}

/// An update to send.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub(crate) subject: String,
    /// Ordinal of the row that carries it.
    pub(crate) carrier: u64,
    /// What it sets, the key included.
    pub(crate) facts: Facts,
    /// Whether it repeats, or overwrites, what is in doubt.
    pub(crate) is_in_doubt: bool,
    /// The update in doubt whose word for a field it repeats, though the row of its version does not have the field.
    pub(crate) settles: Option<Version>,
    /// Whether it only clears what others of its subject's ring take, ahead of the update of its carrier.
    pub(crate) is_clear: bool,
}

/// The rulings on an export.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// By ordinal, from 1.
    pub(crate) rulings: BTreeMap<u64, Ruling>,
    /// Ordinals that rows have instead of their own, where a column gives the order of a subject's rows.
    dealt: BTreeMap<u64, u64>,
    /// Who a valid row is about.
    pub(crate) subjects: BTreeMap<u64, String>,
    /// In the order in which those of a subject are sent.
    pub(crate) updates: Vec<Update>,
    /// Whether a newer batch has set what a row says.
    pub(crate) is_overtaken: bool,
    /// What unchanged rows say that overtakes a failure, by subject, in the order of the rows.
    pub(crate) confirmed: Vec<(String, Facts)>,
    /// Who goes before whom.
    pub(crate) firsts: Vec<First>,
}

impl Plan {
    /// The ordinal of a row's version, unless it is fed back.
    pub(crate) fn numbered(&self, ordinal: u64) -> u64 {
        self.dealt.get(&ordinal).copied().unwrap_or(ordinal)
    }
}

/// A valid row of a subject.
#[derive(Debug, Clone)]
pub(crate) struct Valid {
    pub(crate) ordinal: u64,
    version: Version,
    /// The key included.
    cells: Cells,
}

/// What is said of a row of a subject.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) ruling: Ruling,
    /// The update it carries.
    carries: Option<Facts>,
    /// What it claims for its subject, if it is part of an update.
    pub(crate) claims: Cells,
    /// Whether it equals what is held.
    pub(crate) is_equal: bool,
    /// Whether something newer has set a field of it otherwise, and it was not delivered before.
    is_overtaken: bool,
}

impl Said {
    /// Whether the row is part of what would change something.
    pub(crate) fn is_part(&self) -> bool {
        !self.claims.is_empty() && !matches!(self.ruling, Ruling::Unchanged | Ruling::Superseded)
    }

    /// The ruling on a row that equals what is held.
    pub(crate) fn of_equal(&self) -> Ruling {
        if self.is_overtaken { Ruling::Superseded } else { Ruling::Unchanged }
    }
}

/// A subject, its rows and what is said of them, both in the order of versions.
pub(crate) type Told<'r> = (&'r String, Vec<Valid>, Vec<Said>);

/// Rules on an export, of which some rows are left out. `batch_of` finds the batch of a run that a row was fed back
/// from, at this target.
pub(crate) fn plan(
    rows: &[Row],
    filtered: &BTreeSet<u64>,
    memory: &BTreeMap<String, Entry>,
    rules: Rules,
    batch_of: &dyn Fn(&str) -> Option<u64>,
) -> Plan {
    let mut plan = Plan { dealt: dealt::dealt(rows, rules), ..Plan::default() };
    let mut by_subject: BTreeMap<&String, Vec<Valid>> = BTreeMap::new();
    for (ordinal, row) in (1..).zip(rows) {
        if filtered.contains(&ordinal) {
            plan.rulings.insert(ordinal, Ruling::Filtered);
            continue;
        }
        let version = match &row.origin {
            Some(_) if rules.laws.has(Flaw::ReplayIsNewer) => Some(Version { batch: rules.batch, ordinal }),
            None => Some(Version { batch: rules.batch, ordinal: plan.numbered(ordinal) }),
            Some(origin) => batch_of(&origin.run).map(|batch| Version { batch, ordinal: origin.row }),
        };
        let Some(version) = version.filter(|_| !row.is_broken) else {
            plan.rulings.insert(ordinal, Ruling::Rejected);
            continue;
        };
        let mut cells = row.cells.clone();
        cells.insert(Field::Key, row.subject.clone());
        plan.subjects.insert(ordinal, row.subject.clone());
        by_subject.entry(&row.subject).or_default().push(Valid { ordinal, version, cells });
    }
    let nothing = Entry::default();
    let mut told: Vec<Told<'_>> = Vec::new();
    for (subject, mut rows) in by_subject {
        rows.sort_by_key(|row| (row.version, row.ordinal));
        let entry = memory.get(subject).unwrap_or(&nothing);
        let said = Subject { rules, entry, rows: &rows }.says();
        plan.is_overtaken |= rows.iter().any(|row| is_overtaken(row, entry, rules.batch));
        told.push((subject, rows, said));
    }
    let contested = contested(&told);
    for (subject, _, said) in &mut told {
        conclude(said, contested.get(*subject), rules);
    }
    let order = swaps::order(&mut told, memory, rules);
    plan.firsts = order.firsts;
    for (subject, rows, said) in told {
        let entry = memory.get(subject).unwrap_or(&nothing);
        let subject_ = Subject { rules, entry, rows: &rows };
        let mut confirmed: Vec<(u64, Facts)> = Vec::new();
        for (at, said) in said.iter().enumerate() {
            confirmed.extend(subject_.confirms(at, said).map(|facts| (rows[at].ordinal, facts)));
        }
        confirmed.sort_by_key(|(ordinal, _)| *ordinal);
        plan.confirmed.extend(confirmed.into_iter().map(|(_, facts)| (subject.clone(), facts)));
        for (row, said) in rows.iter().zip(said) {
            plan.rulings.insert(row.ordinal, said.ruling);
            if let Some(facts) = said.carries.filter(|_| said.ruling == Ruling::Send) {
                if let Some(fields) = order.clears.get(&row.ordinal) {
                    plan.updates.push(clear(subject, row, fields));
                }
                plan.updates.push(subject_.update(subject, row.ordinal, facts));
            }
        }
    }
    // Rows are read in the order of the file, whatever their versions are.
    plan.updates.sort_by_key(|update| (update.subject.clone(), update.carrier, !update.is_clear));
    plan
}

/// What a subject is cleared of before its update, which this row carries: before all rows of its batch.
fn clear(subject: &str, row: &Valid, fields: &BTreeSet<Field>) -> Update {
    let version = Version { ordinal: 0, ..row.version };
    let mut facts: Facts = fields.iter().map(|field| (*field, (String::new(), version))).collect();
    facts.insert(Field::Key, (subject.to_owned(), version));
    let (subject, carrier) = (subject.to_owned(), row.ordinal);
    Update { subject, carrier, facts, is_in_doubt: false, settles: None, is_clear: true }
}

/// Whether a newer batch has set a field of the row to another value.
fn is_overtaken(row: &Valid, entry: &Entry, batch: u64) -> bool {
    let is_newer = |field| entry.version(field).is_some_and(|version| version.batch > batch);
    let mut cells = row.cells.iter().filter(|(field, _)| **field != Field::Key);
    cells.any(|(field, value)| is_newer(*field) && !entry.holds(*field, value))
}

/// Of each subject, the values that others claim in the end too.
fn contested(told: &[Told<'_>]) -> BTreeMap<String, Cells> {
    let mut claims: BTreeMap<(Field, &String), Vec<&String>> = BTreeMap::new();
    for (subject, _, said) in told {
        for field in Field::UNIQUE {
            let last = said.iter().rev().find_map(|said| said.claims.get(&field));
            if let Some(value) = last.filter(|value| !value.is_empty()) {
                claims.entry((field, value)).or_default().push(subject);
            }
        }
    }
    let mut contested: BTreeMap<String, Cells> = BTreeMap::new();
    for ((field, value), subjects) in claims.iter().filter(|(_, subjects)| subjects.len() > 1) {
        for subject in subjects {
            contested.entry((*subject).clone()).or_default().insert(*field, (*value).clone());
        }
    }
    contested
}

/// The last word on a subject's rows, once the conflicts are known.
fn conclude(said: &mut [Said], contested: Option<&Cells>, rules: Rules) {
    let mut is_sent = false;
    for said in said.iter_mut().filter(|said| said.is_part()) {
        let is_contested = contested.is_some_and(|contested| {
            contested.iter().any(|(field, value)| said.claims.get(field) == Some(value))
        });
        if said.is_equal && !is_sent {
            said.ruling = said.of_equal();
        } else if is_contested && !rules.sends_conflicts && !rules.laws.has(Flaw::ConflictsAreSent) {
            said.ruling = Ruling::Conflict;
        }
        is_sent |= said.ruling == Ruling::Send;
    }
}

fn is_in_doubt(entry: &Entry, facts: &Facts) -> bool {
    let (unknown, version) = (entry.unknown(), version_of(facts));
    entry.doubts.iter().any(|doubt| {
        let is_shared =
            |field: &&Field| **field != Field::Key && unknown.contains(field) && facts.contains_key(field);
        doubt.version == version || doubt.fields.iter().any(|field| is_shared(&field))
    })
}

/// The rows of a subject against its entry.
struct Subject<'a> {
    rules: Rules,
    entry: &'a Entry,
    rows: &'a [Valid],
}

impl Subject<'_> {
    fn is_each(&self) -> bool {
        self.rules.duplicates == Duplicates::Each
    }

    /// Whether something may have been said since a field was acknowledged with this value, before a row that says the
    /// same: it failed, or an open batch has still to send it.
    fn was_said_between(&self, field: Field, value: &str, version: Version) -> bool {
        let held = self.entry.version(field).filter(|_| self.entry.holds(field, value));
        let is_left = held
            .zip(self.rules.older_open)
            .is_some_and(|(held, open)| (held.batch..version.batch).contains(&open));
        is_left || self.entry.has_failed_since(field, value, version)
    }

    /// Whether anything of a row of the run's own batch, beside these fields, is held in the row's own version.
    fn is_delivered(&self, row: &Valid, gone: &BTreeSet<Field>) -> bool {
        row.version.batch == self.rules.batch
            && Subject::remaining(row, gone).into_iter().any(|field| {
                self.entry.version(field) == Some(row.version) && self.entry.holds(field, &row.cells[&field])
            })
    }

    /// Fields of a row that something newer has set otherwise.
    fn overtaken_otherwise(&self, row: &Valid) -> BTreeSet<Field> {
        let mut overtaken = self.overtaken(row);
        overtaken.retain(|field| !self.entry.holds(*field, &row.cells[field]));
        overtaken
    }

    /// Whether all of a row is gone because something newer was acknowledged that says the same. A newer row may
    /// stand before it that sets other fields beside: those are not the row's, and are no reason to call it
    /// superseded.
    fn was_acknowledged_since(&self, row: &Valid, gone: &BTreeSet<Field>) -> bool {
        let mut gone = gone.clone();
        gone.retain(|field| row.cells.contains_key(field));
        gone == self.overtaken(row) && self.overtaken_otherwise(row).is_empty()
    }

    /// Of an update with nothing to send, the rows that something newer has overtaken before they were delivered.
    fn supersede(&self, live: &[usize], is_fold: bool, said: &mut [Said]) {
        let mut is_delivered = false;
        for at in live.iter().rev().copied().filter(|at| !said[*at].claims.is_empty()).collect::<Vec<_>>() {
            let row = &self.rows[at];
            let mut gone = self.gone(row);
            if is_fold {
                gone.extend(self.shadowed(at, live));
            }
            is_delivered |= self.is_delivered(row, &gone);
            let is_otherwise = self
                .overtaken_otherwise(row)
                .into_iter()
                .any(|field| !(is_fold && self.is_of_own_row(field) || self.agrees(live, field)));
            let is_settled =
                |field: &Field| is_fold && self.is_of_own_row(*field) || self.agrees(live, *field);
            let is_undone = !self.undone(row).iter().all(is_settled);
            if is_undone || is_otherwise && !is_delivered {
                said[at].ruling = Ruling::Superseded;
            }
        }
    }

    /// Whether the last of these rows that has a field says what is held.
    fn agrees(&self, live: &[usize], field: Field) -> bool {
        let last = live.iter().rev().find_map(|at| self.rows[*at].cells.get(&field));
        last.is_some_and(|value| self.entry.holds(field, value))
    }

    /// Whether a row has set a field as it is remembered, known or not.
    fn is_of_own_row(&self, field: Field) -> bool {
        let newest = self.entry.version(field);
        self.rows.iter().any(|other| {
            Some(other.version) == newest
                && other.cells.contains_key(&field)
                && !self.undone(other).contains(&field)
        })
    }

    /// What a row with nothing to send says, where it overtakes a failure.
    fn confirms(&self, at: usize, said: &Said) -> Option<Facts> {
        if !matches!(said.ruling, Ruling::Unchanged | Ruling::Superseded) || said.claims.is_empty() {
            return None;
        }
        let row = &self.rows[at];
        let mut gone = self.gone(row);
        if matches!(self.rules.duplicates, Duplicates::Fold | Duplicates::Each) {
            let live: Vec<usize> = (0..self.rows.len()).filter(|at| !self.is_duplicate(*at)).collect();
            gone.extend(self.shadowed(at, &live));
        }
        let kept = row.cells.iter().filter(|(field, _)| !gone.contains(field));
        let facts: Facts = kept.map(|(field, value)| (*field, (value.clone(), row.version))).collect();
        let overtakes = |(field, (value, version)): (&Field, &(String, Version))| {
            *field != Field::Key && self.was_said_between(*field, value, *version)
        };
        (facts.iter().any(overtakes) || self.corrects(&facts)).then_some(facts)
    }

    /// Fields of a row of which something newer is known, or was sent.
    fn overtaken(&self, row: &Valid) -> BTreeSet<Field> {
        let is_overtaken = |field: &Field| {
            let Some((state, newer)) = self.entry.fields.get(field) else { return false };
            if *field == Field::Key || *newer <= row.version || self.rules.laws.has(Flaw::StaleWins) {
                return false;
            }
            let is_unknown = *state == State::Unknown;
            let is_own_fold = is_unknown && self.is_own_fold(*field, *newer);
            let is_ahead = is_unknown && self.is_ahead(row.version, *newer);
            !is_own_fold && !is_ahead && !self.is_own_word(*field, row.version, *newer)
        };
        row.cells.keys().copied().filter(is_overtaken).collect()
    }

    /// Whether an update of several of these rows has marked a field with its own version that an older one of them
    /// set.
    fn is_own_fold(&self, field: Field, newer: Version) -> bool {
        let own: Vec<&Valid> = self.rows.iter().filter(|other| other.version == newer).collect();
        matches!(self.rules.duplicates, Duplicates::Fold | Duplicates::Each)
            && own.iter().any(|other| other.cells.len() > 1)
            && own.iter().all(|other| !other.cells.contains_key(&field))
    }

    /// The update that these facts are.
    fn update(&self, subject: &str, carrier: u64, facts: Facts) -> Update {
        let is_in_doubt = !self.rules.holds_doubts && is_in_doubt(self.entry, &facts);
        let settles = self.settles(&facts);
        Update { subject: subject.to_owned(), carrier, facts, is_in_doubt, settles, is_clear: false }
    }

    /// The update in doubt whose word these facts repeat, though its last row does not have it.
    fn settles(&self, facts: &Facts) -> Option<Version> {
        let since = facts.keys().filter(|field| **field != Field::Key).filter_map(|field| {
            let (state, since) = self.entry.fields.get(field)?;
            let is_own = *state == State::Unknown && self.is_own_fold(*field, *since);
            let is_in_doubt = self.entry.doubts.iter().any(|doubt| doubt.version == *since);
            (is_own && is_in_doubt).then_some(*since)
        });
        since.max()
    }

    fn is_duplicate(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1).map(|before| &self.rows[before]) else { return false };
        let row = &self.rows[at];
        if self.rules.laws.has(Flaw::DuplicateAnywhere) {
            return self.rows[..at].iter().any(|before| before.cells == row.cells);
        }
        before.cells == row.cells
            && before.version.batch == row.version.batch
            && self.overtaken(before) == self.overtaken(row)
    }

    /// What a row sets beside the key, without these fields.
    fn remaining(row: &Valid, without: &BTreeSet<Field>) -> BTreeSet<Field> {
        let fields = row.cells.keys().copied();
        fields.filter(|field| *field != Field::Key && !without.contains(field)).collect()
    }

    fn says(&self) -> Vec<Said> {
        let nothing = Said {
            ruling: Ruling::Superseded,
            carries: None,
            claims: Cells::new(),
            is_equal: false,
            is_overtaken: false,
        };
        let mut said = vec![nothing; self.rows.len()];
        let mut live = Vec::new();
        for (at, said) in said.iter_mut().enumerate() {
            if self.is_duplicate(at) {
                said.ruling = Ruling::Duplicate;
            } else {
                live.push(at);
            }
        }
        match self.rules.duplicates {
            Duplicates::Fold => self.fold(&live, true, &mut said),
            Duplicates::Last => self.fold(&live[live.len() - 1..], false, &mut said),
            Duplicates::First => self.fold(&live[..1], false, &mut said),
            Duplicates::Reject if live.len() > 1 => {
                live.iter().for_each(|at| said[*at].ruling = Ruling::Rejected);
            }
            Duplicates::Reject => self.fold(&live, false, &mut said),
            Duplicates::Each => {
                self.each(&live, &mut said);
                self.hold_older(&mut said);
            }
        }
        said
    }

    /// All of these rows are one update.
    fn fold(&self, live: &[usize], is_fold: bool, said: &mut [Said]) {
        let mut parts = Vec::new();
        let mut facts = Facts::new();
        for at in live {
            let row = &self.rows[*at];
            let overtaken = self.gone(row);
            // What a row of this very fold has overtaken is in the fold.
            let is_within = |field: &Field| is_fold && self.is_of_own_row(*field);
            let foreign: BTreeSet<Field> =
                overtaken.iter().copied().filter(|field| !is_within(field)).collect();
            if !Subject::remaining(row, &foreign).is_empty() {
                parts.push(*at);
                let kept = row.cells.iter().filter(|(field, _)| !overtaken.contains(field));
                facts.extend(kept.map(|(field, value)| (*field, (value.clone(), row.version))));
            } else if foreign.iter().all(|field| self.agrees(live, *field)) {
                said[*at].ruling = Ruling::Unchanged;
            }
        }
        let Some(carrier) = parts.iter().copied().max_by_key(|at| self.rows[*at].ordinal) else { return };
        let sent = self.sent(&facts, &BTreeSet::new());
        let is_settled = self.is_settled(&facts);
        let is_unchanged = is_settled || self.is_equal(&facts);
        let ruling = if is_unchanged { Ruling::Unchanged } else { self.otherwise(&sent) };
        for at in parts {
            said[at].claims = values(&facts);
            let pairs = [(Ruling::Send, Ruling::Folded), (Ruling::RefusedBefore, Ruling::FoldedRefused)];
            let of_part = pairs.into_iter().find(|(whole, _)| at != carrier && *whole == ruling);
            said[at].ruling = of_part.map_or(ruling, |(_, part)| part);
        }
        if is_unchanged && !is_settled {
            self.supersede(live, is_fold, said);
        }
        said[carrier].carries = Some(sent);
    }

    /// What is sent of an update that has something to send: all of it, or the key and what differs. Fields that
    /// earlier updates of the batch touch differ when its turn comes, whatever is held now.
    fn sent(&self, facts: &Facts, touched: &BTreeSet<Field>) -> Facts {
        let is_whole = self.rules.is_full || self.rules.laws.has(Flaw::ChangedIsFull);
        if !self.rules.sends_changed || is_whole {
            return facts.clone();
        }
        let mut sent = facts.clone();
        sent.retain(|field, (value, version)| {
            let is_wanted = touched.contains(field)
                || self.is_stale(*field, value)
                || self.was_said_between(*field, value, *version);
            *field == Field::Key || is_wanted || !self.entry.holds(*field, value)
        });
        if sent.len() > 1 { sent } else { facts.clone() }
    }

    /// Every row is an update of its own.
    fn each(&self, live: &[usize], said: &mut [Said]) {
        let mut touched = BTreeSet::new();
        for at in live.iter().copied() {
            let row = &self.rows[at];
            let is_undone = !self.undone(row).is_empty();
            let mut gone = self.gone(row);
            gone.extend(self.shadowed(at, live));
            gone.extend(self.acknowledged_since(at, live));
            let kept = row.cells.iter().filter(|(field, _)| !gone.contains(field));
            let facts: Facts = kept.map(|(field, value)| (*field, (value.clone(), row.version))).collect();
            if row.cells.len() == 1 {
                said[at].ruling = Ruling::Unchanged;
            } else if self.is_settled(&facts) {
                said[at].ruling = if is_undone { Ruling::Superseded } else { Ruling::Unchanged };
                said[at].claims = values(&facts);
                touched.extend(facts.into_keys());
            } else if facts.len() > 1 {
                let sent = self.sent(&facts, &touched);
                said[at].claims = values(&facts);
                said[at].is_equal = self.is_equal(&facts) && !self.was_sent_before(row.version);
                said[at].ruling = self.otherwise(&sent);
                said[at].carries = Some(sent);
                let mut otherwise = self.overtaken_otherwise(row).into_iter();
                said[at].is_overtaken = is_undone
                    || otherwise.any(|field| !self.is_of_own_row(field)) && !self.is_delivered(row, &gone);
                if !said[at].is_equal || !touched.is_empty() {
                    touched.extend(facts.into_keys());
                }
            } else if facts.len() == 1 && self.was_acknowledged_since(row, &gone) {
                said[at].ruling = Ruling::Unchanged;
            }
        }
    }

    /// Fields of a row that are not sent, whatever other rows there are.
    fn gone(&self, row: &Valid) -> BTreeSet<Field> {
        let mut gone = self.overtaken(row);
        gone.extend(self.undone(row));
        gone
    }

    /// Fields of a row fed back that a newer one sets, which stands before it and is sent before it; or one of the same
    /// version, which stands behind it.
    fn shadowed(&self, at: usize, live: &[usize]) -> BTreeSet<Field> {
        let row = &self.rows[at];
        let newer = live.iter().filter(|other| **other > at).map(|other| &self.rows[*other]);
        let shadows = |other: &&Valid| other.ordinal < row.ordinal || other.version == row.version;
        newer.filter(shadows).flat_map(|other| Subject::remaining(other, &self.gone(other))).collect()
    }

    /// Fields of a row not acknowledged that a later one, acknowledged in this batch, has set since.
    fn acknowledged_since(&self, at: usize, live: &[usize]) -> BTreeSet<Field> {
        let row = &self.rows[at];
        if row.version.batch != self.rules.batch || self.was_passed(row.version) {
            return BTreeSet::new();
        }
        let later = live.iter().filter(|other| **other > at).map(|other| &self.rows[*other]);
        later
            .filter(|other| self.was_passed(other.version))
            .flat_map(|other| Subject::remaining(other, &self.gone(other)))
            .collect()
    }
}
