//! What earlier runs left in doubt, or without what it had, is told by every run that says nothing of it, for as long as it
//! is so.
//!
//! Not here: rows of the same input (`rings_open.rs`, `kill.rs`).

use simsync::sandbox::{Faults, Uniqueness};

use crate::rings::{BREAK, imsi, sync, takes, with_subjects};
use crate::support::{Ran, Workspace, last_run};
use crate::witness::{frozen_after, kill_9};

/// Subjects cleared and in doubt that a run or a plan tells of and has no rows of; the notices say the same.
fn left(ran: &Ran) -> (u64, u64) {
    let summary = ran.summary();
    let told = |words: &str| summary["notices"].to_string().contains(words);
    let [cleared, in_doubt] =
        ["left_cleared", "left_in_doubt"].map(|name| summary["plan"][name].as_u64().unwrap());
    assert_eq!(told("been cleared by an earlier run to break a swap"), cleared > 0, "{}", ran.stdout);
    assert_eq!(told("an update of an earlier run in doubt"), in_doubt > 0, "{}", ran.stdout);
    (cleared, in_doubt)
}

/// The doctor's word on the journal, and what the statistics count of subjects cleared and in doubt.
fn seen(workspace: &Workspace) -> (String, u64, u64) {
    let url = workspace.sandbox.url();
    let doctor = workspace.run(&["doctor", "--api-url", &url, "--json"]);
    let journal = doctor.stdout.lines().find(|line| line.contains("the ledger knows")).unwrap().to_owned();
    let stats = workspace.run(&["journal", "stats", "--json"]).expect(0);
    let stats: serde_json::Value = serde_json::from_str(stats.stdout.lines().last().unwrap()).unwrap();
    let count = |name: &str| stats["targets"][0][name].as_u64().unwrap();
    (journal, count("subjects_cleared"), count("subjects_in_doubt"))
}

#[test]
fn subjects_cleared_or_in_doubt_since_an_earlier_run_are_told_by_runs_that_do_not_name_them() {
    let workspace = with_subjects(6);
    let rows = [(0, 1), (1, 2), (2, 0)];
    workspace.write("ring.csv", takes(&rows));
    workspace.write("other.csv", takes(&[(5, 15)]));
    workspace.write("more.csv", takes(&[(4, 14)]));
    let before = workspace.sandbox.stats().requests;
    // The clear is answered, and what was sent next is not.
    workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..frozen_after(before + 1) });
    let mut child = workspace.sync_in_background(&[&BREAK[..], &["ring.csv"]].concat());
    workspace.wait_for_requests(before + 2);
    kill_9(&mut child);
    workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() });
    assert_eq!(workspace.at_server("C-000000", "imsi"), None);
    // Whoever looks first takes nothing from those that come later.
    for _ in 0..2 {
        let url = workspace.sandbox.url();
        let planned = workspace.run(&["plan", "--api-url", &url, "--json", "other.csv"]).expect(0);
        let line = planned.stdout.lines().find(|line| line.contains("\"type\":\"plan\"")).unwrap();
        let plan: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((plan["left_cleared"].as_u64(), plan["left_in_doubt"].as_u64()), (Some(1), Some(1)));
    }
    for file in ["other.csv", "more.csv"] {
        assert_eq!(left(&sync(&workspace, &[file]).expect(0)), (1, 1), "{file}");
    }
    let (doctor, cleared, in_doubt) = seen(&workspace);
    assert!(doctor.contains("warning") && doctor.contains("1 subject cleared to break a swap"), "{doctor}");
    assert!(doctor.contains("left 1 subject in doubt"), "{doctor}");
    assert_eq!((cleared, in_doubt), (1, 1));
    // Its own input names them otherwise.
    assert_eq!(left(&sync(&workspace, &["ring.csv"]).expect(0)), (0, 0));
    workspace.write("last.csv", takes(&[(5, 16)]));
    assert_eq!(left(&sync(&workspace, &["last.csv"]).expect(0)), (0, 0));
    let (doctor, cleared, in_doubt) = seen(&workspace);
    assert!(doctor.contains("\"ok\""), "{doctor}");
    assert_eq!((cleared, in_doubt), (0, 0));
}

#[test]
fn a_subject_cleared_of_what_the_same_batch_had_set_is_told_as_well() {
    let workspace = with_subjects(6);
    let honest = || Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() };
    let row = |subject: u64, of: u64| format!("C-{subject:06},{}", imsi(of));
    workspace.write("each.csv", format!("crm id,imsi\n{}\n{}\n{}\n", row(0, 7), row(0, 15), row(1, 16)));
    workspace.fault(Faults { refused_values: [imsi(7)].into(), ..honest() });
    workspace.sync(&["each.csv", "--yes", "--duplicates", "each"]).expect(3);
    let run = last_run(&workspace);
    // Rows 1 and 3, corrected: they take what the batch gave to each other.
    let text = format!("crm id,imsi,_run,_row\n{},{run},2\n{},{run},3\n", row(0, 16), row(1, 15));
    workspace.write("corrected.csv", text);
    let before = workspace.sandbox.stats().requests;
    workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..frozen_after(before + 1) });
    let mut child = workspace.sync_in_background(&[&BREAK[..], &["corrected.csv"]].concat());
    workspace.wait_for_requests(before + 2);
    kill_9(&mut child);
    workspace.fault(honest());
    assert_eq!(workspace.at_server("C-000000", "imsi"), None, "cleared, and that is acknowledged");
    workspace.write("other.csv", takes(&[(5, 25)]));
    assert_eq!(left(&sync(&workspace, &["other.csv"]).expect(0)), (1, 1));
    let (doctor, cleared, in_doubt) = seen(&workspace);
    assert!(doctor.contains("1 subject cleared to break a swap"), "{doctor}");
    assert_eq!((cleared, in_doubt), (1, 1));
    sync(&workspace, &["corrected.csv"]).expect(0);
    let (doctor, cleared, in_doubt) = seen(&workspace);
    assert_eq!((cleared, in_doubt), (0, 0), "{doctor}");
    // A row that clears the field itself is no such thing.
    workspace.write("clears.csv", "crm id,imsi\nC-000000,#C#\n");
    let clears = ["--clear-token", "#C#", "--clearable", "imsi", "--clear-as", "null", "--yes", "clears.csv"];
    workspace.sync(&clears).expect(0);
    assert_eq!(seen(&workspace).1, 0);
}
