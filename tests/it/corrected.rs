//! A row that failed, was corrected in a copy and acknowledged: what it said before does not come back, however it is
//! fed back; a further correction is sent.
//!
//! Not here: corrections in the run's own file (`replay.rs`), rows that something newer overtakes (`overtaken.rs`).

use std::fs;

use simsync::sandbox::{Faults, Shares};

use crate::support::{Workspace, finished, last_run, replay, signal};
use crate::witness::kill_9;

const EXPORT: &str = "crm id,tier,mobile\nC-1,basic,+447911123456\nC-2,gold,+447911123457\n";

/// The row of `C-2` as the run's `failed.csv` has it, with another tier, in a file of its own.
fn corrected(ws: &Workspace, run: &str, tier: &str) {
    let path = ws.run_dirs().into_iter().find(|dir| dir.ends_with(run)).unwrap().join("failed.csv");
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains("gold"), "{text}");
    ws.write("corrected.csv", text.replace("gold", tier));
}

/// A run of which one row was refused, which was then corrected in a copy; the run's name.
fn refused_and_corrected(ws: &Workspace, args: &[&str]) -> String {
    ws.write("crm.csv", EXPORT);
    ws.sync(&[&["crm.csv"], args].concat()).expect(3);
    let run = last_run(ws);
    corrected(ws, &run, "silver");
    assert_eq!(ws.sync(&[&["corrected.csv"], args].concat()).expect(0).rows("synced"), 1);
    // By now the API would take it.
    ws.fault(Faults::default());
    run
}

fn refusing() -> Workspace {
    Workspace::with(Faults { refused_values: ["gold".to_owned()].into(), ..Faults::default() })
}

#[test]
fn a_replay_of_the_run_does_not_undo_a_correction() {
    for args in [&[][..], &["--send", "changed"], &["--duplicates", "each"], &["--duplicates", "last"]] {
        let ws = refusing();
        let run = refused_and_corrected(&ws, args);
        for _ in 0..2 {
            let ran = replay(&ws, &[&[run.as_str()], args].concat()).expect(3).expect_books();
            assert_eq!((ran.rows("synced"), ran.rows("superseded")), (0, 1), "{args:?}");
            let row = &ws.last_rows("superseded.csv")[0];
            assert_eq!(row["_reason"], "superseded");
            assert!(row["_detail"].contains("acknowledged since as the row was corrected"), "{row:?}");
        }
        assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("silver"), "{args:?}");
    }
}

#[test]
fn a_further_correction_is_sent_and_stands() {
    let ws = refusing();
    let run = refused_and_corrected(&ws, &[]);
    corrected(&ws, &run, "bronze");
    assert_eq!(ws.sync(&["corrected.csv"]).expect(0).rows("synced"), 1);
    assert_eq!(replay(&ws, &[&run]).expect(3).rows("superseded"), 1);
    assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("bronze"));
}

#[test]
fn a_resume_of_the_batch_does_not_undo_a_correction() {
    let ws = refusing();
    ws.write("crm.csv", format!("{EXPORT}C-3,basic,\nC-4,basic,\n"));
    ws.sync(&["crm.csv", "--max-rows", "3", "--max-in-flight", "1"]).expect(8);
    let run = last_run(&ws);
    corrected(&ws, &run, "silver");
    ws.sync(&["corrected.csv"]).expect(0);
    ws.fault(Faults::default());
    let ran = ws.sync(&["crm.csv", "--retry-failed"]).expect_books();
    assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("silver"));
    assert_eq!(ran.rows("superseded"), 1);
}

#[test]
fn a_correction_stands_after_another_batch_and_a_fold() {
    let ws = refusing();
    let run = refused_and_corrected(&ws, &[]);
    ws.write("other.csv", "crm id,mobile\nC-2,+447911123499\n");
    ws.sync(&["other.csv"]).expect(0);
    ws.run(&["journal", "compact"]).expect(0);
    assert_eq!(replay(&ws, &[&run]).expect(3).rows("superseded"), 1);
    assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("silver"));
    assert_eq!(ws.at_server("C-2", "number").as_deref(), Some("+447911123499"));
}

/// The servers that a correction may meet before it is acknowledged.
fn refusing_both() -> Faults {
    Faults { refused_values: ["gold", "silver"].map(str::to_owned).into(), ..Faults::default() }
}

/// A run of which one row was refused, with its correction in a copy; the run's name.
fn refused(ws: &Workspace) -> String {
    ws.write("crm.csv", EXPORT);
    ws.sync(&["crm.csv"]).expect(3);
    let run = last_run(ws);
    corrected(ws, &run, "silver");
    run
}

#[track_caller]
fn assert_not_undone(ws: &Workspace, run: &str) {
    let ran = replay(ws, &[run]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("superseded")), (0, 1), "{}", ran.stdout);
    assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("silver"));
}

#[test]
fn a_correction_that_was_in_doubt_stands_once_it_is_acknowledged() {
    for is_applied in [false, true] {
        let ws = refusing();
        let run = refused(&ws);
        let before = ws.sandbox.stats().requests;
        let shares = match is_applied {
            true => Shares { hang_after: 1.0, ..Shares::default() },
            false => Shares { hang_before: 1.0, ..Shares::default() },
        };
        ws.fault(Faults { shares, ..Faults::default() });
        let mut child = ws.sync_in_background(&["corrected.csv"]);
        ws.wait_for_requests(before + 1);
        kill_9(&mut child);
        ws.fault(Faults::default());
        assert_eq!(ws.sync(&["corrected.csv"]).expect(0).rows("synced"), 1);
        assert_not_undone(&ws, &run);
    }
}

#[test]
fn a_correction_that_was_refused_itself_stands_once_it_is_acknowledged() {
    let ws = refusing();
    let run = refused(&ws);
    ws.fault(refusing_both());
    ws.sync(&["corrected.csv"]).expect(3);
    ws.fault(Faults::default());
    assert_eq!(ws.sync(&["corrected.csv"]).expect(0).rows("synced"), 1);
    assert_not_undone(&ws, &run);
}

#[test]
fn a_row_in_doubt_that_was_corrected_does_not_come_back() {
    let ws = Workspace::new();
    ws.write("crm.csv", EXPORT);
    ws.fault(Faults { shares: Shares { hang_before: 1.0, ..Shares::default() }, ..Faults::default() });
    let before = ws.sandbox.stats().requests;
    ws.configure("[delivery]\nshutdown_grace = \"0s\"\n");
    let child = ws.sync_command(&["crm.csv"]).spawn().unwrap();
    ws.wait_for_requests(before + 1);
    signal(child.id(), rustix::process::Signal::TERM);
    finished(child);
    let run = last_run(&ws);
    let path = ws.run_dirs().pop().unwrap().join("in_doubt.csv");
    let text = fs::read_to_string(path).unwrap();
    ws.fault(Faults::default());
    ws.write("corrected.csv", text.replace("gold", "silver"));
    ws.sync(&["corrected.csv"]).expect(0);
    let ran = replay(&ws, &[&run]).expect_books();
    assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("silver"), "{}", ran.stdout);
    assert_eq!((ran.rows("synced"), ran.rows("superseded")), (0, 1), "{}", ran.stdout);
}

#[test]
fn a_correction_to_what_is_at_the_server_already_stands_although_nothing_is_sent() {
    for options in [&[][..], &["--send", "changed"], &["--duplicates", "each"]] {
        let ws = refusing();
        ws.write("before.csv", EXPORT.replace("gold", "silver"));
        ws.sync(&[&["before.csv"], options].concat()).expect(0);
        let run = refused(&ws);
        let seen = ws.sandbox.stats().requests;
        ws.sync(&[&["corrected.csv"], options].concat()).expect(0);
        assert_eq!(ws.sandbox.stats().requests, seen, "{options:?}");
        ws.fault(Faults::default());
        assert_not_undone(&ws, &run);
        // A further one is sent.
        corrected(&ws, &run, "bronze");
        assert_eq!(ws.sync(&["corrected.csv"]).expect(0).rows("synced"), 1);
    }
}

#[test]
fn a_correction_that_was_refused_before_another_one_passed_stands_too() {
    let ws = Workspace::with(refusing_both());
    ws.write("crm.csv", EXPORT);
    ws.sync(&["crm.csv"]).expect(3);
    let run = last_run(&ws);
    corrected(&ws, &run, "silver");
    ws.sync(&["corrected.csv"]).expect(3);
    corrected(&ws, &run, "bronze");
    assert_eq!(ws.sync(&["corrected.csv"]).expect(0).rows("synced"), 1);
    ws.fault(Faults::default());
    for tier in ["gold", "silver"] {
        corrected(&ws, &run, tier);
        ws.sync(&["corrected.csv"]).expect(3);
        assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("bronze"), "{tier}");
    }
    assert_eq!(replay(&ws, &[&run]).expect(3).rows("superseded"), 1);
    assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("bronze"));
}

#[test]
fn an_earlier_correction_does_not_undo_a_later_one() {
    let ws = refusing();
    let run = refused_and_corrected(&ws, &[]);
    corrected(&ws, &run, "bronze");
    assert_eq!(ws.sync(&["corrected.csv"]).expect(0).rows("synced"), 1);
    corrected(&ws, &run, "silver");
    assert_eq!(ws.sync(&["corrected.csv"]).expect(3).rows("superseded"), 1);
    assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("bronze"));
}

#[test]
fn a_correction_stands_though_a_later_batch_was_refused_meanwhile() {
    let ws = refusing();
    ws.write("crm.csv", EXPORT);
    ws.sync(&["crm.csv"]).expect(3);
    let run = last_run(&ws);
    corrected(&ws, &run, "silver");
    ws.write("tuesday.csv", EXPORT.replace("C-1,basic", "C-1,bronze"));
    ws.sync(&["tuesday.csv"]).expect(3);
    ws.sync(&["corrected.csv"]).expect(0);
    ws.fault(Faults::default());
    replay(&ws, &[&run]);
    assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("silver"));
}

/// Rows 2 and 3 are of one update, which is refused; the run's name, and its `failed.csv`.
fn folded(ws: &Workspace) -> (String, Vec<String>) {
    ws.write("crm.csv", format!("{EXPORT}C-2,,+447911123499\n"));
    ws.sync(&["crm.csv"]).expect(3);
    let run = last_run(ws);
    let path = ws.run_dirs().into_iter().find(|dir| dir.ends_with(&run)).unwrap().join("failed.csv");
    (run, fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn a_correction_of_one_of_several_folded_rows_stands() {
    let ws = refusing();
    let (run, lines) = folded(&ws);
    ws.write("one.csv", format!("{}\n{}\n", lines[0], lines[1]));
    ws.write("corrected.csv", format!("{}\n{}\n", lines[0], lines[1].replace("gold", "silver")));
    assert_eq!(ws.sync(&["corrected.csv"]).expect(0).rows("synced"), 1);
    ws.fault(Faults::default());
    // As it was, alone and with the other one, under whatever policy; the other one is news.
    assert_eq!(ws.sync(&["one.csv"]).expect(3).rows("superseded"), 1);
    let ran = ws.sync(&["one.csv", "--duplicates", "each", "--send", "changed"]).expect(3);
    assert_eq!(ran.rows("superseded"), 1);
    let ran = replay(&ws, &[&run]).expect(3).expect_books();
    assert_eq!((ran.rows("superseded"), ran.rows("synced")), (1, 1), "{}", ran.stdout);
    assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("silver"));
    assert_eq!(ws.at_server("C-2", "number").as_deref(), Some("+447911123499"));
}

#[test]
fn a_further_correction_of_another_field_is_sent_without_what_was_corrected_before() {
    let ws = refusing();
    let run = refused_and_corrected(&ws, &[]);
    // Another copy, of which only the number was corrected.
    let path = ws.run_dirs().into_iter().find(|dir| dir.ends_with(&run)).unwrap().join("failed.csv");
    let text = fs::read_to_string(path).unwrap();
    ws.write("other.csv", text.replace("+447911123457", "+447911123499"));
    assert_eq!(ws.sync(&["other.csv"]).expect(0).rows("synced"), 1);
    assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("silver"));
    assert_eq!(ws.at_server("C-2", "number").as_deref(), Some("+447911123499"));
    assert_eq!(replay(&ws, &[&run]).expect(3).rows("superseded"), 1);
    assert_eq!(ws.at_server("C-2", "number").as_deref(), Some("+447911123499"));
}

#[test]
fn a_cell_that_was_emptied_in_the_correction_stays_so() {
    let ws = refusing();
    ws.write("crm.csv", EXPORT);
    ws.sync(&["crm.csv"]).expect(3);
    let run = last_run(&ws);
    ws.write("corrected.csv", format!("crm id,tier,_run,_row\nC-2,silver,{run},2\n"));
    ws.sync(&["corrected.csv"]).expect(0);
    ws.fault(Faults::default());
    assert_eq!(replay(&ws, &[&run]).expect(3).rows("superseded"), 1);
    let detail = &ws.last_rows("superseded.csv")[0]["_detail"];
    assert_eq!(detail, "user_class acknowledged since as the row was corrected");
    assert_eq!(ws.at_server("C-2", "number"), None);
}

#[test]
fn a_new_row_beside_one_that_was_corrected_is_sent() {
    for policy in ["fold", "each"] {
        let ws = refusing();
        let run = refused_and_corrected(&ws, &[]);
        let path = ws.run_dirs().into_iter().find(|dir| dir.ends_with(&run)).unwrap().join("failed.csv");
        let text = fs::read_to_string(path).unwrap();
        let columns = text.lines().next().unwrap().split(',').count();
        ws.write("mixed.csv", format!("{text}C-2,,+447911123499{}\n", ",".repeat(columns - 3)));
        let ran = ws.sync(&["mixed.csv", "--duplicates", policy]).expect(3).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("superseded")), (1, 1), "{policy}: {}", ran.stdout);
        assert_eq!(ws.at_server("C-2", "number").as_deref(), Some("+447911123499"));
        assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("silver"));
        let rows = ws.last_rows("superseded.csv");
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0]["_detail"], "user_class acknowledged since as the row was corrected");
    }
}

#[test]
fn a_row_of_which_a_part_was_overtaken_and_the_rest_fed_back_is_superseded() {
    let ws = refusing();
    ws.write("crm.csv", EXPORT);
    ws.sync(&["crm.csv"]).expect(3);
    let run = last_run(&ws);
    ws.write("tuesday.csv", "crm id,tier\nC-2,silver\n");
    ws.sync(&["tuesday.csv"]).expect(0);
    corrected(&ws, &run, "gold");
    assert_eq!(ws.sync(&["corrected.csv"]).expect(0).rows("synced"), 1);
    let ran = replay(&ws, &[&run]).expect(3).expect_books();
    assert_eq!((ran.rows("superseded"), ran.rows("unchanged")), (1, 0), "{}", ran.stdout);
    assert!(ws.last_rows("superseded.csv")[0]["_detail"].starts_with("user_class set since by row"));
}

#[test]
fn a_correction_of_one_of_several_folded_rows_without_an_answer_is_sent_when_it_is_fed_back_alone() {
    let ws =
        Workspace::with(Faults { subject_statuses: [("C-2".to_owned(), 500)].into(), ..Faults::default() });
    ws.configure("[delivery]\nattempts_max = 2\n");
    let (run, lines) = folded(&ws);
    ws.fault(Faults::default());
    assert!(lines[1].contains("exhausted"), "{lines:?}");
    ws.write("corrected.csv", format!("{}\n{}\n", lines[0], lines[1].replace("gold", "silver")));
    let ran = ws.sync(&["corrected.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("superseded")), (1, 0), "{}", ran.stdout);
    assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("silver"));
    // The number of the update is that of the other row, which is newer than this one.
    assert_eq!(ws.at_server("C-2", "number"), None);
    // The rest of both is still to be said; what was corrected is left out.
    let ran = replay(&ws, &[&run]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("folded")), (1, 1), "{}", ran.stdout);
    assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("silver"));
    assert_eq!(ws.at_server("C-2", "number").as_deref(), Some("+447911123499"));
}

#[test]
fn a_correction_of_one_of_several_folded_rows_in_doubt_is_sent_with_the_others() {
    for is_applied in [false, true] {
        let ws = Workspace::new();
        ws.write("crm.csv", format!("{EXPORT}C-2,,+447911123499\n"));
        let shares = match is_applied {
            true => Shares { hang_after: 1.0, ..Shares::default() },
            false => Shares { hang_before: 1.0, ..Shares::default() },
        };
        ws.fault(Faults { shares, ..Faults::default() });
        let before = ws.sandbox.stats().requests;
        ws.configure("[delivery]\nshutdown_grace = \"0s\"\n");
        let child = ws.sync_command(&["crm.csv"]).spawn().unwrap();
        ws.wait_for_requests(before + 2);
        signal(child.id(), rustix::process::Signal::TERM);
        finished(child);
        let run = last_run(&ws);
        let text = ws.last_run_file("in_doubt.csv").unwrap();
        ws.fault(Faults::default());
        let header = text.lines().next().unwrap();
        let row = text.lines().find(|line| line.contains("gold")).unwrap().replace("gold", "silver");
        // Alone it may be older than what is in doubt: which row of an update has said what, an intent does not tell.
        ws.write("alone.csv", format!("{header}\n{row}\n"));
        assert_eq!(ws.sync(&["alone.csv"]).expect(3).rows("superseded"), 1);
        let detail = &ws.last_rows("superseded.csv")[0]["_detail"];
        assert!(
            detail.contains("may have been set since by row 3") && detail.contains("together"),
            "{detail}"
        );
        ws.write("corrected.csv", text.replace("gold", "silver"));
        ws.sync(&["corrected.csv"]).expect(0).expect_books();
        replay(&ws, &[&run]).expect(3).expect_books();
        assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("silver"));
        assert_eq!(ws.at_server("C-2", "number").as_deref(), Some("+447911123499"));
    }
}
