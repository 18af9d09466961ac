//! Rings and chains of swaps that are not linked with each other: none waits for another one, however long that is
//! tried.
//!
//! Not here: rings themselves (`rings.rs`), how many are open at a time (`rings_open.rs`).

use simsync::sandbox::{Faults, Uniqueness};

use crate::rings::{
    BREAK, RINGS_OPEN_MAX, assert_holds, imsi, imsis_sent, most_without, pairs, takes, with_subjects,
};
use crate::support::{Ran, Workspace, finished, signal};
use crate::witness::wait_for;

/// A server that lets a value be one subject's alone, and breaks at whatever is asked of this subject.
fn breaks_at(subject: Option<u64>) -> Faults {
    let subject_statuses = subject.map(|of| (format!("C-{of:06}"), 500)).into_iter().collect();
    Faults { uniqueness: Uniqueness::Refuse409, subject_statuses, ..Faults::default() }
}

fn has(workspace: &Workspace, (subject, imsi_of): (u64, u64)) -> bool {
    workspace.at_server(&format!("C-{subject:06}"), "imsi") == Some(imsi(imsi_of))
}

/// Runs these rows against a server that breaks at a subject until all but those that wait for it have what they
/// take; only then it heals. Nothing is given up before.
fn run_all_but(workspace: &Workspace, rows: &[(u64, u64)], (broken, waiting): (u64, &[u64])) -> Ran {
    workspace.configure("[delivery]\nattempts_max = 100\nbackoff_max = \"1s\"\n");
    workspace.write("swaps.csv", takes(rows));
    workspace.fault(breaks_at(Some(broken)));
    let child = workspace.sync_command(&[&BREAK[..], &["swaps.csv"]].concat()).spawn().unwrap();
    let others = rows.iter().filter(|(of, _)| *of != broken && !waiting.contains(of));
    for row in others {
        wait_for("those that do not wait for it", || has(workspace, *row));
    }
    for of in waiting {
        assert!(imsis_sent(workspace, *of).iter().all(Option::is_none), "subject {of} waits");
    }
    workspace.fault(breaks_at(None));
    let ran = finished(child).expect(0).expect_books();
    assert_eq!(
        ran.summary()["http"]["409"],
        serde_json::Value::Null,
        "release before assign: {}",
        ran.stdout
    );
    assert_eq!(ran.rows("synced"), rows.len() as u64);
    assert_holds(workspace, rows);
    ran
}

#[test]
fn a_clear_that_keeps_failing_keeps_no_other_ring_waiting() {
    let workspace = with_subjects(30);
    run_all_but(&workspace, &pairs(15), (20, &[21]));
    assert_eq!(imsis_sent(&workspace, 21), [Some(imsi(20))]);
    let sent = imsis_sent(&workspace, 20);
    assert!(
        sent.len() > 2 && sent.iter().rev().skip(1).all(Option::is_none),
        "its clear, then its own: {sent:?}"
    );
}

#[test]
fn an_update_of_a_ring_that_keeps_failing_keeps_no_other_ring_waiting() {
    let workspace = with_subjects(30);
    run_all_but(&workspace, &pairs(15), (21, &[20]));
}

#[test]
fn many_rings_are_broken_beside_one_that_is_not_finished() {
    let workspace = with_subjects(400);
    run_all_but(&workspace, &pairs(200), (20, &[21]));
    assert!(most_without(&workspace) <= RINGS_OPEN_MAX, "{} at once", most_without(&workspace));
}

#[test]
fn a_chain_whose_link_keeps_failing_keeps_no_other_chain_waiting() {
    let workspace = with_subjects(8);
    // Two chains of four each; the first of each waits for nobody.
    let rows = [(0, 10), (1, 0), (2, 1), (3, 2), (4, 14), (5, 4), (6, 5), (7, 6)];
    run_all_but(&workspace, &rows, (1, &[2, 3]));
}

#[test]
fn whoever_is_cleared_and_waits_is_told_by_the_status_line_while_it_lasts() {
    let workspace = with_subjects(6);
    workspace.configure("[delivery]\nattempts_max = 100\nbackoff_max = \"1s\"\n");
    workspace.write("swaps.csv", takes(&pairs(3)));
    workspace.fault(breaks_at(Some(3)));
    let child = workspace.sync_command(&[&BREAK[..], &["swaps.csv"]].concat()).spawn().unwrap();
    let cleared = || -> Option<u64> {
        let status = workspace.last_run_file("status.json")?;
        serde_json::from_str::<serde_json::Value>(&status).ok()?["cleared"].as_u64()
    };
    // The status is written every second.
    wait_for("one that waits", || cleared() == Some(1) && has(&workspace, (0, 1)) && has(&workspace, (4, 5)));
    signal(child.id(), rustix::process::Signal::USR1);
    wait_for("one more attempt", || imsis_sent(&workspace, 3).len() > 3);
    workspace.fault(breaks_at(None));
    let ran = finished(child).expect(0).expect_books();
    assert!(ran.stderr.contains("1 subject cleared, its own update pending"), "{}", ran.stderr);
    assert_eq!(cleared(), Some(0));
}

#[test]
fn nobody_is_sent_beside_the_clear_it_waits_for_however_long_that_is_kept_back() {
    for (rings, attempts) in [(2, 2), (3, 5), (15, 5)] {
        let workspace = with_subjects(2 * rings);
        let text =
            format!("[delivery]\nattempts_max = {attempts}\nbackoff_max = \"50ms\"\noutage_max = \"2s\"\n");
        workspace.configure(&text);
        workspace.write("swaps.csv", takes(&pairs(rings)));
        workspace.fault(breaks_at(Some(0)));
        let before = workspace.sandbox.requests().len();
        workspace.sync(&[&BREAK[..], &["swaps.csv"]].concat()).expect_books();
        let requests = workspace.sandbox.requests().split_off(before).into_iter().enumerate();
        let (mut clears, mut taking) = (Vec::new(), Vec::new());
        for (at, request) in requests {
            match (request.subject.as_deref(), request.fields.get("imsi")) {
                (Some("C-000000"), Some(None)) => clears.push(at),
                (Some("C-000001"), Some(Some(_))) => taking.push(at),
                _ => {}
            }
        }
        let is_behind = taking.iter().all(|at| clears.last().is_some_and(|clear| clear < at));
        assert!(is_behind, "{rings} rings, {attempts} attempts: {taking:?} beside {clears:?}");
    }
}
