//! An older batch that was left open, run again after newer ones: it sends what nobody has said anything about since,
//! and nothing else, whether what was said since was sent or was unchanged.
//!
//! And of what it has left in doubt, what was acknowledged since is not sent again. Not here: open batches overtaken
//! by acknowledgements (`overtaken.rs`), failures (`confirmed.rs`).

use std::time::Duration;

use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, finish, last_run};
use crate::witness::{frozen_after, kill_9};

fn day(ws: &Workspace, name: &str, rows: &str, options: &[&str]) -> Ran {
    ws.write(name, format!("crm id,login,tier\n{rows}"));
    ws.sync(&[&[name], options].concat())
}

fn tier(ws: &Workspace, key: &str) -> Option<String> {
    ws.at_server(key, "user_class")
}

/// Monday is acknowledged, and of Tuesday, which changes both tiers, one row; the keys of the row sent and of the
/// other.
fn left_on_tuesday(options: &[&str]) -> (Workspace, &'static str, &'static str) {
    let ws = Workspace::new();
    day(&ws, "mon.csv", "C-1,ann,monday\nC-2,bob,monday\n", options).expect(0);
    let one = [options, &["--max-rows", "1"]].concat();
    assert_eq!(day(&ws, "tue.csv", "C-1,ann,tuesday\nC-2,bob,tuesday\n", &one).expect(8).rows("pending"), 1);
    let is_first = tier(&ws, "C-1").as_deref() == Some("tuesday");
    if is_first { (ws, "C-1", "C-2") } else { (ws, "C-2", "C-1") }
}

/// What both say on Wednesday: what is acknowledged of them.
fn unchanged(ws: &Workspace) -> String {
    let tier = |key| tier(ws, key).unwrap();
    format!("C-1,ann,{}\nC-2,bob,{}\n", tier("C-1"), tier("C-2"))
}

const WAYS: [&[&str]; 4] =
    [&[], &["--send", "changed"], &["--duplicates", "each"], &["--duplicates", "last"]];

#[test]
fn an_unchanged_export_overtakes_what_an_open_batch_has_left() {
    for options in WAYS {
        let (ws, _, left) = left_on_tuesday(options);
        let seen = ws.arrivals().len();
        let ran = day(&ws, "wed.csv", &unchanged(&ws), options).expect(0).expect_books();
        assert_eq!((ran.rows("unchanged"), ws.arrivals().len()), (2, seen), "{options:?}");
        let late = ws.sync(&[&["tue.csv"], options].concat()).expect(3).expect_books();
        assert_eq!((late.rows("unchanged"), late.rows("superseded")), (1, 1), "{options:?}");
        assert_eq!(tier(&ws, left).as_deref(), Some("monday"), "{options:?}");
        let why = ws.last_rows("superseded.csv").remove(0);
        assert_eq!((why["crm id"].as_str(), why["_reason"].as_str()), (left, "superseded"), "{options:?}");
        assert!(why["_detail"].contains("user_class set since by row "), "{options:?}: {}", why["_detail"]);
        let newest = ws.sync(&[&["tue.csv", "--new-batch"], options].concat()).expect(0);
        assert_eq!(newest.rows("superseded"), 0, "{options:?}");
        assert_eq!(tier(&ws, left).as_deref(), Some("tuesday"), "{options:?}");
    }
}

#[test]
fn without_an_export_in_between_what_is_left_is_sent() {
    for options in WAYS {
        let (ws, _, left) = left_on_tuesday(options);
        // Wednesday says nothing of the tier.
        ws.write("wed.csv", "crm id,login\nC-1,ann\nC-2,bob\n");
        ws.sync(&[&["wed.csv"], options].concat()).expect(0);
        let late = ws.sync(&[&["tue.csv"], options].concat()).expect(0).expect_books();
        assert_eq!((late.rows("unchanged"), late.rows("synced")), (1, 1), "{options:?}");
        assert_eq!(tier(&ws, left).as_deref(), Some("tuesday"), "{options:?}");
    }
}

#[test]
fn a_field_left_out_for_being_equal_overtakes_what_is_left_too() {
    let (ws, _, left) = left_on_tuesday(&["--send", "changed"]);
    let wednesday = unchanged(&ws).replace("bob", "bobby").replace("ann", "anna");
    day(&ws, "wed.csv", &wednesday, &["--send", "changed"]).expect(0);
    assert_eq!(ws.sync(&["tue.csv", "--send", "changed"]).expect(3).rows("superseded"), 2);
    assert_eq!(tier(&ws, left).as_deref(), Some("monday"));
}

#[test]
fn a_plan_of_what_is_left_is_refused_once_an_export_has_overtaken_it() {
    let (ws, _, left) = left_on_tuesday(&[]);
    let url = ws.sandbox.url();
    finish(ws.command(&["plan", "--api-url", &url, "--json", "-o", "p.json", "tue.csv"])).expect(0);
    day(&ws, "wed.csv", &unchanged(&ws), &[]).expect(0);
    let ran = ws.sync(&["--plan", "p.json"]).expect(4);
    assert!(ran.stderr.contains("another batch was sent since"), "{}", ran.stderr);
    assert_eq!(tier(&ws, left).as_deref(), Some("monday"));
}

#[test]
fn what_was_acknowledged_since_as_the_older_batch_says_it_is_unchanged() {
    for options in WAYS {
        let (ws, _, _) = left_on_tuesday(options);
        day(&ws, "wed.csv", "C-2,bob,tuesday\nC-1,ann,tuesday\n", &[options, &["--full"]].concat()).expect(0);
        let late = ws.sync(&[&["tue.csv"], options].concat()).expect(0).expect_books();
        assert_eq!((late.rows("unchanged"), late.rows("superseded")), (2, 0), "{options:?}");
        // Nothing of it is left: it is closed, and does not stand in the way of any other.
        let again = ws.sync(&[&["tue.csv"], options].concat()).expect(0);
        assert_eq!(again.summary()["resumed"], false, "{options:?}");
    }
}

#[test]
fn what_was_set_anew_since_is_superseded_though_the_rest_of_the_row_is_acknowledged() {
    for options in WAYS {
        let (ws, sent, left) = left_on_tuesday(options);
        // Wednesday says nothing of the login.
        ws.write("wed.csv", "crm id,tier\nC-1,wednesday\nC-2,wednesday\n");
        ws.sync(&[&["wed.csv"], options].concat()).expect(0);
        let seen = ws.arrivals().len();
        // Again and again: nothing of it is sent, and it is told.
        for _ in 0..2 {
            let late = ws.sync(&[&["tue.csv"], options].concat()).expect(3).expect_books();
            let listed: Vec<String> =
                ws.last_rows("superseded.csv").into_iter().map(|row| row["crm id"].clone()).collect();
            assert!(listed.contains(&left.to_owned()), "{options:?}: {listed:?}");
            // What Tuesday has delivered whole is done; where only what differed was sent, nothing tells of it any
            // more.
            assert_eq!(listed.contains(&sent.to_owned()), options == WAYS[1], "{options:?}: {listed:?}");
            assert_eq!(late.rows("superseded") + late.rows("unchanged"), 2, "{options:?}");
            assert!(
                late.summary()["next"].to_string().contains("--new-batch"),
                "{options:?}: {}",
                late.stdout
            );
            let why = ws.last_rows("superseded.csv").remove(0);
            assert_eq!(why["_reason"], "superseded", "{options:?}");
            assert!(
                why["_detail"].starts_with("user_class set since by row "),
                "{options:?}: {}",
                why["_detail"]
            );
        }
        assert_eq!(
            (ws.arrivals().len(), tier(&ws, left).as_deref()),
            (seen, Some("wednesday")),
            "{options:?}"
        );
        ws.sync(&[&["tue.csv", "--new-batch"], options].concat()).expect(0);
        assert_eq!(tier(&ws, left).as_deref(), Some("tuesday"), "{options:?}");
    }
}

/// Kills a run that has so many requests answered, and then one that is not.
fn kill_after_answers(ws: &Workspace, answers: u64, args: &[&str]) {
    let before = ws.sandbox.stats().requests;
    ws.fault(frozen_after(answers));
    let mut child = ws.sync_in_background(args);
    ws.wait_for_requests(before + answers + 1);
    // What was answered is durable soon after.
    std::thread::sleep(Duration::from_millis(300));
    kill_9(&mut child);
    ws.fault(Faults::default());
}

/// Two rows of C-1 fold into an update that is in doubt, beside two other subjects.
fn with_a_fold_in_doubt(options: &[&str]) -> Workspace {
    let ws = Workspace::new();
    ws.write("mon.csv", "crm id,login,tier\nC-1,ann,\nC-1,,monday\nC-2,bob,monday\nC-3,eve,monday\n");
    kill_after_answers(&ws, 0, &[&["mon.csv", "--max-in-flight", "1"], options].concat());
    ws
}

#[test]
fn what_is_left_of_a_fold_in_doubt_is_sent_once() {
    for options in [&[][..], &["--send", "changed"], &["--full"]] {
        let ws = with_a_fold_in_doubt(options);
        day(&ws, "tue.csv", "C-1,,tuesday\n", options).expect(0);
        let before = ws.history("C-1").len();
        let one = [&["mon.csv", "--max-rows", "1"], options].concat();
        for (code, superseded) in [(8, 1), (8, 1), (3, 1)] {
            let ran = ws.sync(&one).expect(code).expect_books();
            assert_eq!(ran.rows("superseded"), superseded, "{options:?}: {}", ran.stdout);
        }
        let sent: Vec<_> = ws.history("C-1").split_off(before);
        assert_eq!(sent.len(), 1, "{options:?}: {sent:?}");
        assert_eq!(ws.at_server("C-1", "username").as_deref(), Some("ann"), "{options:?}");
        assert_eq!(tier(&ws, "C-1").as_deref(), Some("tuesday"), "{options:?}");
    }
}

#[test]
fn rows_of_a_fold_in_doubt_that_are_fed_back_one_by_one_are_each_sent_once() {
    let ws = with_a_fold_in_doubt(&[]);
    let run = last_run(&ws);
    let rows = format!("crm id,login,tier,_run,_row\nC-1,ann,,{run},1\nC-1,,monday,{run},2\n");
    ws.write("back.csv", rows);
    let before = ws.history("C-1").len();
    kill_after_answers(&ws, 1, &["back.csv", "--duplicates", "each"]);
    assert_eq!(ws.history("C-1").len() - before, 2, "the first is acknowledged, the second in doubt");
    let ran = ws.sync(&["back.csv", "--duplicates", "each"]).expect(0).expect_books();
    assert_eq!((ran.rows("unchanged"), ran.rows("synced")), (1, 1), "{}", ran.stdout);
    let ran = ws.sync(&["back.csv", "--duplicates", "each"]).expect(0).expect_books();
    assert_eq!((ran.rows("unchanged"), ran.rows("synced")), (2, 0), "{}", ran.stdout);
    assert_eq!(ws.history("C-1").len() - before, 3);
}
