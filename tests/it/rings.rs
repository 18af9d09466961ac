//! True swaps broken by clearing one of them first (`plan.break_cycles = "clear"`): the clear, the others in order,
//! and at last the one that was cleared; held where it may not be, and nothing lost between the clear and the rest.
//!
//! Not here: chains, and swaps that are held (`swaps.rs`), limits and doubts about rings (`rings_open.rs`).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use simsync::sandbox::{Clears, Faults, SandboxOptions, Shares, Uniqueness};

use crate::support::{Ran, Workspace, finished};
use crate::witness::{frozen_after, kill_9};

/// Rings that may be open at a time, as the plan has it by default.
pub(crate) const RINGS_OPEN_MAX: usize = 64;

/// The options that break swaps of IMSIs and ICCIDs.
pub(crate) const BREAK: [&str; 7] =
    ["--yes", "--break-cycles", "clear", "--clearable", "imsi,iccid", "--clear-as", "null"];

/// A server that lets a value be one subject's alone, and takes a null for a clear.
pub(crate) fn unique() -> Workspace {
    let faults = Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() };
    Workspace::of(SandboxOptions { faults, clears: Clears::Null, ..SandboxOptions::default() })
}

/// A server that lets a value be one subject's alone, at which every subject from 0 has the IMSI of its number.
pub(crate) fn with_subjects(subjects: u64) -> Workspace {
    let workspace = unique();
    let rows: Vec<(u64, u64)> = (0..subjects).map(|subject| (subject, subject)).collect();
    workspace.write("before.csv", takes(&rows));
    workspace.sync(&["before.csv"]).expect(0);
    workspace
}

/// Subjects and the IMSIs that they take.
pub(crate) fn takes(rows: &[(u64, u64)]) -> String {
    let mut text = String::from("crm id,imsi,tier\n");
    for (subject, imsi_of) in rows {
        writeln!(text, "C-{subject:06},{},basic", imsi(*imsi_of)).unwrap();
    }
    text
}

pub(crate) fn imsi(number: u64) -> String {
    format!("23415{number:010}")
}

pub(crate) fn sync(workspace: &Workspace, args: &[&str]) -> Ran {
    workspace.sync(&[&BREAK[..], args].concat())
}

/// What the requests about a subject set its IMSI to, from the first after `before.csv`.
pub(crate) fn imsis_sent(workspace: &Workspace, subject: u64) -> Vec<Option<String>> {
    let history = workspace.history(&format!("C-{subject:06}"));
    history.iter().skip(1).map(|request| request.fields.get("imsi").cloned().flatten()).collect()
}

#[track_caller]
pub(crate) fn assert_holds(workspace: &Workspace, rows: &[(u64, u64)]) {
    for (subject, imsi_of) in rows {
        let at_server = workspace.at_server(&format!("C-{subject:06}"), "imsi");
        assert_eq!(at_server, Some(imsi(*imsi_of)), "subject {subject}");
    }
}

#[track_caller]
pub(crate) fn assert_sent(ran: &Ran, synced: u64, clears: u64) {
    let summary = ran.summary();
    let conflicts = summary["http"]["409"].as_u64().unwrap_or(0);
    assert_eq!((ran.rows("synced"), conflicts), (synced, 0), "{summary}");
    assert_eq!(
        summary["attempts"].as_u64(),
        Some(synced + clears),
        "a clear is an attempt and no row: {summary}"
    );
    assert_eq!(summary["plan"]["swaps_broken"].as_u64(), Some(clears), "{summary}");
}

#[test]
fn a_true_swap_is_broken_by_clearing_one_of_the_two_first() {
    for send in ["full", "changed"] {
        let workspace = with_subjects(2);
        let rows = [(0, 1), (1, 0)];
        workspace.write("swap.csv", takes(&rows));
        let ran = sync(&workspace, &["swap.csv", "--send", send]).expect(0).expect_books();
        assert_sent(&ran, 2, 1);
        assert_holds(&workspace, &rows);
        assert_eq!(imsis_sent(&workspace, 0), [None, Some(imsi(1))]);
        let history = workspace.history("C-000000");
        let cleared: Vec<_> = history[1].fields.keys().map(String::as_str).collect();
        assert_eq!(cleared, ["imsi", "user_external_id"], "nothing but the key and the clear");
        assert_ne!(history[1].idempotency_key, history[2].idempotency_key);
        let again = sync(&workspace, &["swap.csv", "--send", send]).expect(0).expect_books();
        assert_eq!((again.rows("unchanged"), again.summary()["attempts"].as_u64()), (2, Some(0)));
    }
}

#[test]
fn rings_of_any_length_are_broken_each_and_what_waits_for_them_is_sent_behind() {
    let workspace = with_subjects(9);
    // A ring of three, one of four, and 8 waits for nobody.
    let rows = [(0, 1), (1, 2), (2, 0), (3, 6), (4, 3), (5, 4), (6, 5), (8, 20)];
    workspace.write("rings.csv", takes(&rows));
    let ran = sync(&workspace, &["rings.csv"]).expect(0).expect_books();
    assert_sent(&ran, 8, 2);
    assert_holds(&workspace, &rows);
}

#[test]
fn a_sim_that_goes_over_as_a_whole_is_cleared_of_both_its_numbers() {
    let workspace = unique();
    let [one, other] =
        [("234150000000001", "8944100000000000015"), ("234150000000002", "8944100000000000023")];
    let file = |first: (&str, &str), second: (&str, &str)| {
        format!("crm id,imsi,iccid\nA,{},{}\nB,{},{}\n", first.0, first.1, second.0, second.1)
    };
    workspace.write("before.csv", file(one, other));
    workspace.sync(&["before.csv"]).expect(0);
    workspace.write("swap.csv", file(other, one));
    let ran = sync(&workspace, &["swap.csv"]).expect(0).expect_books();
    assert_sent(&ran, 2, 1);
    assert_eq!(workspace.at_server("A", "iccid").as_deref(), Some(other.1));
    assert_eq!(workspace.at_server("B", "imsi").as_deref(), Some(one.0));
}

#[test]
fn the_plan_says_what_will_be_cleared_and_without_the_setting_nothing_is() {
    let workspace = with_subjects(3);
    workspace.write("swap.csv", takes(&[(2, 9), (0, 1), (1, 0)]));
    let url = workspace.sandbox.url();
    let command = ["plan", "swap.csv", "--api-url", &url];
    let plan = workspace.run(&[&command[..], &BREAK[1..]].concat()).expect(0);
    assert!(plan.stderr.contains("1 true swap of 2 subjects, each broken by clearing"), "{}", plan.stderr);
    assert!(plan.stderr.contains("line 3, line 4: clears imsi of line 3 first"), "{}", plan.stderr);
    assert!(plan.stderr.contains("1 true swap will be broken by clearing a field, 0 not"), "{}", plan.stderr);
    let json = workspace.run(&[&command[..], &BREAK[1..], &["--json"]].concat()).expect(0);
    let clears = &json.summary()["plan"]["swap_clears"];
    assert_eq!(
        (clears[0]["place"]["line"].as_u64(), clears[0]["fields"][0].as_str()),
        (Some(3), Some("imsi"))
    );
    let held = workspace.sync(&["--yes", "swap.csv"]).expect(3).expect_books();
    assert_eq!((held.rows("conflict"), held.rows("synced")), (2, 1));
}

#[test]
fn a_field_that_may_not_be_cleared_and_each_keep_a_swap_held_and_say_so() {
    let workspace = with_subjects(2);
    workspace.write("swap.csv", takes(&[(0, 1), (1, 0)]));
    let sync =
        |args: &[&str]| workspace.sync(&[&["--yes", "swap.csv", "--break-cycles", "clear"], args].concat());
    for (args, why) in [
        (&["--clearable", "iccid"][..], "rules.clearable does not name imsi"),
        (&["--clearable", "imsi", "--duplicates", "each"], "--duplicates each keeps"),
    ] {
        let ran = sync(args).expect(3).expect_books();
        assert_eq!((ran.rows("conflict"), ran.summary()["attempts"].as_u64()), (2, Some(0)));
        let told = workspace.last_rows("conflicts.csv");
        assert!(told.iter().all(|row| row["_detail"].contains(why)), "{told:?}");
    }
    // Asked for without a word on what may be cleared, nothing is guessed.
    let refused = sync(&[]).expect(10);
    assert!(refused.stderr.contains("rules.clearable"), "{}", refused.stderr);
}

#[test]
fn killed_between_the_clear_and_the_rest_a_resume_sends_the_rest_as_a_chain() {
    let workspace = with_subjects(4);
    // The two that wait for nobody take the burst; the clear comes a period later, and the rest a period behind it.
    let rows = [(2, 12), (3, 13), (0, 1), (1, 0)];
    workspace.write("swap.csv", takes(&rows));
    let before = workspace.sandbox.stats().requests;
    let url = workspace.sandbox.url();
    let command = ["sync", "swap.csv", "--api-url", &url, "--rate", "20/m"];
    let mut child = workspace.command(&[&command[..], &BREAK].concat()).spawn().unwrap();
    workspace.wait_for_requests(before + 3);
    std::thread::sleep(Duration::from_millis(300));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(imsis_sent(&workspace, 0), [None], "killed behind the clear");
    assert_eq!(workspace.at_server("C-000001", "imsi"), Some(imsi(1)), "and before anything else");
    let ran = workspace.sync(&["--yes", "swap.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("unchanged")), (2, 2), "{}", ran.stdout);
    // The next one had its intent already: while it is in doubt, whoever waits for it may have to be tried twice.
    assert!(ran.summary()["attempts"].as_u64() <= Some(3), "{}", ran.stdout);
    assert_eq!(imsis_sent(&workspace, 0).iter().filter(|imsi| imsi.is_none()).count(), 1, "cleared once");
    assert_holds(&workspace, &rows);
}

#[test]
fn a_clear_that_is_refused_is_told_and_no_row_is_booked_for_it() {
    let workspace = with_subjects(2);
    workspace.write("swap.csv", takes(&[(0, 1), (1, 0)]));
    // This server takes no blank value.
    let args = ["--yes", "--break-cycles", "clear", "--clearable", "imsi", "--clear-as", "empty", "swap.csv"];
    let ran = workspace.sync(&args).expect(3).expect_books();
    assert_eq!((ran.rows("failed"), ran.rows("synced")), (2, 0), "{}", ran.stdout);
    assert!(ran.stdout.contains("was to break its swap was not acknowledged: 400"), "{}", ran.stdout);
}

#[test]
fn a_clear_in_doubt_is_made_again_whether_it_was_applied_or_not() {
    let applied = Shares { hang_after: 1.0, ..Shares::default() };
    let lost = Shares { hang_before: 1.0, ..Shares::default() };
    for hangs in [lost, applied] {
        let workspace = with_subjects(3);
        let rows = [(0, 1), (1, 2), (2, 0)];
        workspace.write("swap.csv", takes(&rows));
        workspace.fault(Faults { shares: hangs, uniqueness: Uniqueness::Refuse409, ..Faults::default() });
        let before = workspace.sandbox.stats().requests;
        let mut child = workspace.sync_in_background(&[&BREAK[..], &["swap.csv"]].concat());
        workspace.wait_for_requests(before + 1);
        kill_9(&mut child);
        workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() });
        assert_sent(&sync(&workspace, &["swap.csv"]).expect(0).expect_books(), 3, 1);
        assert_holds(&workspace, &rows);
    }
}

#[test]
fn a_refused_clear_is_made_again_under_another_key() {
    let faults = |subject_statuses| Faults {
        uniqueness: Uniqueness::Refuse409,
        subject_statuses,
        ..Faults::default()
    };
    let options = SandboxOptions {
        faults: faults([].into()),
        clears: Clears::Null,
        honor_idempotency_key: true,
        ..SandboxOptions::default()
    };
    let workspace = Workspace::of(options);
    workspace.write("before.csv", takes(&[(0, 0), (1, 1)]));
    workspace.sync(&["before.csv"]).expect(0);
    let rows = [(0, 1), (1, 0)];
    workspace.write("swap.csv", takes(&rows));
    workspace.fault(faults([("C-000000".to_owned(), 422)].into()));
    // The refusal stops the run between the clear and the rest, so that the next one resumes the batch.
    let stopped = sync(&workspace, &["swap.csv", "--max-errors", "0"]).expect(4).expect_books();
    assert!(stopped.stderr.contains("more updates failed than max_errors allows (0)"), "{}", stopped.stderr);
    assert_eq!(stopped.rows("pending"), 2);
    workspace.fault(faults([].into()));
    let again = sync(&workspace, &["swap.csv"]).expect(0).expect_books();
    assert_sent(&again, 2, 1);
    assert_holds(&workspace, &rows);
    let history = workspace.history("C-000000");
    let clears = history.iter().filter(|request| request.fields.get("imsi") == Some(&None));
    let keys: Vec<_> = clears.map(|request| request.idempotency_key.clone()).collect();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1], "a server that honors keys replays its refusal");
}

#[test]
fn clears_of_many_swaps_are_a_matter_of_the_gate() {
    let workspace = with_subjects(40);
    let rows: Vec<(u64, u64)> = (0..40).map(|subject| (subject, subject ^ 1)).collect();
    workspace.write("swap.csv", takes(&rows));
    // Nearly all subjects change in a swap of all; that is another gate's matter.
    let stopped = workspace.sync(&[&BREAK[1..], &["swap.csv"]].concat()).expect(4);
    assert!(stopped.stdout.contains("20 of them to break true swaps"), "{}", stopped.stdout);
    assert_eq!(stopped.summary()["attempts"].as_u64(), Some(0));
    assert_sent(&sync(&workspace, &["swap.csv"]).expect(0).expect_books(), 40, 20);
    assert_holds(&workspace, &rows);
}

#[test]
fn whoever_was_cleared_and_has_no_update_yet_is_named_until_it_has() {
    let workspace = with_subjects(4);
    // The two that wait for nobody take the burst; the clear comes a period later, and the rest a period behind it.
    let rows = [(2, 12), (3, 13), (0, 1), (1, 0)];
    workspace.write("swap.csv", takes(&rows));
    let before = workspace.sandbox.stats().requests;
    let url = workspace.sandbox.url();
    let command = ["sync", "swap.csv", "--api-url", &url, "--rate", "20/m", "--json"];
    let child = workspace.command(&[&command[..], &BREAK].concat()).spawn().unwrap();
    workspace.wait_for_requests(before + 3);
    std::thread::sleep(Duration::from_millis(300));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ran = finished(child).expect(143).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("pending")), (2, 2), "{}", ran.stdout);
    let summary = ran.summary();
    let told = summary["notices"].to_string();
    assert!(told.contains("1 subject was cleared of what others take") && told.contains("line 4"), "{told}");
    let listed = workspace.last_rows("in_doubt.csv");
    let listed: Vec<_> = listed.iter().map(|row| (row["_reason"].as_str(), row["crm id"].as_str())).collect();
    assert_eq!(listed, [("swap.cleared", "C-000000")]);
    let detail = &workspace.last_rows("in_doubt.csv")[0]["_detail"];
    assert!(detail.contains("cleared of imsi") && detail.contains("run the same command again"), "{detail}");
    assert!(summary["next"].to_string().contains("swap.csv"), "{summary}");
    let ran = workspace.sync(&["--yes", "swap.csv"]).expect(0).expect_books();
    assert!(!ran.stdout.contains("was cleared of"), "{}", ran.stdout);
    assert_holds(&workspace, &rows);
}

#[test]
fn whoever_was_cleared_and_is_refused_afterwards_is_listed_with_both() {
    let workspace = with_subjects(2);
    // Somebody holds an ICCID that the subject takes as well, and only the server knows.
    workspace.write("other.csv", "crm id,iccid\nX,8944100000000000015\n");
    workspace.sync(&["--state", "other", "other.csv"]).expect(0);
    let text =
        format!("crm id,imsi,iccid\nC-000000,{},8944100000000000015\nC-000001,{},\n", imsi(1), imsi(0));
    workspace.write("swap.csv", text);
    let ran = sync(&workspace, &["swap.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (1, 1), "{}", ran.stdout);
    assert!(ran.summary()["notices"].to_string().contains("1 subject was cleared of"), "{}", ran.stdout);
    let failed = workspace.last_rows("failed.csv");
    assert_eq!(failed.len(), 1);
    assert!(failed[0]["_detail"].contains("cleared of imsi"), "{failed:?}");
    assert_eq!(workspace.at_server("C-000000", "imsi"), None);
}

#[test]
fn the_plan_says_why_a_swap_is_not_broken_and_what_would_break_it() {
    let workspace = unique();
    let [one, other] = ["234150000000001,8944100000000000015", "234150000000002,8944100000000000023"];
    workspace.write("before.csv", format!("crm id,imsi,iccid\nA,{one}\nB,{other}\n"));
    workspace.sync(&["before.csv"]).expect(0);
    workspace.write("swap.csv", format!("crm id,imsi,iccid\nA,{other}\nB,{one}\n"));
    let url = workspace.sandbox.url();
    let plan = ["plan", "swap.csv", "--api-url", &url, "--break-cycles", "clear", "--clearable", "imsi"];
    let plan = workspace.run(&plan).expect(3);
    assert!(plan.stderr.contains("not broken: rules.clearable does not name iccid"), "{}", plan.stderr);
    assert!(plan.stderr.contains("--clearable imsi,iccid"), "{}", plan.stderr);
}

/// As many rings of two.
pub(crate) fn pairs(rings: u64) -> Vec<(u64, u64)> {
    (0..2 * rings).map(|subject| (subject, subject ^ 1)).collect()
}

/// The most subjects that were without an IMSI at the server at any moment, as its requests tell.
pub(crate) fn most_without(workspace: &Workspace) -> usize {
    let (mut without, mut most) = (BTreeSet::new(), 0);
    for request in workspace.sandbox.requests().into_iter().filter(|request| request.applied) {
        let Some(subject) = request.subject else { continue };
        match request.fields.get("imsi") {
            Some(None) => without.insert(subject),
            Some(Some(_)) => without.remove(&subject),
            None => false,
        };
        most = most.max(without.len());
    }
    most
}

#[test]
fn many_rings_are_open_a_few_at_a_time_however_the_run_ends() {
    let workspace = with_subjects(600);
    let rows = pairs(300);
    workspace.write("swaps.csv", takes(&rows));
    // In the middle of the rings the server falls silent, and the run is killed.
    let before = workspace.sandbox.stats().requests;
    let silent = Faults { uniqueness: Uniqueness::Refuse409, ..frozen_after(250) };
    workspace.fault(silent);
    let mut child = workspace.sync_in_background(&[&BREAK[..], &["swaps.csv"]].concat());
    workspace.wait_for_requests(before + 251);
    kill_9(&mut child);
    assert!(most_without(&workspace) <= RINGS_OPEN_MAX, "{} at once", most_without(&workspace));
    workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() });
    // A limit on updates begins only rings that it can finish.
    sync(&workspace, &["swaps.csv", "--max-rows", "301"]).expect(8).expect_books();
    sync(&workspace, &["swaps.csv"]).expect(0).expect_books();
    assert!(most_without(&workspace) <= RINGS_OPEN_MAX, "{} at once", most_without(&workspace));
    assert_holds(&workspace, &rows);
}
