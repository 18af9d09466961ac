//! The plan alone: rows per second gathered and joined with a ledger that has them all, on one thread and on four,
//! and with everything to be sent. Memory for rows is bounded to 48 MiB, the default; the process's peak is printed
//! at the end. Rows and entries are made up on the fly.

use std::convert::Infallible;
use std::path::Path;

use simsync::digest::{FieldHash, SubjectId};
use simsync::ledger::{FieldState, LedgerEntry, LedgerField};
use simsync::plan::{
    ConflictPolicy, CyclePolicy, DuplicatePolicy, InDoubtPolicy, LedgerSlices, NoLedger, PlanRules, SendMode,
    Staged, Surveyed,
};
use simsync::row::Version;
use simsync::survey::{Gather, GatherOptions};
use simsync::update::{FieldKind, FieldSet};

mod rounds;

use rounds::{Bench, Contestant, say, timed};

const KEY: FieldKind = FieldKind::UserExternalId;
const FIELDS: [FieldKind; 4] = [FieldKind::Number, FieldKind::Imei, FieldKind::Imsi, KEY];

/// Rows of a stretch, some.
const STAGED_ROWS: u64 = 4_096;

/// Subjects ascend with their numbers, so that the ledger can make them in order.
fn subject(number: u64, rows: u64) -> SubjectId {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&(u64::MAX / rows * number).to_be_bytes());
    SubjectId(id)
}

fn hash(number: u64, kind: FieldKind) -> FieldHash {
    FieldHash((number * 16 + kind as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A ledger that knows every row as it is.
struct Everything {
    rows: u64,
}

impl LedgerSlices for Everything {
    type Error = Infallible;
    type Slice = Box<dyn Iterator<Item = Result<LedgerEntry, Infallible>>>;

    fn slice(&self, from: SubjectId, to_exclusive: Option<SubjectId>) -> Result<Self::Slice, Infallible> {
        let rows = self.rows;
        let number = |id: SubjectId| {
            let step = u64::MAX / rows;
            let leading = id.0.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
            let near = leading / step;
            if subject(near, rows) < id { near + 1 } else { near }
        };
        let end = to_exclusive.map_or(rows, number).min(rows);
        let version = Version { batch: 1, ordinal: 1 };
        Ok(Box::new((number(from)..end).map(move |number| {
            let mut entry = LedgerEntry::new(subject(number, rows));
            for kind in FIELDS {
                let state = FieldState::Known(hash(number, kind));
                entry.fields[kind.index()] = Some(LedgerField { state, version });
            }
            entry.acked = Some(version);
            Ok(entry)
        })))
    }
}

fn gather(rows: u64, dir: &Path) -> Gather {
    let options = GatherOptions { dir: dir.to_owned(), ..GatherOptions::default() };
    let mut gather = Gather::new(FIELDS.into_iter().collect(), &options);
    // Scattered as hashes are, each once: an odd step in a ring of a power of two.
    let ring = rows.next_power_of_two();
    let numbers = (0..ring).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15) & (ring - 1));
    let mut staged = Staged::default();
    for (ordinal, number) in (1..).zip(numbers.filter(|number| *number < rows)) {
        let facts = FIELDS.map(|kind| (kind, hash(number, kind)));
        let subject = subject(number, rows);
        staged.row(&Surveyed { ordinal, subject, version: None, rank: None, facts: &facts, old: &[] });
        if ordinal % STAGED_ROWS == 0 || ordinal == rows {
            gather.take(&mut staged, 0, ordinal).expect("there is room");
            staged.clear();
        }
    }
    gather
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
        now_s: 0,
        batch: 2,
        older_open: None,
        key: KEY,
        tag: Some(SubjectId([7; 16]).tag()),
        samples: 5,
    }
}

fn unchanged(rows: u64, dir: &Path, threads: usize) {
    let plan = gather(rows, dir).finish(&rules(), &Everything { rows }, threads);
    let facts = plan.expect("the ledger cannot fail").facts();
    assert_eq!((facts.rows.unchanged, facts.subjects_missing), (rows, 0), "{:?}", facts.rows);
}

fn main() {
    let bench = Bench::from_args("join", 1_000_000);
    let rows = bench.rows;
    let dir = bench.path("spill");
    std::fs::create_dir_all(&dir).expect("the build's directory can be written");
    let all_sent = || {
        let plan = gather(rows, &dir).finish(&rules(), &NoLedger, 4).expect("there is room");
        assert_eq!(plan.facts().rows.send, rows);
    };
    let contestants: Vec<Contestant<'_>> = vec![
        ("gather alone", Box::new(|| timed(|| drop(gather(rows, &dir))))),
        ("all unchanged, one thread", Box::new(|| timed(|| unchanged(rows, &dir, 1)))),
        ("all unchanged, four threads", Box::new(|| timed(|| unchanged(rows, &dir, 4)))),
        ("all to be sent, four threads", Box::new(|| timed(all_sent))),
    ];
    bench.run("rows", contestants);
    std::fs::remove_dir(&dir).expect("nothing is left in it");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM: unknown");
    say(&format!("peak of memory of all of them together: {peak}"));
}
