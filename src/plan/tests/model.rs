//! The judge: the rulings once more, straightforwardly, over rows in memory and in quadratic time, and the two held
//! against each other on random exports, logs and policies.
//!
//! Nothing of the plan is used here but its vocabulary.

use proptest::prelude::*;

use super::any::{any_log, any_rows, any_rules};
use super::*;
use crate::ledger::{FailureKind, FieldState};

mod links;
use links::{hold_behind_held, swaps};

/// A row of the model, with all its fields.
#[derive(Debug, Clone)]
struct ModelRow {
    ordinal: u64,
    version: Version,
    fields: BTreeMap<FieldKind, u64>,
}

type State = BTreeMap<FieldKind, (u64, Version)>;

/// What the model says of a row: its ruling, what it leaves out, and the update it carries.
#[derive(Debug, Clone)]
struct Said {
    ruling: Ruling,
    left_out: FieldSet,
    carries: Option<State>,
    claims: BTreeMap<FieldKind, u64>,
    is_equal: bool,
    is_overtaken: bool,
}

struct Model<'a> {
    rules: &'a PlanRules,
    entry: Option<&'a LedgerEntry>,
    rows: Vec<ModelRow>,
    /// Fields of each row that the ledger has newer, once [`Model::says`] has looked: it is asked for each pair of rows.
    overtaken: Vec<FieldSet>,
}

impl Model<'_> {
    fn ledger_version(&self, kind: FieldKind) -> Option<Version> {
        Some(self.entry?.field(kind)?.version)
    }

    fn is_unknown(&self, kind: FieldKind) -> bool {
        self.entry.is_some_and(|entry| entry.unknown().contains(kind))
    }

    /// Fields of row `at` that the ledger has newer.
    fn overtaken(&self, at: usize) -> FieldSet {
        self.overtaken[at]
    }

    fn overtaken_of(&self, at: usize) -> FieldSet {
        let row = &self.rows[at];
        let is_overtaken = |kind: &FieldKind| {
            let Some(newer) = self.ledger_version(*kind).filter(|version| *version > row.version) else {
                return false;
            };
            let own: Vec<&ModelRow> = self.rows.iter().filter(|other| other.version == newer).collect();
            let sends_all = matches!(self.rules.duplicates, DuplicatePolicy::Fold | DuplicatePolicy::Each);
            let marked_by_own_fold = sends_all
                && self.is_unknown(*kind)
                && own.iter().any(|other| other.fields.len() > 1)
                && own.iter().all(|other| !other.fields.contains_key(kind));
            let sent_after_it = self.rules.duplicates == DuplicatePolicy::Each
                && self.is_unknown(*kind)
                && (row.version.batch, newer.batch) == (BATCH, BATCH);
            *kind != KEY && !marked_by_own_fold && !sent_after_it
        };
        row.fields.keys().copied().filter(is_overtaken).collect()
    }

    fn is_duplicate(&self, at: usize) -> bool {
        at > 0 && {
            let (before, row) = (&self.rows[at - 1], &self.rows[at]);
            before.fields == row.fields
                && before.version.batch == row.version.batch
                && self.overtaken(at - 1) == self.overtaken(at)
        }
    }

    /// Whether a row of the same version as the ledger's has the field: the fold contains what overtook it.
    fn overtaken_by_own_row(&self, kind: FieldKind) -> bool {
        self.rows
            .iter()
            .any(|row| Some(row.version) == self.ledger_version(kind) && row.fields.contains_key(&kind))
    }

    fn remaining(&self, at: usize, without: FieldSet) -> FieldSet {
        let all: FieldSet = self.rows[at].fields.keys().copied().collect();
        all.minus(FieldSet::only(KEY)).minus(without)
    }

    fn shadowed(&self, at: usize, live: &[usize]) -> FieldSet {
        let hides = |kind: &FieldKind| {
            *kind != KEY
                && live.iter().any(|other| {
                    *other > at
                        && (self.rows[*other].ordinal < self.rows[at].ordinal
                            || self.rows[*other].version == self.rows[at].version)
                        && self.remaining(*other, self.overtaken(*other)).contains(*kind)
                })
        };
        self.rows[at].fields.keys().copied().filter(hides).collect::<FieldSet>().minus(self.overtaken(at))
    }

    /// Whether the row, under `each`, was acknowledged in this batch: it or a later one, and it has not failed.
    fn acked_then(&self, version: Version) -> bool {
        let Some(entry) = self.entry else { return false };
        let failed = entry.refusals.iter().any(|refusal| refusal.version == version)
            || entry.in_doubt.iter().any(|doubt| doubt.version == version);
        let acked = entry.acked.unwrap_or_default();
        let doubts = entry.in_doubt.iter().filter(|doubt| doubt.version.batch == BATCH);
        let first_doubt = doubts.map(|doubt| doubt.version).min();
        !failed
            && self.rules.duplicates == DuplicatePolicy::Each
            && version.batch == BATCH
            && (acked.batch == BATCH && acked >= version
                || acked.batch > BATCH && first_doubt.is_some_and(|first| first > version))
    }

    /// Fields of a row not acknowledged that a later row, acknowledged in this batch, has set.
    fn acknowledged_since(&self, at: usize, live: &[usize]) -> FieldSet {
        let row = &self.rows[at];
        if row.version.batch != BATCH || self.acked_then(row.version) {
            return FieldSet::EMPTY;
        }
        let sets = |kind: &FieldKind| {
            let mut later = live.iter().filter(|other| **other > at);
            later.any(|other| {
                self.acked_then(self.rows[*other].version) && {
                    let gone = self.overtaken(*other).union(self.shadowed(*other, live));
                    self.remaining(*other, gone).contains(*kind)
                }
            })
        };
        let shadowed = self.shadowed(at, live);
        row.fields.keys().copied().filter(sets).collect::<FieldSet>().minus(shadowed)
    }

    fn says(&mut self) -> Vec<Said> {
        self.overtaken = (0..self.rows.len()).map(|at| self.overtaken_of(at)).collect();
        let nothing = Said {
            ruling: Ruling::Superseded,
            left_out: FieldSet::EMPTY,
            carries: None,
            claims: BTreeMap::new(),
            is_equal: false,
            is_overtaken: false,
        };
        let mut said = vec![nothing; self.rows.len()];
        let mut live = Vec::new();
        for (at, said) in said.iter_mut().enumerate() {
            said.left_out = self.overtaken(at);
            if self.is_duplicate(at) {
                said.ruling = Ruling::Duplicate;
            } else {
                live.push(at);
            }
        }
        match self.rules.duplicates {
            DuplicatePolicy::Fold => self.fold(&live, true, &mut said),
            DuplicatePolicy::Last => self.fold(&live[live.len() - 1..], false, &mut said),
            DuplicatePolicy::First => self.fold(&live[..1], false, &mut said),
            DuplicatePolicy::Reject if live.len() > 1 => {
                live.iter().for_each(|at| said[*at].ruling = Ruling::Rejected);
            }
            DuplicatePolicy::Reject => self.fold(&live, false, &mut said),
            DuplicatePolicy::Each => self.each(&live, &mut said),
        }
        said
    }

    fn fold(&self, live: &[usize], is_fold: bool, said: &mut [Said]) {
        let mut parts = Vec::new();
        for at in live.iter().copied() {
            let foreign: FieldSet = self
                .overtaken(at)
                .iter()
                .filter(|kind| !(is_fold && self.overtaken_by_own_row(*kind)))
                .collect();
            if !self.remaining(at, foreign).is_empty() {
                parts.push(at);
            } else if foreign.iter().all(|kind| self.agrees(live, kind)) {
                said[at].ruling = Ruling::Unchanged;
            }
        }
        let mut state = State::new();
        for at in &parts {
            let row = &self.rows[*at];
            said[*at].left_out =
                self.overtaken(*at).union(if is_fold { self.shadowed(*at, &parts) } else { FieldSet::EMPTY });
            for (kind, hash) in row.fields.iter().filter(|(kind, _)| !self.overtaken(*at).contains(**kind)) {
                state.insert(*kind, (*hash, row.version));
            }
        }
        let Some(carrier) = parts.iter().copied().max_by_key(|at| self.rows[*at].ordinal) else { return };
        let ruling = if self.settled(&state) || self.equal(&state) {
            Ruling::Unchanged
        } else {
            self.otherwise(&state)
        };
        let claims: BTreeMap<_, _> = state.iter().map(|(kind, (hash, _))| (*kind, *hash)).collect();
        for at in parts {
            said[at].claims.clone_from(&claims);
            let pairs = [
                (Ruling::Send, Ruling::Folded),
                (Ruling::SendLate, Ruling::FoldedLate),
                (Ruling::RefusedBefore, Ruling::FoldedRefused),
            ];
            let of_part = pairs.into_iter().find(|(whole, _)| at != carrier && *whole == ruling);
            said[at].ruling = of_part.map_or(ruling, |(_, part)| part);
        }
        if !self.settled(&state) && self.equal(&state) {
            for at in live.iter().copied().filter(|at| !said[*at].claims.is_empty()).collect::<Vec<_>>() {
                let is_otherwise = self.overtaken(at).iter().any(|kind| {
                    let is_own = is_fold && self.overtaken_by_own_row(kind);
                    !is_own && !self.agrees(live, kind) && !self.holds(kind, self.rows[at].fields[&kind])
                });
                let is_part = |other: &usize| *other >= at && !said[*other].claims.is_empty();
                let mut later = live.iter().copied().filter(is_part);
                if is_otherwise && !later.any(|other| self.delivered(other, said[other].left_out)) {
                    said[at].ruling = Ruling::Superseded;
                }
            }
        }
        said[carrier].carries = Some(state);
    }

    fn each(&self, live: &[usize], said: &mut [Said]) {
        for at in live.iter().copied() {
            let row = &self.rows[at];
            let gone =
                self.overtaken(at).union(self.shadowed(at, live)).union(self.acknowledged_since(at, live));
            said[at].left_out = gone;
            let mut state: State =
                row.fields.iter().map(|(kind, hash)| (*kind, (*hash, row.version))).collect();
            state.retain(|kind, _| !gone.contains(*kind));
            let claims = state.iter().map(|(kind, (hash, _))| (*kind, *hash)).collect();
            if row.fields.len() == 1 {
                said[at].ruling = Ruling::Unchanged;
            } else if self.settled(&state) {
                said[at].ruling = Ruling::Unchanged;
                said[at].claims = claims;
            } else if state.len() > 1 {
                said[at].claims = claims;
                said[at].is_equal = self.equal(&state) && !self.sent_before(row.version);
                said[at].ruling = self.otherwise(&state);
                said[at].carries = Some(state);
                let is_overtaken = gone.iter().any(|kind| {
                    self.ledger_version(kind) > Some(row.version)
                        && !self.overtaken_by_own_row(kind)
                        && !self.holds(kind, row.fields[&kind])
                });
                said[at].is_overtaken = is_overtaken && !self.delivered(at, gone);
            } else if gone == self.overtaken(at)
                && gone.iter().all(|kind| self.holds(kind, row.fields[&kind]))
            {
                said[at].ruling = Ruling::Unchanged;
            }
        }
        self.hold_older(live, said);
    }

    /// Holds what is older than a row that is held, which may have set the same fields.
    fn hold_older(&self, live: &[usize], said: &mut [Said]) {
        let Some(entry) = self.entry.filter(|_| self.rules.in_doubt == InDoubtPolicy::Hold) else { return };
        let unknown = entry.unknown().minus(FieldSet::only(KEY));
        for at in live.iter().copied().rev().collect::<Vec<_>>() {
            let rest = self.remaining(at, said[at].left_out);
            let waits = live.iter().copied().filter(|later| *later > at).any(|later| {
                let shared = rest.intersect(self.remaining(later, said[later].left_out)).intersect(unknown);
                said[later].ruling == Ruling::Held
                    && shared.iter().any(|kind| self.ledger_version(kind) > Some(self.rows[at].version))
            });
            if waits && matches!(said[at].ruling, Ruling::Send | Ruling::SendLate) {
                said[at].ruling = Ruling::Held;
            }
        }
    }

    /// Whether anything of a row beside these fields was acknowledged in the row's own version.
    fn delivered(&self, at: usize, gone: FieldSet) -> bool {
        let row = &self.rows[at];
        row.version.batch == self.rules.batch
            && self.remaining(at, gone).iter().any(|kind| {
                self.holds(kind, row.fields[&kind]) && self.ledger_version(kind) == Some(row.version)
            })
    }

    /// Whether the last of these rows that has a field says what was acknowledged.
    fn agrees(&self, live: &[usize], kind: FieldKind) -> bool {
        let last = live.iter().rev().find_map(|at| self.rows[*at].fields.get(&kind));
        last.is_some_and(|hash| self.holds(kind, *hash))
    }

    fn sent_before(&self, version: Version) -> bool {
        self.entry.is_some_and(|entry| {
            let mut sent: Vec<Version> = entry.acked.into_iter().collect();
            sent.extend(entry.refusals.iter().map(|refusal| refusal.version));
            sent.extend(entry.in_doubt.iter().map(|doubt| doubt.version));
            sent.iter().any(|sent| sent.batch == BATCH && *sent < version)
        })
    }

    fn version(state: &State) -> Version {
        state.values().map(|(_, version)| *version).max().unwrap()
    }

    fn digest(state: &State) -> UpdateDigest {
        let facts: Vec<FieldFact> = state
            .iter()
            .map(|(kind, (hash, version))| FieldFact {
                kind: *kind,
                hash: FieldHash(*hash),
                version: *version,
            })
            .collect();
        update_digest(&facts)
    }

    fn holds(&self, kind: FieldKind, hash: u64) -> bool {
        let field = self.entry.and_then(|entry| entry.field(kind));
        field.is_some_and(|field| field.state == FieldState::Known(FieldHash(hash)))
    }

    fn equal(&self, state: &State) -> bool {
        let Some(entry) = self.entry else { return false };
        let is_old = self.rules.resend_after_s.is_some_and(|after_s| {
            let after_s = i64::try_from(after_s).unwrap();
            let is_old = |kind: &FieldKind, hash| {
                self.holds(*kind, hash) && NOW_S - entry.field_time_s(*kind) > after_s
            };
            state.iter().any(|(kind, (hash, _))| is_old(kind, *hash))
        });
        let is_equal = |(kind, (hash, version)): (&FieldKind, &(u64, Version))| {
            self.holds(*kind, *hash) || *kind == KEY && self.ledger_version(KEY) > Some(*version)
        };
        !self.rules.full && !is_old && state.iter().all(is_equal)
    }

    fn settled(&self, state: &State) -> bool {
        let version = Model::version(state);
        if !self.rules.full && self.rules.duplicates != DuplicatePolicy::Each {
            return false;
        }
        let acked_as_is = state.len() > 1
            && state.iter().filter(|(kind, _)| **kind != KEY).all(|(kind, (hash, version))| {
                self.holds(*kind, *hash) && self.ledger_version(*kind) == Some(*version)
            });
        self.acked_then(version) || acked_as_is
    }

    fn otherwise(&self, state: &State) -> Ruling {
        let Some(entry) = self.entry else { return Ruling::Send };
        let (version, digest) = (Model::version(state), Model::digest(state));
        if self.rules.in_doubt == InDoubtPolicy::Hold {
            let same = entry.in_doubt.iter().any(|doubt| (doubt.version, doubt.digest) == (version, digest));
            if same || entry.unknown().iter().any(|kind| !state.contains_key(&kind)) {
                return Ruling::Held;
            }
        }
        let refused = entry.refusals.iter().any(|refusal| {
            let is_final = matches!(refusal.kind, FailureKind::Refused | FailureKind::Unresolved);
            (refusal.version, refusal.digest, refusal.batch) == (version, digest, BATCH) && is_final
        });
        if refused && !self.rules.retry_failed {
            return Ruling::RefusedBefore;
        }
        let late = entry.refusals.iter().any(|refusal| {
            let is_before = refusal.version.batch < BATCH && refusal.kind != FailureKind::Deferred;
            let is_again = refusal.version.batch == BATCH && refusal.kind == FailureKind::Exhausted;
            (is_before || is_again && !self.rules.retry_failed)
                && entry.acked.is_none_or(|acked| refusal.version > acked)
        });
        // Under `each` all of a subject go in one pass.
        let is_by_itself = refused && self.rules.duplicates != DuplicatePolicy::Each;
        if late && !is_by_itself { Ruling::SendLate } else { Ruling::Send }
    }
}

/// The model's rulings on a whole export, with what each row leaves out.
fn model(rows: &[TestRow], ledger: &[LedgerEntry], rules: &PlanRules) -> Vec<(Ruling, FieldSet)> {
    let mut result = vec![(Ruling::Rejected, FieldSet::EMPTY); rows.len()];
    let mut subjects: BTreeMap<u8, Model<'_>> = BTreeMap::new();
    for (ordinal, row) in (1..).zip(rows).filter(|(_, row)| row.subject != 0) {
        let entry = ledger.iter().find(|entry| entry.subject == id(row.subject));
        let model = subjects.entry(row.subject).or_insert(Model {
            rules,
            entry,
            rows: Vec::new(),
            overtaken: Vec::new(),
        });
        let version = row.version.unwrap_or_else(|| own_version(rows, ordinal));
        let fields = row.facts().into_iter().map(|(kind, hash)| (kind, hash.0)).collect();
        model.rows.push(ModelRow { ordinal, version, fields });
    }
    let mut said: Vec<(Vec<ModelRow>, Vec<Said>)> = Vec::new();
    for model in subjects.values_mut() {
        model.rows.sort_by_key(|row| (row.version, row.ordinal));
        said.push((model.rows.clone(), model.says()));
    }
    // Who claims what in the end.
    let mut claims: BTreeMap<(FieldKind, u64), Vec<usize>> = BTreeMap::new();
    for (subject, (_, said)) in said.iter().enumerate() {
        for kind in [FieldKind::Number, IMSI, ICCID] {
            if let Some(hash) = said.iter().rev().find_map(|said| said.claims.get(&kind)) {
                claims.entry((kind, *hash)).or_default().push(subject);
            }
        }
    }
    claims.retain(|_, subjects| subjects.len() > 1);
    for (subject, (_, said)) in said.iter_mut().enumerate() {
        let contested = |said: &Said| {
            rules.conflicts == ConflictPolicy::Hold
                && claims.iter().any(|((kind, hash), subjects)| {
                    subjects.contains(&subject) && said.claims.get(kind) == Some(hash)
                })
        };
        let mut is_sent = false;
        for said in said {
            let is_part = is_part(said);
            if said.is_equal && !is_sent {
                said.ruling = of_equal(said);
            } else if is_part && contested(said) {
                said.ruling = Ruling::Conflict;
            }
            is_sent |= matches!(said.ruling, Ruling::Send | Ruling::SendLate);
        }
    }
    let entries: Vec<_> = subjects.values().map(|model| model.entry).collect();
    hold_behind_held(&mut said, &entries);
    let swaps = swaps(&said, &entries);
    for (((rows, said), swaps), entry) in said.iter().zip(swaps).zip(&entries) {
        for (row, said) in rows.iter().zip(said) {
            let is_held = is_part(said) && swaps && rules.conflicts == ConflictPolicy::Hold;
            let ruling = if !is_held {
                said.ruling
            } else if said.is_equal {
                of_equal(said)
            } else {
                Ruling::Conflict
            };
            let overtakes = ruling == Ruling::Unchanged && !said.claims.is_empty();
            let overtakes = overtakes && overtakes_a_failure(row, said.left_out, *entry, rules.older_open);
            let ruling = if overtakes { Ruling::Confirmed } else { ruling };
            result[usize::try_from(row.ordinal - 1).unwrap()] = (ruling, said.left_out);
        }
    }
    result
}

/// Whether a row is part of what would change something.
fn is_part(said: &Said) -> bool {
    !said.claims.is_empty() && !matches!(said.ruling, Ruling::Unchanged | Ruling::Superseded)
}

fn of_equal(said: &Said) -> Ruling {
    if said.is_overtaken { Ruling::Superseded } else { Ruling::Unchanged }
}

/// Whether an unchanged row says again what was acknowledged before a failure that is older than the row, or before
/// an open batch was done.
fn overtakes_a_failure(
    row: &ModelRow,
    left_out: FieldSet,
    entry: Option<&LedgerEntry>,
    older_open: Option<u64>,
) -> bool {
    let Some(entry) = entry else { return false };
    row.fields.iter().filter(|(kind, _)| **kind != KEY && !left_out.contains(**kind)).any(|(kind, hash)| {
        entry.field(*kind).is_some_and(|field| {
            let mut failed = entry.refusals.iter().map(|refusal| refusal.version);
            field.state == FieldState::Known(FieldHash(*hash))
                && (failed.any(|failed| failed > field.version && failed < row.version)
                    || older_open
                        .is_some_and(|open| (field.version.batch..row.version.batch).contains(&open)))
        })
    })
}

/// Rows as the policy lets them be: no column orders what is sent as it stands.
pub(super) fn allowed(rows: Vec<TestRow>, rules: &PlanRules) -> Vec<TestRow> {
    let keeps = rules.duplicates != DuplicatePolicy::Each;
    rows.into_iter().map(|row| TestRow { rank: row.rank.filter(|_| keeps), ..row }).collect()
}

/// The version of a row that is not replayed: the ordinal it would have, were its subject's rows in their order.
pub(super) fn own_version(rows: &[TestRow], ordinal: u64) -> Version {
    let own = |at: u64| &rows[usize::try_from(at - 1).unwrap()];
    let subject = own(ordinal).subject;
    let ordinals: Vec<u64> = (1..)
        .zip(rows)
        .filter(|(_, row)| row.subject == subject && row.version.is_none())
        .map(|(ordinal, _)| ordinal)
        .collect();
    let age = |at: u64| (own(at).rank, at);
    let older = ordinals.iter().filter(|other| age(**other) < age(ordinal)).count();
    v(BATCH, ordinals[older])
}

/// Whether no row says under its version what the ledger knows to have been another value there, before or after a
/// correction: the model knows none (`tests/it/corrected.rs` does, and `tests/model`).
pub(super) fn is_nothing_corrected(rows: &[TestRow], ledger: &[LedgerEntry]) -> bool {
    let says = |version: Version, said: &FieldFact| {
        let is_of = |(ordinal, row): (u64, &TestRow)| {
            row.version.unwrap_or_else(|| own_version(rows, ordinal)) == version
                && row.fields.get(&said.kind).is_some_and(|value| FieldHash(*value) != said.hash)
        };
        (1..).zip(rows).any(is_of)
    };
    ledger.iter().all(|entry| {
        let is_plain = |said: &crate::ledger::Said| !said.is_replaced && !says(said.fact.version, &said.fact);
        entry.corrected.is_empty() && entry.said.iter().all(is_plain)
    })
}

/// Holds a plan against the model.
pub(super) fn agrees(
    rows: &[TestRow],
    ledger: &[LedgerEntry],
    rules: &PlanRules,
) -> Result<Plan, TestCaseError> {
    let plan = plan(rows, ledger, rules);
    let said: Vec<_> = (1..).zip(rows).map(|(at, _)| (plan.ruling(at), plan.left_out(at))).collect();
    prop_assert_eq!(said, model(rows, ledger, rules));
    prop_assert!(plan.facts().rows.is_balanced());
    let refused = rulings(&plan).into_iter().filter(|ruling| *ruling == Ruling::RefusedBefore).count();
    prop_assert_eq!(plan.all_refused_before().len(), refused);
    Ok(plan)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_agrees_with_the_model(rows in any_rows(), log in any_log(), rules in any_rules()) {
        let (rows, ledger) = (allowed(rows, &rules), ledger(&log));
        if is_nothing_corrected(&rows, &ledger) {
            agrees(&rows, &ledger, &rules)?;
        }
    }
}
