//! What earlier runs left in doubt, or without what it had, is told by every run that says nothing of it, for as long
//! as it is so.
//!
//! Not here: rows of the same input that are sent (`rings_open.rs`, `kill.rs`).

use simsync::sandbox::{Faults, Uniqueness};

use crate::rings::{BREAK, imsi, sync, takes, with_subjects};
use crate::support::{Ran, Workspace, last_run, replay};
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
    workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..frozen_after(1) });
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
    workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..frozen_after(1) });
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

/// A workspace where subject 0 was cleared of its IMSI for subject 1 and refused then, and a swap of 2 and 3 is
/// pending.
fn with_one_cleared_and_refused() -> Workspace {
    let workspace = with_subjects(6);
    // Somebody holds an ICCID that the subject takes as well, and only the server knows.
    workspace.write("x.csv", "crm id,iccid\nX,8944100000000000015\n");
    workspace.sync(&["--state", "other", "x.csv"]).expect(0);
    let row = |subject: u64, of: u64, iccid: &str| format!("C-{subject:06},{},{iccid}\n", imsi(of));
    let rows = [row(0, 1, "8944100000000000015"), row(1, 0, ""), row(2, 3, ""), row(3, 2, "")];
    workspace.write("swaps.csv", format!("crm id,imsi,iccid\n{}", rows.concat()));
    let ran = sync(&workspace, &["swaps.csv", "--max-rows", "2"]).expect(8).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed"), ran.rows("pending")), (1, 1, 2), "{}", ran.stdout);
    assert!(ran.summary()["notices"].to_string().contains("1 subject was cleared of"), "{}", ran.stdout);
    assert_eq!(workspace.at_server("C-000000", "imsi"), None);
    workspace
}

#[test]
fn a_subject_cleared_and_then_refused_is_named_by_every_run_until_it_is_given_something() {
    let workspace = with_one_cleared_and_refused();
    // The run that goes on with the batch does not send it again.
    let ran = sync(&workspace, &["swaps.csv", "--max-rows", "1"]).expect(8).expect_books();
    assert_eq!((ran.rows("failed"), left(&ran)), (1, (1, 0)), "{}", ran.stdout);
    let told = ran.summary()["notices"].to_string();
    assert!(told.contains("line 2 (imsi)") && !told.contains("of which this input sends nothing"), "{told}");
    let failed = workspace.last_rows("failed.csv");
    assert!(failed[0]["_detail"].contains("cleared of imsi"), "{failed:?}");
    // Nor do other exports give it what it is without: with another field of it, with nothing new, with others alone.
    workspace.write("tier.csv", "crm id,tier\nC-000004,gold\nC-000000,gold\n");
    workspace.write("others.csv", takes(&[(5, 15)]));
    for (file, line) in [("tier.csv", true), ("tier.csv", true), ("others.csv", false)] {
        let url = workspace.sandbox.url();
        let planned = workspace.run(&["plan", "--api-url", &url, file]).expect(0);
        assert_eq!(planned.stderr.contains("line 3 (imsi)"), line, "{}", planned.stderr);
        let ran = workspace.sync(&["--yes", file]).expect(0);
        let told = ran.summary()["notices"].to_string();
        assert_eq!(left(&ran), (1, 0), "{file}: {told}");
        assert_eq!(
            (told.contains("line 3 (imsi)"), told.contains("of which this input sends nothing")),
            (line, !line),
            "{told}"
        );
    }
    // Who reads nothing but what is wrong is told, too.
    let url = workspace.sandbox.url();
    let quiet = workspace.run(&["sync", "-q", "--yes", "--api-url", &url, "others.csv"]).expect(0);
    assert!(quiet.stderr.contains("1 subject of which this input sends nothing"), "{}", quiet.stderr);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.lines().count()), ("", 1), "{}", quiet.stderr);
    assert_eq!(seen(&workspace).1, 1);
    // A conflict keeps it from being sent.
    workspace.write("conflict.csv", takes(&[(4, 30), (0, 30)]));
    let ran = workspace.sync(&["--yes", "conflict.csv"]).expect(3);
    assert_eq!(left(&ran), (1, 0), "{}", ran.stdout);
    let listed = workspace.last_rows("conflicts.csv");
    let told: Vec<bool> = listed.iter().map(|row| row["_detail"].contains("cleared of imsi")).collect();
    assert_eq!(told, [false, true], "{listed:?}");
    workspace.write("given.csv", takes(&[(0, 1)]));
    assert_eq!(left(&workspace.sync(&["--yes", "given.csv"]).expect(0)), (0, 0));
    workspace.write("last.csv", takes(&[(5, 16)]));
    assert_eq!(left(&workspace.sync(&["--yes", "last.csv"]).expect(0)), (0, 0));
    assert_eq!(seen(&workspace).1, 0);
}

#[test]
fn a_row_of_a_cleared_subject_that_is_rejected_or_filtered_is_named_by_its_line() {
    let workspace = with_one_cleared_and_refused();
    let rows = "C-000004,234150000000031,basic\nC-000000,12,basic\n";
    workspace.write("bad.csv", format!("crm id,imsi,tier\n{rows}C-000000,13,basic\n"));
    let ran = workspace.sync(&["--yes", "bad.csv"]).expect(3).expect_books();
    let told = ran.summary()["notices"].to_string();
    assert!(told.contains("line 3 (imsi; rejected)"), "{told}");
    assert!(!told.contains("of which this input sends nothing") && !told.contains("line 4"), "{told}");
    assert_eq!(left(&ran), (1, 0));
    workspace.write("left-out.csv", takes(&[(5, 32), (0, 1)]));
    let ran = workspace.sync(&["--yes", "--where", "crm id=C-000005", "left-out.csv"]).expect(0);
    let told = ran.summary()["notices"].to_string();
    assert!(told.contains("line 3 (imsi; filtered)"), "{told}");
    assert!(!told.contains("of which this input sends nothing"), "{told}");
    // With another row of it, that one is named.
    workspace.write("both.csv", "crm id,imsi,tier\nC-000000,12,basic\nC-000000,,gold\n");
    let told = workspace.sync(&["--yes", "both.csv"]).expect(3).summary()["notices"].to_string();
    assert!(told.contains("line 3 (imsi)") && !told.contains("line 2 (imsi"), "{told}");
}

#[test]
fn who_forgets_a_cleared_subject_is_told_what_it_is_without() {
    let workspace = with_one_cleared_and_refused();
    let forget = |subject: &str| {
        let told = workspace.run(&["journal", "forget", "--user-external-id", subject]).expect(0);
        told.stdout.contains("warning: the subject was cleared of imsi to break a swap")
    };
    assert!(!forget("C-000005"), "it was never cleared");
    assert!(forget("C-000000"));
    assert!(!forget("C-000000"), "nothing knows of it any more");
    assert_eq!(seen(&workspace).1, 0);
}

#[test]
fn the_doctor_names_the_command_to_run_again_only_where_that_goes_on() {
    let workspace = with_one_cleared_and_refused();
    assert!(seen(&workspace).0.contains("run the interrupted command again"), "rows are pending");
    sync(&workspace, &["swaps.csv"]).expect(3);
    let (doctor, cleared, _) = seen(&workspace);
    assert_eq!(cleared, 1);
    assert!(!doctor.contains("run the interrupted command again"), "{doctor}");
    assert!(doctor.contains("simsync replay"), "{doctor}");
    // What it names does it, once the API takes it.
    workspace.write("x.csv", "crm id,iccid\nX,8944100000000000023\n");
    workspace.sync(&["--state", "other", "x.csv"]).expect(0);
    replay(&workspace, &["latest"]).expect(0);
    assert_eq!(seen(&workspace).1, 0);
}

#[test]
fn a_subject_that_was_cleared_is_named_where_its_update_is_planned_and_not_sent() {
    let workspace = with_one_cleared_and_refused();
    let bad: String = (10..60).map(|subject| format!("C-{subject:06},12,basic\n")).collect();
    workspace.write("gated.csv", format!("{}{bad}", takes(&[(0, 1)])));
    let url = workspace.sandbox.url();
    let planned = workspace.run(&["plan", "--api-url", &url, "gated.csv"]).expect(4);
    let stopped = workspace.sync(&["gated.csv"]).expect(4);
    for told in [&planned.stderr, &stopped.summary()["notices"].to_string()] {
        assert!(told.contains("1 subject was cleared of what others take"), "{told}");
        assert!(told.contains("line 2 (imsi)"), "{told}");
    }
    let listed = workspace.last_rows("in_doubt.csv");
    assert_eq!((listed.len(), listed[0]["_reason"].as_str()), (1, "swap.cleared"), "{listed:?}");
    assert_eq!(left(&stopped), (0, 0));
}
