//! Faults that were found once, each by the scenario that showed it. Not here: what the other files cover by subject.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};

use rustix::process::Signal;
use simsync::sandbox::{Faults, Shares, Uniqueness};

use crate::support::{Workspace, export, ran, signal};

/// The rows behind a withheld refusal filled the window, and both sides waited for each other.
#[test]
fn one_subject_refused_at_first_contact_does_not_hang_the_run() {
    let ws =
        Workspace::with(Faults { subject_statuses: [("C-1".to_owned(), 422)].into(), ..Faults::default() });
    let rows: String = (0..60).map(|row| format!("C-1,tier{row}\n")).collect();
    ws.write("export.csv", format!("crm id,tier\n{rows}"));
    let ran =
        ws.sync(&["export.csv", "--duplicates", "each", "--max-in-flight", "2"]).expect(3).expect_books();
    assert_eq!(ran.rows("failed"), 60);
}

/// The books of a reading that ends between two steps of progress did not close, and the program panicked.
#[test]
fn an_input_that_turns_unreadable_after_rejected_rows_ends_with_6_and_closed_books() {
    let ws = Workspace::new();
    let mut bytes = b"crm id,mobile\nC-1,12ab\nC-2,34cd\nC-3,+447900000001\nC-4,".to_vec();
    bytes.extend([0xff, b'\n']);
    ws.write("export.csv", bytes);
    for command in ["sync", "plan"] {
        let url = ws.sandbox.url();
        let ran = ws.run(&[command, "export.csv", "--api-url", &url, "--json"]).expect(6).expect_books();
        assert_eq!((ran.rows("rejected"), ran.rows("read")), (2, 3), "{command}");
    }
    assert_eq!(ws.sandbox.stats().requests, 0);
}

/// That a target had acknowledged something was kept at the end of a run only, and lost by a kill.
#[test]
fn a_target_stays_proven_after_a_kill() {
    let ws = Workspace::with(Faults { latency_ms: 20, ..Faults::default() });
    ws.write("export.csv", export(400));
    let mut child = ws.sync_in_background(&["export.csv", "--max-in-flight", "4"]);
    ws.wait_for_requests(60);
    child.kill().unwrap();
    child.wait().unwrap();
    let shares = Shares { statuses: [(422, 1.0)].into(), ..Shares::default() };
    ws.sandbox.set_faults(Faults { shares, ..Faults::default() }).unwrap();
    ws.configure("[delivery]\nrefusals_in_a_row_max = 0\n");
    let ran = ws.sync(&["export.csv"]).expect(3).expect_books();
    assert!(ran.rows("failed") > 100);
}

/// A file without a header, one of whose values is like a known name, had its values printed as names of columns.
#[test]
fn values_of_a_file_without_a_header_are_not_printed_as_columns() {
    let ws = Workspace::new();
    ws.write(
        "export.csv",
        "mobile,+447900123456,a.person@example.org\n+447900123457,8944110793733875346,x\n",
    );
    for args in [["sync", "--json"], ["sync", "-v"], ["plan", "--json"], ["plan", "-v"]] {
        let url = ws.sandbox.url();
        let ran = ws.run(&[args[0], "export.csv", "--api-url", &url, args[1]]);
        let told = format!("{}{}", ran.stdout, ran.stderr);
        for value in ["447900123456", "a.person"] {
            assert!(!told.contains(value), "{args:?}: {told}");
        }
    }
}

/// Under `each`, rows that had been acknowledged stood in failed.csv with a later row's refusal.
#[test]
fn failed_csv_holds_no_row_that_was_acknowledged() {
    let ws = Workspace::with(Faults { refused_values: ["gold".to_owned()].into(), ..Faults::default() });
    ws.write("first.csv", "crm id,tier\nC-0,basic\n");
    ws.sync(&["first.csv"]).expect(0);
    ws.write("export.csv", "crm id,tier\nC-1,silver\nC-1,gold\nC-1,bronze\n");
    let ran = ws.sync(&["export.csv", "--duplicates", "each"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (2, 1));
    let failed = ws.last_run_file("failed.csv").unwrap();
    assert!(failed.contains("gold") && !failed.contains("silver") && !failed.contains("bronze"), "{failed}");
}

/// One pause was told to end twice, and an outage that ended the run counted for nothing.
#[test]
fn a_pause_is_told_once_and_counted() {
    let ws = Workspace::with(Faults {
        shares: Shares { unavailable_503: 1.0, ..Shares::default() },
        ..Faults::default()
    });
    ws.write("export.csv", export(40));
    ws.write("simsync.toml", "[delivery]\noutage_max = \"2s\"\nbackoff_initial = \"50ms\"\n");
    let ran = ws.sync(&["export.csv"]).expect(5).expect_books();
    let told = |kind: &str| ran.stdout.matches(&format!("\"type\":\"{kind}\"")).count();
    assert!(told("paused") >= told("resumed"), "{}", ran.stdout);
    assert!(ran.summary()["paused_s"].as_f64().unwrap() > 0.5, "{}", ran.summary()["paused_s"]);
    assert!(fs::metadata(ws.path("simsync-state")).is_ok());
}

/// A row that could not be split lost its bytes when its row file was fed back uncorrected.
#[test]
fn a_row_that_could_not_be_split_keeps_its_bytes_when_it_is_fed_back_as_it_is() {
    let ws = Workspace::new();
    ws.write("export.csv", "crm id,mobile,tier\nC-1,+447900000001\nC-2,+447900000002,gold\n");
    ws.sync(&["export.csv"]).expect(3);
    for _ in 0..2 {
        let rejected = ws.last_run_file("rejected.csv").unwrap();
        assert!(rejected.contains("\"C-1,+447900000001\""), "{rejected}");
        ws.write("again.csv", rejected);
        let ran = ws.sync(&["again.csv"]).expect(3).expect_books();
        assert_eq!(ran.rows("rejected"), 1);
    }
}

/// A typing error in the host looked like an outage.
#[test]
fn a_connection_that_cannot_be_made_is_named() {
    let ws = Workspace::new();
    ws.write("export.csv", export(3));
    ws.write("simsync.toml", "[delivery]\noutage_max = \"1s\"\n");
    let url = "http://127.0.0.1:1/api/v1/device_app_user_update/";
    let ran = ws.run(&["sync", "export.csv", "--api-url", url, "--json"]).expect(5).expect_books();
    assert!(ran.stdout.contains("no answer from the API"), "{}", ran.stdout);
    assert!(ran.stderr.contains("could not be reached"), "{}", ran.stderr);
}

/// The books of an older batch that a newer one had overtaken were closed, and the same command sent its old values.
#[test]
fn an_overtaken_batch_overwrites_nothing_however_often_it_is_run() {
    let ws = Workspace::with(Faults { latency_ms: 15, ..Faults::default() });
    let of = |tier: &str| -> String {
        (0..200).fold("crm id,tier\n".to_owned(), |text, row| text + &format!("C-{row},{tier}\n"))
    };
    ws.write("old.csv", of("old"));
    ws.write("new.csv", of("new"));
    let mut child = ws.sync_in_background(&["old.csv", "--max-in-flight", "4"]);
    ws.wait_for_requests(40);
    signal(child.id(), Signal::TERM);
    child.wait().unwrap();
    ws.sync(&["new.csv"]).expect(0);
    for _ in 0..3 {
        ws.sync(&["old.csv"]).expect(3).expect_books();
    }
    assert!((0..200).all(|row| ws.at_server(&format!("C-{row}"), "user_class").as_deref() == Some("new")));
}

/// A signal before the first request ended the program without a word and with open books.
#[test]
fn a_signal_in_the_survey_closes_the_books() {
    let ws = Workspace::new();
    ws.write("export.csv", export(150_000));
    // A plan has only its survey to be stopped in; a sync would take the signal at its delivery, too.
    for command in ["plan", "sync"] {
        let url = ws.sandbox.url();
        let mut child = ws.command(&[command, "export.csv", "--api-url", &url, "--json"]).spawn().unwrap();
        // The first line is out right before the survey begins.
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        stdout.read_line(&mut text).unwrap();
        signal(child.id(), Signal::TERM);
        stdout.read_to_string(&mut text).unwrap();
        let mut ran = ran(child.wait_with_output().unwrap());
        ran.stdout = text;
        let ran = ran.expect(143).expect_books();
        assert!(ran.rows("read") < 150_000, "{command} read on after the signal");
    }
    assert_eq!(ws.sandbox.stats().requests, 0);
    assert!(ws.last_run_file("summary.json").is_some());
}

/// The batch was closed before the summary was out, so that a run killed in between sent everything again under `each`.
#[test]
fn a_kill_while_the_run_ends_sends_nothing_again_under_each() {
    let rows: String = (0..300).map(|row| format!("C-{},tier{row}\n", row % 100)).collect();
    for after_ms in [0, 3, 6, 10, 15, 25] {
        let ws = Workspace::new();
        ws.write("export.csv", format!("crm id,tier\n{rows}"));
        let mut child = ws.sync_in_background(&["export.csv", "--duplicates", "each"]);
        ws.wait_for_requests(300);
        std::thread::sleep(std::time::Duration::from_millis(after_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        if ws.last_run_file("summary.json").is_some() {
            continue;
        }
        let before = ws.sandbox.stats().requests;
        ws.sync(&["export.csv", "--duplicates", "each"]).expect(0).expect_books();
        let again = ws.sandbox.stats().requests - before;
        // At most the window is in doubt; the whole export is not sent again.
        assert!(again < 290, "{again} requests after a kill {after_ms} ms after the last answer");
    }
}

/// Rows behind a refused row of their subject were called refused without ever being sent.
#[test]
fn rows_behind_an_unresolved_conflict_are_sent_in_their_turn() {
    let ws = Workspace::with(Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() });
    ws.write("taken.csv", "crm id,imsi\nV-1,234150000000001\n");
    ws.sync(&["taken.csv"]).expect(0);
    ws.write("export.csv", "crm id,imsi\nW-1,234150000000001\nW-1,234150000000003\nW-1,234150000000004\n");
    let ran =
        ws.sync(&["export.csv", "--duplicates", "each", "--conflicts", "send"]).expect(3).expect_books();
    assert_eq!((ran.rows("failed"), ran.rows("synced")), (1, 2));
    assert_eq!(ws.at_server("W-1", "imsi").as_deref(), Some("234150000000004"));
}

/// What a later pass sent counted as first attempts.
#[test]
fn attempts_of_a_later_pass_are_retries() {
    let ws = Workspace::with(Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() });
    ws.write("first.csv", "crm id,imsi\nA-1,234150000000001\nB-1,234150000000002\n");
    ws.sync(&["first.csv"]).expect(0);
    ws.write("swap.csv", "crm id,imsi\nA-1,234150000000002\nB-1,234150000000001\n");
    let ran = ws.sync(&["swap.csv", "--conflicts", "send"]).expect(3).expect_books();
    assert_eq!((ran.summary()["attempts"].as_u64(), ran.summary()["retries"].as_u64()), (Some(4), Some(2)));
}

/// With the lock file taken away under a run, a second run was told of a broken disk.
#[test]
fn a_lock_file_taken_away_under_a_run_is_told_as_a_lock() {
    let ws = Workspace::with(Faults { latency_ms: 50, ..Faults::default() });
    ws.write("export.csv", export(2_000));
    let mut child = ws.sync_in_background(&["export.csv", "--max-in-flight", "4"]);
    ws.wait_for_requests(8);
    fs::remove_file(ws.path("simsync-state/lock")).unwrap();
    ws.write("other.csv", export(1));
    let second = ws.run(&["sync", "other.csv", "--api-url", &ws.sandbox.url(), "--json"]).expect(11);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(second.stderr.contains("another run"), "{}", second.stderr);
}
