//! Whatever the memory, the partitions and the threads: the plan is the same.

use std::convert::Infallible;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::digest::FieldHash;
use crate::ledger::{FieldState, LedgerEntry, LedgerField};
use crate::plan::{
    Beside, ConflictGroup, ConflictPolicy, CyclePolicy, DuplicatePolicy, InDoubtPolicy, InMemory, NoLedger,
    OneHand, Ruling, Sample, SendMode, Surveyed,
};
use crate::row::Version;
use crate::update::FieldKind;

const KEY: FieldKind = FieldKind::UserExternalId;
const FIELDS: [FieldKind; 5] =
    [FieldKind::Number, FieldKind::Imei, FieldKind::Imsi, FieldKind::Iccid, FieldKind::UserClass];

/// A row as a test writes it.
#[derive(Debug, Clone)]
enum TestRow {
    Valid { subject: u16, version: Option<Version>, rank: Option<i128>, facts: Vec<(FieldKind, FieldHash)> },
    Rejected,
    Displaced { subject: u16, rank: i128 },
    Filtered,
}

/// Spread over all partitions, as hashes are; the last bytes are the tag.
fn id(subject: u16) -> SubjectId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&u64::from(subject).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    SubjectId(id)
}

fn hash(value: u64) -> FieldHash {
    FieldHash(if value == 0 { u64::MAX } else { value.wrapping_mul(0xd6e8_feb8_6659_fd93) })
}

fn row(subject: u16, fields: &[(FieldKind, u64)]) -> TestRow {
    let mut facts: Vec<_> = fields.iter().map(|(kind, value)| (*kind, hash(*value))).collect();
    facts.push((KEY, hash(1_000_000 + u64::from(subject))));
    facts.sort_unstable_by_key(|(kind, _)| *kind);
    TestRow::Valid { subject, version: None, rank: None, facts }
}

/// Everything a plan says.
#[derive(Debug, PartialEq)]
struct Said {
    rows: Vec<(Ruling, Beside, bool)>,
    facts: crate::event::PlanFacts,
    conflicts: (Vec<ConflictGroup>, u64),
    in_doubt: Vec<u64>,
    samples: Vec<Sample>,
}

fn said(plan: &Plan) -> Said {
    let facts = plan.facts();
    let rows = (1..=facts.rows.read)
        .map(|at| (plan.ruling(at), plan.beside(at).unwrap(), plan.is_rejected_by_policy(at)))
        .collect();
    Said {
        rows,
        facts,
        conflicts: (plan.conflicts().to_vec(), plan.conflicts_total()),
        in_doubt: plan.in_doubt_ordinals().to_vec(),
        samples: plan.samples().to_vec(),
    }
}

fn survey(rows: &[TestRow], space: Box<dyn crate::plan::Space>, bounds: SurveyBounds) -> Survey {
    let mapped = FIELDS.into_iter().chain([KEY]).collect();
    let mut survey = Survey::within(mapped, space, bounds);
    for (ordinal, row) in (1..).zip(rows) {
        match row {
            TestRow::Valid { subject, version, rank, facts } => {
                let (subject, version, rank) = (id(*subject), *version, *rank);
                survey.row(&Surveyed { ordinal, subject, version, rank, facts, old: &[] }).unwrap();
            }
            TestRow::Rejected => survey.rejected(ordinal),
            TestRow::Displaced { subject, rank } => {
                survey.rejected_in_order(ordinal, id(*subject), *rank).unwrap();
            }
            TestRow::Filtered => survey.filtered(ordinal),
        }
    }
    survey
}

/// The same rows, staged in stretches of so many, each of which takes its own first row for the first one of a file.
fn staged(rows: &[TestRow], stretch_rows: usize) -> Survey {
    let mapped = FIELDS.into_iter().chain([KEY]).collect();
    let mut survey = Survey::within(mapped, Box::new(InMemory), SurveyBounds::default());
    for rows in rows.chunks(stretch_rows) {
        let before = survey.rows();
        let mut stretch = Staged::default();
        for (ordinal, row) in (1..).zip(rows) {
            match row {
                TestRow::Valid { subject, version, rank, facts } => {
                    let (subject, version, rank) = (id(*subject), *version, *rank);
                    stretch.row(&Surveyed { ordinal, subject, version, rank, facts, old: &[] });
                }
                TestRow::Displaced { subject, rank } => {
                    stretch.rejected_in_order(ordinal, id(*subject), *rank);
                }
                TestRow::Rejected | TestRow::Filtered => {}
            }
        }
        let (shift, last) = (before, before + rows.len() as u64);
        // Not all at once: a look at the progress may be due between them.
        survey.take(&mut stretch, shift, before + 1).unwrap();
        survey.take(&mut stretch, shift, last).unwrap();
        assert_eq!(stretch.bytes_left(), 0);
        for (ordinal, _) in (before + 1..).zip(rows).filter(|(_, row)| matches!(row, TestRow::Filtered)) {
            survey.was_filtered(ordinal);
        }
    }
    survey
}

fn spilled(dir: &Path) -> Box<dyn crate::plan::Space> {
    Box::new(SpillSpace { space: Space::new(dir, 0), block_bytes: BLOCK_BYTES_MIN })
}

struct Known(Vec<LedgerEntry>);

impl LedgerSlices for Known {
    type Error = Infallible;
    type Slice = std::vec::IntoIter<Result<LedgerEntry, Infallible>>;

    fn slice(&self, from: SubjectId, to: Option<SubjectId>) -> Result<Self::Slice, Infallible> {
        let is_within =
            |entry: &&LedgerEntry| entry.subject >= from && to.is_none_or(|to| entry.subject < to);
        Ok(self.0.iter().filter(is_within).cloned().map(Ok).collect::<Vec<_>>().into_iter())
    }
}

fn rules() -> PlanRules {
    PlanRules {
        duplicates: DuplicatePolicy::Fold,
        conflicts: ConflictPolicy::Hold,
        break_cycles: CyclePolicy::No,
        clearable: FieldSet::EMPTY,
        in_doubt: InDoubtPolicy::Resend,
        send: SendMode::Full,
        full: false,
        resend_after_s: None,
        retry_failed: false,
        now_s: 1_000,
        batch: 9,
        older_open: None,
        key: KEY,
        tag: Some(id(0).tag()),
        samples: 3,
    }
}

fn any_fields() -> impl Strategy<Value = Vec<(FieldKind, u64)>> {
    let kinds = prop::sample::subsequence(FIELDS.to_vec(), 0..=5);
    (kinds, prop::collection::vec(0..30_u64, 5))
        .prop_map(|(kinds, values)| kinds.into_iter().zip(values).collect())
}

fn any_row(ranked: bool) -> impl Strategy<Value = TestRow> {
    let version = prop::option::weighted(0.1, (6..9_u64, 1..60_u64));
    let valid =
        (1..25_u16, version, -2..3_i128, any_fields()).prop_map(move |(subject, version, rank, fields)| {
            let TestRow::Valid { subject, facts, .. } = row(subject, &fields) else { unreachable!() };
            let version = version.map(|(batch, ordinal)| Version { batch, ordinal });
            TestRow::Valid { subject, version, rank: ranked.then_some(rank), facts }
        });
    let displaced = (1..25_u16, -2..3_i128).prop_map(move |(subject, rank)| match ranked {
        true => TestRow::Displaced { subject, rank },
        false => TestRow::Rejected,
    });
    prop_oneof![20 => valid, 1 => Just(TestRow::Rejected), 1 => Just(TestRow::Filtered), 1 => displaced]
}

/// A ledger in which much is as the rows would have it.
fn any_ledger() -> impl Strategy<Value = Vec<LedgerEntry>> {
    prop::collection::btree_map(1..30_u16, (any_fields(), 1..12_u64, any::<bool>()), 0..25).prop_map(
        |entries| {
            let mut entries: Vec<LedgerEntry> = entries
                .into_iter()
                .map(|(subject, (fields, batch, is_acked))| {
                    let mut entry = LedgerEntry::new(id(subject));
                    let version = Version { batch, ordinal: 3 };
                    let TestRow::Valid { facts, .. } = row(subject, &fields) else { unreachable!() };
                    for (at, (kind, hash)) in facts.into_iter().enumerate() {
                        let state = if at == 7 { FieldState::Unknown } else { FieldState::Known(hash) };
                        entry.fields[kind.index()] = Some(LedgerField { state, version });
                    }
                    entry.acked = is_acked.then_some(version);
                    entry
                })
                .collect();
            entries.sort_by_key(|entry| entry.subject);
            entries
        },
    )
}

fn any_rules() -> impl Strategy<Value = PlanRules> {
    (
        prop::sample::select(DuplicatePolicy::ALL.to_vec()),
        prop::sample::select(ConflictPolicy::ALL.to_vec()),
        prop::sample::select(SendMode::ALL.to_vec()),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(duplicates, conflicts, send, full)| PlanRules {
            duplicates,
            conflicts,
            send,
            full,
            ..rules()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn many_partitions_on_disk_say_what_one_in_memory_says(
        rows in any::<bool>().prop_flat_map(|ranked| prop::collection::vec(any_row(ranked), 0..60)),
        ledger in any_ledger(),
        rules in any_rules(),
    ) {
        let ledger = Known(ledger);
        let one = SurveyBounds { partition_bits: 0, ..SurveyBounds::default() };
        let expected = survey(&rows, Box::new(InMemory), one).finish(&rules, &ledger, &OneHand).unwrap();
        prop_assert!(expected.facts().rows.is_balanced());
        let dir = tempfile::tempdir().unwrap();
        // So small that partitions are split until every subject is alone.
        let many = SurveyBounds { partition_bits: 5, part_bytes_max: 60, filter_bytes_max: 0, ..one };
        let plan = survey(&rows, spilled(dir.path()), many).finish(&rules, &ledger, &Threads { count: 4 }).unwrap();
        prop_assert_eq!(said(&plan), said(&expected));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_that_are_staged_are_planned_as_those_that_come_alone(
        rows in any::<bool>().prop_flat_map(|ranked| prop::collection::vec(any_row(ranked), 0..60)),
        ledger in any_ledger(),
        rules in any_rules(),
        stretch_rows in 1..20_usize,
    ) {
        let ledger = Known(ledger);
        let alone = survey(&rows, Box::new(InMemory), SurveyBounds::default());
        let staged = staged(&rows, stretch_rows);
        prop_assert_eq!((staged.rows(), staged.bytes_needed()), (alone.rows(), alone.bytes_needed()));
        let (alone, staged) =
            (alone.finish(&rules, &ledger, &OneHand).unwrap(), staged.finish(&rules, &ledger, &OneHand).unwrap());
        prop_assert_eq!(said(&staged), said(&alone));
    }
}

#[test]
fn large_surveys_are_the_same_on_four_threads_beyond_memory() {
    // More rows than one thread does alone; every third subject conflicts with its neighbor.
    let value = |subject: u64| if subject.is_multiple_of(3) { subject + 1 } else { subject } + 10;
    let rows: Vec<TestRow> = (0..30_000_u16)
        .map(|at| {
            let subject = at % 20_000;
            row(
                subject,
                &[(FieldKind::Imsi, value(subject.into())), (FieldKind::UserClass, u64::from(at) + 5)],
            )
        })
        .collect();
    let one = SurveyBounds { partition_bits: 0, ..SurveyBounds::default() };
    let expected = survey(&rows, Box::new(InMemory), one).finish(&rules(), &NoLedger, &OneHand).unwrap();
    assert!(expected.conflicts_total() > 6_000 && expected.facts().rows.send > 6_000);
    let dir = tempfile::tempdir().unwrap();
    let plan = survey(&rows, spilled(dir.path()), SurveyBounds::default());
    let plan = plan.finish(&rules(), &NoLedger, &Threads { count: 4 }).unwrap();
    assert_eq!(said(&plan), said(&expected));
}

#[test]
fn a_value_that_most_subjects_share_is_told_the_same_where_only_a_part_of_it_fits() {
    // One number, one IMEI and one ICCID with ever other IMSIs; a tenth of the subjects has its own. Some are
    // unchanged.
    let fields = |subject: u16, class: u64| {
        let own = if subject.is_multiple_of(10) { u64::from(subject) } else { 1 };
        let imsi = 100_000 + u64::from(subject);
        let same = [FieldKind::Number, FieldKind::Imei, FieldKind::Iccid].map(|kind| (kind, own + 2));
        [&same[..], &[(FieldKind::Imsi, imsi), (FieldKind::UserClass, class)]].concat()
    };
    let rows: Vec<TestRow> = (1..3_000).map(|subject| row(subject, &fields(subject, 3))).collect();
    let known = (1..1_000_u16).map(|subject| {
        let mut entry = LedgerEntry::new(id(subject));
        let version = Version { batch: 1, ordinal: 1 };
        // A third of them hold what they claim, the others hold what nobody claims but those who share it.
        let class = if subject.is_multiple_of(3) { 3 } else { 4 };
        let TestRow::Valid { facts, .. } = row(subject, &fields(subject, class)) else { unreachable!() };
        for (kind, hash) in facts {
            entry.fields[kind.index()] = Some(LedgerField { state: FieldState::Known(hash), version });
        }
        entry.acked = Some(version);
        entry
    });
    let mut known: Vec<LedgerEntry> = known.collect();
    known.sort_by_key(|entry| entry.subject);
    let known = Known(known);
    let one = SurveyBounds { partition_bits: 0, ..SurveyBounds::default() };
    let expected = survey(&rows, Box::new(InMemory), one).finish(&rules(), &known, &OneHand).unwrap();
    let conflicts = (expected.conflicts()[0].subjects, expected.conflicts_total());
    assert_eq!(conflicts, (2_700, 2), "number and iccid");
    assert_eq!(expected.facts().repeated.unwrap().subjects, 2_700);
    let dir = tempfile::tempdir().unwrap();
    for (partition_bits, part_bytes_max) in [(0, 2_000), (5, 2_000), (5, 100)] {
        let bounds = SurveyBounds { partition_bits, part_bytes_max, ..one };
        let plan = survey(&rows, spilled(dir.path()), bounds);
        let plan = plan.finish(&rules(), &known, &Threads { count: 2 }).unwrap();
        assert_eq!(said(&plan), said(&expected), "{partition_bits} {part_bytes_max}");
    }
}

#[test]
fn a_key_with_more_rows_than_memory_is_planned_from_disk_as_any_other() {
    let mut rows = vec![row(1, &[]), row(2, &[])];
    rows.extend((0..500).map(|value| row(7, &[(FieldKind::UserClass, value % 40)])));
    rows.extend((0..90).map(|value| row(8, &[(FieldKind::Imsi, value)])));
    let expected = survey(&rows, Box::new(InMemory), SurveyBounds::default());
    let expected = expected.finish(&rules(), &NoLedger, &OneHand).unwrap();
    assert_eq!(expected.facts().rows.folded, 499 + 89);
    for (part_bytes_max, subject_rows_max) in [(100, 499), (1 << 20, 50), (100, 7)] {
        let bounds = SurveyBounds { part_bytes_max, subject_rows_max, ..SurveyBounds::default() };
        let dir = tempfile::tempdir().unwrap();
        let plan = survey(&rows, spilled(dir.path()), bounds).finish(&rules(), &NoLedger, &OneHand).unwrap();
        assert_eq!(said(&plan), said(&expected), "{part_bytes_max} {subject_rows_max}");
    }
}

#[test]
fn what_the_ledger_knows_and_the_batch_lacks_is_counted() {
    let version = Version { batch: 1, ordinal: 1 };
    let entry = |subject, is_acked: bool| {
        let mut entry = LedgerEntry::new(id(subject));
        entry.acked = is_acked.then_some(version);
        entry
    };
    let mut entries = vec![entry(1, true), entry(2, true), entry(3, false), entry(4, true)];
    let mut foreign = entry(5, true);
    foreign.subject.0[15] = 1;
    entries.push(foreign);
    entries.sort_by_key(|entry| entry.subject);
    let rows = [row(1, &[]), row(3, &[]), row(9, &[]), TestRow::Rejected];
    for bits in [0, 6] {
        let bounds = SurveyBounds { partition_bits: bits, ..SurveyBounds::default() };
        let survey = survey(&rows, Box::new(InMemory), bounds);
        let facts = survey.finish(&rules(), &Known(entries.clone()), &OneHand).unwrap().facts();
        assert_eq!((facts.subjects_known, facts.subjects_missing, facts.subjects_unchanged), (3, 2, 3));
    }
}

/// Takes one row.
fn take(gather: &mut Gather, row: &Surveyed<'_>) -> Result<(), GatherError> {
    let mut staged = Staged::default();
    staged.row(row);
    gather.take(&mut staged, 0, row.ordinal)
}

#[test]
fn what_will_be_needed_is_foreseen_from_how_far_the_input_was_read() {
    let progress = Progress { rows: 1_000, bytes: 50_000, bytes_total: 1_000_000 };
    assert_eq!(foreseen(58_000, progress, 1_000), 58_000 * 20);
    // Rows since the last look do not count for more than they are.
    assert_eq!(foreseen(116_000, progress, 2_000), 58_000 * 20);
    assert_eq!(foreseen(100, Progress::default(), 2), 200);
}

#[test]
fn the_room_is_told_once_before_anything_is_written_and_only_where_it_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        GatherOptions { dir: dir.path().to_owned(), memory_max: 1 << 20, ..GatherOptions::default() };
    let facts = [(KEY, hash(1))];
    let told = |bytes_total: u64, rows: u64| {
        let mut gather = Gather::new(FieldKind::ALL.into_iter().collect(), &options);
        let mut notices = Vec::new();
        for ordinal in 1..=rows {
            let subject = id(u16::try_from(ordinal).unwrap());
            let row = Surveyed { ordinal, subject, version: None, rank: None, facts: &facts, old: &[] };
            take(&mut gather, &row).unwrap();
            notices.extend(gather.progressed(ordinal * 10, bytes_total));
        }
        notices
    };
    let notices = told(10_000_000, 20_000);
    assert_eq!(notices.len(), 1);
    assert!(notices[0].contains("at most about 186.0 MB in"), "{notices:?}");
    assert!(told(150_000, 15_000).is_empty());
}

#[test]
fn a_disk_too_small_refuses_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        GatherOptions { dir: dir.path().to_owned(), memory_max: 1 << 20, ..GatherOptions::default() };
    let mut gather = Gather::new(FieldKind::ALL.into_iter().collect(), &options);
    gather.progressed(1, u64::MAX);
    let facts = [(KEY, hash(1))];
    let failed = (1..=100_000).find_map(|ordinal| {
        let row = Surveyed { ordinal, subject: id(1), version: None, rank: None, facts: &facts, old: &[] };
        let failed = take(&mut gather, &row).err();
        if ordinal == 1 {
            gather.progressed(1, u64::MAX);
        }
        failed
    });
    let failed = failed.unwrap();
    assert!(matches!(&failed, GatherError::Spill(error) if error.is_full()), "{failed}");
    assert!(failed.to_string().contains("not enough room in"), "{failed}");
    assert_eq!(gather.space.spilled_bytes(), 0);
}

#[test]
fn the_room_for_the_second_copy_of_a_subject_with_too_many_rows_is_foreseen() {
    let facts = [(KEY, hash(1)), (FieldKind::UserClass, hash(2))];
    for is_ordered in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let options = GatherOptions {
            dir: dir.path().to_owned(),
            memory_max: 1 << 20,
            subject_rows_max: 5_000,
            ..GatherOptions::default()
        };
        let mut gather = Gather::new([KEY, FieldKind::UserClass].into_iter().collect(), &options);
        let rows = 60_000_u64;
        for ordinal in 1..=rows {
            // Every other row is of one subject.
            let subject = if ordinal % 2 == 0 { id(1) } else { id(u16::try_from(ordinal).unwrap()) };
            let rank = is_ordered.then_some(-i128::from(ordinal));
            let row = Surveyed { ordinal, subject, version: None, rank, facts: &facts, old: &[] };
            take(&mut gather, &row).unwrap();
            gather.progressed(ordinal, rows);
        }
        let (first, most) = gather.needed();
        let space = gather.space.clone();
        gather.finish(&rules(), &NoLedger, 1).unwrap();
        let spilled = space.spilled_bytes();
        assert!(spilled > first, "it lies there twice");
        assert!(spilled <= most, "{spilled} of {most}, ordered: {is_ordered}");
        // Not for subjects that are no larger than others.
        assert!(most < 6 * first);
    }
}
