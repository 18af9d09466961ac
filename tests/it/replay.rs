//! `simsync replay RUN`: which rows of a run are sent again, and that nothing newer is overwritten by them.
//!
//! Not here: row files given to `sync` by hand (`rulings/replayed.rs`, `fed_back.rs`).

use std::collections::BTreeSet;
use std::fs;

use rustix::process::Signal;
use simsync::sandbox::{Faults, Shares};

use crate::support::{Ran, Workspace, export, last_run, ran, replay, signal};
use crate::witness::frozen_after;

/// Subjects of these statuses.
fn refusing(statuses: &[(&str, u16)]) -> Faults {
    let statuses = statuses.iter().map(|(subject, status)| ((*subject).to_owned(), *status));
    Faults { subject_statuses: statuses.collect(), ..Faults::default() }
}

/// Subjects of the requests from here on.
fn arrivals_since(ws: &Workspace, seen: usize) -> BTreeSet<String> {
    ws.arrivals().split_off(seen).into_iter().collect()
}

fn set(keys: &[&str]) -> BTreeSet<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

/// Twenty rows, of which two are refused with 422, one with 404, and one breaks the server.
fn left_behind(ws: &Workspace) -> Ran {
    ws.configure("[delivery]\nattempts_max = 2\nbackoff_initial = \"5ms\"\nbackoff_max = \"10ms\"\n");
    ws.fault(refusing(&[("C-000003", 422), ("C-000004", 422), ("C-000007", 404), ("C-000009", 500)]));
    ws.write("crm.csv", export(20));
    let ran = ws.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (16, 4));
    ran
}

#[test]
fn what_failed_is_sent_again_and_nothing_else() {
    let ws = Workspace::new();
    let first = left_behind(&ws);
    ws.fault(Faults::default());
    let seen = ws.arrivals().len();
    let again = replay(&ws, &["latest"]).expect(0).expect_books();
    assert_eq!((again.rows("read"), again.rows("synced")), (4, 4));
    assert_eq!(again.summary()["command"], "replay");
    let told = again.summary()["notices"].to_string();
    assert!(
        told.contains(&format!("replaying run {}", first.summary()["run_id"].as_str().unwrap())),
        "{told}"
    );
    assert_eq!(arrivals_since(&ws, seen), set(&["C-000003", "C-000004", "C-000007", "C-000009"]));
    // Acknowledged under the versions they had: the export itself has nothing to send any more.
    assert_eq!(ws.sync(&["crm.csv"]).expect(0).rows("unchanged"), 20);
}

#[test]
fn rows_are_chosen_by_kind() {
    let ws = Workspace::new();
    left_behind(&ws);
    let run = last_run(&ws);
    ws.fault(Faults::default());
    let seen = ws.arrivals().len();
    let exhausted = replay(&ws, &[&run, "--kind", "exhausted"]).expect(0).expect_books();
    assert_eq!((exhausted.rows("read"), exhausted.rows("synced"), exhausted.rows("filtered")), (4, 1, 3));
    assert_eq!(arrivals_since(&ws, seen), set(&["C-000009"]));
    // The same run once more, of the other kind, and in full: what was sent meanwhile is unchanged.
    let refused = replay(&ws, &[&run, "--kind", "refused"]).expect(0).expect_books();
    assert_eq!((refused.rows("synced"), refused.rows("filtered")), (3, 1));
    let all = replay(&ws, &[&run]).expect(0).expect_books();
    assert_eq!((all.rows("unchanged"), all.summary()["attempts"].as_u64()), (4, Some(0)));
}

#[test]
fn rows_are_chosen_by_signature() {
    for choice in ["S1", "s1", "PART", "TEXT"] {
        let ws = Workspace::new();
        let first = left_behind(&ws);
        let run = last_run(&ws);
        let signatures = first.summary()["signatures"].clone();
        // The summary numbers them, most frequent first.
        assert_eq!((signatures[0]["id"].as_str(), signatures[0]["count"].as_u64()), (Some("S1"), Some(2)));
        let text = signatures[0]["signature"].as_str().unwrap();
        let choice = match choice {
            "PART" => "422",
            "TEXT" => text,
            id => id,
        };
        ws.fault(Faults::default());
        let seen = ws.arrivals().len();
        let ran = replay(&ws, &[&run, "--signature", choice]).expect(0).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("filtered")), (2, 2), "{choice}");
        assert_eq!(arrivals_since(&ws, seen), set(&["C-000003", "C-000004"]), "{choice}");
    }
}

#[test]
fn the_summary_shows_what_to_type() {
    let ws = Workspace::new();
    left_behind(&ws);
    let shown = ws.run(&["show", "latest"]).expect(0).stdout;
    assert!(shown.contains("  S1  2 ×  refused"), "{shown}");
    assert!(shown.contains(&format!("`simsync replay {} --api-url", last_run(&ws))), "{shown}");
}

#[test]
fn a_choice_that_fits_nothing_or_too_much_is_a_usage_error() {
    let ws = Workspace::new();
    left_behind(&ws);
    let run = last_run(&ws);
    let seen = ws.arrivals().len();
    for (choice, says) in
        [("no such complaint", "no row that run"), ("S9", "no row that run"), ("4", "is part of")]
    {
        let ran = replay(&ws, &[&run, "--signature", choice]).expect(2);
        assert!(ran.stderr.contains(says) && ran.stderr.contains("simsync show"), "{}", ran.stderr);
    }
    replay(&ws, &[&run, "--kind", "nonsense"]).expect(2);
    assert_eq!(ws.arrivals().len(), seen);
    // No row of that kind is no mistake.
    let none = replay(&ws, &[&run, "--kind", "in-doubt"]).expect(0).expect_books();
    assert!(none.summary()["notices"].to_string().contains("nothing of that kind"), "{}", none.stdout);
    let none = replay(&ws, &[&run, "--kind", "echo-mismatch"]).expect(0).expect_books();
    assert!(none.summary()["notices"].to_string().contains("nothing of that kind"), "{}", none.stdout);
    assert_eq!(ws.arrivals().len(), seen);
}

#[test]
fn a_run_that_left_nothing_is_a_success_that_says_so() {
    let ws = Workspace::new();
    ws.write("crm.csv", export(3));
    ws.sync(&["crm.csv"]).expect(0);
    let runs = ws.run_dirs().len();
    let ran = replay(&ws, &["latest"]).expect(0).expect_books();
    assert!(ran.summary()["notices"].to_string().contains("nothing to replay"), "{}", ran.stdout);
    assert_eq!((ws.sandbox.stats().requests, ws.run_dirs().len()), (3, runs));
    let url = ws.sandbox.url();
    let people = ws.run(&["replay", "latest", "--api-url", &url]).expect(0);
    assert!(people.stderr.contains("nothing to replay"), "{}", people.stderr);
}

#[test]
fn runs_that_cannot_be_replayed_say_why() {
    let ws = Workspace::new();
    let ran = replay(&ws, &["latest"]).expect(2);
    assert!(ran.stderr.contains("no run has been recorded"), "{}", ran.stderr);
    left_behind(&ws);
    let run = last_run(&ws);
    let ran = replay(&ws, &["20010101T000000Z-zzzz"]).expect(2);
    assert!(ran.stderr.contains("no run is named"), "{}", ran.stderr);
    // A file of it is none, and is fed back otherwise.
    let file = format!("simsync-state/runs/{run}/failed.csv");
    let ran = replay(&ws, &[&file]).expect(2);
    assert!(ran.stderr.contains(&format!("simsync sync {file}")), "{}", ran.stderr);
    // Its target is another one.
    let ran = ws.run(&["replay", &run, "--api-url", "http://127.0.0.1:9/other/"]).expect(2);
    assert!(ran.stderr.contains("sent to") && ran.stderr.contains("--api-url"), "{}", ran.stderr);
    // Its file is gone.
    fs::remove_file(ws.run_dirs().pop().unwrap().join("failed.csv")).unwrap();
    let ran = replay(&ws, &[&run]).expect(6);
    assert!(ran.stderr.contains("failed.csv") && ran.stderr.contains("is gone"), "{}", ran.stderr);
    // It was killed, so that it has no files.
    ws.fault(frozen_after(2));
    ws.write("more.csv", export(60));
    let mut child = ws.sync_in_background(&["more.csv"]);
    let seen = ws.sandbox.stats().requests;
    ws.wait_for_requests(seen + 3);
    child.kill().unwrap();
    child.wait().unwrap();
    let ran = replay(&ws, &["latest"]).expect(2);
    assert!(ran.stderr.contains("has no end") && ran.stderr.contains("resumes"), "{}", ran.stderr);
}

#[test]
fn a_replay_of_a_replay_keeps_run_and_row() {
    let ws = Workspace::new();
    left_behind(&ws);
    let first = ws.last_rows("failed.csv");
    ws.fault(refusing(&[("C-000004", 422), ("C-000007", 422)]));
    let again = replay(&ws, &["latest"]).expect(3).expect_books();
    assert_eq!((again.rows("synced"), again.rows("failed")), (2, 2));
    let second = ws.last_rows("failed.csv");
    assert_eq!(second.len(), 2);
    for row in &second {
        let before = first.iter().find(|before| before["crm id"] == row["crm id"]).unwrap();
        assert_eq!((&row["_run"], &row["_row"]), (&before["_run"], &before["_row"]));
    }
    ws.fault(Faults::default());
    let last = replay(&ws, &["latest"]).expect(0).expect_books();
    assert_eq!((last.rows("read"), last.rows("synced")), (2, 2));
    assert_eq!(ws.sync(&["crm.csv"]).expect(0).rows("unchanged"), 20);
}

#[test]
fn an_interrupted_replay_is_resumed_by_its_own_command() {
    let ws = Workspace::new();
    let all: Vec<(String, u16)> = (0..40).map(|row| (format!("C-{row:06}"), 422)).collect();
    let all: Vec<(&str, u16)> = all.iter().map(|(key, status)| (key.as_str(), *status)).collect();
    // The same mapping was acknowledged before, so that refusals are taken for what they are.
    ws.write("other.csv", "crm id,mobile,imei,tier\nX-1,,,basic\n");
    ws.sync(&["other.csv"]).expect(0);
    ws.fault(refusing(&all));
    ws.write("crm.csv", export(40));
    ws.sync(&["crm.csv"]).expect(3);
    let run = last_run(&ws);
    ws.fault(Faults { latency_ms: 40, ..Faults::default() });
    let before = ws.sandbox.stats().requests;
    let url = ws.sandbox.url();
    let args =
        ["replay", "latest", "--api-url", &url, "--rate", "unlimited", "--max-in-flight", "2", "--json"];
    let child = ws.command(&args).spawn().unwrap();
    ws.wait_for_requests(before + 8);
    signal(child.id(), Signal::TERM);
    let stopped = ran(child.wait_with_output().unwrap()).expect(143).expect_books();
    assert!(stopped.rows("pending") > 0 && stopped.rows("synced") > 0);
    // The hint names the run, for the latest one is the replay now.
    let next = stopped.summary()["next"][0].as_str().unwrap().to_owned();
    assert!(next.contains(&format!("simsync replay {run}")) && next.contains("to resume"), "{next}");
    ws.fault(Faults::default());
    let resumed = replay(&ws, &[&run]).expect(0).expect_books();
    assert_eq!(resumed.summary()["resumed"], true);
    assert_eq!(resumed.rows("unchanged"), stopped.rows("synced"));
    assert_eq!(resumed.rows("synced"), stopped.rows("pending"));
    assert_eq!(ws.sandbox.stats().requests, before + 40, "each was sent once");
}

#[test]
fn what_is_in_doubt_is_sent_again() {
    let ws = Workspace::with(frozen_after(10));
    ws.write("crm.csv", export(30));
    let child = ws.sync_command(&["--max-in-flight", "4", "crm.csv"]).spawn().unwrap();
    ws.wait_for_requests(12);
    signal(child.id(), Signal::TERM);
    std::thread::sleep(std::time::Duration::from_millis(200));
    signal(child.id(), Signal::TERM);
    let stopped = ran(child.wait_with_output().unwrap()).expect(143).expect_books();
    let (in_doubt, pending) = (stopped.rows("in_doubt"), stopped.rows("pending"));
    assert!(in_doubt > 0 && pending > 0);
    let doubted: BTreeSet<String> =
        ws.last_rows("in_doubt.csv").into_iter().map(|row| row["crm id"].clone()).collect();
    ws.fault(Faults::default());
    let seen = ws.arrivals().len();
    // Held as long as the policy says so.
    let held = replay(&ws, &["latest", "--in-doubt", "hold"]).expect(3).expect_books();
    assert_eq!((held.rows("held"), ws.arrivals().len()), (in_doubt, seen));
    let told = held.summary()["notices"].to_string();
    assert!(told.contains(&format!("{pending} rows are pending")), "{told}");
    let next = held.summary()["next"].to_string();
    assert!(next.contains("--in-doubt resend") && !next.contains("hold"), "{next}");
    let sent = replay(&ws, &["latest", "--kind", "in-doubt", "--kind", "held"]).expect(0).expect_books();
    assert_eq!(sent.rows("synced"), in_doubt);
    assert_eq!(arrivals_since(&ws, seen), doubted);
    // The rest is the interrupted run's own.
    let rest = ws.sync(&["crm.csv"]).expect(0).expect_books();
    assert_eq!((rest.rows("synced"), rest.summary()["resumed"].as_bool()), (pending, Some(true)));
}

#[test]
fn nothing_newer_is_overwritten_and_what_is_superseded_is_listed() {
    let ws = Workspace::with(refusing(&[("C-1", 422), ("C-2", 422)]));
    ws.write("monday.csv", "crm id,login,tier\nC-1,ann,monday\nC-2,bob,monday\nC-3,cyd,monday\n");
    ws.sync(&["monday.csv"]).expect(3);
    let monday = last_run(&ws);
    ws.fault(Faults::default());
    // On Tuesday C-1 gets all of it, C-2 a part.
    ws.write("tuesday.csv", "crm id,login,tier\nC-9,zoe,x\nC-1,ann2,tuesday\nC-2,,tuesday\n");
    ws.sync(&["tuesday.csv"]).expect(0);
    let tuesday = last_run(&ws);
    let seen = ws.arrivals().len();
    let ran = replay(&ws, &[&monday]).expect(3).expect_books();
    assert_eq!((ran.rows("superseded"), ran.rows("synced")), (1, 1));
    assert_eq!(arrivals_since(&ws, seen), set(&["C-2"]));
    for (key, login, tier) in [("C-1", "ann2", "tuesday"), ("C-2", "bob", "tuesday")] {
        assert_eq!(ws.at_server(key, "username").as_deref(), Some(login), "{key}");
        assert_eq!(ws.at_server(key, "user_class").as_deref(), Some(tier), "{key}");
    }
    let listed = ws.last_rows("superseded.csv");
    assert_eq!(listed.len(), 1);
    let row = &listed[0];
    assert_eq!((row["crm id"].as_str(), row["_reason"].as_str()), ("C-1", "superseded"));
    assert_eq!((row["_run"].as_str(), row["_row"].as_str()), (monday.as_str(), "1"));
    assert_eq!(row["_detail"], format!("username, user_class set since by row 2 of run {tuesday}"));
    let told = ran.summary()["notices"].to_string();
    assert!(told.contains("sent without fields that something newer has set: 1 row"), "{told}");
}

#[test]
fn rows_in_doubt_that_fold_as_before_are_not_said_to_be_sent_in_part() {
    let rows = |tier: &str| (0..20).map(|row| format!("C-{row},old{row},{tier}\n")).collect::<String>();
    let of_all = ["a", "b", "c"].map(rows).concat();
    let ws = Workspace::with(Faults { latency_ms: 60_000, ..Faults::default() });
    ws.configure("[delivery]\nshutdown_grace = \"50ms\"\n");
    ws.write("crm.csv", format!("crm id,login,tier\n{of_all}"));
    let mut child = ws.sync_in_background(&["crm.csv", "--max-in-flight", "4"]);
    ws.wait_for_requests(4);
    // The run names what is on the wire when it stops.
    signal(child.id(), Signal::TERM);
    child.wait().unwrap();
    ws.fault(Faults::default());
    let in_doubt = ws.last_rows("in_doubt.csv").len() as u64;
    assert!(in_doubt > 0 && in_doubt.is_multiple_of(3), "{in_doubt}");
    let ran = replay(&ws, &["latest"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("folded")), (in_doubt / 3, in_doubt / 3 * 2));
    let told = ran.summary()["notices"].to_string();
    assert!(!told.contains("sent without fields"), "{told}");
}

#[test]
fn rows_that_give_way_are_listed_with_the_row_that_is_taken() {
    let rows = "crm id,tier\nC-1,a\nC-2,b\nC-1,c\nC-1,d\n";
    for (policy, taken, listed) in [("last", 4, ["1", "3"]), ("first", 1, ["3", "4"])] {
        let ws = Workspace::new();
        ws.write("crm.csv", rows);
        let ran = ws.sync(&["crm.csv", "--duplicates", policy]).expect(3).expect_books();
        assert_eq!(ran.rows("superseded"), 2);
        let superseded = ws.last_rows("superseded.csv");
        assert_eq!(superseded.iter().map(|row| row["_row"].as_str()).collect::<Vec<_>>(), listed);
        for row in superseded {
            assert_eq!(row["_reason"], format!("superseded.{policy}"));
            let says = format!("gives way to row {taken} of this input (duplicates = \"{policy}\")");
            assert_eq!(row["_detail"], says);
        }
    }
}

#[test]
fn a_file_corrected_in_its_place_is_replayed_as_corrected() {
    let ws = Workspace::with(Faults { refused_values: ["gold".to_owned()].into(), ..Faults::default() });
    ws.write("crm.csv", "crm id,tier\nC-1,basic\nC-2,gold\n");
    let first = ws.sync(&["crm.csv"]).expect(3);
    let step = first.summary()["next"][0].as_str().unwrap().to_owned();
    assert!(step.starts_with("correct failed.csv where it is wrong and run `simsync replay "), "{step}");
    let path = ws.run_dirs().pop().unwrap().join("failed.csv");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("gold", "silver")).unwrap();
    assert_eq!(replay(&ws, &["latest"]).expect(0).rows("synced"), 1);
    assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("silver"));
}

#[test]
fn rejected_rows_and_conflicts_only_when_asked_for() {
    let ws = Workspace::new();
    ws.write(
        "crm.csv",
        "crm id,imsi,mobile\nC-1,234150000000001,\nC-2,234150000000001,\nC-3,,07911123456\nC-4,,+447911123457\n",
    );
    let first = ws.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((first.rows("conflict"), first.rows("rejected"), first.rows("synced")), (2, 1, 1));
    let run = last_run(&ws);
    assert!(replay(&ws, &[&run]).expect(0).summary()["notices"].to_string().contains("nothing to replay"));
    let rejected = replay(&ws, &[&run, "--kind", "rejected", "--default-country", "GB"]).expect(0);
    assert_eq!((rejected.rows("read"), rejected.rows("synced")), (1, 1));
    let conflicts = replay(&ws, &[&run, "--kind", "conflict", "--conflicts", "send"]).expect(0);
    assert_eq!((conflicts.rows("read"), conflicts.rows("synced")), (2, 2));
}

#[test]
fn what_timed_out_for_good_is_replayed_once_the_api_is_well() {
    let ws = Workspace::new();
    ws.configure(
        "[delivery]\nattempts_max = 2\nbackoff_initial = \"5ms\"\nbackoff_max = \"10ms\"\n\
         [api]\ntimeout = \"300ms\"\nconnect_timeout = \"300ms\"\n",
    );
    ws.write("first.csv", "crm id,tier\nC-1,basic\nC-2,basic\n");
    ws.sync(&["first.csv"]).expect(0);
    ws.fault(Faults {
        subject_statuses: [("C-2".to_owned(), 404)].into(),
        shares: Shares { hang_after: 1.0, ..Shares::default() },
        ..Faults::default()
    });
    ws.write("second.csv", "crm id,tier\nC-1,gold\nC-2,gold\n");
    ws.sync(&["second.csv", "--max-in-flight", "1"]).expect(3);
    let run = last_run(&ws);
    ws.fault(Faults::default());
    let ran = replay(&ws, &[&run, "--kind", "exhausted"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("filtered")), (1, 1));
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("gold"));
    // Known again: the row itself has nothing left to say.
    ws.write("third.csv", "crm id,tier\nC-1,gold\n");
    assert_eq!(ws.sync(&["third.csv"]).expect(0).rows("unchanged"), 1);
}
