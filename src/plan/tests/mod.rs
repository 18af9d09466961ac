//! Tests of the plan: tables for every ruling, an independent model as the judge, and laws over both passes.
//!
//! Here: how the tests write rows, ledgers and rules.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::digest::{FieldHash, SubjectId, UpdateDigest, update_digest};
use crate::ledger::{EntryFold, FailureKind, LedgerEntry, Record};
use crate::row::Version;
use crate::update::{FieldFact, FieldKind, FieldSet};

use super::{
    ConflictPolicy, CyclePolicy, DuplicatePolicy, InDoubtPolicy, InMemory, JoinError, LedgerSlices, NoLedger,
    OneHand, Plan, PlanRules, Ruling, SharedKind, Survey, SurveyBounds, Surveyed,
};

mod ahead;
mod any;
mod changed;
mod confirmed;
mod conflicts;
mod figures;
mod folding;
mod history;
mod large;
mod model;
mod ordered;
mod passes;
mod plain;
mod rulings;
mod shared;
mod swaps;

const KEY: FieldKind = FieldKind::UserExternalId;
const IMSI: FieldKind = FieldKind::Imsi;
const ICCID: FieldKind = FieldKind::Iccid;
const CLASS: FieldKind = FieldKind::UserClass;
const MAPPED: [FieldKind; 5] = [FieldKind::Number, IMSI, ICCID, KEY, CLASS];
const BATCH: u64 = 9;
const NOW_S: i64 = 1_000_000;

/// A row of a test export: its subject (0 for a rejected row), its version if replayed, its fields without the key.
#[derive(Debug, Clone)]
struct TestRow {
    subject: u8,
    version: Option<Version>,
    /// What a column says of its age, if one does.
    rank: Option<i128>,
    fields: BTreeMap<FieldKind, u64>,
}

impl TestRow {
    /// Hashes of all fields, the key among them, in wire order.
    fn facts(&self) -> Vec<(FieldKind, FieldHash)> {
        let mut fields = self.fields.clone();
        fields.insert(KEY, key_hash(self.subject));
        fields.into_iter().map(|(kind, hash)| (kind, FieldHash(hash))).collect()
    }
}

fn row(subject: u8, fields: &[(FieldKind, u64)]) -> TestRow {
    TestRow { subject, version: None, rank: None, fields: fields.iter().copied().collect() }
}

fn replayed(batch: u64, ordinal: u64, subject: u8, fields: &[(FieldKind, u64)]) -> TestRow {
    TestRow { version: Some(v(batch, ordinal)), ..row(subject, fields) }
}

fn v(batch: u64, ordinal: u64) -> Version {
    Version { batch, ordinal }
}

fn key_hash(subject: u8) -> u64 {
    1000 + u64::from(subject)
}

fn id(subject: u8) -> SubjectId {
    SubjectId([subject; 16])
}

/// Facts of an update of one row, the key among them.
fn facts(subject: u8, version: Version, fields: &[(FieldKind, u64)]) -> Vec<FieldFact> {
    row(subject, fields).facts().into_iter().map(|(kind, hash)| FieldFact { kind, hash, version }).collect()
}

fn digest(subject: u8, fields: &[(FieldKind, u64)]) -> UpdateDigest {
    update_digest(&facts(subject, v(0, 0), fields))
}

fn set(kinds: &[FieldKind]) -> FieldSet {
    kinds.iter().copied().collect()
}

fn rules() -> PlanRules {
    PlanRules {
        duplicates: DuplicatePolicy::Fold,
        conflicts: ConflictPolicy::Hold,
        break_cycles: CyclePolicy::No,
        clearable: FieldSet::EMPTY,
        in_doubt: InDoubtPolicy::Resend,
        send: crate::plan::SendMode::Full,
        full: false,
        resend_after_s: None,
        retry_failed: false,
        now_s: NOW_S,
        batch: BATCH,
        older_open: None,
        key: KEY,
        tag: None,
        samples: 5,
    }
}

fn with(duplicates: DuplicatePolicy) -> PlanRules {
    PlanRules { duplicates, ..rules() }
}

/// The ledger that follows from the log of one run: entries ascending by subject.
fn ledger(records: &[Record]) -> Vec<LedgerEntry> {
    fold_log(&[], records)
}

/// The next generation of a ledger, after the run that has written this log.
fn fold_log(old: &[LedgerEntry], records: &[Record]) -> Vec<LedgerEntry> {
    let mut folds: BTreeMap<SubjectId, EntryFold> =
        old.iter().map(|entry| (entry.subject, EntryFold::new(entry.clone()))).collect();
    for record in records {
        let subject = record.subject();
        folds.entry(subject).or_insert_with(|| EntryFold::new(LedgerEntry::new(subject))).apply(record);
    }
    folds.into_values().map(EntryFold::finish).collect()
}

/// Plans, and holds against it what is planned where no subject may have more than so few rows in memory.
fn plan(rows: &[TestRow], ledger: &[LedgerEntry], rules: &PlanRules) -> Plan {
    let plan =
        plan_within(SurveyBounds { partition_bits: 3, ..SurveyBounds::default() }, rows, ledger, rules);
    let few = SurveyBounds {
        partition_bits: 1,
        part_bytes_max: 400,
        subject_rows_max: 2,
        ..SurveyBounds::default()
    };
    large::assert_equal(&plan_within(few, rows, ledger, rules), &plan);
    plan
}

fn plan_within(bounds: SurveyBounds, rows: &[TestRow], ledger: &[LedgerEntry], rules: &PlanRules) -> Plan {
    let mut survey = Survey::within(set(&MAPPED), Box::new(InMemory), bounds);
    for (ordinal, row) in (1..).zip(rows) {
        if row.subject == 0 {
            survey.rejected(ordinal);
            continue;
        }
        let (subject, version, rank, facts) = (id(row.subject), row.version, row.rank, row.facts());
        survey.row(&Surveyed { ordinal, subject, version, rank, facts: &facts, old: &[] }).unwrap();
    }
    survey.finish(rules, &Known(ledger), &OneHand).unwrap()
}

/// A ledger in memory.
struct Known<'l>(&'l [LedgerEntry]);

impl<'l> LedgerSlices for Known<'l> {
    type Error = Infallible;
    type Slice = std::vec::IntoIter<Result<LedgerEntry, Infallible>>;

    fn slice(&self, from: SubjectId, to_exclusive: Option<SubjectId>) -> Result<Self::Slice, Infallible> {
        let is_within =
            |entry: &&LedgerEntry| entry.subject >= from && to_exclusive.is_none_or(|to| entry.subject < to);
        let entries: Vec<_> = self.0.iter().filter(is_within).cloned().map(Ok).collect();
        Ok(entries.into_iter())
    }
}

/// What the tests ask of a plan about one row.
trait Asked {
    fn left_out(&self, ordinal: u64) -> FieldSet;
    fn numbered(&self, ordinal: u64) -> u64;
    fn refusals(&self, ordinal: u64) -> u32;
    fn shared(&self, ordinal: u64) -> Vec<SharedKind>;
    /// Ordinals and statuses of what was refused before.
    fn all_refused_before(&self) -> Vec<(u64, Option<u16>)>;
    fn rejected_by_policy(&self) -> Vec<u64>;
}

impl Asked for Plan {
    fn left_out(&self, ordinal: u64) -> FieldSet {
        self.beside(ordinal).unwrap().left_out
    }

    fn numbered(&self, ordinal: u64) -> u64 {
        self.version_ordinal(ordinal).unwrap()
    }

    fn refusals(&self, ordinal: u64) -> u32 {
        self.beside(ordinal).unwrap().refusals
    }

    fn shared(&self, ordinal: u64) -> Vec<SharedKind> {
        self.beside(ordinal).unwrap().shared().collect()
    }

    fn all_refused_before(&self) -> Vec<(u64, Option<u16>)> {
        let rows = 1..=self.facts().rows.read;
        rows.filter_map(|at| Some((at, self.refused_before(at).unwrap()?.status))).collect()
    }

    fn rejected_by_policy(&self) -> Vec<u64> {
        (1..=self.facts().rows.read).filter(|at| self.is_rejected_by_policy(*at)).collect()
    }
}

fn rulings(plan: &Plan) -> Vec<Ruling> {
    (1..=plan.facts().rows.read).map(|ordinal| plan.ruling(ordinal)).collect()
}

/// Plans and compares the rulings row by row.
#[track_caller]
fn check(rows: &[TestRow], records: &[Record], rules: &PlanRules, expected: &[Ruling]) -> Plan {
    let plan = plan(rows, &ledger(records), rules);
    assert_eq!(rulings(&plan), expected);
    plan
}

fn synced(subject: u8, version: Version, fields: &[(FieldKind, u64)]) -> Record {
    let facts = facts(subject, version, fields);
    Record::Synced { subject: id(subject), version, facts, at_s: NOW_S - 10 }
}

fn refused(subject: u8, version: Version, fields: &[(FieldKind, u64)]) -> Record {
    Record::Refused {
        subject: id(subject),
        version,
        digest: digest(subject, fields),
        status: 422,
        signature: "422 no".into(),
        unknown: FieldSet::EMPTY,
        facts: facts(subject, version, fields),
    }
}

/// The same, by the run of another batch, or of this kind.
fn refused_in(
    subject: u8,
    version: Version,
    (batch, kind): (u64, FailureKind),
    fields: &[(FieldKind, u64)],
) -> Record {
    Record::RefusedIn {
        subject: id(subject),
        version,
        batch,
        kind,
        digest: digest(subject, fields),
        status: 422,
        signature: "422 no".into(),
        unknown: FieldSet::EMPTY,
        facts: facts(subject, version, fields),
    }
}

fn deferred(subject: u8, version: Version, fields: &[(FieldKind, u64)]) -> Record {
    Record::Deferred {
        subject: id(subject),
        version,
        digest: digest(subject, fields),
        status: 409,
        signature: "409 taken".into(),
        unknown: FieldSet::EMPTY,
        facts: facts(subject, version, fields),
    }
}

fn kinds(fields: &[(FieldKind, u64)]) -> FieldSet {
    let mut kinds: FieldSet = fields.iter().map(|(kind, _)| *kind).collect();
    kinds.insert(KEY);
    kinds
}

/// An intent without an outcome: in doubt at the next opening.
fn intent(subject: u8, version: Version, fields: &[(FieldKind, u64)]) -> Record {
    let digest = digest(subject, fields);
    Record::Intent { subject: id(subject), version, fields: kinds(fields), digest }
}

fn unknown(
    subject: u8,
    version: Version,
    fields: &[(FieldKind, u64)],
    cause: crate::ledger::UnknownCause,
) -> Record {
    Record::Unknown {
        subject: id(subject),
        version,
        fields: kinds(fields),
        digest: digest(subject, fields),
        cause,
        status: None,
        signature: String::new(),
        facts: facts(subject, version, fields),
    }
}
