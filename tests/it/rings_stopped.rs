//! Rings and chains in the middle of which everybody is turned away: a token that dies, an API that moves or is down
//! costs no row its verdict, and once that is mended the same command finishes all of them. And links that are turned
//! away for ever for their own sake, which end no night with 10 or 12 for good.
//!
//! Not here: rings themselves (`rings.rs`), blocks of rows that are linked with nobody (`wire/blocks.rs`).

use simsync::sandbox::{Faults, Outage, OutageKind, Uniqueness, Window};

use crate::rings::{assert_holds, pairs, sync, takes, with_subjects};
use crate::support::{Ran, Workspace};

/// Rows: subjects, and the IMSIs that they take.
type Rows = Vec<(u64, u64)>;

/// Few and quick retries, and an outage that is soon one.
const HASTY: &str =
    "[delivery]\nbackoff_initial = \"10ms\"\nbackoff_max = \"50ms\"\noutage_max = \"500ms\"\n";

/// A server that lets a value be one subject's alone.
fn honest() -> Faults {
    Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() }
}

/// The same, which answers everybody so from this request on.
fn dead_from(from: u64, status: u16) -> Faults {
    let window = Window::Requests { from, count: 1_000_000 };
    Faults { outages: vec![Outage { window, how: OutageKind::Status(status) }], ..honest() }
}

/// The same, which answers these subjects so for ever.
fn dead_for(subjects: &[u64], status: u16) -> Faults {
    let subject_statuses = subjects.iter().map(|of| (format!("C-{of:06}"), status)).collect();
    Faults { subject_statuses, ..honest() }
}

/// Three subjects of which each takes what the next one gives up, and the last what the first does.
fn ring(first: u64) -> Rows {
    vec![(first, first + 1), (first + 1, first + 2), (first + 2, first)]
}

/// Two that take what the other one gives up.
fn pair(first: u64) -> Rows {
    vec![(first, first + 1), (first + 1, first)]
}

/// As many of which the last takes what nobody has.
fn chain(links: u64) -> Rows {
    (0..links).map(|of| (of, if of + 1 == links { of + 50 } else { of + 1 })).collect()
}

/// Subjects that are linked with nobody.
fn others(subjects: std::ops::Range<u64>) -> Rows {
    subjects.map(|of| (of, of + 100)).collect()
}

fn all(parts: &[Rows]) -> Rows {
    parts.concat()
}

/// A workspace with these rows to be sent, whose server is as the faults say from then on.
fn facing(rows: &Rows, faults: Faults) -> Workspace {
    let workspace = with_subjects(rows.len() as u64);
    workspace.configure(HASTY);
    workspace.write("swaps.csv", takes(rows));
    workspace.fault(faults);
    workspace
}

fn fates(ran: &Ran) -> [u64; 4] {
    ["synced", "failed", "pending", "in_doubt"].map(|fate| ran.rows(fate))
}

/// Runs the same command three times while everybody is turned away (once in an outage, of which a second run knows
/// nothing), each of which ends with this code and fails nobody; and once more when nobody is any longer, which
/// finishes all.
#[track_caller]
fn assert_costs_nothing(rows: &Rows, (from, status, code): (u64, u16, i32)) {
    let workspace = facing(rows, dead_from(from, status));
    for run in 0..if status == 503 { 1 } else { 3 } {
        let ran = sync(&workspace, &["swaps.csv", "--max-in-flight", "16"]).expect_books();
        let about = format!("{status} from {from} of {} on, run {run}: {}", rows.len(), ran.stdout);
        assert_eq!((ran.code, ran.rows("failed")), (code, 0), "{about}");
    }
    workspace.fault(honest());
    let ran = sync(&workspace, &["swaps.csv"]).expect(0).expect_books();
    assert_eq!(ran.rows("synced") + ran.rows("unchanged"), rows.len() as u64, "{}", ran.stdout);
    assert_holds(&workspace, rows);
}

/// How everybody is turned away, and how the run ends then.
const DEAD: [(u16, i32); 4] = [(401, 12), (403, 12), (308, 10), (503, 5)];

#[test]
fn who_is_turned_away_with_everybody_inside_a_ring_has_not_failed() {
    // From the clear on, from the first that takes what was cleared on, and from the clear of a ring behind others on.
    let behind_others = all(&[others(3..7), ring(0)]);
    for (rows, froms) in [(ring(0), [1, 2]), (pair(0), [1, 2]), (behind_others, [5, 6])] {
        for from in froms {
            for (status, code) in DEAD {
                assert_costs_nothing(&rows, (from, status, code));
            }
        }
    }
}

#[test]
fn nor_has_who_is_inside_a_swap_of_two_behind_others() {
    let swap = all(&[others(2..6), pair(0)]);
    for from in [5, 6] {
        for (status, code) in DEAD {
            assert_costs_nothing(&swap, (from, status, code));
        }
    }
}

#[test]
fn nor_has_who_is_inside_one_of_several_rings_however_often_the_run_is_continued() {
    let rows = all(&[ring(0), ring(3), ring(6), ring(9)]);
    // Clears, the first and the second of each ring.
    for from in [3, 7, 10] {
        for (status, code) in DEAD {
            assert_costs_nothing(&rows, (from, status, code));
        }
    }
}

#[test]
fn nor_has_who_is_inside_more_rings_than_may_be_open() {
    for (status, code) in [(403, 12), (308, 10)] {
        assert_costs_nothing(&pairs(70), (100, status, code));
    }
}

#[test]
fn who_is_turned_away_with_everybody_inside_a_chain_has_not_failed() {
    for from in [2, 4] {
        for (status, code) in DEAD {
            assert_costs_nothing(&chain(6), (from, status, code));
        }
    }
}

#[test]
fn a_redirect_that_may_have_been_applied_leaves_a_ring_in_doubt_and_fails_nobody() {
    assert_costs_nothing(&ring(0), (2, 302, 10));
}

#[test]
fn a_token_that_dies_before_the_last_two_of_a_chain_or_a_ring_costs_neither_its_verdict() {
    for (status, code) in [(401, 12), (403, 12), (308, 10)] {
        for (rows, from) in [(chain(6), 5), (ring(0), 3)] {
            let workspace = facing(&rows, dead_from(from, status));
            let ran = sync(&workspace, &["swaps.csv"]).expect(code).expect_books();
            assert_eq!(fates(&ran)[1..], [0, 2, 0], "{status}: {}", ran.stdout);
            workspace.fault(honest());
            let ran = sync(&workspace, &["swaps.csv"]).expect(0).expect_books();
            assert_eq!(ran.rows("synced"), 2, "{status}");
            assert_holds(&workspace, &rows);
        }
    }
}

/// Runs the same command until it ends in order; the codes.
fn run_through(workspace: &Workspace, input: &str) -> Vec<i32> {
    let mut codes = Vec::new();
    while codes.len() < 4 && !matches!(codes.last(), Some(0 | 3)) {
        codes.push(sync(workspace, &[input]).expect_books().code);
    }
    codes
}

#[test]
fn a_link_that_is_turned_away_for_its_own_sake_fails_in_the_first_run() {
    for status in [401, 403, 308] {
        // The first of a chain to go, one in its midst, the last but one and the last; and those that go behind a
        // clear.
        let (chain, ring) = (all(&[others(6..8), chain(6)]), all(&[others(3..4), ring(0)]));
        for (rows, link) in [(&chain, 5), (&chain, 3), (&chain, 1), (&chain, 0), (&ring, 1), (&ring, 2)] {
            let workspace = facing(rows, dead_for(&[link], status));
            let about = format!("{status}: {link} of {}", rows.len());
            let ran = sync(&workspace, &["swaps.csv"]).expect(3).expect_books();
            let failed = workspace.last_rows("failed.csv");
            let own = failed.iter().filter(|row| row["_signature"].starts_with(&status.to_string()));
            assert_eq!((own.count(), ran.rows("pending")), (1, 0), "{about}: {failed:?}");
        }
    }
}

#[test]
fn where_values_may_be_held_twice_whoever_waits_for_such_a_link_is_synced_all_the_same() {
    for status in [401, 403, 308] {
        for (rows, link) in [(chain(6), 3), (ring(0), 0), (ring(0), 1)] {
            let faults = Faults { uniqueness: Uniqueness::Off, ..dead_for(&[link], status) };
            let workspace = facing(&rows, faults);
            let ran = sync(&workspace, &["swaps.csv"]).expect(3).expect_books();
            let synced = rows.len() as u64 - 1;
            assert_eq!(fates(&ran), [synced, 1, 0, 0], "{status}: {link} of {}: {}", rows.len(), ran.stdout);
        }
    }
}

#[test]
fn a_whole_chain_or_ring_that_is_turned_away_for_ever_fails_in_the_next_export_in_which_others_pass() {
    for (status, code, links) in
        [(401, 12, [pair(0), chain(3)]), (403, 12, [chain(2), ring(0)]), (308, 10, [pair(0), ring(0)])]
    {
        for linked in links {
            let workspace = facing(&all(&[others(3..4), linked.clone()]), dead_for(&[0, 1, 2], status));
            // Nothing tells it from a token that has died, however often the run is continued.
            assert_eq!(run_through(&workspace, "swaps.csv"), [code; 4], "{status}");
            workspace
                .write("next.csv", takes(&all(&[others(3..9), linked.clone()])).replace("basic", "gold"));
            let codes = run_through(&workspace, "next.csv");
            assert_eq!(codes.last(), Some(&3), "{status}: {codes:?}");
            assert_eq!(workspace.last_rows("failed.csv").len(), linked.len(), "{status}");
            // Chronic from now on.
            workspace.write("next.csv", takes(&all(&[others(3..9), linked])).replace("basic", "silver"));
            assert_eq!(run_through(&workspace, "next.csv"), [3], "{status}");
        }
    }
}
